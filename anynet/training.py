"""Training: epochs of mini-batches, what they gave, and when to stop."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from anynet import compilation, losses, metrics
from anynet.array import Array, array_namespace, device
from anynet.autodiff import value_and_grad
from anynet.backend import get_backend
from anynet.data.loader import Loader, batch
from anynet.display import Display
from anynet.errors import ArgumentError, DataError, NonFiniteError
from anynet.layers import Module
from anynet.optimizers import SGD

#: Seconds between two looks at the loss while an epoch runs; each look waits for the device.
LOOK_INTERVAL = 0.2

#: Rows evaluated at a time.
EVALUATION_BATCH = 1000

Metric = Callable[[Array, Array], Array]


class Optimizer(Protocol):
    """What changes the parameters of a network by their gradients."""

    def update(self, net: Any, grads: Any) -> None:
        """Put new parameters in the place of the old ones."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training data gave; scores are None where they were not measured."""

    number: int
    loss: float
    train_score: float | None
    test_score: float | None
    seconds: float


@dataclass
class History:
    """The epochs of a training run, the loss of every step, and whether Ctrl-C ended it."""

    epochs: list[Epoch] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    interrupted: bool = False


def fit(
    net: Module,
    train: Loader | tuple[Array, Array],
    test: tuple[Array, Array] | None = None,
    *,
    loss: Callable[[Array, Array], Array] = losses.cross_entropy,
    optimizer: Optimizer | None = None,
    epochs: int = 5,
    batch_size: int = 100,
    seed: int = 0,
    metric: Metric | None = metrics.accuracy,
    compile: bool = False,
    progress: bool = True,
) -> History:
    """Train the network in place and return the history.

    Each epoch is one pass over the training data in shuffled mini-batches, then an evaluation on the training and the
    test data. Losses stay on the device while an epoch runs; only the display looks at one of them now and then.
    Ctrl-C ends the run after the step at hand and keeps the network and the history.

    Args:
        net: called as net(x); its parameters have their numbers.
        train: (x, t), shuffled by the seed, or a loader.
        test: (x, t), or None.
        loss: called as loss(net(x), t), a scalar.
        optimizer: SGD(0.1) unless given.
        epochs: 0 or more.
        batch_size: 1 or more; not used where train is a loader.
        seed: of the shuffles; not used where train is a loader.
        metric: called as metric(net(x), t), the score of a batch; None to measure nothing.
        compile: record the step and replay it, see `anynet.compile`; the optimizer is one of `anynet.optimizers`, or
            another whose state is a tree of arrays.
        progress: show a bar and a line for each epoch in the terminal.

    Raises:
        DataError: labels that are no classes of this network, or data that cannot be trained on; found before a
            parameter is changed.
        NonFiniteError: the loss became infinite or not a number; its attribute ``history`` is the run so far.

    """
    if epochs < 0:
        raise ArgumentError(f"epochs is {epochs}: wanted 0 or more")
    loader = train if isinstance(train, Loader) else Loader(*train, batch_size=batch_size, seed=seed)
    parts = [_in_order(loader.x, loader.t), None if test is None else _in_order(*test)]
    for part in parts:
        if part is not None:
            _check_labels(net, part)
    run = _Run(net, loader, training_step(loss), optimizer or SGD())
    if compile:
        run.compile()
    with Display(progress, epochs, len(loader)) as display:
        try:
            for number in range(1, epochs + 1):
                start = time.perf_counter()
                mean = run.epoch(number, display)
                seconds = time.perf_counter() - start
                scores = [None if part is None or metric is None else evaluate(net, part, metric) for part in parts]
                run.history.epochs.append(Epoch(number, mean, scores[0], scores[1], seconds))
                display.finish(run.history.epochs[-1])
        except KeyboardInterrupt:
            run.history.interrupted = True
    return run.history


def training_step(loss: Callable[[Array, Array], Array]) -> Callable[[Module, Optimizer, Array, Array], Array]:
    """Return step(net, optimizer, x, t), which trains the network on one batch and returns loss(net(x), t)."""
    both = value_and_grad(lambda net, x, t: loss(net(x), t))

    def step(net: Module, optimizer: Optimizer, x: Array, t: Array) -> Array:
        value, grads = both(net, x, t)
        optimizer.update(net, grads)
        return value

    return step


def on_rows(step: Callable[[Module, Optimizer, Array, Array], Array]) -> Callable[..., Array]:
    """Return step(net, optimizer, x, t, rows), which trains on the rows of x and t with these numbers."""
    return lambda net, optimizer, x, t, rows: step(net, optimizer, *batch(x, t, rows))


def evaluate(net: Module, data: Loader | tuple[Array, Array], metric: Metric = metrics.accuracy) -> float:
    """Return the mean of a metric over all rows of (x, t), computed batch by batch and read from the device once."""
    loader = data if isinstance(data, Loader) else _in_order(*data)
    scores, rows = [], []
    for x, t in loader:
        scores.append(metric(net(x), t))
        rows.append(x.shape[0])
    found = get_backend(loader.x).to_host(array_namespace(loader.x).stack(scores)).tolist()
    total = math.fsum(float(score) * n for score, n in zip(found, rows, strict=True))
    return total / float(sum(rows))


@dataclass
class _Run:
    """A training run under way."""

    net: Module
    loader: Loader
    step: Callable[[Module, Optimizer, Array, Array], Array]
    optimizer: Optimizer
    history: History = field(default_factory=History)
    #: A step on rows of the data, where the device can do many by itself.
    on_rows: compilation.CompiledStep | None = None

    def compile(self) -> None:
        """Record the step and replay it."""
        step = self.step
        self.step = compilation.compile(step)
        if get_backend(self.loader.x).loops and self.loader.augment is None:
            self.on_rows = compilation.compile(on_rows(step))

    def epoch(self, number: int, display: Display) -> float:
        """Train on every batch once; return the mean loss."""
        found: list[Array] = []
        done = 0
        looked = time.perf_counter()
        try:
            for values in self._batches() if self.on_rows is None else self._loops(self.on_rows):
                found.append(values)
                done += math.prod(values.shape)
                now = time.perf_counter()
                if now - looked > LOOK_INTERVAL:
                    looked = now
                    seen = float(values[-1] if values.ndim else values)
                    display.show(number, done, seen)
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

    def _batches(self) -> Iterator[Array]:
        """Train on every batch; yield the losses."""
        for x, t in self.loader:
            yield self.step(self.net, self.optimizer, x, t)

    def _loops(self, on_rows: compilation.CompiledStep) -> Iterator[Array]:
        """Train on every batch, on as many at once as one look after the other allows; yield the losses."""
        x, t, size = self.loader.x, self.loader.t, self.loader.batch_size
        order = self.loader.order()
        if order is None:
            order = array_namespace(x).arange(x.shape[0], device=device(x))
        whole = x.shape[0] // size
        rows = array_namespace(x).reshape(order[: whole * size], (whole, size))
        start, count = 0, 1
        while start < whole:
            began = time.perf_counter()
            values = on_rows.for_each(rows, self.net, self.optimizer, x, t, start=start, stop=start + count)
            yield values
            # Reading one waits for the device.
            float(values[-1])
            start += count
            # A power of two: each number of steps is compiled for.
            count = 2 ** int(math.log2(max(1, count * LOOK_INTERVAL / (time.perf_counter() - began))))
        if len(self.loader) > whole:
            yield on_rows(self.net, self.optimizer, x, t, order[whole * size :])

    def _read(self, found: list[Array]) -> list[float]:
        if not found:
            return []
        if self.on_rows is None:
            # One transfer.
            found = [array_namespace(*found).stack(found)]
        to_host = get_backend(self.loader.x).to_host
        return [float(value) for values in found for value in to_host(values).reshape(-1).tolist()]

    def _stop(self, number: int, step: int, value: float) -> None:
        error = NonFiniteError(
            f"the loss became {value} in epoch {number}, step {step}: lower the learning rate "
            f"({self.optimizer!r}), or look for inputs or labels out of range"
        )
        vars(error)["history"] = self.history
        raise error


def _in_order(x: Array, t: Array) -> Loader:
    return Loader(x, t, batch_size=EVALUATION_BATCH, shuffle=False)


def _check_labels(net: Module, data: Loader) -> None:
    """Compare class indices with the number of outputs, once, before anything is trained."""
    outputs = net(data.x[:1, ...])
    if data.t.ndim != 1 or outputs.ndim != 2:
        return
    xp = array_namespace(data.t)
    largest, classes = int(xp.max(data.t)), outputs.shape[-1]
    if largest >= classes:
        raise DataError(
            f"a label is {largest} and the network has {classes} outputs: wanted labels 0 to {classes - 1}, "
            f"or a last layer with {largest + 1} outputs"
        )
