"""The base of optimizers around another optimizer."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from anynet.arguments import describe
from anynet.errors import ArgumentTypeError, StateError
from anynet.optimizers.checks import Check
from anynet.optimizers.protocol import begin, check_schedule, is_optimizer
from anynet.optimizers.schedules import Schedule
from anynet.spelling import check_arguments, check_attribute, no_attribute
from anynet.state import State, check_state, load_states, state_of


class Wrapper:
    """The base of optimizers around another optimizer, which makes the updates.

    A wrapper is an optimizer, so wrappers nest in any order. It has the public attributes of the
    optimizer inside, too. A subclass defines `update`. It names the settings that its ``repr``
    shows, and defines `own_state` and `load_own_state` if it has a state.

    Args:
        optimizer: the optimizer inside, with a method ``update(net, grads)``.

    Raises:
        ArgumentTypeError: it has no such method.

    >>> import numpy as np
    >>> from anynet.optimizers import SGD, Wrapper
    >>> class Negated(Wrapper):
    ...     def update(self, net, grads):
    ...         self.optimizer.update(net, anynet.tree.map(lambda g: -g, grads))
    >>> net = {"w": np.array([1.0])}
    >>> Negated(SGD(0.5)).update(net, {"w": np.array([1.0])})
    >>> net
    {'w': array([1.5])}

    """

    tree_node = True
    #: The names of the settings, beside the optimizer.
    SETTINGS: ClassVar[tuple[str, ...]] = ()
    #: The check of each attribute, which is called when it is assigned.
    CHECKS: ClassVar[Mapping[str, Check]] = {}

    optimizer: Any

    def __new__(cls, *args: Any, **named: Any) -> Self:
        """Create a wrapper and check the names of the arguments. Copies have none."""
        if args or named:
            check_arguments(cls, args, named)
        return super().__new__(cls)

    def __init__(self, optimizer: Any) -> None:
        if not is_optimizer(optimizer):
            raise ArgumentTypeError(
                f"{type(self).__name__} was given {describe(optimizer)}: wanted an optimizer, such "
                "as Adam(1e-3)"
            )
        self.optimizer = optimizer

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in vars(self):
            check_attribute(self, name, Wrapper)
        if name in self.CHECKS:
            value = self.CHECKS[name](name, value)
        super().__setattr__(name, value)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            inside = vars(self).get("optimizer")
            if not name.startswith("_") and hasattr(inside, name):
                return getattr(inside, name)
            raise no_attribute(self, name)

    @property
    def learning_rate(self) -> float | Schedule:
        """The learning rate of the optimizer inside, a number above 0 or a schedule."""
        return self.optimizer.learning_rate  # type: ignore[no-any-return]

    @learning_rate.setter
    def learning_rate(self, value: float | Schedule) -> None:
        self.optimizer.learning_rate = value

    def update(self, net: Any, grads: Any) -> None:
        """Change the parameters by their gradients.

        Args:
            net: a network, or another tree of arrays.
            grads: a tree of the same structure, with None for a parameter that does not change.

        """
        raise NotImplementedError(f"{type(self).__name__} defines no update()")

    def begin(self, net: Any, grads: Any) -> None:
        """Create the state of the parameters that have gradients, see `Optimizer.begin`."""
        begin(self.optimizer, net, grads)

    def check_schedule(self, calls: int) -> None:
        """Raise an error if a schedule ends before this many further calls of `update`.

        Args:
            calls: 1 or more.

        Raises:
            ArgumentError: a schedule has no rate for the last of the calls.

        """
        check_schedule(self.optimizer, calls)

    def check_not_swapped(self) -> None:
        """Raise StateError if averages are in the network, see `Averages`."""
        if getattr(self, "swapped", False):
            raise StateError(
                f"the network has the averages of {self!r:.80}, and an update would train them: "
                "call swap(net) before the gradients are computed"
            )

    def own_state(self) -> State:
        """Return the state of the wrapper itself, empty by default."""
        return {}

    def load_own_state(self, state: State) -> None:
        """Go on from a state that `own_state` returned, or raise and change nothing."""

    def state_dict(self) -> State:
        """Return the state of the optimizer inside, and that of the wrapper.

        >>> from anynet.optimizers import SGD, Clipping
        >>> list(Clipping(SGD(0.5), max_norm=1.0).state_dict())
        ['optimizer']

        """
        return {"optimizer": state_of(self.optimizer), **self.own_state()}

    def load_state_dict(self, state: State) -> None:
        """Go on from a state.

        Args:
            state: the result of `state_dict` of wrappers and an optimizer with the same settings.

        Raises:
            ArgumentError: it is another optimizer's state. Nothing has changed then.

        """
        before = self.own_state()
        check_state(type(self).__name__, state, ("optimizer", *before))
        self.load_own_state({name: state[name] for name in before})
        try:
            load_states([(self.optimizer, state["optimizer"])])
        except Exception:
            self.load_own_state(before)
            raise

    def __repr__(self) -> str:
        settings = [f"{name}={getattr(self, name)!r}" for name in self.SETTINGS]
        return f"{type(self).__name__}({', '.join([repr(self.optimizer), *settings])})"
