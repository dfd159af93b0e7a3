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
    """The functions of a library's namespace, or of an extension in it, taking and returning traced arrays.

    A function of the standard becomes a primitive with its rule, a creation function returns traced constants, and
    what is no function (dtypes, constants) is the library's own.
    """

    def __init__(self, library: Namespace, extension: str = "") -> None:
        self.plain_namespace = library
        self._prefix = extension and f"{extension}."
        # array_namespace compares namespaces by name.
        self.__name__ = f"anynet.autodiff[{library.__name__}]"

    def __getattr__(self, name: str) -> Any:
        if name == "__array_namespace_info__":
            return self.plain_namespace.__array_namespace_info__
        if name.startswith("_"):
            raise AttributeError(name)
        found: Any = getattr(self.plain_namespace, name, None)
        if self._prefix + name in STANDARD:
            found = _function(STANDARD[self._prefix + name])
        elif found is None:
            raise AttributeError(f"{self.plain_namespace.__name__} has no {name}")
        elif name in ("fft", "linalg"):
            found = DifferentiableNamespace(found, name)
        elif name.endswith("_like"):
            found = _like(self, name.removesuffix("_like"))
        elif name == "asarray":
            found = _asarray(found)
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
    source = primitive.rule or primitive.composition
    parameters: list[str] = []
    if source is not None and primitive.name not in _OF_SEQUENCES:
        parameters = [
            p.name for p in inspect.signature(source).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD
        ]
        skipped = 2 if primitive.rule is not None else 1
        first = [p for p in inspect.signature(source).parameters.values() if p.kind == p.POSITIONAL_ONLY]
        parameters = [p.name for p in first][skipped:] + parameters[max(0, skipped - len(first)) :]

    def function(*args: Any, **settings: Any) -> Any:
        if primitive.name in _OF_SEQUENCES:
            args = tuple(args[0])
        elif settings:
            # Arrays given by name, such as clip's limits, take their place in the order.
            for name in parameters[len(args) :]:
                if not any(isinstance(value, Traced) for value in settings.values()):
                    break
                args = (*args, settings.pop(name, None))
        return primitive(*map(lift, args), **settings)

    function.__name__ = primitive.name
    return function


def _asarray(function: Callable[..., Any]) -> Callable[..., Any]:
    of_constants = _of_constants(function)

    def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
        if not isinstance(obj, Traced) or obj.trace is None:
            return of_constants(obj, dtype=dtype, device=device, copy=copy)
        if device is not None:
            obj = obj.to_device(device)
        if dtype is not None and dtype != obj.dtype:
            return STANDARD["astype"](obj, dtype)
        # A traced array is replaced when it is written into, never its numbers: sharing them is safe.
        return Traced(obj.value, obj.trace, obj.node) if copy else obj

    return asarray


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
