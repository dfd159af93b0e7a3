"""Training: epochs of mini-batches, what they gave, and when to stop."""

import math
import time
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass, field
from operator import length_hint
from typing import Any, Protocol

from anynet import losses, metrics, optimizers, tree
from anynet.arguments import check_flag, describe, example, whole_number
from anynet.array import Array, array_namespace, device, is_array
from anynet.autodiff import value_and_grad
from anynet.backend import get_backend
from anynet.callables import show_call, takes
from anynet.compiler import compiled_step as compilation
from anynet.compiler.target import target_of
from anynet.data.batches import Batches
from anynet.data.loader import Loader, batch
from anynet.errors import ArgumentError, ArgumentTypeError, NonFiniteError
from anynet.interrupt import DeferredInterrupt
from anynet.layers import Module
from anynet.metrics import Metric
from anynet.optimizers import SGD
from anynet.training.evaluation import (
    Data,
    Score,
    _batches_of,
    _by_name,
    _evaluate,
    _is_pair,
    _read,
    _rows_of,
)
from anynet.training.history import Epoch, History
from anynet.training.progress import Display, display_of_run
from anynet.training.tasks import task_of

#: Seconds between two looks at the loss while an epoch runs; each look waits for the device.
LOOK_INTERVAL = 0.2


class Optimizer(Protocol):
    """What changes the parameters of a network by their gradients."""

    def update(self, net: Any, grads: Any) -> None:
        """Put new parameters in the place of the old ones."""


def fit(
    net: Module,
    train: Data,
    test: Data | None = None,
    *,
    loss: Callable[..., Array] = losses.cross_entropy,
    optimizer: Optimizer | None = None,
    epochs: int = 5,
    batch_size: int | None = None,
    seed: int | None = None,
    metric: Score | Sequence[Score] | str | None = "auto",
    compile: bool = False,
    progress: bool = True,
) -> History:
    """Train the network in place and return the history.

    Each epoch is one pass over the training data in mini-batches, then an evaluation on the
    training and the test data. Losses stay on the device while an epoch runs; only the display
    looks at one of them now and then. Ctrl-C ends the run after the step under way, or at once
    while a batch is loaded, and keeps the network and the history; a second one does not wait.

    Data are a pair of arrays (x, t), a `data.Loader`, or any other iterable of batches (x, t), such
    as a list or a PyTorch DataLoader. The batches of an iterable are brought to the network's
    library and device. `fit` reads an iterable once per epoch, so there are no scores on it as
    training data. A generator can be read only once: for more epochs, pass the function that makes
    it, ``fit(net, batches)``.

    A loss of more than the outputs takes the network, and is differentiated in all of it; weight
    decay as a penalty:

    >>> def loss(net, x, t):
    ...     penalty = sum((w**2).sum() for w in net.parameters().values())
    ...     return losses.cross_entropy(net(x), t) + 0.0005 * penalty

    Args:
        net: called as net(x); its parameters are initialized.
        train: (x, t), shuffled by the seed, a loader, or another iterable of batches.
        test: the same, or None; of a loader only x and t are used.
        loss: called as loss(net(x), t) or, where it needs three arguments, as loss(net, x, t); a
            scalar.
        optimizer: SGD(0.1) by default.
        epochs: 0 or more.
        batch_size: 1 or more, 100 by default; only where train is (x, t).
        seed: of the shuffles, 0 by default; only where train is (x, t).
        metric: a metric or several, computed from sums over all rows; their names stand in the
            table and in the history. Another function is called as metric(outputs, labels) with all
            rows at once. By default the loss decides: accuracy for losses of classes, binary
            accuracy for `losses.binary_cross_entropy_with_logits`, R² for losses of numbers, and
            none for a loss that is not one of `anynet.losses`. None measures nothing.
        compile: record the step and replay it, see `anynet.compile`; the optimizer is one of
            `anynet.optimizers`, or another whose state is a tree of arrays.
        progress: show a line for each epoch, and how far the next one is: a bar in a terminal, an
            output that is replaced in a notebook.

    Raises:
        ArgumentTypeError: an argument of the wrong type, such as the name of an optimizer in place
            of an object.
        ArgumentError: a number out of range, an iterable that cannot be read in every epoch, or a
            metric without data.
        DataError: labels that are no classes of this network or of a dtype that the loss cannot
            take, or data that cannot be trained on; found before a parameter is changed. The labels
            of an iterable are checked in the first batch.
        ShapeError: labels of a shape that does not fit the outputs; found before a parameter is
            changed.
        NonFiniteError: the loss became infinite or NaN; its attribute ``history`` is the run so
            far.

    """
    step = training_step(loss)
    _check_network(net, loss)
    _check_optimizer(optimizer)
    epochs = whole_number("epochs", epochs, 0)
    check_flag("compile", compile)
    check_flag("progress", progress)
    batches = _training_batches(net, train, epochs, batch_size, seed)
    data: dict[str, Loader | Batches] = {"train": _rows_of(batches)}
    if test is not None:
        data["test"] = _rows_of(_batches_of("test", test, net, epochs))
    # Training alone reads an iterable of training data.
    measured = {part: rows for part, rows in data.items() if rows is not batches}
    run = _Run(net, batches, step, SGD() if optimizer is None else optimizer)
    try:
        scores = _check(net, loss, metric, data.values())
        if scores and metric != "auto" and not measured:
            raise ArgumentError(
                f"metric is {', '.join(scores)} and there are no data to measure it on: train is an "
                "iterable, which is read once per epoch. Pass test as well"
            )
        if compile:
            run.compile()
        headings = [f"{part} {name}" for name in scores for part in measured]
        with display_of_run(epochs, headings) if progress else Display() as display:
            for number in range(1, epochs + 1):
                start = time.perf_counter()
                mean = run.epoch(number, display)
                seconds = time.perf_counter() - start
                found = {part: _evaluate(net, rows, scores) for part, rows in measured.items()}
                run.history.epochs.append(
                    Epoch(
                        number,
                        mean,
                        found.get("train", {}),
                        found.get("test", {}),
                        seconds,
                    )
                )
                display.finish(run.history.epochs[-1])
    except KeyboardInterrupt:
        run.history.interrupted = True
    return run.history


def training_step(
    loss: Callable[..., Array],
) -> Callable[[Module, Optimizer, Array, Array], Array]:
    """Return step(net, optimizer, x, t), which trains the network on one batch and returns the
    loss.

    The loss is called as loss(net(x), t) or, where it needs three arguments, as loss(net, x, t).

    Raises:
        ArgumentError: the loss takes neither two arguments nor three.

    """
    both = value_and_grad(loss if _takes_network(loss) else lambda net, x, t: loss(net(x), t))

    def step(net: Module, optimizer: Optimizer, x: Array, t: Array) -> Array:
        value: Array
        value, grads = both(net, x, t)
        optimizer.update(net, grads)
        return value

    return step


def on_rows(
    step: Callable[[Module, Optimizer, Array, Array], Array],
) -> Callable[..., Array]:
    """Return step(net, optimizer, x, t, rows), which trains on the rows of x and t with these
    numbers.
    """
    return lambda net, optimizer, x, t, rows: step(net, optimizer, *batch(x, t, rows))


def _takes_network(loss: Callable[..., Array]) -> bool:
    """Tell whether a loss is called as loss(net, x, t), for two arguments do not suffice."""
    if not callable(loss) or isinstance(loss, type):
        wanted = example(loss, losses, default="losses.cross_entropy")
        raise ArgumentTypeError(
            f"loss is {describe(loss)}: wanted a function loss(outputs, labels), such as {wanted}"
        )
    if takes(loss, 2):
        return False
    if takes(loss, 3):
        return True
    raise ArgumentError(
        f"loss is {show_call(loss)}: wanted loss(outputs, labels) or loss(net, x, t)"
    )


def _check_network(net: Any, loss: Callable[..., Array]) -> None:
    """Raise unless a network has arrays to train, and can be called where the loss does not call
    it.
    """
    is_network = isinstance(net, Module) or (
        not is_array(net) and next(tree.leaves(net), None) is not None
    )
    if not is_network or not (callable(net) or _takes_network(loss)):
        raise ArgumentTypeError(
            f"net is {describe(net)}: wanted a layers.Module, such as layers.Sequential(…)"
        )


def _check_optimizer(optimizer: Any) -> None:
    update = getattr(optimizer, "update", None)
    # Dicts and sets have another update.
    is_other = isinstance(optimizer, type | Collection)
    if optimizer is not None and (is_other or not callable(update) or not takes(update, 2)):
        wanted = example(optimizer, optimizers, default="optimizers.SGD(0.1)", call=True)
        raise ArgumentTypeError(
            f"optimizer is {describe(optimizer)}: wanted an optimizer with update(net, grads), such "
            f"as {wanted}"
        )


def _training_batches(
    net: Module,
    data: Data,
    epochs: int,
    batch_size: int | None,
    seed: int | None,
) -> Loader | Batches:
    if _is_pair(data):
        x, t = data
        return Loader(
            x,
            t,
            100 if batch_size is None else batch_size,
            seed=0 if seed is None else seed,
        )
    for name, value in (("batch_size", batch_size), ("seed", seed)):
        if value is not None:
            raise ArgumentError(
                f"{name} is {describe(value)} and train is {describe(data)}, which makes its own "
                "batches: set it there instead"
            )
    return _batches_of("train", data, net, epochs)


@dataclass
class _Run:
    """A training run under way."""

    net: Module
    batches: Loader | Batches
    step: Callable[[Module, Optimizer, Array, Array], Array]
    optimizer: Optimizer
    history: History = field(default_factory=History)
    #: A step on rows of the data, where the device can do many by itself.
    on_rows: compilation.CompiledStep | None = None

    def compile(self) -> None:
        """Record the step and replay it."""
        step = self.step
        self.step = compilation.compile(step)
        batches = self.batches
        if (
            isinstance(batches, Loader)
            and target_of(batches.x).has_loop
            and batches.augment is None
        ):
            self.on_rows = compilation.compile(on_rows(step))

    def epoch(self, number: int, display: Display) -> float:
        """Train on every batch once; return the mean loss."""
        found: list[Array] = []
        done = 0
        looked = time.perf_counter()
        with DeferredInterrupt() as interrupt:
            try:
                for values in (
                    self._steps(interrupt) if self.on_rows is None else self._loops(self.on_rows)
                ):
                    found.append(values)
                    interrupt.deliver()
                    done += math.prod(values.shape)
                    now = time.perf_counter()
                    if now - looked > LOOK_INTERVAL:
                        looked = now
                        seen = float(values[-1] if values.ndim else values)
                        display.show(
                            number,
                            done,
                            length_hint(self.batches) or None,
                            seen,
                        )
                        if not math.isfinite(seen):
                            break
            finally:
                # Also when interrupted: what was done is kept.
                steps = self._read(found)
                self.history.losses += steps
        for i, value in enumerate(steps):
            if not math.isfinite(value):
                self._stop(number, i + 1, value)
        return math.fsum(steps) / len(steps)

    def _steps(self, interrupt: DeferredInterrupt) -> Iterator[Array]:
        """Train on every batch; yield the losses."""
        for x, t in interrupt.undeferred(self.batches):
            yield self.step(self.net, self.optimizer, x, t)

    def _loops(self, on_rows: compilation.CompiledStep) -> Iterator[Array]:
        """Train on every batch, on as many at once as one look after the other allows; yield the
        losses.
        """
        assert isinstance(self.batches, Loader)
        x, t, size = self.batches.x, self.batches.t, self.batches.batch_size
        order = self.batches.start_epoch()
        if order is None:
            order = array_namespace(x).arange(x.shape[0], device=device(x))
        whole = x.shape[0] // size
        rows = array_namespace(x).reshape(order[: whole * size], (whole, size))
        start, count = 0, 1
        while start < whole:
            began = time.perf_counter()
            values = on_rows.for_each(
                rows,
                self.net,
                self.optimizer,
                x,
                t,
                start=start,
                stop=start + count,
            )
            yield values
            # Reading one waits for the device.
            float(values[-1])
            start += count
            # A power of two: each number of steps is compiled for.
            count = 2 ** int(
                math.log2(
                    max(
                        1,
                        count * LOOK_INTERVAL / (time.perf_counter() - began),
                    )
                )
            )
        if len(self.batches) > whole:
            yield on_rows(self.net, self.optimizer, x, t, order[whole * size :])

    def _read(self, found: list[Array]) -> list[float]:
        if not found:
            return []
        if self.on_rows is None:
            # One transfer.
            found = [array_namespace(*found).stack(found)]
        to_host = get_backend(found[0]).to_host
        return [float(value) for values in found for value in to_host(values).reshape(-1).tolist()]

    def _stop(self, number: int, step: int, value: float) -> None:
        error = NonFiniteError(
            f"the loss became {value} in epoch {number}, step {step}: lower the learning rate "
            f"({self.optimizer!r}), or look for inputs or labels out of range"
        )
        vars(error)["history"] = self.history
        raise error


def _check(
    net: Module,
    loss: Callable[..., Array],
    metric: Score | Sequence[Score] | str | None,
    data: Iterable[Loader | Batches],
) -> dict[str, Metric]:
    """Return the metrics by name, after one row of the data and all labels were found to fit them
    and the loss.
    """
    task = task_of(loss)
    by_loss = isinstance(metric, str) and metric == "auto"
    scores = {} if by_loss or metric is None else _by_name(metric)
    if task is None and not scores:
        # The network need not be a function of x alone.
        return scores
    for batches in data:
        x, labels = batches.first() if isinstance(batches, Batches) else (batches.x, batches.t)
        x, t = x[:1, ...], labels[:1, ...]
        outputs = net(x)
        if task is not None:
            task.check(outputs, labels)
            if by_loss and not scores:
                scores = _by_name(task.metric(outputs, t))
        for name, score in scores.items():
            # Another function need not have a value for one row.
            if not isinstance(score, metrics.OfAllRows):
                _read(name, score(outputs, t))
    return scores
