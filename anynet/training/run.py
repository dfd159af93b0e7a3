"""A training run: epochs of steps, and the loss of each."""

import math
import time
from collections.abc import Iterator
from operator import length_hint
from typing import NoReturn

from anynet.array import Array, array_namespace, device
from anynet.backend import get_backend
from anynet.compiler import CompiledStep, compile
from anynet.compiler.target import target_of
from anynet.data.batches import Batches
from anynet.data.loader import Loader
from anynet.errors import NonFiniteError
from anynet.interrupt import DeferredInterrupt
from anynet.layers import Module
from anynet.training.history import History
from anynet.training.progress import Display
from anynet.training.step import Step, SupportsUpdate, on_rows

#: Seconds between two reads of the loss while an epoch runs. Each read waits for the device.
READ_INTERVAL = 0.2


class Run:
    """A training run: the network, the optimizer, the batches, and the history so far."""

    def __init__(
        self,
        net: Module,
        optimizer: SupportsUpdate,
        batches: Loader | Batches,
        step: Step,
    ) -> None:
        self.net = net
        self.optimizer = optimizer
        self.batches = batches
        self.step = step
        self.history = History()
        #: A step on rows of the data, if the device can repeat it.
        self._on_rows: CompiledStep | None = None

    def compile(self) -> None:
        """Record the step and replay it from now on."""
        if _can_loop(self.batches):
            self._on_rows = compile(on_rows(self.step))
        self.step = compile(self.step)

    def train(self, epoch: int, display: Display) -> float:
        """Train on every batch once and return the mean loss.

        The losses stay on the device while the epoch runs, but for one that the display shows now
        and then. An interrupt waits for the end of a step, and the losses of the steps that were
        made are kept.

        Raises:
            NonFiniteError: a loss is infinite or NaN.
            KeyboardInterrupt: Ctrl-C was pressed.

        """
        losses: list[Array] = []
        watch = _Watch(epoch, length_hint(self.batches), display)
        with DeferredInterrupt() as interrupt:
            steps = self._steps(interrupt) if self._on_rows is None else self._loops(self._on_rows)
            try:
                for loss in steps:
                    losses.append(loss)
                    interrupt.deliver()
                    if not watch.is_finite(loss):
                        break
            finally:
                values = _read(losses)
                self.history.losses += values
        for i, value in enumerate(values):
            if not math.isfinite(value):
                self._stop(epoch, i + 1, value)
        return math.fsum(values) / len(values)

    def _steps(self, interrupt: DeferredInterrupt) -> Iterator[Array]:
        """Train on every batch and yield the loss of each."""
        for x, t in interrupt.undeferred(self.batches):
            yield self.step(self.net, self.optimizer, x, t)

    def _loops(self, on_rows: CompiledStep) -> Iterator[Array]:
        """Train on every batch and yield the losses of many at once.

        One call makes as many steps as the device can do between two reads of the loss.
        """
        assert isinstance(self.batches, Loader)
        x, t, size = self.batches.x, self.batches.t, self.batches.batch_size
        xp, order = array_namespace(x), self.batches.start_epoch()
        if order is None:
            order = xp.arange(x.shape[0], device=device(x))
        whole = x.shape[0] // size
        rows = xp.reshape(order[: whole * size], (whole, size))
        arguments = self.net, self.optimizer, x, t
        start, count = 0, 1
        while start < whole:
            began = time.perf_counter()
            losses = on_rows.for_each(rows, *arguments, start=start, stop=start + count)
            yield losses
            # To read one waits for the device.
            float(losses[-1])
            start += count
            count = _steps_in_time(count, time.perf_counter() - began)
        if len(self.batches) > whole:
            yield on_rows(*arguments, order[whole * size :])

    def _stop(
        self,
        epoch: int,
        step: int,
        loss: float,
    ) -> NoReturn:
        error = NonFiniteError(
            f"the loss became {loss} in epoch {epoch}, step {step}: lower the learning rate "
            f"({self.optimizer!r}), or look for inputs or labels out of range"
        )
        error.history = self.history
        raise error


class _Watch:
    """Reads a loss now and then while an epoch runs, for the display and to stop at NaN."""

    def __init__(
        self,
        epoch: int,
        steps: int,
        display: Display,
    ) -> None:
        self._epoch = epoch
        self._steps = steps or None
        self._display = display
        self._done = 0
        self._last_read = time.perf_counter()

    def is_finite(self, losses: Array) -> bool:
        """Return whether the last of these losses is finite, True if it is not read now."""
        self._done += math.prod(losses.shape)
        now = time.perf_counter()
        if now - self._last_read <= READ_INTERVAL:
            return True
        self._last_read = now
        loss = float(losses[-1] if losses.ndim else losses)
        self._display.show(self._epoch, self._done, self._steps, loss)
        return math.isfinite(loss)


def _can_loop(batches: Loader | Batches) -> bool:
    """Return whether the device can repeat a step on the rows of these batches."""
    if not isinstance(batches, Loader) or batches.augment is not None:
        return False
    return target_of(batches.x).has_loop


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
