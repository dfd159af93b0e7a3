"""Parameters that a differentiated function reaches past its arguments: refused, since they would be constants.

A loss that names the network itself, in place of the one that it is given, would have a value with a derivative that
nobody computes. While such a function runs, the network's own parameters stand for themselves and cannot be used.
"""

from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

from anynet import tree
from anynet.array import is_array, is_complex, is_floating
from anynet.autodiff.trace import Primitive, Traced, call, lift
from anynet.errors import DifferentiationError
from anynet.reach import reachable


class Withheld:
    """A trace that is further out than any other, and evaluates nothing but `anynet.stop_gradient`."""

    level = -1
    hidden_axes = 0
    whole = False

    def __init__(self, name: str) -> None:
        self.name = name

    def apply(self, step: Primitive, args: Sequence[Any], settings: dict[str, Any]) -> Any:
        """Return the array as a constant where that is what is meant."""
        if step.name == "stop_gradient":
            return lift(args[0].value)
        raise self.refused(step.name)

    def refused(self, what: str) -> DifferentiationError:
        """Return the error for a parameter that the function should have from its arguments."""
        return DifferentiationError(
            f"{what}: the function uses {self.name} of the network that is being differentiated, and reaches it from "
            "outside, where it is a constant: use the network that the function is given as an argument "
            "(anynet.fit takes loss(net, x, t)), or anynet.stop_gradient of it if a constant is meant"
        )


class Guarded:
    """A function that is to be differentiated, from which the parameters that it reaches by itself are withheld."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        # The network that the function was last found not to reach: to look at every call takes as long as a layer.
        self._last: Callable[[], Any] = _nothing

    def __call__(self, differentiated: Sequence[Any], args: Sequence[Any], named: dict[str, Any]) -> Any:
        """Return the function's value, called without the modules in these trees."""
        if len(differentiated) == 1 and self._last() is differentiated[0]:
            return call(self._function, args, named)
        modules = self._reached(differentiated)
        if not modules:
            return call(self._function, args, named)
        held = [(vars(module), name, value) for module in modules for name, value in tree.trained(module).items()]
        try:
            for holder, name, value in held:
                holder[name] = _withheld(value, name)
            return call(self._function, args, named)
        finally:
            for holder, name, value in held:
                holder[name] = value

    def _reached(self, differentiated: Sequence[Any]) -> list[Any]:
        modules = [module for x in differentiated if not is_array(x) for module in tree.modules(x)]
        if not modules:
            return []
        reached = {id(x) for _, x in reachable(self._function) if tree.is_node(x)}
        found = [module for module in modules if id(module) in reached]
        if not found and modules[0] is differentiated[0]:
            self._last = ref(modules[0])
        return found


def _nothing() -> None:
    """Return what a reference to nothing refers to."""


def _withheld(value: Any, name: str) -> Any:
    """Return the value with arrays that cannot be used; modules inside stay as they are."""
    if is_array(value):
        return Traced(value, Withheld(name)) if is_floating(value) or is_complex(value) else value
    if type(value) is dict:
        return {key: _withheld(x, f"{name}.{key}") for key, x in value.items()}
    if type(value) is list or isinstance(value, tuple):
        parts = [_withheld(x, f"{name}.{i}") for i, x in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
