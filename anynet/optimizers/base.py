"""Optimizers: how gradients change parameters.

Those that keep something from one update to the next keep it in ``state``, a dict of arrays for
each parameter by its path, and how many updates the parameter has missed, for want of a gradient;
it has no state until its first gradient. So an optimizer belongs to one network.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Self

from anynet import tree
from anynet.array import (
    RECORDING_TYPES,
    Array,
    array_namespace,
    number,
    unrecorded,
    widened,
)
from anynet.errors import ArgumentError, ArgumentTypeError, ShapeError
from anynet.optimizers.schedules import Schedule, check_learning_rate
from anynet.primitives.update import in_turn
from anynet.spelling import check_arguments, check_attribute, no_attribute
from anynet.tracing.dynamic_scalars import DynamicValue, dynamic_scalars

Numbers = tuple[float, ...]


def _below_one(name: str, value: Any) -> Any:
    value = number(name, value)
    if not 0 <= value < 1:
        raise ArgumentError(
            f"{name} is {value!r}: wanted a number of 0 or more and below 1, such as 0.9"
        )
    return value


def _not_negative(name: str, value: Any) -> Any:
    value = number(name, value)
    if not 0 <= value < math.inf:
        raise ArgumentError(f"{name} is {value!r}: wanted a finite number of 0 or more")
    return value


def _checked_rate(learning_rate: float | Schedule) -> float | Schedule:
    """Return a learning rate, or a schedule, as it was given.

    Raises:
        ArgumentError: a number that is not finite or not above 0.
        ArgumentTypeError: another value, such as a network.

    """
    if isinstance(learning_rate, type) or tree.is_node(learning_rate):
        kind = learning_rate if isinstance(learning_rate, type) else type(learning_rate)
        raise ArgumentTypeError(
            f"learning_rate is a {kind.__name__}: wanted a number above 0, or a schedule, as "
            "Cosine(0.1, 1000); the network is given to update(net, grads)"
        )
    return learning_rate if callable(learning_rate) else check_learning_rate(learning_rate)


def _rate_at(step: int, learning_rate: float | Schedule) -> float:
    """Return the learning rate of a step.

    Raises:
        ArgumentError: a schedule returns a value that is not finite or below 0.

    """
    if not callable(learning_rate):
        return learning_rate
    rate: float = number(
        f"the learning rate that the schedule gives for step {step}", learning_rate(step)
    )
    if not 0 <= rate < math.inf:
        raise ArgumentError(
            f"the schedule gives the learning rate {rate!r} for step {step}: wanted a finite "
            "number of 0 or more"
        )
    return rate


class Optimizer:
    """The base of optimizers: a learning rate, a count of updates, and state, a tree of arrays."""

    tree_node = True
    #: What checks a setting, and returns it, by its name.
    CHECKS: ClassVar[Mapping[str, Callable[[str, Any], Any]]] = {}
    _learning_rate: DynamicValue
    _updates: DynamicValue

    def __new__(cls, *args: Any, **named: Any) -> Self:
        """Make an optimizer, after a look at the arguments; copies are made without any."""
        if args or named:
            check_arguments(cls, args, named)
        return super().__new__(cls)

    def __init__(self, learning_rate: float | Schedule) -> None:
        self._learning_rate = DynamicValue(_checked_rate(learning_rate), "the learning rate")
        self._updates = DynamicValue(0, "the number of updates")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in vars(self):
            check_attribute(self, name, Optimizer)
        if name in self.CHECKS:
            value = self.CHECKS[name](name, value)
        super().__setattr__(name, value)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)

    @property
    def learning_rate(self) -> float | Schedule:
        """A number above 0, or a schedule; another one holds from the next update on."""
        return self._learning_rate.value  # type: ignore[no-any-return]

    @learning_rate.setter
    def learning_rate(self, value: float | Schedule) -> None:
        self._learning_rate.value = _checked_rate(value)

    @property
    def updates(self) -> int:
        """How many updates were made."""
        return self._updates.value  # type: ignore[no-any-return]

    def scalars(self, rate: float, step: int) -> tuple[float, ...]:
        """Return the scalars of one update: its learning rate, unless a subclass needs others.

        Args:
            rate: the learning rate of this update.
            step: how many updates the parameter has had, with this one.

        """
        return (rate,)

    def _dynamic_scalars(self, groups: Iterable[int], like: Array) -> list[Numbers]:
        """Return the scalars for parameters that missed some updates, for each such count."""
        groups = (*groups,)

        def compute(learning_rate: float | Schedule, updates: int) -> Numbers:
            rate = _rate_at(updates, learning_rate)
            return (*chain(*[self.scalars(rate, updates + 1 - missed) for missed in groups]),)

        scalars = dynamic_scalars(compute, self._learning_rate, self._updates, like=like)
        count = len(scalars) // len(groups)
        return [scalars[i : i + count] for i in range(0, len(scalars), count)]

    def _end_update(self, pairs: list[Any]) -> None:
        """Count an update."""
        self._updates.advance(_next, like=pairs[0][2] if pairs else None)

    def update(self, net: Any, grads: Any) -> None:
        """Put new arrays in the place of all parameters that have a gradient; the old arrays stay
        as they were.

        Raises:
            ArgumentError: the network is built differently from the gradients, or from that of the
                first update.

        """
        raise NotImplementedError(f"{type(self).__name__} defines no update()")


class _StatefulOptimizer(Optimizer):
    """An optimizer that keeps arrays beside each parameter, zeros at first, under these names."""

    KEPT: ClassVar[tuple[str, ...]]

    def __init__(self, learning_rate: float | Schedule) -> None:
        super().__init__(learning_rate)
        self.state: dict[str, dict[str, Any]] = {}

    def update(self, net: Any, grads: Any) -> None:
        """Put new arrays in the place of all parameters that have a gradient; the old arrays stay
        as they were.

        Raises:
            ArgumentError: the network has other parameters than the one of the first update.

        """
        if not self.state:
            self.state = {path: {} for path, _ in tree.leaves(net)}
        places = tree.pairs(net, grads)
        if len(places) != len(self.state):
            self._follow_ties(net)
        # Those that have missed as many updates go together: as a rule all, having missed none.
        together: dict[int, list[Any]] = {}
        without: list[dict[str, Any]] = []
        # In the order of the parameters, which costs less than to look for each by its path.
        for place, (path, state) in zip(places, self.state.items(), strict=False):
            _, _, parameter, gradient = place
            if gradient is None:
                if state:
                    without.append(state)
                continue
            if not state:
                zeros_like = array_namespace(parameter).zeros_like
                wide = widened(parameter)
                state.update(
                    {name: zeros_like(wide) for name in self.KEPT},
                    missed=self._updates.peek(),
                )
            kept = [state[name] for name in self.KEPT]
            if kept[0].shape != parameter.shape:
                raise ShapeError(
                    f"{path} is of shape {tuple(parameter.shape)}, its state of "
                    f"{tuple(kept[0].shape)}: {_REMEDY}"
                )
            if gradient.dtype != parameter.dtype or gradient.shape != parameter.shape:
                gradient = _like(place, parameter, gradient)
            if type(parameter) in RECORDING_TYPES:
                parameter = unrecorded(parameter)
            arrays = (parameter, gradient, *kept)
            together.setdefault(state["missed"], []).append((place, state, arrays))
        # What fails, fails before anything is changed.
        steps = []
        if together:
            scalars = self._dynamic_scalars(together, places[0][2])
            for group, of_group in zip(together.values(), scalars, strict=True):
                steps.append((group, self._step(of_group, in_turn([x for _, _, x in group]))))
        for group, arrays in steps:
            new = iter(arrays)
            _put([place for place, _, _ in group], new)
            for name in self.KEPT:
                for _, state, _ in group:
                    state[name] = next(new)
        for state in without:
            state["missed"] += 1
        self._end_update(places)

    def _follow_ties(self, net: Any) -> None:
        """Keep the state of the first place of parameters that were tied since the first update.

        Raises:
            ArgumentError: the network has other parameters.

        """
        own = [path for path, _ in tree.leaves(net)]
        if {*own, *tree.ties(net)} != self.state.keys():
            raise ArgumentError(
                f"there is state for {len(self.state)} parameters, the network has {len(own)}, or "
                f"others: {_REMEDY}"
            )
        self.state = {path: self.state[path] for path in own}

    def _step(self, scalars: Numbers, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the new parameters and what is kept of them, in turn."""
        raise NotImplementedError


def _like(place: Any, parameter: Array, gradient: Array) -> Array:
    """Return the gradient in its parameter's dtype: a wider one would make a parameter of another
    dtype.

    Raises:
        ShapeError: it has another shape, and would be broadcast.

    """
    if tuple(gradient.shape) != tuple(parameter.shape):
        raise ShapeError(
            f"the gradient of {place[1] or 'a parameter'} has shape {tuple(gradient.shape)}: wanted "
            f"that of the parameter, {tuple(parameter.shape)}"
        )
    return array_namespace(gradient).astype(gradient, parameter.dtype)


def _next(updates: int) -> int:
    return updates + 1


def _put(places: Iterable[Any], new: Iterable[Array]) -> None:
    for (holder, name, _, _), array in zip(places, new, strict=False):
        holder[name] = array


_REMEDY = "an optimizer belongs to one network, make a new one for another"
