"""The differentiable namespace: the standard's functions over traced arrays, for any library underneath."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from anynet.array import Namespace, device
from anynet.autodiff.rules.manipulation import SEQUENCE_PRIMITIVES
from anynet.autodiff.trace import STANDARD, Primitive, Traced, lift, lower

_OF_SEQUENCES = frozenset(primitive.name for primitive in SEQUENCE_PRIMITIVES)


class DifferentiableNamespace:
    """The functions of a library's namespace, taking and returning traced arrays.

    A function of the standard becomes a primitive with its rule, a creation function returns traced constants, and
    what is no function (dtypes, constants) is the library's own.
    """

    def __init__(self, library: Namespace) -> None:
        self.plain_namespace = library
        # array_namespace compares namespaces by name.
        self.__name__ = f"anynet.autodiff[{library.__name__}]"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in STANDARD:
            found: Any = _function(STANDARD[name])
        else:
            found = getattr(self.plain_namespace, name)
            if name.endswith("_like"):
                found = _like(self, name.removesuffix("_like"))
            elif callable(found) and not isinstance(found, type) and not name.startswith(_DTYPES):
                found = _of_constants(found)
        setattr(self, name, found)
        return found

    def __repr__(self) -> str:
        return f"<{self.__name__}>"


#: Callable in some libraries, but what they are is dtypes.
_DTYPES = ("bool", "int", "uint", "float", "complex")


@cache
def differentiable(library: Namespace) -> DifferentiableNamespace:
    """Return the differentiable namespace over a library's namespace, always the same one."""
    return DifferentiableNamespace(library)


def _function(primitive: Primitive) -> Callable[..., Any]:
    parameters: list[str] = []
    if primitive.rule is not None and primitive.name not in _OF_SEQUENCES:
        parameters = [
            p.name for p in inspect.signature(primitive.rule).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD
        ]

    def function(*args: Any, **settings: Any) -> Any:
        if primitive.name in _OF_SEQUENCES:
            args = tuple(args[0])
        elif settings:
            # Arrays given by name, such as clip's limits, take their place in the order.
            for name in parameters[2 + len(args) :]:
                if not any(isinstance(value, Traced) for value in settings.values()):
                    break
                args = (*args, settings.pop(name, None))
        return primitive(*map(lift, args), **settings)

    function.__name__ = primitive.name
    return function


def _of_constants(function: Callable[..., Any]) -> Callable[..., Any]:
    def lifted(*args: Any, **settings: Any) -> Any:
        settings = {name: lower(value) for name, value in settings.items()}
        return lift(function(*map(lower, args), **settings))

    return lifted


def _like(xp: DifferentiableNamespace, name: str) -> Callable[..., Any]:
    def function(x: Any, *args: Any, **settings: Any) -> Any:
        settings = {"dtype": x.dtype, "device": device(x)} | {k: v for k, v in settings.items() if v is not None}
        return getattr(xp, name)(x.shape, *args, **settings)

    return function
