"""Parameters that a differentiated function reaches past its arguments raise an error.

A loss that names the network itself, instead of the network in its arguments, would take the
parameters for constants, and part of the derivative would be missing. So while such a function
runs, arrays that cannot be used stand in for these parameters.
"""

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary, ref

from anynet import tree
from anynet.array import is_array, is_complex, is_floating
from anynet.callables import check_callable
from anynet.errors import DifferentiationError
from anynet.reach import Reach
from anynet.tracing.errors import explain
from anynet.tracing.trace import Primitive, Traced, wrap

#: A holder, a name, the value there, and its stand-in while the function runs.
Place = tuple[Any, Any, Any, Any]


class Withheld:
    """A trace outside of all others, which evaluates only `anynet.stop_gradient`."""

    level = -1
    batch_axes = 0
    keeps_decompositions = False

    def __init__(self, name: str) -> None:
        self.name = name

    def apply(
        self,
        step: Primitive[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        """Return the array as a constant for `anynet.stop_gradient`, and raise otherwise."""
        if step.name == "stop_gradient":
            return wrap(args[0].value)
        raise self.error(step.name)

    def error(self, what: str) -> DifferentiationError:
        """Return the error for a parameter that the function should take from its arguments."""
        return DifferentiationError(
            f"{what}: the function uses {self.name} of the network that is being differentiated, "
            "and reaches it from outside, where it is a constant: use the network in the arguments "
            "of the function (anynet.fit takes loss(net, x, t)). If a constant is meant, use "
            "anynet.stop_gradient of it in the function, or a copy"
        )


class Guarded:
    """A function whose parameters, reached past its arguments, are withheld while it runs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        check_callable(function)
        self._function = function
        # The network that the function was last found not to reach. A search takes as long as a
        # layer.
        self._last: Callable[[], Any] = _nothing

    def guard_key(self) -> None:
        """Return what a compiled step compares. It reaches the function in another place."""

    def __call__(
        self,
        differentiated: Sequence[Any],
        args: Sequence[Any],
        named: dict[str, Any],
    ) -> Any:
        """Return the function's value. The parameters of the differentiated trees are withheld."""
        is_known = len(differentiated) == 1 and self._last() is differentiated[0]
        held = [] if is_known else self._held(differentiated, [*args, *named.values()])
        try:
            for holder, name, _, withheld in held:
                holder[name] = withheld
            return self._function(*args, **named)
        except TypeError as error:
            explain(error)
            raise
        finally:
            for holder, name, value, _ in held:
                holder[name] = value

    def _held(
        self,
        differentiated: Sequence[Any],
        args: list[Any],
    ) -> list[Place]:
        """Return (holder, name, value, stand-in) of every parameter that the function reaches."""
        modules = [module for x in differentiated for _, module in tree.modules(x)]
        if not modules:
            return []
        # Functions among the settings of the arguments reach as much as the function itself. Those
        # of a network that is trained are searched once.
        searched = [
            *(x for x in differentiated if _harmless.get(id(x)) is not x),
            *(x for x in args if not getattr(x, "_differentiated", False)),
        ]
        reach = Reach(
            self._function,
            further=[x for argument in searched for x in tree.settings(argument)],
        )
        reached = {id(x) for x in reach.objects}
        places: list[Place] = []
        for module in modules:
            if id(module) in reached:
                for name, value in tree.trained(module).items():
                    places.append((vars(module), name, value, _withheld(value, name)))
        places += _loose(reach, modules)
        if not places:
            _harmless.update((id(x), x) for x in differentiated if tree.is_node(x))
            if modules[0] is differentiated[0]:
                self._last = ref(modules[0])
        return places


def _loose(reach: Reach, modules: list[Any]) -> list[Place]:
    """Return the places of these modules' parameters that are in no module or other node."""
    arrays = {_identity(value) for value, _, _ in reach.places if is_array(value)}
    values = [value for module in modules if arrays for value in vars(module).values()]
    if arrays.isdisjoint(map(_identity, values)) and _CONTAINERS.isdisjoint(map(type, values)):
        return []
    names: dict[int, str] = {}
    for module in modules:
        for name, value in tree.trained(module).items():
            for path, x in tree.leaves(value, name):
                if _identity(x) in arrays:
                    names[_identity(x)] = path
    if not names:
        return []
    # Another network, as a target or a teacher, may use the very same arrays.
    nodes = [x for x in reach.objects if tree.is_node(x)]
    in_nodes = {id(x) for node in nodes for x in tree.containers(node)}
    places: list[Place] = []
    tuples: set[int] = set()
    # The contents of a place come after it.
    for value, holder, name in reversed(reach.places):
        if id(holder) in in_nodes or (_identity(value) not in names and id(value) not in tuples):
            continue
        if isinstance(holder, tuple):
            tuples.add(id(holder))
        else:
            places.append((holder, name, value, _withheld(value, "", names)))
    return places


_CONTAINERS = frozenset((list, tuple, dict))

#: Networks whose settings were found to reach no parameter, by identity.
_harmless: WeakValueDictionary[int, Any] = WeakValueDictionary()


def _nothing() -> None:
    """Return None, as a reference to an object that is gone."""


def _identity(x: Any) -> int:
    """Return the identity of a value, for a recorder's variable that of its array."""
    is_recorded = type(x) is Traced and x.trace is not None and x.trace.keeps_decompositions
    return id(x.value if is_recorded else x)


def _withheld(
    value: Any,
    name: str,
    names: dict[int, str] | None = None,
) -> Any:
    """Return the value with unusable arrays, only for those in ``names`` if given. Modules stay."""
    if is_array(value):
        if (names is not None and _identity(value) not in names) or not (
            is_floating(value) or is_complex(value)
        ):
            return value
        return Traced(
            value,
            Withheld(name if names is None else names[_identity(value)]),
        )
    if type(value) is dict and names is None:
        return {key: _withheld(x, f"{name}.{key}") for key, x in value.items()}
    if isinstance(value, tuple) or (type(value) is list and names is None):
        parts = [_withheld(x, f"{name}.{i}", names) for i, x in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
