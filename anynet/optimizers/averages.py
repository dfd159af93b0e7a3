"""Averages of the weights over the updates."""

from functools import partial
from typing import Any, ClassVar

from anynet import tree
from anynet.array import (
    Array,
    array_namespace,
    is_array,
    is_complex,
    is_floating,
    unrecorded,
    widened,
)
from anynet.errors import ArgumentError
from anynet.optimizers.base import in_order
from anynet.optimizers.checks import below_one, not_negative_integer, positive_integer
from anynet.optimizers.wrapper import Wrapper
from anynet.primitives.precision import rounded
from anynet.state import State, check_count, check_state
from anynet.tracing.dynamic_scalars import DynamicValue, dynamic_scalars

#: The place of an array, ``holder[name]``.
_Place = tuple[Any, Any]


class Averages(Wrapper):
    """The base of optimizers that keep an average of the weights.

    All floating arrays of the network are averaged: parameters, also frozen ones, and buffers such
    as running means. Other arrays, such as random keys and counts, stay those of the last update.
    The average of an array narrower than float32 is kept in float32.

    `swap` exchanges the weights of the network and the averages. `anynet.fit` evaluates with the
    averages, and leaves them in the network at its end.

    Args:
        optimizer: makes the updates.

    Raises:
        ArgumentTypeError: the optimizer is something else.

    >>> from anynet.optimizers import SGD, Averages, ExponentialAverage
    >>> isinstance(ExponentialAverage(SGD(0.1)), Averages)
    True

    """

    #: The averages by path.
    averages: dict[str, Array]
    #: The weights of the network by path, while the averages are in the network.
    weights: dict[str, Array]
    #: Whether the averages are in the order of the network's arrays. Loaded ones may not be.
    _is_in_order: bool = True

    def __init__(self, optimizer: Any) -> None:
        super().__init__(optimizer)
        self.averages = {}
        self.weights = {}

    @property
    def swapped(self) -> bool:
        """Whether the averages are in the network."""
        return bool(self.weights)

    def swap(self, net: Any) -> None:
        """Put the averages into the network, or the weights again if the averages are there.

        Before there is an average, nothing changes.

        Args:
            net: the network of the updates.

        Raises:
            ArgumentError: it is another network. Nothing has changed then.

        >>> import numpy as np
        >>> from anynet.optimizers import SGD, StochasticAverage
        >>> net, optimizer = {"w": np.array([0.0])}, StochasticAverage(SGD(1.0))
        >>> for _ in range(3):
        ...     optimizer.update(net, {"w": np.array([-1.0])})
        >>> optimizer.swap(net)
        >>> net, optimizer.swapped
        ({'w': array([2.])}, True)
        >>> optimizer.swap(net)
        >>> net, optimizer.swapped
        ({'w': array([3.])}, False)

        """
        if not self._has_average:
            return
        places, paths = _places(net), _paths(net)
        if paths != [*self.averages]:
            self._sort(net, paths)
        self._check_shapes(net, places)
        arrays = [holder[name] for holder, name in places]
        new = self.weights or self.averages
        self.weights = {} if self.swapped else dict(zip(paths, arrays, strict=True))
        for path, (holder, name), x in zip(paths, places, arrays, strict=True):
            holder[name] = rounded(new[path], x)

    def update(self, net: Any, grads: Any) -> None:
        """Update the parameters and the averages.

        Args:
            net: a network, or another tree of arrays.
            grads: a tree of the same structure, with None for a parameter that does not change.

        Raises:
            StateError: the averages are in the network.
            ArgumentError: the network has other arrays than the one of the first update.

        """
        self.check_not_swapped()
        places = _places(net)
        if not self._is_in_order:
            self._sort(net, _paths(net))
        if self.averages:
            self._check_shapes(net, places)
        self.optimizer.update(net, grads)
        self._begin_averages(net)
        self._average([unrecorded(holder[name]) for holder, name in places])

    def begin(self, net: Any, grads: Any) -> None:
        """Create the state of the parameters that have gradients, see `Optimizer.begin`."""
        super().begin(net, grads)
        self._begin_averages(net)

    def _begin_averages(self, net: Any) -> None:
        if not self.averages:
            arrays = ((path, x) for path, x in tree.leaves(net) if _is_averaged(x))
            self.averages = {path: _zeros(x) for path, x in arrays}

    def _sort(self, net: Any, paths: list[str]) -> None:
        """Bring loaded averages into the order of the network's arrays."""
        if self.averages:
            self.averages = in_order(self.averages, paths, net)
        if self.weights:
            self.weights = in_order(self.weights, paths, net)
        vars(self).pop("_is_in_order", None)

    @property
    def _has_average(self) -> bool:
        """Whether weights were averaged."""
        raise NotImplementedError(f"{type(self).__name__} defines no _has_average")

    def _average(self, weights: list[Array]) -> None:
        """Bring the averages up to date after an update."""
        raise NotImplementedError(f"{type(self).__name__} defines no _average()")

    def _move(self, weights: list[Array], share: float) -> None:
        """Move the averages to the weights by a share of the distance."""
        for (path, average), x in zip([*self.averages.items()], weights, strict=True):
            self.averages[path] = average + share * (widened(x) - average)

    def _check_shapes(self, net: Any, places: list[_Place]) -> None:
        """Raise ArgumentError unless a network has arrays of the shapes of the averages."""
        if len(places) != len(self.averages):
            raise self._other_network(net)
        for average, (holder, name) in zip(self.averages.values(), places, strict=True):
            if average.shape != holder[name].shape:
                raise self._other_network(net)

    def _other_network(self, net: Any) -> ArgumentError:
        shapes = {path: tuple(x.shape) for path, x in self.averages.items()}
        others = {path: tuple(x.shape) for path, x in tree.leaves(net) if _is_averaged(x)}
        wrong = sorted({path for path, _ in shapes.items() ^ others.items()})
        return ArgumentError(
            f"there are averages for {len(shapes)} arrays, and the network has {len(others)} "
            f"or others, such as {wrong[:3]}: an optimizer belongs to one network, make a new "
            "one for another"
        )

    def _check_arrays(self, state: State) -> None:
        """Raise ArgumentError unless the averages and weights of a state are arrays."""
        kind = type(self).__name__
        averages, weights = state["averages"], state["weights"]
        check_state(f"the averages of {kind}", averages, (), averages)
        check_state(f"the weights of {kind}", weights, averages if weights else ())
        for path, x in (*averages.items(), *weights.items()):
            if not is_array(x):
                raise ArgumentError(f"the average of {kind} for {path} is no array")
            if tuple(x.shape) != tuple(averages[path].shape):
                raise ArgumentError(f"the weights of {kind} for {path} have another shape")

    def _arrays(self) -> State:
        return {"averages": dict(self.averages), "weights": dict(self.weights)}

    def _load_arrays(self, state: State) -> None:
        self.averages = dict(state["averages"])
        self.weights = dict(state["weights"])
        self._is_in_order = False


def _places(net: Any) -> list[_Place]:
    """Return the places of the averaged arrays of a network, in the order of their paths."""
    return [(holder, name) for holder, name, x, _ in tree.pairs(net, net) if _is_averaged(x)]


def _paths(net: Any) -> list[str]:
    return [path for path, x in tree.leaves(net) if _is_averaged(x)]


def _is_averaged(x: Array) -> bool:
    return is_floating(x) or is_complex(x)


def _zeros(x: Array) -> Array:
    wide = widened(x)
    return array_namespace(wide).zeros_like(wide)


class ExponentialAverage(Averages):
    """An optimizer that keeps the exponential moving average of the weights.

    average ← decay · average + (1 - decay) · weights after each update. The first average is the
    weights after the first update.

    Args:
        optimizer: makes the updates.
        decay: 0 or more and below 1.

    Raises:
        ArgumentError: the decay is out of range.
        ArgumentTypeError: the optimizer is something else.

    Source: Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992;
    PyTorch's AveragedModel with get_ema_avg_fn.

    >>> import numpy as np
    >>> from anynet.optimizers import SGD, ExponentialAverage
    >>> net, optimizer = {"w": np.array([0.0])}, ExponentialAverage(SGD(1.0), decay=0.5)
    >>> for _ in range(3):
    ...     optimizer.update(net, {"w": np.array([-1.0])})
    >>> net["w"], optimizer.averages["w"]
    (array([3.]), array([2.25]))

    """

    SETTINGS = ("decay",)
    CHECKS: ClassVar = {"decay": below_one}

    _count: DynamicValue

    def __init__(self, optimizer: Any, decay: float = 0.999) -> None:
        super().__init__(optimizer)
        self.decay = decay
        self._count = DynamicValue(0, "the number of averaged updates")

    @property
    def _has_average(self) -> bool:
        return bool(self._count.peek())

    def _average(self, weights: list[Array]) -> None:
        if weights:
            share = partial(_share_of_last, decay=self.decay)
            (share_of_last,) = dynamic_scalars(share, self._count, like=weights[0])
            self._move(weights, share_of_last)
            self._count.advance(_next, like=weights[0])

    def own_state(self) -> State:
        """Return the averages, the weights while they are swapped, and the number of updates."""
        return {**self._arrays(), "count": self._count.peek()}

    def load_own_state(self, state: State) -> None:
        """Go on from a state that `own_state` returned, or raise and change nothing."""
        self._check_arrays(state)
        count = check_count("the count of ExponentialAverage", state["count"])
        self._load_arrays(state)
        self._count.value = count


def _share_of_last(count: int, decay: float) -> tuple[float]:
    """Return the share of the last weights in the average after ``count`` updates before."""
    return (1 - decay if count else 1.0,)


def _next(count: int) -> int:
    return count + 1


class StochasticAverage(Averages):
    """An optimizer that keeps the mean of the weights at some of the updates.

    The weights after the updates ``start`` + ``every``, ``start`` + 2 · ``every`` and so on count
    equally. average ← average + (weights - average) / (n + 1), where n weights came before.

    Args:
        optimizer: makes the updates.
        start: the number of updates before the averaging begins, 0 or more.
        every: the number of updates from one average to the next, 1 or more.

    Raises:
        ArgumentError: an argument is out of range.
        ArgumentTypeError: an argument is no integer, or the optimizer is something else.

    Source: Izmailov et al., Averaging weights leads to wider optima and better generalization, UAI
    2018, algorithm 1; PyTorch's AveragedModel.

    >>> import numpy as np
    >>> from anynet.optimizers import SGD, StochasticAverage
    >>> net, optimizer = {"w": np.array([0.0])}, StochasticAverage(SGD(1.0), start=2, every=2)
    >>> for _ in range(6):
    ...     optimizer.update(net, {"w": np.array([-1.0])})
    >>> net["w"], optimizer.averages["w"]
    (array([6.]), array([5.]))

    """

    SETTINGS = ("start", "every")
    CHECKS: ClassVar = {"start": not_negative_integer, "every": positive_integer}

    _progress: DynamicValue

    def __init__(
        self,
        optimizer: Any,
        start: int = 0,
        every: int = 1,
    ) -> None:
        super().__init__(optimizer)
        self.start = start
        self.every = every
        # How many updates are left until the next average, this one included, and how many weights
        # were averaged.
        progress = self.start + self.every, 0
        self._progress = DynamicValue(progress, "the progress of the average")

    @property
    def _has_average(self) -> bool:
        return bool(self._progress.peek()[1])

    def _average(self, weights: list[Array]) -> None:
        if not weights:
            return
        like = weights[0]
        if self._progress.branch(_is_due, like=like):
            (share,) = dynamic_scalars(_share_of_one, self._progress, like=like)
            self._move(weights, share)
        self._progress.advance(partial(_count_down, every=self.every), like=like)

    def own_state(self) -> State:
        """Return the averages, the weights while they are swapped, the number of updates until the
        next average, and how many weights were averaged.
        """
        remaining, averaged = self._progress.peek()
        return {**self._arrays(), "remaining": remaining, "averaged": averaged}

    def load_own_state(self, state: State) -> None:
        """Go on from a state that `own_state` returned, or raise and change nothing."""
        self._check_arrays(state)
        remaining = check_count("the remaining updates of StochasticAverage", state["remaining"])
        averaged = check_count("the averaged weights of StochasticAverage", state["averaged"])
        if not remaining:
            raise ArgumentError(
                "the remaining updates of StochasticAverage are 0: wanted 1 or more"
            )
        self._load_arrays(state)
        self._progress.value = remaining, averaged


def _is_due(progress: tuple[int, int]) -> bool:
    return progress[0] <= 1


def _share_of_one(progress: tuple[int, int]) -> tuple[float]:
    """Return the share of the last weights in the mean."""
    return (1 / (progress[1] + 1),)


def _count_down(progress: tuple[int, int], every: int) -> tuple[int, int]:
    remaining, averaged = progress
    return (every, averaged + 1) if _is_due(progress) else (remaining - 1, averaged)
