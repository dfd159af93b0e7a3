"""The differentiable namespace: the standard's functions over traced arrays of any library."""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from anynet.array import Array, Device, DType, Namespace, Shape, device, is_floating
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
    """The functions of a library's namespace, or of an extension in it, for traced arrays.

    A function of the standard is a primitive with its rule. A creation function returns traced
    constants. Dtypes and constants are the library's own. Names that are not in the standard raise
    AttributeError. So code that tests for a function of the library uses the standard's functions.

    >>> import numpy as np
    >>> xp = anynet.autodiff.differentiable(np)
    >>> xp.sum(xp.asarray([1.0, 2.0])).shape, xp.float32
    ((), <class 'numpy.float32'>)

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
                "functions have derivatives: use these, or give the function a derivative with "
                "anynet.custom_vjp"
            )
        # A decomposition or a reference serves libraries that lack the function.
        own = primitive is not None and (primitive.decomposition or primitive.reference)
        value: Any = getattr(self.plain_namespace, name, None if own else _MISSING)
        if value is _MISSING:
            raise AttributeError(f"{self.plain_namespace.__name__} has no {name!r}")
        if primitive is not None:
            function = _function(primitive)
            if primitive.name in FUNCTIONS:
                function = _viewing(function)
            value = _signed(function, value, primitive)
        elif name in EXTENSIONS:
            value = DifferentiableNamespace(value, name)
        elif name == "full_like":
            value = _full_like(self)
        elif name.endswith("_like"):
            value = _like(self, name.removesuffix("_like"))
        elif name == "asarray":
            value = _asarray(self, value)
        elif name == "full":
            value = _full(self, value)
        elif name in OF_DTYPES:
            value = _signed(_of_dtypes(value), value)
        elif self._prefix + name in CREATION:
            value = _signed(_of_constants(value), value)
        setattr(self, name, value)
        return value

    def __repr__(self) -> str:
        return f"<{self.__name__}>"


#: The names in a namespace that are not functions of arrays.
_WITHOUT_TRACED_ARGUMENTS = frozenset(
    (*CREATION, *OF_DTYPES, *OF_SHAPES, *EXTENSIONS, *CONSTANTS, *DTYPES, *ABOUT_ITSELF)
)
_MISSING = object()


@cache
def differentiable(library: Namespace) -> DifferentiableNamespace:
    """Return the differentiable namespace over a library's namespace.

    Each library has one, so two calls return the same object.

    >>> import numpy as np
    >>> anynet.autodiff.differentiable(np)
    <anynet.autodiff[numpy]>

    """
    return DifferentiableNamespace(library)


def _signed(
    function: Callable[..., Any],
    original: Any,
    primitive: Primitive[..., Any] | None = None,
) -> Callable[..., Any]:
    """Return the function with the signature of the library's function.

    Where Python cannot read that, the function gets the signature of its rule.
    """
    parameters = [] if primitive is None else _parameters(primitive)
    try:
        signature = inspect.signature(original)
    except (TypeError, ValueError):
        own_name: str = getattr(original, "__name__", "").removeprefix("fft_")
        name = own_name if primitive is None else primitive.name
        if parameters:
            signature = inspect.Signature(parameters)
        elif name in SIGNATURES:
            signature = inspect.signature(SIGNATURES[name])
        else:
            return function
    vars(function)["__signature__"] = signature
    return function


def _parameters(primitive: Primitive[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters of the function, which its rule or decomposition has too."""
    source = primitive.rule or primitive.decomposition
    if source is None or primitive.name in OF_SEQUENCES:
        return []
    parameters = list(inspect.signature(source).parameters.values())
    # After (xp, out) of a rule, or (xp) of a decomposition.
    return parameters[2 if primitive.rule is not None else 1 :]


def _function(primitive: Primitive[..., Any]) -> Callable[..., Any]:
    positional = [
        parameter.name
        for parameter in _parameters(primitive)
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    result = RESULTS.get(primitive.name)

    def function(*args: Any, **settings: Any) -> Any:
        if primitive.name in OF_SEQUENCES:
            args = tuple(args[0])
        traced = next((value for value in settings.values() if isinstance(value, Traced)), None)
        if traced is not None:
            # An array that is passed by name, such as clip's limits, becomes positional.
            for name in positional[len(args) :]:
                args = (*args, settings.pop(name, None))
            if primitive.decomposition is not None:
                xp = traced.__array_namespace__()
                return primitive.decomposition(xp, *map(wrap, args), **settings)
            settings = {name: unwrap(value) for name, value in settings.items()}
        out = primitive(*map(wrap, args), **settings)
        return out if result is None else result(*out)

    function.__name__ = primitive.name
    return function


def _viewing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose results share memory with its argument where the library's do."""
    name = function.__name__
    copies = _COPIES.get(name)

    def viewing(
        x: Any,
        *args: Any,
        **settings: Any,
    ) -> Any:
        out = function(x, *args, **settings)
        if type(x) is not Traced or (copies is not None and copies(x, out, settings)):
            return out
        return note(x, out, name, function, *args, **settings)

    def unstack(x: Any, **settings: Any) -> Any:
        out = function(x, **settings)
        if type(x) is not Traced:
            return out
        reading = name if x.ndim > 1 else "unstack of one axis"
        before = (slice(None),) * (settings.get("axis", 0) % x.ndim)
        getitem = INDEXING["getitem"]
        return tuple(
            [note(x, part, reading, getitem, (*before, i, ...)) for i, part in enumerate(out)]
        )

    return unstack if name == "unstack" else viewing


def _rounds(
    x: Array,
    out: Array,
    settings: dict[str, Any],
) -> bool:
    return is_floating(x)


#: Whether a call returns a copy in every library, by the name of the function.
_COPIES: dict[str, Callable[[Array, Array, dict[str, Any]], bool]] = {
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
        dtype: DType | None = None,
        device: Device | None = None,
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
            # Without a copy, a write into one shows in the other. A copy is a new traced array. It
            # shares the value, because nothing writes into values.
            return twin(obj) if copy else obj
        if obj.trace is None:
            return of_constants(obj, dtype=dtype, device=device, copy=copy)
        if device is not None:
            obj = obj.to_device(device)
        return obj if dtype in (None, obj.dtype) else STANDARD["astype"](obj, dtype)

    return asarray


def _holds_traced(parts: Sequence[Any]) -> bool:
    return any(
        _holds_traced(part) if isinstance(part, list | tuple) else isinstance(part, Traced)
        for part in parts
    )


def _of_one_kind(parts: Sequence[Any]) -> list[Any]:
    """Return the parts with Python's scalars as arrays of the dtype and device of the others."""
    like = next((part for part in parts if isinstance(part, Traced)), None)
    if like is None:
        return list(parts)
    full_like = like.__array_namespace__().full_like
    scalar = int | float | complex
    return [full_like(like, part) if isinstance(part, scalar) else part for part in parts]


def _full(xp: DifferentiableNamespace, function: Callable[..., Any]) -> Callable[..., Any]:
    of_constants = _of_constants(function)

    def full(
        shape: int | Shape,
        fill_value: Array | complex,
        *,
        dtype: DType | None = None,
        device: Device | None = None,
    ) -> Any:
        if not isinstance(fill_value, Traced):
            return of_constants(shape, fill_value, dtype=dtype, device=device)
        x = xp.asarray(fill_value, dtype=dtype, device=device)
        return twin(xp.broadcast_to(x, shape if isinstance(shape, tuple) else (shape,)))

    return full


def _of_constants(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **settings: Any) -> Any:
        settings = {name: unwrap(value) for name, value in settings.items()}
        return wrap(function(*map(unwrap, args), **settings))

    return wrapped


def _of_dtypes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a library's function of dtypes as one that takes traced arrays."""

    def plain(x: Any) -> Any:
        return x.plain if isinstance(x, Traced) else x

    return lambda *args, **settings: function(*map(plain, args), **settings)


def _like(xp: DifferentiableNamespace, name: str) -> Callable[..., Any]:
    own = getattr(xp.plain_namespace, f"{name}_like", None)

    def function(
        x: Array,
        /,
        *,
        dtype: DType | None = None,
        device: Device | None = None,
    ) -> Any:
        if own is not None and type(x) is Traced and x.trace is None:
            # An axis of an array in an ONNX graph may have no length: the library reads the shape.
            return wrap(own(x.value, dtype=dtype, device=device))
        return getattr(xp, name)(x.shape, **_place(x, dtype, device))

    return function


def _full_like(xp: DifferentiableNamespace) -> Callable[..., Any]:
    def full_like(
        x: Array,
        /,
        fill_value: Array | complex,
        *,
        dtype: DType | None = None,
        device: Device | None = None,
    ) -> Any:
        return xp.full(x.shape, fill_value, **_place(x, dtype, device))

    return full_like


def _place(
    x: Array,
    dtype: DType | None,
    place: Device | None,
) -> dict[str, Any]:
    return {
        "dtype": x.dtype if dtype is None else dtype,
        "device": device(x) if place is None else place,
    }
