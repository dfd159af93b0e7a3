"""The base of optimizers, which are written for one parameter."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from anynet import tree
from anynet.array import (
    RECORDING_TYPES,
    Array,
    array_namespace,
    is_array,
    unrecorded,
    widened,
)
from anynet.callables import name_of
from anynet.errors import ArgumentError, ArgumentTypeError, ShapeError
from anynet.optimizers.checks import Check, plain_number
from anynet.optimizers.schedules import Schedule, check_learning_rate
from anynet.primitives.update import Scalars, Slots, apply_to_each
from anynet.spelling import check_arguments, check_attribute, no_attribute
from anynet.state import check_count, check_state, state_of
from anynet.tracing.dynamic_scalars import DynamicValue, dynamic_scalars
from anynet.tracing.trace import Primitive, Traced

T = TypeVar("T")

#: The slots of one parameter by name, and under "missed" how many updates it had no gradient for.
State = dict[str, Any]

#: A parameter to replace and its gradient; see `anynet.tree.pairs`.
_Place = tuple[Any, Any, Array, Any]

#: Parameters that have missed as many updates, so that they have the same scalars: the holder, name
#: and state of each, and the parameter, gradient and slots of each, in order.
_Group = tuple[list[tuple[Any, Any, State]], list[Array]]

_FUNCTION = re.compile(r"<function (.*?) at 0x[0-9a-fA-F]+>")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def shown(setting: Any) -> str:
    """Return the text of a setting in a repr, without the address of a function or object."""
    text = repr(setting)
    if " at 0x" not in text:
        return text
    if callable(setting) and text.startswith("<"):
        return name_of(setting)
    # A schedule that is made of functions has settings, too.
    return _ADDRESS.sub("", _FUNCTION.sub(r"\1", text))


def penalized(
    gradient: Array,
    parameter: Array,
    weight_decay: float,
) -> Array:
    """Return the gradient of the loss with the penalty ½ · weight_decay · ‖parameter‖²."""
    return gradient + weight_decay * parameter if weight_decay else gradient


class Optimizer:
    """The base of optimizers: a learning rate, a count of updates, and the state of each parameter.

    A subclass is written for one parameter. It names its ``SLOTS``, the arrays that it keeps of a
    parameter from one update to the next. They have the shape of the parameter and begin as zeros,
    unless the subclass overrides `initial_slot`. It defines `apply`, and `scalars` where it needs
    more than the learning rate. It works on every array library, also in compiled steps.

    The state is kept under the path of the parameter, so an optimizer belongs to one network. A
    parameter has no state before its first gradient.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`, which
            each update calls with the number of updates before it.

    >>> import numpy as np
    >>> from anynet.optimizers import Optimizer
    >>> class Averaged(Optimizer):
    ...     SLOTS = ("mean",)
    ...     def apply(self, parameter, gradient, slots, scalars):
    ...         (rate,), (mean,) = scalars, slots
    ...         mean = 0.5 * mean + 0.5 * gradient
    ...         return parameter - rate * mean, (mean,)
    >>> net, optimizer = {"w": np.ones(2)}, Averaged(0.5)
    >>> optimizer.update(net, {"w": np.array([4.0, -2.0])})
    >>> net["w"], optimizer.state["w"]["mean"]
    (array([0. , 1.5]), array([ 2., -1.]))

    """

    tree_node = True
    #: The names of the arrays that are kept of each parameter.
    SLOTS: ClassVar[tuple[str, ...]] = ()
    #: The names of the scalars of an update, see `scalars`.
    SCALARS: ClassVar[tuple[str, ...]] = ("rate",)
    #: The name of the kernel that updates all parameters in one call, and the attributes that it is
    #: given by name beside scalars and arrays; see `anynet.primitives.update`.
    KERNEL: ClassVar[str | None] = None
    SETTINGS: ClassVar[tuple[str, ...]] = ()
    #: The check of each attribute, which is called when it is assigned.
    CHECKS: ClassVar[Mapping[str, Check]] = {}

    state: dict[str, State]
    _learning_rate: DynamicValue
    _updates: DynamicValue
    #: Whether the paths of the state are in the order of the network's. Loaded ones may not be.
    _is_in_order: bool = True
    _fused: ClassVar[Primitive[..., Slots] | None] = None

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if "KERNEL" in vars(cls) and cls.KERNEL is not None:
            cls._fused = Primitive(cls.KERNEL, reference=cls._apply_with)
        elif not vars(cls).keys().isdisjoint(("apply", "SLOTS", "SCALARS", "SETTINGS")):
            # The inherited kernel computes another update.
            cls.KERNEL = cls._fused = None

    def __new__(cls, *args: Any, **named: Any) -> Self:
        """Create an optimizer and check the names of the arguments. Copies have none."""
        if args or named:
            check_arguments(cls, args, named)
        return super().__new__(cls)

    def __init__(self, learning_rate: float | Schedule) -> None:
        self.state = {}
        self._learning_rate = DynamicValue(checked_rate(learning_rate), "the learning rate")
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
        """A number above 0, or a schedule. A new one takes effect at the next update."""
        return self._learning_rate.value  # type: ignore[no-any-return]

    @learning_rate.setter
    def learning_rate(self, value: float | Schedule) -> None:
        self._learning_rate.value = checked_rate(value)

    @property
    def updates(self) -> int:
        """How many updates were made."""
        return self._updates.value  # type: ignore[no-any-return]

    def check_schedule(self, calls: int) -> None:
        """Raise an error if the schedule ends before this many further calls of `update`.

        Args:
            calls: 1 or more.

        Raises:
            ArgumentError: the schedule has no rate for the last of the calls.

        >>> from anynet.optimizers import SGD, schedules
        >>> SGD(schedules.Cosine(0.1, 10)).check_schedule(20)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        anynet.errors.ArgumentError: Cosine(...) ends with step 10, ...

        """
        _rate_at(self._updates.peek() + calls - 1, self._learning_rate.peek())

    def scalars(self, rate: float, step: int) -> Scalars:
        """Return the scalars of an update: by default its learning rate alone.

        A compiled step calls this again at each call, so it has no side effects.

        Args:
            rate: the learning rate of the update, 0 or more.
            step: the number of updates of the parameter, including this one. Updates for which it
                had no gradient do not count where there are ``SLOTS``.

        """
        return (rate,)

    def slot_names(self) -> tuple[str, ...]:
        """Return the names of the slots that the current settings need: by default all ``SLOTS``.

        An optimizer overrides this if it keeps an array for some settings only.
        """
        return self.SLOTS

    def initial_slot(self, name: str, parameter: Array) -> Array:
        """Return a slot before the first update of a parameter: by default zeros of its shape.

        Args:
            name: one of ``SLOTS``.
            parameter: an array. A parameter narrower than float32 comes in float32.

        """
        return array_namespace(parameter).zeros_like(parameter)

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter and the new slots, without a write into the old ones.

        Args:
            parameter: an array. A parameter narrower than float32 comes in float32.
            gradient: of the same shape and dtype.
            slots: an array for each of ``SLOTS``, of the same shape and dtype.
            scalars: from `scalars`. In a compiled step they may be arrays without axes.

        """
        raise NotImplementedError(f"{type(self).__name__} defines no apply()")

    def update(self, net: Any, grads: Any) -> None:
        """Replace each parameter that has a gradient by a new array. The old arrays do not change.

        Args:
            net: a network, or another tree of arrays.
            grads: a tree of the same structure, with None for a parameter that does not change.

        Raises:
            ArgumentError: the network and the gradients differ in structure, or the network has
                other parameters than the one of the first update. Nothing has changed then.
            ShapeError: a gradient, or the state, has another shape than its parameter.

        """
        self._prepare(net, grads)()

    def begin(self, net: Any, grads: Any) -> None:
        """Create the state of the parameters that have gradients, as their first update would.

        The updates are the same with and without this. A step that may leave out its first update
        then has the same arrays before and after it.

        Args:
            net: a network, or another tree of arrays.
            grads: a tree of the same structure, with None for a parameter that does not change.

        Raises:
            ArgumentError: the network and the gradients differ in structure, or the network has
                other parameters than the one of the first update.

        >>> import numpy as np
        >>> from anynet.optimizers import Momentum
        >>> optimizer = Momentum(0.5)
        >>> optimizer.begin({"w": np.ones(1)}, {"w": np.ones(1)})
        >>> optimizer.state, optimizer.updates
        ({'w': {'velocity': array([0.]), 'missed': 0}}, 0)

        """
        if not self.SLOTS:
            return
        pairs, names = tree.pairs(net, grads), self.slot_names()
        states = self._states(net, len(pairs))
        for (path, state), (_, _, parameter, gradient) in zip(states.items(), pairs, strict=True):
            if gradient is not None and not state:
                missed, slots = self._slots(path, state, parameter, names)
                state.update(zip(names, slots, strict=True), missed=missed)
        self._set_states(states)

    def _set_states(self, states: dict[str, State]) -> None:
        if states is not self.state:
            self.state = states
            vars(self).pop("_is_in_order", None)

    def _prepare(self, net: Any, grads: Any) -> Callable[[], None]:
        """Compute an update, and return a function without arguments that carries it out.

        All errors come before anything has changed, also where `Groups` prepares several updates.
        """
        pairs = tree.pairs(net, grads)
        places: list[_Place] = []
        arrays: list[Array] = []
        for pair in pairs:
            _, name, parameter, gradient = pair
            if gradient is None:
                continue
            if gradient.dtype != parameter.dtype or gradient.shape != parameter.shape:
                gradient = gradient_like(name, parameter, gradient)
            if type(parameter) in RECORDING_TYPES and parameter.requires_grad:  # type: ignore[attr-defined]
                parameter = unrecorded(parameter)
            places.append(pair)
            arrays += (parameter, gradient)
        like = pairs[0][2] if pairs else None
        if self.SLOTS:
            states = self._states(net, len(pairs))
            return self._prepare_with_slots(pairs, states, arrays, like)
        results = self._apply_to_all(self._scalars([0], arrays[0]), arrays) if arrays else ()

        def carry_out() -> None:
            for (holder, name, _, _), new in zip(places, results, strict=True):
                holder[name] = new
            self._updates.advance(_next, like=like)

        return carry_out

    def _prepare_with_slots(
        self,
        pairs: list[_Place],
        states: dict[str, State],
        arrays: list[Array],
        like: Array | None,
    ) -> Callable[[], None]:
        """Compute the new parameters and slots.

        Args:
            pairs: from `anynet.tree.pairs`.
            states: the state of each parameter by its path, in the order of the pairs.
            arrays: the parameter and gradient of each pair in turn, without those that have None.
            like: the first parameter, if there is one.

        """
        given = iter(arrays)
        names = self.slot_names()
        groups: dict[int, _Group] = {}
        without: list[State] = []
        for pair, (path, state) in zip(pairs, states.items(), strict=False):
            holder, name, parameter, gradient = pair
            if gradient is None:
                without.append(state)
                continue
            missed, slots = self._slots(path, state, parameter, names)
            if missed not in groups:
                groups[missed] = [], []
            places, own = groups[missed]
            places.append((holder, name, state))
            own += (next(given), next(given), *slots)
        results = self._results(groups) if groups else []

        def carry_out() -> None:
            self._set_states(states)
            for (missed, (places, _)), result in zip(groups.items(), results, strict=True):
                new = iter(result)
                for holder, name, state in places:
                    holder[name] = next(new)
                    for slot in names:
                        state[slot] = next(new)
                    state["missed"] = missed
            for state in without:
                if state:
                    state["missed"] += 1
            self._updates.advance(_next, like=like)

        return carry_out

    def _states(self, net: Any, count: int) -> dict[str, State]:
        """Return the state of each of ``count`` parameters by its path, in order.

        Raises:
            ArgumentError: the network has other parameters than that of the first update.

        """
        if not self.state:
            return {path: {} for path, _ in tree.leaves(net)}
        if count == len(self.state) and self._is_in_order:
            return self.state
        paths = [path for path, _ in tree.leaves(net)]
        return in_order(self.state, paths, net)

    def _slots(
        self,
        path: str,
        state: State,
        parameter: Array,
        names: tuple[str, ...],
    ) -> tuple[int, Slots]:
        """Return how many updates a parameter has missed, and its slots of these names."""
        if not state:
            wide = widened(parameter)
            slots = tuple([self.initial_slot(name, wide) for name in names])
            return self._updates.peek(), slots
        try:
            slots = tuple([state[name] for name in names])
        except KeyError:
            # A setting that needs another slot was changed since.
            wide = widened(parameter)
            slots = tuple(
                [state[name] if name in state else self.initial_slot(name, wide) for name in names]
            )
        if slots[0].shape != parameter.shape:
            raise ShapeError(
                f"{path} is of shape {tuple(parameter.shape)}, its state of "
                f"{tuple(slots[0].shape)}: {_REMEDY}"
            )
        return state["missed"], slots

    def _results(self, groups: dict[int, _Group]) -> list[Slots]:
        """Return the new parameters and slots of each group."""
        columns = [arrays for _, arrays in groups.values()]
        scalars = self._scalars([*groups], columns[0][0])
        length = len(scalars) // len(columns)
        results = []
        for i, arrays in enumerate(columns):
            own = scalars[i * length : (i + 1) * length]
            results.append(self._apply_to_all(own, arrays))
        return results

    def _scalars(self, counts: list[int], like: Array) -> Sequence[float]:
        """Return the scalars for parameters that have missed each of these counts of updates."""
        # A program keeps the function, which is why it takes no state.
        own = self._without_state() if type(like) is Traced else self

        def compute(learning_rate: float | Schedule, updates: int) -> list[float]:
            rate = _rate_at(updates, learning_rate)
            scalars: list[float] = []
            for missed in counts:
                some = own.scalars(rate, updates + 1 - missed)
                if not isinstance(some, tuple):
                    raise ArgumentTypeError(
                        f"{type(own).__name__}.scalars returned {some!r:.60}: wanted a tuple, such "
                        "as (rate,)"
                    )
                scalars += some
            return scalars

        return dynamic_scalars(compute, self._learning_rate, self._updates, like=like)

    def _without_state(self) -> Self:
        """Return an optimizer with the same settings and counters, and no state."""
        optimizer = object.__new__(type(self))
        vars(optimizer).update(vars(self), state={})
        return optimizer

    def _apply_to_all(self, scalars: Sequence[float], arrays: list[Array]) -> Slots:
        if self._fused is None:
            return apply_to_each(self.apply, len(self.slot_names()), tuple(scalars), arrays)
        # Faster than getattr.
        own = vars(self)
        settings = {name: own[name] for name in self.SETTINGS}
        return self._fused(*scalars, *arrays, **settings)

    @classmethod
    def _apply_with(cls, *args: Any, **settings: Any) -> Slots:
        """Return the results of `apply` of an optimizer with these settings and no state.

        A kernel is called with the scalars and arrays, and the settings by name. So is this, its
        reference.
        """
        optimizer = object.__new__(cls)
        vars(optimizer).update(settings)
        count = len(cls.SCALARS)
        slots = len(optimizer.slot_names())
        return apply_to_each(optimizer.apply, slots, args[:count], args[count:])

    def state_dict(self) -> dict[str, Any]:
        """Return what the optimizer resumes from: its count of updates, the state of each parameter
        by its path, the learning rate, or the state of a schedule that has one, and the settings.

        >>> import numpy as np
        >>> from anynet.optimizers import Momentum
        >>> optimizer = Momentum(0.5)
        >>> optimizer.update({"w": np.ones(1)}, {"w": np.ones(1)})
        >>> optimizer.state_dict()["state"]
        {'w': {'velocity': array([1.]), 'missed': 0}}

        """
        rate = self._learning_rate.peek()
        return {
            "updates": self._updates.peek(),
            "state": {path: dict(state) for path, state in self.state.items()},
            "learning_rate": state_of(rate) if callable(rate) else rate,
            "settings": self._plain_settings(),
        }

    def _plain_settings(self) -> dict[str, Any]:
        """Return the attributes that are checked when they are assigned."""
        return {name: value for name, value in vars(self).items() if name in self.CHECKS}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state. The arrays are taken as they are, on the network's library and
        device.

        Args:
            state: what `state_dict` of an optimizer with the same settings returned.

        Raises:
            ArgumentError: it is another optimizer's state. Nothing has changed then.

        >>> import numpy as np
        >>> from anynet.optimizers import Momentum
        >>> first, second, net = Momentum(0.5), Momentum(0.5), {"w": np.ones(1)}
        >>> first.update(net, {"w": np.ones(1)})
        >>> second.load_state_dict(first.state_dict())
        >>> second.updates, second.state
        (1, {'w': {'velocity': array([1.]), 'missed': 0}})

        """
        kind = type(self).__name__
        check_state(kind, state, ("updates", "state", "learning_rate", "settings"))
        updates = check_count(f"the updates of {kind}", state["updates"])
        check_state(f"{kind}'s parameters", state["state"], (), state["state"])
        states = {path: self._checked_state(path, own) for path, own in state["state"].items()}
        own = self._plain_settings()
        check_state(f"{kind}'s settings", state["settings"], own)
        settings = {name: self.CHECKS[name](name, state["settings"][name]) for name in own}
        rate = self._learning_rate.peek()
        if not callable(rate):
            rate = check_learning_rate(state["learning_rate"])
        elif hasattr(rate, "load_state_dict"):
            rate.load_state_dict(state["learning_rate"])
        elif state["learning_rate"] is not None:
            raise ArgumentError(
                f"the state has the learning rate {state['learning_rate']!r:.60}, and that of "
                f"{kind} is a schedule without a state: {rate!r:.60}"
            )
        for name, value in settings.items():
            if value != own[name]:
                setattr(self, name, value)
        self.state = states
        self._is_in_order = False
        self._learning_rate.value = rate
        self._updates.value = updates

    def _checked_state(self, path: str, state: Any) -> State:
        """Return a copy of the state of one parameter.

        Raises:
            ArgumentError: it has other slots, or no arrays of one shape in them.

        """
        name = f"{type(self).__name__} for {path}"
        if state == {}:
            return {}
        names = self.slot_names()
        check_state(name, state, (*names, "missed"))
        check_count(f"the missed updates of {name}", state["missed"])
        shapes = {slot: getattr(state[slot], "shape", None) for slot in names}
        # A slot without axes belongs to the whole parameter.
        wide = {*shapes.values()} - {()}
        if not all(is_array(state[slot]) for slot in names) or len(wide) > 1:
            raise ArgumentError(
                f"the slots of {name} have the shapes {shapes}: wanted arrays of one shape"
            )
        return dict(state)

    def __repr__(self) -> str:
        settings = [
            f"{name}={value!r}"
            for name, value in vars(self).items()
            if name != "state" and not name.startswith("_")
        ]
        rate = shown(self._learning_rate.peek())
        return f"{type(self).__name__}({', '.join([rate, *settings])})"


_REMEDY = "an optimizer belongs to one network, make a new one for another"


def checked_rate(learning_rate: float | Schedule) -> float | Schedule:
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
    if callable(learning_rate):
        return learning_rate
    rate: float = plain_number("learning_rate", check_learning_rate(learning_rate))
    return rate


def _rate_at(step: int, learning_rate: float | Schedule) -> float:
    """Return the learning rate of a step.

    Raises:
        ArgumentError: a schedule returns a value that is not finite or below 0.

    """
    if not callable(learning_rate):
        return learning_rate
    rate: float = plain_number(
        f"the learning rate that the schedule gives for step {step}", learning_rate(step)
    )
    if not 0 <= rate < math.inf:
        raise ArgumentError(
            f"the schedule gives the learning rate {rate!r} for step {step}: wanted a finite "
            "number of 0 or more"
        )
    return rate


def in_order(
    values: Mapping[str, T],
    paths: Sequence[str],
    net: Any,
) -> dict[str, T]:
    """Return values by path in the order of a network's arrays. A loaded state may have another.

    Args:
        values: by path.
        paths: of the network's arrays, in order.
        net: the network.

    Raises:
        ArgumentError: the values are those of other paths.

    """
    if not {*paths} <= values.keys() <= {*paths, *tree.ties(net)}:
        raise ArgumentError(
            f"there is state for {len(values)} parameters, the network has {len(paths)}, or "
            f"others: {_REMEDY}"
        )
    # Parameters that were tied since keep the value of the first place.
    return {path: values[path] for path in paths}


def gradient_like(
    name: str | None,
    parameter: Array,
    gradient: Array,
) -> Array:
    """Return the gradient in the dtype of its parameter, which would change to a wider one.

    Raises:
        ShapeError: it has another shape, and would be broadcast.

    """
    if tuple(gradient.shape) != tuple(parameter.shape):
        raise ShapeError(
            f"the gradient of {name or 'a parameter'} has shape {tuple(gradient.shape)}: wanted "
            f"that of the parameter, {tuple(parameter.shape)}"
        )
    return array_namespace(gradient).astype(gradient, parameter.dtype)


def _next(updates: int) -> int:
    return updates + 1
