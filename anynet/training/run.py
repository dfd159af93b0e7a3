"""A training run: epochs of steps, and the loss of each."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, count, islice
from operator import length_hint
from typing import NoReturn

from anynet import tree
from anynet.array import Array, array_namespace, device, is_array
from anynet.backend import get_backend
from anynet.compiler import CompiledStep
from anynet.compiler.program import Program
from anynet.compiler.target import target_of
from anynet.data.batches import Batches
from anynet.data.loader import Loader
from anynet.data.rows import Batch, first_array
from anynet.distributed.comparison import texts_of_rows
from anynet.distributed.group import Group
from anynet.distributed.processes import Processes
from anynet.errors import NonFiniteError
from anynet.interrupt import DeferredInterrupt
from anynet.layers import Module
from anynet.precision import MixedPrecision
from anynet.training.callback import Callbacks
from anynet.training.finite import non_finite_parameter
from anynet.training.history import History
from anynet.training.progress import Display
from anynet.training.step import Step, SupportsUpdate, on_rows

#: Seconds between two reads of the loss while an epoch runs. Each read waits for the device.
READ_INTERVAL = 0.2

#: The smallest normal value of float16. Gradients that overflow at a smaller loss scale are not
#: those of a network that trains.
SMALLEST_SCALE = 2.0**-14


class Run:
    """A training run: the network, the optimizer, the batches, and the history so far.

    Callbacks read its attributes, see `anynet.callbacks.Callback`.
    """

    def __init__(
        self,
        net: Module,
        optimizer: SupportsUpdate,
        batches: Loader | Batches,
        step: Step,
        history: History,
        callbacks: Callbacks,
        loss_of_batch: Callable[..., Array],
        precision: MixedPrecision | None = None,
        steps_per_epoch: int | None = None,
        group: Group | None = None,
    ) -> None:
        self.net = net
        self.optimizer = optimizer
        self.batches = batches
        self.history = history
        self.callbacks = callbacks
        self.loss_of_batch = loss_of_batch
        self.precision = precision
        #: The ranks of the run, None for one.
        self.group = group
        #: Those that have to agree on when the run ends: the ranks, or the processes of a library
        #: that splits rows. None for one.
        self.peers = group or _processes_of(net)
        if not self.is_first:
            callbacks.leave_to_first_rank()
        #: The number of the epoch, from 1.
        self.epoch = len(history.epochs)
        #: How many steps of the epoch were made.
        self.step = 0
        #: The last batch, None where the device takes the rows of the data itself.
        self.batch: Batch | None = None
        #: Whether the run ends after this step.
        self.is_stopping = False
        #: The class of the callback that ended the run, if a clock counts the time of callbacks.
        self.stopped_by = ""
        #: Whether a step was begun and has not ended, because a second Ctrl-C cut it.
        self.in_step = False
        #: How many steps of the next epoch are in the history, if a checkpoint has decided that.
        self.resumed_step: int | None = None
        #: The number of steps of an epoch, None for a pass over the batches.
        self.steps_per_epoch = steps_per_epoch
        #: Holds Ctrl-C back until all ranks of a group have heard of it.
        self.interrupt: DeferredInterrupt | None = None
        self._clock = callbacks.clock
        self._step = step
        #: A step on rows of the data, if the device can repeat it.
        self._on_rows: CompiledStep | None = None
        #: Losses of this epoch that are not in the history yet, each of one step or of several.
        self._unread: list[Array] = []
        self._before = len(history.losses)
        #: The losses of the last call of the device, or their values, and the index of the last.
        self._last: Array | list[float] = history.losses[-1:] or [math.nan]
        self._index = 0

    @property
    def is_first(self) -> bool:
        """Whether this rank writes files and shows progress, which is one of a group."""
        return self.peers is None or self.peers.is_first

    @property
    def rows(self) -> Batch | None:
        """All rows of the training data, None where they come in batches of an iterable."""
        return self.batches.parts if isinstance(self.batches, Loader) else None

    @property
    def updates(self) -> int:
        """How many steps were made, over all epochs."""
        return self._before + self.step

    @property
    def loss(self) -> float:
        """The loss of the last step, NaN before the first. To read it waits for the device."""
        if not isinstance(self._last, list):
            self._last = _read([self._last])
        return self._last[self._index]

    def stop(self) -> None:
        """End the run after this step."""
        self.is_stopping = True
        self.stopped_by = self.stopped_by or self.callbacks.last

    def _tell_others(self) -> None:
        """Let the next message of the group say whether Ctrl-C was pressed here."""
        if self.peers is not None and self.interrupt is not None:
            self.peers.wants_stop = self.interrupt.is_waiting

    def agree(self, *, may_stop: bool) -> None:
        """End the run on all ranks if it ends on one.

        Args:
            may_stop: whether a callback may have ended it.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed on a rank of the group.

        """
        if self.peers is None:
            return
        # The messages of a library say nothing of Ctrl-C.
        if may_stop or self.group is None:
            self._tell_others()
            self.is_stopping = any(self.peers.gather(self.is_stopping))
        if self.peers.stopping:
            raise KeyboardInterrupt

    def use_averages(self, wanted: bool) -> None:
        """Let the network have the averaged weights, or those of training.

        It changes nothing for an optimizer without averages.
        """
        swap = getattr(self.optimizer, "swap", None)
        if swap is not None and self.optimizer.swapped != wanted:  # type: ignore[attr-defined]
            with DeferredInterrupt():
                swap(self.net)

    def call(self, moment: str) -> None:
        """Call a moment of the callbacks."""
        self.callbacks.call(moment, self)

    def part(self, name: str) -> AbstractContextManager[None]:
        """Return a context whose time counts for a part of the run."""
        return nullcontext() if self._clock is None else self._clock.part(name)

    def compile(self, programs: Sequence[Program]) -> None:
        """Record the step and replay it from now on.

        Args:
            programs: those of another run, see `programs`.

        """
        if self.group is None and _can_loop(self.batches):
            self._on_rows = CompiledStep(on_rows(self._step), programs)
        self._step = CompiledStep(self._step, programs)

    def programs(self) -> list[Program]:
        """Return the programs of compiled steps, the last used last."""
        steps = self._step, self._on_rows
        programs = [step.programs for step in steps if isinstance(step, CompiledStep)]
        return list(dict.fromkeys(chain.from_iterable(programs)))

    def begin_epoch(self, epoch: int, step: int | None = None) -> None:
        """Begin an epoch, or go on with one.

        Args:
            epoch: from 1.
            step: how many steps of it are in the history. By default it goes on at the position of
                the loader, or begins where an epoch is not a pass over the loader.

        """
        self.epoch = epoch
        if step is None:
            step, self.resumed_step = self.resumed_step, None
        if step is None:
            step = 0
            if isinstance(self.batches, Loader) and self.steps_per_epoch is None:
                step = self.batches.next_batch
        self.step = step
        self._before = len(self.history.losses) - step

    def train(self, display: Display) -> float:
        """Train on every batch once and return the mean loss of the epoch.

        The losses stay on the device while the epoch runs, but for one that the display shows now
        and then. An interrupt waits for the end of a step, and the losses of the steps that were
        made are kept.

        Raises:
            NonFiniteError: a loss is infinite or NaN.
            KeyboardInterrupt: Ctrl-C was pressed.

        """
        steps_hint = self.steps_per_epoch or length_hint(self.batches)
        # The ranks of a group have clocks of their own, and stop at the same step.
        watch = _Watch(self.epoch, steps_hint, display, at_all_steps=self.peers is not None)
        with DeferredInterrupt() as interrupt:
            steps = self._steps(interrupt) if self._on_rows is None else self._loops(self._on_rows)
            try:
                for loss in steps:
                    self._unread.append(loss)
                    self._end_steps(loss)
                    interrupt.deliver()
                    self.agree(may_stop=self.callbacks.can_stop)
                    if self.is_stopping or not watch.is_finite(self.step, loss):
                        break
            finally:
                self.read_losses()
        if isinstance(self.batches, Loader):
            if self.steps_per_epoch is not None:
                self.batches.resume()
            elif self.is_stopping and self.batches.batch:
                self.batches.end_epoch()
        values = self.history.losses[self._before :]
        for i, value in enumerate(values):
            if not math.isfinite(value):
                self._stop(i + 1, value)
        if self.precision is not None:
            self._check_scale(self.precision)
        self._check_parameters()
        return math.fsum(values) / len(values)

    def read_losses(self) -> None:
        """Bring the losses of the steps so far into the history. This waits for the device."""
        unread, self._unread = self._unread, []
        self.history.losses += _read(unread)

    def _end_steps(self, losses: Array) -> None:
        """Count one step or several, and call the callbacks for each."""
        self._last, self._index = losses, 0
        count = losses.shape[0] if losses.ndim else 1
        if not self.callbacks.at_steps:
            self.step += count
            self._index = count - 1
            return
        self.in_step = True
        for i in range(count):
            self.step += 1
            self._index = i
            self.call("on_step_end")
        self.in_step = False

    def _steps(self, interrupt: DeferredInterrupt) -> Iterator[Array]:
        """Train on every batch and yield the loss of each."""
        batches = self._batches()
        if self._clock is not None:
            batches = self._clock.timed("loading of batches", batches)
        for batch in interrupt.undeferred(batches):
            if self.group is not None and not isinstance(self.batches, Loader):
                # Each rank reads an iterable of its own.
                self.group.check(texts_of_rows(f"batch {self.step + 1}", batch))
            self.batch = batch
            self.in_step = True
            self._tell_others()
            loss = self._step(self.net, self.optimizer, *batch)
            self.in_step = False
            yield loss

    def _batches(self) -> Iterable[Batch]:
        """Return the batches of the rest of the epoch."""
        if isinstance(self.batches, Loader) and self.steps_per_epoch is not None:
            passes = (batch for _ in count() for batch in self._rest_of_pass())
            return islice(passes, self.steps_per_epoch - self.step)
        return self._pass()

    def _rest_of_pass(self) -> Iterable[Batch]:
        """Return the batches of the loader from where it stopped."""
        assert isinstance(self.batches, Loader)
        self.batches.resume()
        return self._pass()

    def _pass(self) -> Iterable[Batch]:
        if isinstance(self.batches, Loader) and self.group is not None:
            return self.batches.batches_in(self.group)
        return self.batches

    def _loops(self, on_rows: CompiledStep) -> Iterator[Array]:
        """Train on every batch and yield the losses of many at once."""
        if self.steps_per_epoch is None:
            yield from self._loop_over_pass(on_rows, len(self.batches))  # type: ignore[arg-type]
            return
        while self.step < self.steps_per_epoch:
            self._rest_of_pass()
            yield from self._loop_over_pass(on_rows, self.steps_per_epoch - self.step)

    def _loop_over_pass(self, on_rows: CompiledStep, most: int) -> Iterator[Array]:
        """Train on the rest of a pass over the loader, but on no more than ``most`` batches.

        One call makes as many steps as the device can do between two reads of the loss.
        """
        loader = self.batches
        assert isinstance(loader, Loader)
        size, like = loader.batch_size, first_array(loader.x)
        xp, order = array_namespace(like), loader.start_epoch()
        if order is None:
            order = xp.arange(loader.rows, device=device(like))
        whole = loader.rows // size
        split = get_backend(like).split
        rows = split(xp.reshape(order[: whole * size], (whole, size)), axis=1)
        arguments = self.net, self.optimizer, *loader.parts
        start, steps = loader.batch, 1
        end = min(len(loader), start + most)
        while start < min(whole, end):
            began = time.perf_counter()
            stop = start + self.callbacks.steps_until_stop(self.updates, steps)
            stop = min(stop, whole, end)
            losses = on_rows.for_each(rows, *arguments, start=start, stop=stop)
            start = stop
            loader.batch = start
            # To read one waits for the device.
            float(losses[-1])
            steps = _steps_in_time(losses.shape[0], time.perf_counter() - began)
            if self.peers is not None:
                # Each has a clock of its own.
                steps = self.peers.gather(steps)[0]
            yield losses
        if loader.batch < end:
            losses = on_rows(*arguments, split(order[whole * size :]))
            loader.batch = end
            yield losses
        if end == len(loader):
            loader.end_epoch()

    def _check_parameters(self) -> None:
        """Raise NonFiniteError if the last updates made a parameter infinite or NaN."""
        path = non_finite_parameter(self.net)
        if path is not None:
            self._fail(
                f"the parameter {path} has values that are not finite after epoch {self.epoch}, "
                "and the losses of its steps are finite: lower the learning rate "
                f"({self.optimizer!r}), clip the gradients, or look for a gradient that is NaN "
                "where the loss is finite, as that of sqrt at 0"
            )

    def _check_scale(self, precision: MixedPrecision) -> None:
        """Raise NonFiniteError if the gradients are not finite at any loss scale."""
        if precision.is_dynamic and precision.scale < SMALLEST_SCALE:
            self._fail(
                f"{precision.skipped} gradients were infinite or NaN, and the loss scale became "
                f"{precision.scale:g} in epoch {self.epoch}: use MixedPrecision('bfloat16'), or "
                "look for inputs or labels out of range"
            )

    def _stop(self, step: int, loss: float) -> NoReturn:
        self._fail(
            f"the loss became {loss} in epoch {self.epoch}, step {step}: lower the learning rate "
            f"({self.optimizer!r}), or look for inputs or labels out of range"
        )

    def _fail(self, message: str) -> NoReturn:
        error = NonFiniteError(message)
        error.history = self.history
        raise error


def _processes_of(net: Module) -> Group | None:
    """Return the processes that compute on the arrays of a network, None for one."""
    backend = next((get_backend(x) for _, x in tree.leaves(net) if is_array(x)), None)
    if backend is None or backend.process[1] == 1:
        return None
    return Processes(backend)


class _Watch:
    """Reads a loss now and then while an epoch runs, for the display and to stop at NaN."""

    def __init__(
        self,
        epoch: int,
        steps: int,
        display: Display,
        *,
        at_all_steps: bool = False,
    ) -> None:
        self._epoch = epoch
        self._steps = steps or None
        self._display = display
        self._at_all_steps = at_all_steps
        self._last_read = time.perf_counter()

    def is_finite(self, done: int, losses: Array) -> bool:
        """Return whether the last of these losses is finite, True if it is not read now."""
        now = time.perf_counter()
        is_due = now - self._last_read > READ_INTERVAL
        if not is_due and not self._at_all_steps:
            return True
        loss = float(losses[-1] if losses.ndim else losses)
        if is_due:
            self._last_read = now
            self._display.show(self._epoch, done, self._steps, loss)
        return math.isfinite(loss)


def _can_loop(batches: Loader | Batches) -> bool:
    """Return whether the device can repeat a step on the rows of these batches."""
    if not isinstance(batches, Loader) or batches.augment is not None:
        return False
    return target_of(first_array(batches.x)).has_loop


def _steps_in_time(count: int, seconds: float) -> int:
    """Return how many steps take about `READ_INTERVAL`, if ``count`` steps took these seconds.

    It is a power of two, because the device compiles a loop for each count.
    """
    steps = max(1.0, count * READ_INTERVAL / seconds)
    return 1 << int(math.log2(steps))


def _read(losses: list[Array]) -> list[float]:
    """Return the values of losses, each of one step or of several."""
    if not losses:
        return []
    if not any(loss.ndim for loss in losses):
        # One transfer.
        losses = [array_namespace(*losses).stack(losses)]
    to_host = get_backend(losses[0]).to_host
    return [float(value) for x in losses for value in to_host(x).reshape(-1).tolist()]
