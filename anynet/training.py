"""Training: epochs of mini-batches, what they gave, and when to stop."""

import inspect
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, overload

from anynet import compilation, losses, metrics
from anynet.array import Array, array_namespace, device, is_array
from anynet.autodiff import value_and_grad
from anynet.backend import get_backend
from anynet.data.loader import Loader, batch
from anynet.display import Display, EpochTable, display_of_run, interrupted
from anynet.errors import ArgumentError, NonFiniteError
from anynet.interrupt import DeferredInterrupt
from anynet.layers import Module
from anynet.metrics import Metric
from anynet.optimizers import SGD
from anynet.table import Table
from anynet.targets import task_of

#: Seconds between two looks at the loss while an epoch runs; each look waits for the device.
LOOK_INTERVAL = 0.2

#: Rows evaluated at a time.
EVALUATION_BATCH = 1000

#: A metric, or a function of the outputs and labels of all rows.
Score = Metric | Callable[[Array, Array], Any]


class Optimizer(Protocol):
    """What changes the parameters of a network by their gradients."""

    def update(self, net: Any, grads: Any) -> None:
        """Put new parameters in the place of the old ones."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training data gave: the mean loss, and scores by the names of their metrics.

    Scores are of the network after the epoch; there are none where nothing was measured.
    """

    number: int
    loss: float
    train_scores: dict[str, float]
    test_scores: dict[str, float]
    seconds: float

    @property
    def train_score(self) -> float | None:
        """The first metric on the training data, None where nothing was measured."""
        return next(iter(self.train_scores.values()), None)

    @property
    def test_score(self) -> float | None:
        """The first metric on the test data, None where nothing was measured."""
        return next(iter(self.test_scores.values()), None)

    @property
    def scores(self) -> dict[str, float]:
        """All scores by their headings in a table, such as ``train accuracy``."""
        names = dict.fromkeys((*self.train_scores, *self.test_scores))
        parts = (("train", self.train_scores), ("test", self.test_scores))
        return {f"{part} {name}": scores[name] for name in names for part, scores in parts if name in scores}


@dataclass(repr=False)
class History:
    """The epochs of a training run, the loss of every step, and whether Ctrl-C ended it.

    It prints as a table of the epochs, which a notebook shows as HTML. Of many epochs the table has the first and the
    last ones.
    """

    epochs: list[Epoch] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    interrupted: bool = False

    def __repr__(self) -> str:
        return "\n".join([str(self._table()) if self.epochs else "no epochs", *self._notes()])

    def _repr_html_(self) -> str:
        table = self._table()._repr_html_() if self.epochs else "<p>no epochs</p>"
        return table + "".join(f"<p>{note}</p>" for note in self._notes())

    def _table(self) -> Table:
        scores = dict.fromkeys(name for epoch in self.epochs for name in epoch.scores)
        table = EpochTable(list(scores))
        return table.table([table.cells(epoch) for epoch in self.epochs])

    def _notes(self) -> list[str]:
        return [interrupted(len(self.losses))] if self.interrupted else []


def fit(
    net: Module,
    train: Loader | tuple[Array, Array],
    test: Loader | tuple[Array, Array] | None = None,
    *,
    loss: Callable[..., Array] = losses.cross_entropy,
    optimizer: Optimizer | None = None,
    epochs: int = 5,
    batch_size: int = 100,
    seed: int = 0,
    metric: Score | Sequence[Score] | str | None = "auto",
    compile: bool = False,
    progress: bool = True,
) -> History:
    """Train the network in place and return the history.

    Each epoch is one pass over the training data in shuffled mini-batches, then an evaluation on the training and the
    test data. Losses stay on the device while an epoch runs; only the display looks at one of them now and then.
    Ctrl-C ends the run after the step under way and keeps the network and the history; a second one does not wait.

    A loss of more than the outputs takes the network, and is differentiated in all of it; weight decay as a penalty:

    >>> def loss(net, x, t):
    ...     penalty = sum((w**2).sum() for w in net.parameters().values())
    ...     return losses.cross_entropy(net(x), t) + 0.0005 * penalty

    Args:
        net: called as net(x); its parameters are initialized.
        train: (x, t), shuffled by the seed, or a loader.
        test: (x, t), a loader, of which only x and t are used, or None.
        loss: called as loss(net(x), t) or, where it needs three arguments, as loss(net, x, t); a scalar.
        optimizer: SGD(0.1) by default.
        epochs: 0 or more.
        batch_size: 1 or more; not used where train is a loader.
        seed: of the shuffles; not used where train is a loader.
        metric: a metric or several, computed from sums over all rows; their names stand in the table and in the
            history. Another function is called as metric(outputs, labels) with all rows at once. By default the loss
            decides: accuracy for losses of classes, binary accuracy for `losses.binary_cross_entropy_with_logits`, R²
            for losses of numbers, and none for a loss that is not one of `anynet.losses`. None measures nothing.
        compile: record the step and replay it, see `anynet.compile`; the optimizer is one of `anynet.optimizers`, or
            another whose state is a tree of arrays.
        progress: show a line for each epoch, and how far the next one is: a bar in a terminal, an output that is
            replaced in a notebook.

    Raises:
        DataError: labels that are no classes of this network or of a dtype that the loss cannot take, or data that
            cannot be trained on; found before a parameter is changed.
        ShapeError: labels of a shape that does not fit the outputs; found before a parameter is changed.
        NonFiniteError: the loss became infinite or NaN; its attribute ``history`` is the run so far.

    """
    if epochs < 0:
        raise ArgumentError(f"epochs is {epochs}: wanted 0 or more")
    loader = train if isinstance(train, Loader) else Loader(*train, batch_size=batch_size, seed=seed)
    if isinstance(test, Loader):
        test = test.x, test.t
    parts = [_in_order(loader.x, loader.t), None if test is None else _in_order(*test)]
    scores = _check(net, loss, metric, [part for part in parts if part is not None])
    run = _Run(net, loader, training_step(loss), optimizer or SGD())
    if compile:
        run.compile()
    measured = ("train", "test") if test is not None else ("train",)
    headings = [f"{part} {name}" for name in scores for part in measured]
    with display_of_run(epochs, headings) if progress else Display() as display:
        try:
            for number in range(1, epochs + 1):
                start = time.perf_counter()
                mean = run.epoch(number, display)
                seconds = time.perf_counter() - start
                on_train, on_test = ({} if part is None else _evaluate(net, part, scores) for part in parts)
                run.history.epochs.append(Epoch(number, mean, on_train, on_test, seconds))
                display.finish(run.history.epochs[-1])
        except KeyboardInterrupt:
            run.history.interrupted = True
            display.interrupt(len(run.history.losses))
    return run.history


def training_step(loss: Callable[..., Array]) -> Callable[[Module, Optimizer, Array, Array], Array]:
    """Return step(net, optimizer, x, t), which trains the network on one batch and returns the loss.

    The loss is called as loss(net(x), t) or, where it needs three arguments, as loss(net, x, t).

    Raises:
        ArgumentError: the loss takes neither two arguments nor three.

    """
    both = value_and_grad(loss if _takes_network(loss) else lambda net, x, t: loss(net(x), t))

    def step(net: Module, optimizer: Optimizer, x: Array, t: Array) -> Array:
        value, grads = both(net, x, t)
        optimizer.update(net, grads)
        return value

    return step


def on_rows(step: Callable[[Module, Optimizer, Array, Array], Array]) -> Callable[..., Array]:
    """Return step(net, optimizer, x, t, rows), which trains on the rows of x and t with these numbers."""
    return lambda net, optimizer, x, t, rows: step(net, optimizer, *batch(x, t, rows))


def _takes_network(loss: Callable[..., Array]) -> bool:
    """Tell whether a loss is called as loss(net, x, t), for two arguments do not suffice."""
    try:
        signature = inspect.signature(loss)
    except (TypeError, ValueError):
        # Compiled code need not have one.
        return False
    for count in (2, 3):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count == 3
    name = getattr(loss, "__name__", repr(loss))
    raise ArgumentError(f"loss is {name}{signature}: wanted loss(outputs, labels) or loss(net, x, t)")


@overload
def evaluate(net: Module, data: Loader | tuple[Array, Array], metric: Score = metrics.accuracy) -> float: ...


@overload
def evaluate(net: Module, data: Loader | tuple[Array, Array], metric: Sequence[Score]) -> dict[str, float]: ...


def evaluate(
    net: Module, data: Loader | tuple[Array, Array], metric: Score | Sequence[Score] = metrics.accuracy
) -> float | dict[str, float]:
    """Return the score of the network on all rows of (x, t), or the scores of several metrics by name.

    What a metric counts is added up over batches, on the device, and read once at the end. A function that is not one
    of `anynet.metrics` is called as metric(outputs, labels) with all rows at once.

    >>> anynet.evaluate(net, test, metrics.F1(average="micro"))
    >>> anynet.evaluate(net, test, [metrics.accuracy, metrics.perplexity])

    Raises:
        ArgumentError: a score that is no scalar, or two metrics of one name.

    """
    scores = _by_name(metric)
    found = _evaluate(net, data if isinstance(data, Loader) else _in_order(*data), scores)
    return found if isinstance(metric, Sequence) else next(iter(found.values()))


def _by_name(metric: Score | Sequence[Score] | None) -> dict[str, Metric]:
    """Return the metrics by their names."""
    given = () if metric is None else metric if isinstance(metric, Sequence) else (metric,)
    scores: dict[str, Metric] = {}
    for one in given:
        if not callable(one):
            raise ArgumentError(f"metric is {one!r}: wanted one of anynet.metrics, or a function of outputs and labels")
        known = metrics.as_metric(one)
        name = known.name or type(known).__name__
        if name in scores:
            raise ArgumentError(f"two metrics are called {name!r}: set the attribute name of one")
        scores[name] = known
    return scores


def _evaluate(net: Module, loader: Loader, scores: dict[str, Metric]) -> dict[str, float]:
    sums: dict[str, Any] = {}
    for x, t in loader if scores else ():
        outputs = net(x)
        for name, metric in scores.items():
            counted = metric.count(outputs, t)
            sums[name] = metric.add(sums[name], counted) if name in sums else counted
    return {name: _read(name, metric.result(sums[name])) for name, metric in scores.items()}


def _read(name: str, score: Any) -> float:
    if not is_array(score):
        return float(score)
    if score.ndim:
        raise ArgumentError(
            f"{name} is of shape {tuple(score.shape)}: wanted a scalar; call the metric on outputs and labels for more"
        )
    return float(get_backend(score).to_host(score))


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
        with DeferredInterrupt() as interrupt:
            try:
                for values in self._batches() if self.on_rows is None else self._loops(self.on_rows):
                    found.append(values)
                    interrupt.deliver()
                    done += math.prod(values.shape)
                    now = time.perf_counter()
                    if now - looked > LOOK_INTERVAL:
                        looked = now
                        seen = float(values[-1] if values.ndim else values)
                        display.show(number, done, len(self.loader), seen)
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


def _check(
    net: Module, loss: Callable[..., Array], metric: Score | Sequence[Score] | str | None, parts: list[Loader]
) -> dict[str, Metric]:
    """Return the metrics by name, after one row of the data and all labels were found to fit them and the loss."""
    # Taken for a sequence of metrics otherwise.
    if isinstance(metric, str) and metric != "auto":
        raise ArgumentError(f"metric is {metric!r}: wanted 'auto', None, or one or several of anynet.metrics")
    task = task_of(loss)
    scores = {} if isinstance(metric, str) else _by_name(metric)
    if task is None and not scores:
        # The network need not be a function of x alone.
        return scores
    for part in parts:
        x, t = part.x[:1, ...], part.t[:1, ...]
        outputs = net(x)
        if task is not None:
            task.check(outputs, part.t)
            if isinstance(metric, str) and not scores:
                scores = _by_name(task.metric(outputs, t))
        for name, score in scores.items():
            # Another function need not have a value for one row.
            if not isinstance(score, metrics.OfAllRows):
                _read(name, score(outputs, t))
    return scores
