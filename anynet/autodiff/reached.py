"""Parameters that a differentiated function reaches past its arguments: refused, since they would
be constants.

A loss that names the network itself, in place of the one that it is given, would have a value with
a derivative that nobody computes. While such a function runs, the network's own parameters stand
for themselves and cannot be used.
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


class Withheld:
    """A trace that is further out than any other, and evaluates nothing but
    `anynet.stop_gradient`.
    """

    level = -1
    batch_axes = 0
    keeps_decompositions = False

    def __init__(self, name: str) -> None:
        self.name = name

    def apply(
        self, step: Primitive[..., Any], args: Sequence[Any], settings: dict[str, Any]
    ) -> Any:
        """Return the array as a constant where that is what is meant."""
        if step.name == "stop_gradient":
            return wrap(args[0].value)
        raise self.error(step.name)

    def error(self, what: str) -> DifferentiationError:
        """Return the error for a parameter that the function should have from its arguments."""
        return DifferentiationError(
            f"{what}: the function uses {self.name} of the network that is being differentiated, "
            "and reaches it from outside, where it is a constant: use the network that the "
            "function is given as an argument (anynet.fit takes loss(net, x, t)), or in the "
            "function anynet.stop_gradient of it, or else a copy, if a constant is meant"
        )


class Guarded:
    """A function to differentiate. The parameters that it reaches past its arguments are withheld
    while it runs.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        check_callable(function)
        self._function = function
        # The network that the function was last found not to reach: to look at every call takes as
        # long as a layer.
        self._last: Callable[[], Any] = _nothing

    def __call__(
        self,
        differentiated: Sequence[Any],
        args: Sequence[Any],
        named: dict[str, Any],
    ) -> Any:
        """Return the function's value, called without the parameters of the modules in these
        trees.
        """
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
        self, differentiated: Sequence[Any], args: list[Any]
    ) -> list[tuple[Any, Any, Any, Any]]:
        """Return (holder, name, what is there, what it is to be meanwhile) of every place that is
        reached.
        """
        modules = [module for x in differentiated for _, module in tree.modules(x)]
        if not modules:
            return []
        # Functions among the settings of what it is given reach as much as it does itself; those of
        # a network that is trained are looked at once.
        known = [*map(_harmless.get, map(id, differentiated))]
        given = [x for x, y in zip(differentiated, known, strict=True) if x is not y]
        given += [arg for arg in args if not getattr(arg, "_differentiated", False)]
        reach = Reach(
            self._function,
            further=[x for arg in given for x in tree.settings(arg)],
        )
        reached = {id(x) for _, x in reach.objects}
        found = [
            (vars(module), name, value, _withheld(value, name))
            for module in modules
            if id(module) in reached
            for name, value in tree.trained(module).items()
        ]
        found += _loose(reach, modules)
        if not found:
            _harmless.update((id(x), x) for x in differentiated if tree.is_node(x))
            if modules[0] is differentiated[0]:
                self._last = ref(modules[0])
        return found


def _loose(reach: Reach, modules: list[Any]) -> list[tuple[Any, Any, Any, Any]]:
    """Return the places, in no module or other node, of arrays that are parameters of these
    modules.
    """
    arrays = {_identity(value) for _, value, _, _ in reach.places if is_array(value)}
    held = [value for module in modules if arrays for value in vars(module).values()]
    if arrays.isdisjoint(map(_identity, held)) and _CONTAINERS.isdisjoint(map(type, held)):
        return []
    names: dict[int, str] = {}
    for module in modules:
        for name, value in tree.trained(module).items():
            places = [(name, value)] if is_array(value) else tree.leaves(value, name)
            names.update((_identity(x), path) for path, x in places if _identity(x) in arrays)
    if not names:
        return []
    # Where another network, as a target or a teacher, has the very same arrays, they are its own.
    in_nodes = {
        id(x) for _, node in reach.objects if tree.is_node(node) for x in tree.containers(node)
    }
    found: list[tuple[Any, Any, Any, Any]] = []
    tuples: set[int] = set()
    # What a place holds comes after it.
    for _, value, holder, name in reversed(reach.places):
        if id(holder) in in_nodes or (_identity(value) not in names and id(value) not in tuples):
            continue
        if isinstance(holder, tuple):
            tuples.add(id(holder))
        else:
            found.append((holder, name, value, _withheld(value, "", names)))
    return found


_CONTAINERS = frozenset((list, tuple, dict))

#: Networks whose settings were found to reach no parameter, by identity.
_harmless: WeakValueDictionary[int, Any] = WeakValueDictionary()


def _nothing() -> None:
    """Return what a reference to nothing refers to."""


def _identity(x: Any) -> int:
    """Return the identity of a value; of a recording's variable, that of the array which it stands
    for.
    """
    is_recorded = type(x) is Traced and x.trace is not None and x.trace.keeps_decompositions
    return id(x.value if is_recorded else x)


def _withheld(value: Any, name: str, names: dict[int, str] | None = None) -> Any:
    """Return the value with arrays that cannot be used, only those with names if there are any;
    modules stay.
    """
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
