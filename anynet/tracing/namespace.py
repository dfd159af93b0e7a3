"""The differentiable namespace: the standard's functions over traced arrays, for any library
underneath.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from anynet.array import Namespace, device, is_floating
from anynet.tracing.standard import (
    ABOUT_ITSELF,
    CONSTANTS,
    CREATION,
    DTYPES,
    EXTENSIONS,
    INDEXING,
    OF_DTYPES,
    OF_SEQUENCES,
    OF_SHAPES,
    RESULTS,
    SIGNATURES,
    STANDARD,
)
from anynet.tracing.trace import Primitive, Traced, unwrap, wrap
from anynet.tracing.views import FUNCTIONS, note, twin


class DifferentiableNamespace(Namespace):
    """The functions of a library's namespace, or of an extension in it, taking and returning traced
    arrays.

    A function of the standard becomes a primitive with its rule, a creation function returns traced
    constants, and what is no function (dtypes, constants) is the library's own. What the standard
    does not have is not here: code that asks whether it is then takes the way of the standard.
    """

    def __init__(self, library: Namespace, extension: str = "") -> None:
        self.plain_namespace = library
        self._prefix = extension and f"{extension}."
        # array_namespace compares namespaces by name.
        self.__name__ = f"anynet.autodiff[{library.__name__}]"

    def __getattr__(self, name: str) -> Any:
        primitive = STANDARD.get(self._prefix + name)
        if primitive is None and self._prefix + name not in _WITHOUT_TRACED_ARGUMENTS:
            raise AttributeError(
                f"{self.plain_namespace.__name__}.{name} is not in the Array API standard, whose "
                "functions have derivatives: write it in these, or give it one with "
                "anynet.custom_vjp"
            )
        # One of ours is made of other functions, or is written as an operator.
        own = primitive is not None and (primitive.decomposition or primitive.reference)
        found: Any = getattr(self.plain_namespace, name, None if own else _NOT_THERE)
        if found is _NOT_THERE:
            raise AttributeError(f"{self.plain_namespace.__name__} has no {name!r}")
        if primitive is not None:
            function = _function(primitive)
            found = _signed(
                _viewing(function) if primitive.name in FUNCTIONS else function,
                found,
                primitive,
            )
        elif name in EXTENSIONS:
            found = DifferentiableNamespace(found, name)
        elif name.endswith("_like"):
            found = (
                _full_like(self) if name == "full_like" else _like(self, name.removesuffix("_like"))
            )
        elif name == "asarray":
            found = _asarray(self, found)
        elif name == "full":
            found = _full(self, found)
        elif name in OF_DTYPES:
            found = _signed(_of_dtypes(found), found)
        elif self._prefix + name in CREATION:
            found = _signed(_of_constants(found), found)
        setattr(self, name, found)
        return found

    def __repr__(self) -> str:
        return f"<{self.__name__}>"


#: What a namespace has that is no function of arrays.
_WITHOUT_TRACED_ARGUMENTS = frozenset(
    (
        *CREATION,
        *OF_DTYPES,
        *OF_SHAPES,
        *EXTENSIONS,
        *CONSTANTS,
        *DTYPES,
        *ABOUT_ITSELF,
    )
)
_NOT_THERE = object()


@cache
def differentiable(library: Namespace) -> DifferentiableNamespace:
    """Return the differentiable namespace over a library's namespace, always the same one."""
    return DifferentiableNamespace(library)


def _signed(
    function: Callable[..., Any],
    original: Any,
    primitive: Primitive[..., Any] | None = None,
) -> Callable[..., Any]:
    """Give a function the signature of the library's own, or that of its rule where that one has
    none to be read.
    """
    parameters = [] if primitive is None else _parameters(primitive)
    try:
        signature = inspect.signature(original)
    except (TypeError, ValueError):
        name = (
            primitive.name
            if primitive is not None
            else getattr(original, "__name__", "").removeprefix("fft_")
        )
        if parameters:
            signature = inspect.Signature(parameters)
        elif name in SIGNATURES:
            signature = inspect.signature(SIGNATURES[name])
        else:
            return function
    vars(function)["__signature__"] = signature
    return function


def _parameters(primitive: Primitive[..., Any]) -> list[inspect.Parameter]:
    """Return the function's own parameters, as its rule or decomposition has them."""
    source = primitive.rule or primitive.decomposition
    if source is None or primitive.name in OF_SEQUENCES:
        return []
    return list(inspect.signature(source).parameters.values())[
        2 if primitive.rule is not None else 1 :
    ]


def _function(primitive: Primitive[..., Any]) -> Callable[..., Any]:
    in_order = [
        p.name
        for p in _parameters(primitive)
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    result = RESULTS.get(primitive.name)

    def function(*args: Any, **settings: Any) -> Any:
        if primitive.name in OF_SEQUENCES:
            args = tuple(args[0])
        named = next(
            (value for value in settings.values() if isinstance(value, Traced)),
            None,
        )
        if named is not None:
            # Arrays given by name, such as clip's limits, take their place in the order.
            for name in in_order[len(args) :]:
                args = (*args, settings.pop(name, None))
            if primitive.decomposition is not None:
                return primitive.decomposition(
                    named.__array_namespace__(),
                    *map(wrap, args),
                    **settings,
                )
            settings = {name: unwrap(value) for name, value in settings.items()}
        out = primitive(*map(wrap, args), **settings)
        return out if result is None else result(*out)

    function.__name__ = primitive.name
    return function


def _viewing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let the results of a function share memory with its argument where the library's do."""
    name = function.__name__
    copies = _COPIES.get(name)

    def viewing(x: Any, *args: Any, **settings: Any) -> Any:
        out = function(x, *args, **settings)
        if type(x) is not Traced or (copies is not None and copies(x, out, settings)):
            return out
        return note(x, out, name, function, *args, **settings)

    def parts(x: Any, **settings: Any) -> Any:
        out = function(x, **settings)
        if type(x) is not Traced:
            return out
        of = name if x.ndim > 1 else "unstack of one axis"
        before = (slice(None),) * (settings.get("axis", 0) % x.ndim)
        read = INDEXING["getitem"]
        return tuple([note(x, part, of, read, (*before, i, ...)) for i, part in enumerate(out)])

    return parts if name == "unstack" else viewing


def _rounds(x: Any, out: Any, settings: dict[str, Any]) -> bool:
    return is_floating(x)


#: When functions copy in every library.
_COPIES: dict[str, Callable[[Any, Any, dict[str, Any]], bool]] = {
    **dict.fromkeys(("ceil", "floor", "round", "trunc"), _rounds),
    "astype": lambda x, out, settings: settings.get("copy", True) or out.dtype != x.dtype,
    "flip": lambda x, out, settings: not x.shape,
    "reshape": lambda x, out, settings: settings.get("copy") is True,
}


def _asarray(xp: DifferentiableNamespace, function: Callable[..., Any]) -> Callable[..., Any]:
    of_constants = _of_constants(function)

    def asarray(
        obj: Any,
        /,
        *,
        dtype: Any = None,
        device: Any = None,
        copy: bool | None = None,
    ) -> Any:
        if isinstance(obj, list | tuple) and _holds_traced(obj):
            obj = xp.stack(
                [asarray(part, dtype=dtype, device=device) for part in _of_one_kind(obj)]
            )
        if not isinstance(obj, Traced):
            return of_constants(obj, dtype=dtype, device=device, copy=copy)
        same = dtype in (None, obj.dtype) and device in (None, obj.device)
        if same:
            # The same array, so that what is written into one is seen in the other; a copy is
            # another one, though it shares the numbers, for those are never written into.
            return twin(obj) if copy else obj
        if obj.trace is None:
            return of_constants(obj, dtype=dtype, device=device, copy=copy)
        if device is not None:
            obj = obj.to_device(device)
        return obj if dtype in (None, obj.dtype) else STANDARD["astype"](obj, dtype)

    return asarray


def _holds_traced(obj: Any) -> bool:
    return any(
        isinstance(part, Traced) or (isinstance(part, list | tuple) and _holds_traced(part))
        for part in obj
    )


def _of_one_kind(parts: Any) -> list[Any]:
    """Return the parts of a sequence with Python's numbers as arrays of the dtype and device of the
    others.
    """
    like = next((part for part in parts if isinstance(part, Traced)), None)
    if like is None:
        return list(parts)
    full_like = like.__array_namespace__().full_like
    return [
        full_like(like, part) if isinstance(part, int | float | complex) else part for part in parts
    ]


def _full(xp: DifferentiableNamespace, function: Callable[..., Any]) -> Callable[..., Any]:
    of_constants = _of_constants(function)

    def full(
        shape: Any,
        fill_value: Any,
        *,
        dtype: Any = None,
        device: Any = None,
    ) -> Any:
        if not isinstance(fill_value, Traced):
            return of_constants(shape, fill_value, dtype=dtype, device=device)
        x = xp.asarray(fill_value, dtype=dtype, device=device)
        return twin(xp.broadcast_to(x, shape if isinstance(shape, tuple) else (shape,)))

    return full


def _of_constants(function: Callable[..., Any]) -> Callable[..., Any]:
    def lifted(*args: Any, **settings: Any) -> Any:
        settings = {name: unwrap(value) for name, value in settings.items()}
        return wrap(function(*map(unwrap, args), **settings))

    return lifted


def _of_dtypes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Ask the arrays underneath: their dtypes are those of the traced ones."""

    def underneath(x: Any) -> Any:
        while isinstance(x, Traced):
            x = x.value
        return x

    return lambda *args, **settings: function(*map(underneath, args), **settings)


def _like(xp: DifferentiableNamespace, name: str) -> Callable[..., Any]:
    own = getattr(xp.plain_namespace, f"{name}_like", None)

    def function(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
        if own is not None and type(x) is Traced and x.trace is None:
            # Whose shape is the library's own business: in an ONNX file it may have no length yet.
            return wrap(own(x.value, dtype=dtype, device=device))
        return getattr(xp, name)(x.shape, **_place(x, dtype, device))

    return function


def _full_like(xp: DifferentiableNamespace) -> Callable[..., Any]:
    def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
        return xp.full(x.shape, fill_value, **_place(x, dtype, device))

    return full_like


def _place(x: Any, dtype: Any, place: Any) -> dict[str, Any]:
    return {
        "dtype": x.dtype if dtype is None else dtype,
        "device": device(x) if place is None else place,
    }
