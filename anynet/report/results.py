"""The answers of a network on data: confusions and misclassified rows, or errors of regression."""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from anynet.array import Array, is_array, is_complex
from anynet.backend import get_backend
from anynet.data.batches import Batches
from anynet.data.loader import Loader
from anynet.errors import ArgumentError
from anynet.report.pictures import Picture, picture_of, row_on_host
from anynet.training.inputs import call_network
from anynet.training.tasks import BinaryLabels, Classes, Regression, task_of

#: Rows that a page shows, those with the largest errors.
MOST_SAMPLES = 24

#: Points of a scatter chart.
MOST_POINTS = 500

#: The answer of a row whose outputs are not finite.
NO_ANSWER = -1


@dataclass(frozen=True)
class Sample:
    """A row with a large error.

    Args:
        error: how wrong the answer is.
        row: its index in the data.
        label: the right answer.
        answer: that of the network.
        input: the row itself.

    """

    error: float
    row: int
    label: float
    answer: float
    input: Picture | str


class Ranking:
    """The rows with the largest errors, in order.

    >>> from anynet.report.results import Ranking
    >>> ranking = Ranking()
    >>> ranking.add(np.asarray([5, 6]), 0, {0: 0.5, 1: 2.0}, {0: (0, 1), 1: (1, 0)})
    >>> [(sample.row, sample.input) for sample in ranking.samples]
    [(1, '6'), (0, '5')]

    """

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def add(
        self,
        x: Any,
        first: int,
        errors: Mapping[int, float],
        pairs: Mapping[int, tuple[float, float]],
    ) -> None:
        """Add rows of a batch. Only those that are kept are brought to the host.

        Args:
            x: the inputs.
            first: the index of the first row of the batch in the data.
            errors: by the index in the batch.
            pairs: the label and the answer, by the index in the batch.

        """
        is_full = len(self.samples) == MOST_SAMPLES
        least = self.samples[-1].error if is_full else -math.inf
        larger = [i for i, error in errors.items() if error > least]
        for i in heapq.nlargest(MOST_SAMPLES, larger, key=errors.__getitem__):
            picture = picture_of(row_on_host(x, i))
            self.samples.append(Sample(errors[i], first + i, *pairs[i], picture))
        self.samples.sort(key=lambda sample: (-sample.error, sample.row))
        del self.samples[MOST_SAMPLES:]


class Classification:
    """How often each class was taken for each other one.

    Args:
        ignore_index: rows with this label do not count.

    """

    def __init__(self, ignore_index: int | None = None) -> None:
        self.ignore_index = ignore_index
        self.classes = 0
        #: The number of examples by label and answer.
        self.counts: Counter[tuple[int, int]] = Counter()
        #: Examples whose label is no class, or is ignored.
        self.left_out = 0
        self.ranking = Ranking()

    @property
    def rows(self) -> int:
        """The number of examples."""
        return self.counts.total()

    @property
    def right(self) -> int:
        """The number of right answers."""
        return sum(n for (label, answer), n in self.counts.items() if label == answer)

    def add(self, x: Any, outputs: Any, labels: Any, first: int) -> None:
        """Add a batch.

        Args:
            x: the inputs.
            outputs: (N, …, classes) on the host.
            labels: class indices (N, …) or one-hot rows on the host.
            first: the index of the first row in the data.

        """
        host: Any = get_backend("numpy").xp
        self.classes = outputs.shape[-1]
        outputs = outputs.astype("float64")
        if labels.ndim == outputs.ndim:
            is_class = (labels > 0).any(axis=-1)
            labels = host.where(is_class, labels.argmax(axis=-1), NO_ANSWER)
        labels = labels.astype("int64")
        is_known = (labels >= 0) & (labels < self.classes)
        if self.ignore_index is not None:
            is_known &= labels != self.ignore_index
        has_answer = ~host.isnan(outputs).any(axis=-1)
        answers = host.where(has_answer, outputs.argmax(axis=-1), NO_ANSWER)
        self.left_out += int((~is_known).sum())
        pairs = zip(labels[is_known].tolist(), answers[is_known].tolist(), strict=True)
        self.counts.update(pairs)
        if labels.ndim == 1:
            self._add_samples(x, outputs, labels, answers, is_known, first)

    def _add_samples(
        self,
        x: Any,
        outputs: Any,
        labels: Any,
        answers: Any,
        is_known: Any,
        first: int,
    ) -> None:
        """Keep the rows whose answer has the largest margin over the label."""
        wrong = ((labels != answers) & is_known).nonzero()[0].tolist()
        pairs = {i: (int(labels[i]), int(answers[i])) for i in wrong}
        margins = {i: _margin(outputs[i], *pair) for i, pair in pairs.items()}
        self.ranking.add(x, first, margins, pairs)


class Errors:
    """The errors of outputs that are real numbers."""

    def __init__(self) -> None:
        self.elements = 0
        self.targets: list[float] = []
        self.outputs: list[float] = []
        self.ranking = Ranking()
        self._absolute = 0.0
        self._square = 0.0

    def add(self, x: Any, outputs: Any, labels: Any, first: int) -> None:
        """Add a batch of outputs and as many labels, see `Classification.add`."""
        outputs = outputs.astype("float64").reshape(outputs.shape[0], -1)
        labels = labels.astype("float64").reshape(outputs.shape)
        host: Any = get_backend("numpy").xp
        with host.errstate(over="ignore", invalid="ignore"):
            errors = abs(outputs - labels)
            self._absolute += float(errors.sum())
            self._square += float((errors**2).sum())
        self.elements += int(errors.size)
        missing = max(0, MOST_POINTS - len(self.targets))
        self.targets += labels.reshape(-1)[:missing].tolist()
        self.outputs += outputs.reshape(-1)[:missing].tolist()
        if errors.size:
            # A NaN is the largest error.
            errors = host.where(host.isnan(errors), math.inf, errors)
            columns = enumerate(errors.argmax(axis=1).tolist())
            pairs = {i: (float(labels[i, j]), float(outputs[i, j])) for i, j in columns}
            self.ranking.add(x, first, dict(enumerate(errors.max(axis=1).tolist())), pairs)

    @property
    def mean_absolute_error(self) -> float:
        """Σ |output - target| / elements."""
        return self._absolute / self.elements if self.elements else math.nan

    @property
    def root_mean_squared_error(self) -> float:
        """√(Σ (output - target)² / elements)."""
        return math.sqrt(self._square / self.elements) if self.elements else math.nan


Results = Classification | Errors


def results_on(
    net: Any,
    batches: Loader | Batches,
    loss: Callable[..., Array] | None = None,
) -> Results:
    """Return the answers of a network on data. The loss decides what they mean, or their shapes.

    Args:
        net: called as net(x).
        batches: of rows (x, t).
        loss: of the training, None if it is not known.

    Raises:
        ArgumentError: the outputs are neither classes nor real numbers like the labels.

    """
    results: Results | None = None
    first = 0
    for x, t, *_ in batches:
        outputs = call_network(net, x)
        if not is_array(outputs) or not is_array(t):
            raise ArgumentError("the outputs or the labels are no single array")
        values, labels = (get_backend(array).to_host(array) for array in (outputs, t))
        if _is_binary(loss):
            values, labels = _two_classes(values, labels)
        if results is None:
            results = _results_for(loss, values, labels)
        results.add(x, values, labels, first)
        first += int(labels.shape[0])
    if results is None:
        raise ArgumentError("the data have no rows")
    return results


def _results_for(
    loss: Callable[..., Array] | None,
    outputs: Any,
    labels: Any,
) -> Results:
    """Return the results that suit a loss and a batch on the host.

    Raises:
        ArgumentError: the outputs and labels are of no kind that a page can show.

    """
    task = None if loss is None else task_of(loss)
    if is_complex(outputs) or is_complex(labels):
        raise ArgumentError("the outputs or the labels are complex")
    if isinstance(task, Classes | BinaryLabels) or (
        type(task) is not Regression and _are_classes(outputs, labels)
    ):
        return Classification(None if task is None else task.settings.get("ignore_index"))
    if outputs.ndim and outputs.size == labels.size:
        return Errors()
    raise ArgumentError(
        f"the outputs are of shape {tuple(outputs.shape)} and the labels of "
        f"{tuple(labels.shape)}, which is neither a choice of classes nor a regression"
    )


def _are_classes(outputs: Any, labels: Any) -> bool:
    """Return whether labels are class indices for the outputs, or one-hot rows of their shape."""
    if outputs.ndim < 2 or outputs.shape[-1] < 2:
        return False
    if labels.shape == outputs.shape:
        is_one = labels == 1
        return bool((is_one.sum(axis=-1) == 1).all() and (is_one | (labels == 0)).all())
    return labels.shape == outputs.shape[:-1] and labels.dtype.kind in "iu"


def _is_binary(loss: Callable[..., Array] | None) -> bool:
    return loss is not None and isinstance(task_of(loss), BinaryLabels)


def _two_classes(logits: Any, labels: Any) -> tuple[Any, Any]:
    """Return outputs and labels of the classes no and yes, from logits of yes."""
    host: Any = get_backend("numpy").xp
    shape = logits.shape[:-1] if logits.shape[1:] == (1,) else logits.shape
    logits = logits.astype("float64").reshape(shape)
    outputs = host.stack([host.zeros_like(logits), logits], axis=-1)
    return outputs, (labels.reshape(shape) > 0.5).astype("int64")


def _margin(outputs: Any, label: int, answer: int) -> float:
    """Return how much larger the output of the answer is than that of the label."""
    if answer == NO_ANSWER:
        return math.inf
    margin = float(outputs[answer]) - float(outputs[label])
    return math.inf if math.isnan(margin) else margin
