"""Traced arrays and primitives: how a transformation receives the calls that compute a result.

A `Traced` array stands for another array. A primitive that is called with traced arrays goes to the
innermost `Trace` among them, the one that began last. That trace does its work (a tape records, a
vectorizer moves axes) and evaluates the same primitive one level further out, until only plain
arrays are left. So traces nest in any order, and there is no global state.
"""

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import update_wrapper
from inspect import signature
from itertools import count
from numbers import Number
from typing import Any, Generic, ParamSpec, Protocol, SupportsIndex, TypeVar, overload

from anynet.array import (
    RECORDING_TYPES,
    Array,
    Device,
    DType,
    Namespace,
    array_namespace,
    device,
    is_array,
    is_complex,
    is_mixed,
    mixed_message,
    no_array,
    unrecorded,
    wrong_dtype,
)
from anynet.backend import get_backend, kernels_for
from anynet.errors import (
    AnynetError,
    ArgumentTypeError,
    AttributeNameError,
    DifferentiationError,
    DTypeError,
    MixedArraysError,
)
from anynet.tracing import views
from anynet.tracing.operators import Operators
from anynet.tracing.standard import BRACKETS, INDEXING, STANDARD

P = ParamSpec("P")
R = TypeVar("R")
Rule = Callable[..., Any]
Kind = str | tuple[str, ...] | None

#: Return the level of a trace that begins. A later trace is further in.
next_level = count().__next__


class Trace(Protocol):
    """A transformation: it evaluates primitives whose arguments are traced arrays."""

    level: int
    #: The number of leading axes of a value that its traced array does not show.
    batch_axes: int
    #: Whether primitives with a decomposition reach `apply` whole.
    keeps_decompositions: bool

    def apply(
        self,
        step: "Primitive[..., Any]",
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        """Return the result of the primitive. At least one argument belongs to this trace."""

    def error(self, what: str, /) -> AnynetError:
        """Return the error for an operation that traced arrays do not support."""


class Primitive(Generic[P, R]):
    """A function that traces treat as one step.

    It is a function of the standard, or one of anynet's with a reference in Array API code. The
    backend's kernel of the same name computes the result. The reference computes it where there is
    no kernel, or where the kernel returns NotImplemented. The reference of a function of the
    standard is the function in the namespace of the arguments.

    Args:
        name: the name of the function, by which kernels are found.
        rule: the derivative, called as ``rule(xp, out, *args, **settings)``. It returns one
            pullback for each array argument, in order (a single one not in a tuple). A pullback
            takes the cotangent ``g`` of ``out`` and returns the cotangent of its argument. The
            walker corrects the shape and dtype of that. None as a pullback means that the argument
            has no derivative, and None as the rule that the function has none.
        reference: the function in Array API code.
        explain: called with the same arguments after the library has raised, to raise a better
            error where it can. A call that succeeds pays for no check.
        decomposition: in place of a rule, the function as a composition of others, called as
            ``decomposition(xp, *args, **settings)``. Traces get the calls in it.
        kind: the kind of dtype that the first argument must have, as ``isdtype`` takes it. None
            allows every dtype. Each dtype is checked once.
        opaque: whether the reference is a user's own code, which takes plain arrays.
        vectorized: whether an opaque reference also takes traced arrays, so that it is called once
            for many points. Otherwise it is called at each point.
        own_rule: whether the rule is a user's own, which may differ from the derivative of the
            reference.

    >>> import numpy as np
    >>> from anynet.tracing.trace import Primitive
    >>> cube = Primitive("cube", lambda xp, out, x: lambda g: 3 * x**2 * g, lambda x: x**3)
    >>> anynet.grad(lambda x: np.sum(cube(x)))(np.asarray([1.0, 2.0]))
    array([ 3., 12.])

    """

    __slots__ = (
        "__dict__",
        "_checked_dtypes",
        "_implementations",
        "decomposition",
        "explain",
        "kind",
        "name",
        "opaque",
        "own_rule",
        "reference",
        "rule",
        "vectorized",
    )

    def __init__(
        self,
        name: str,
        rule: Rule | None = None,
        reference: Callable[P, R] | None = None,
        explain: Callable[..., None] | None = None,
        decomposition: Callable[..., R] | None = None,
        kind: Kind = None,
        *,
        opaque: bool = False,
        vectorized: bool = False,
        own_rule: bool = False,
    ) -> None:
        self.name = name
        self.rule = rule
        self.reference = reference
        self.explain = explain
        self.decomposition = decomposition
        self.kind = kind
        self.opaque = opaque
        self.vectorized = vectorized
        self.own_rule = own_rule
        # By the types of the arguments: the fastest function, the function that takes every
        # argument of these types, and their namespace.
        self._implementations: dict[
            tuple[type, ...],
            tuple[Callable[..., R], Callable[..., R], Namespace],
        ] = {}
        # By identity, because hashing a dtype is slow. The dtypes are kept alive here, so that no
        # other object gets the same identity.
        self._checked_dtypes: dict[int, DType] = {}

    def __call__(self, *args: P.args, **settings: P.kwargs) -> R:
        """Return the result. The innermost trace among the arguments computes it."""
        innermost: Trace | None = None
        traced = False
        for arg in args:
            if type(arg) is Traced:
                traced = True
                trace = arg.trace
                if trace is not None and (innermost is None or trace.level > innermost.level):
                    innermost = trace
        if not traced:
            return self.evaluate(args, settings)[0]
        result: R
        try:
            if innermost is None:
                values = [arg.value if type(arg) is Traced else arg for arg in args]
                result = wrap(self.evaluate(values, settings)[0])
            elif self.decomposition is None or innermost.keeps_decompositions:
                result = innermost.apply(self, args, settings)
            else:
                self._check_kind(args[0])
                result = self.decomposition(traced_namespace(args), *map(wrap, args), **settings)
        except MixedArraysError:
            converted = _convert_foreign(args)
            if converted is None:
                raise
            return self(*converted, **settings)
        return result

    def evaluate(
        self, args: Sequence[Any], settings: dict[str, Any]
    ) -> tuple[R, Namespace, Callable[..., R]]:
        """Return the result, its namespace, and the function that computed it.

        The arguments are plain arrays, or belong to traces further out.
        """
        types = tuple(map(type, args))
        found = self._implementations.get(types)
        if found is None:
            if Traced in types:
                args = [wrap(arg) if is_array(arg) else arg for arg in args]
                return self(*args, **settings), traced_namespace(args), self
            found = self._implementations[types] = self._find(args)
        elif self.kind is not None and id(args[0].dtype) not in self._checked_dtypes:
            self._check_kind(args[0])
        implementation, general, xp = found
        try:
            out = implementation(*args, **settings)
            if out is NotImplemented:
                implementation = general
                out = general(*args, **settings)
        except Exception as error:
            if is_mixed(args):
                raise MixedArraysError(f"{self.name}: {mixed_message(args)}") from error
            self._explain(args, settings)
            raise
        return out, xp, implementation

    @property
    def inlined(self) -> bool:
        """Whether a trace may evaluate `inline` in place of the primitive."""
        known = self.name in STANDARD or self.name in BRACKETS
        return self.reference is not None and not self.opaque and not known

    def inline(self, args: Sequence[Any], settings: dict[str, Any]) -> R:
        """Return the result of the reference for traced arguments. Traces get the calls in it.

        The reference of a primitive that is not `inlined` may be a user's own code.
        """
        assert self.reference is not None
        function: Callable[..., R] = self.reference
        try:
            return function(*map(wrap, args), **settings)
        except Exception:
            self._explain(args, settings)
            raise

    def _explain(self, args: Sequence[Any], settings: Mapping[str, Any]) -> None:
        """Raise a better error after the library has raised. Return if there is none."""
        if self.explain is None:
            return
        assert self.reference is not None
        parameters = signature(self.reference)
        try:
            parameters.bind(*args, **settings)
        except TypeError as error:
            wanted = ", ".join(parameters.parameters)
            raise ArgumentTypeError(f"{self.name}: {error}: wanted {wanted}") from None
        self.explain(*args, **settings)

    def _find(self, args: Sequence[Any]) -> tuple[Callable[..., R], Callable[..., R], Namespace]:
        arrays = [arg for arg in args if is_array(arg)]
        if not arrays:
            given = ", ".join(type(arg).__name__ for arg in args) or "nothing"
            raise no_array(f"{self.name}: ", given)
        try:
            xp = array_namespace(*arrays)
        except MixedArraysError as error:
            raise MixedArraysError(f"{self.name}: {error}") from None
        self._check_kind(args[0])
        general: Any = self.reference
        if general is None:
            general = xp
            for part in self.name.split("."):
                general = getattr(general, part)
        return kernels_for(xp).get(self.name, general), general, xp

    def _check_kind(self, x: Any) -> None:
        if self.kind is None:
            return
        if not is_array(x):
            raise no_array(f"{self.name}: ", type(x).__name__)
        if not array_namespace(x).isdtype(x.dtype, self.kind):
            raise DTypeError(wrong_dtype(self.name, x))
        if len(self._checked_dtypes) == _MOST_DTYPES:
            self._checked_dtypes.clear()
        self._checked_dtypes[id(x.dtype)] = x.dtype

    def __get__(self, instance: Any, owner: Any = None) -> "Primitive[P, R]":
        """Return the primitive itself: as an attribute of a class it is not a method.

        `help` and Sphinx take an object with ``__get__`` for a function.
        """
        return self

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> Any:
        """Copy or pickle a primitive by its name in a module, as functions are."""
        own = vars(self)
        module = sys.modules.get(own.get("__module__", ""))
        qualname = own.get("__qualname__", "")
        if getattr(module, qualname, None) is self:
            return qualname
        return super().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


_MOST_DTYPES = 64


def primitive(
    rule: Rule | None = None,
    explain: Callable[..., None] | None = None,
    *,
    decomposed: bool = False,
    kind: Kind = None,
) -> Callable[[Callable[P, R]], Primitive[P, R]]:
    """Return a decorator that makes a primitive of its reference.

    The primitive has the name, the docstring and the signature of the reference.

    Args:
        rule: see `Primitive`.
        explain: see `Primitive`.
        decomposed: whether the reference is the decomposition, in place of a rule.
        kind: see `Primitive`.

    >>> import numpy as np
    >>> from anynet.tracing.trace import primitive
    >>> @primitive(lambda xp, out, x: lambda g: 2 * x * g)
    ... def square_of(x):
    ...     return x * x
    >>> anynet.grad(lambda x: np.sum(square_of(x)))(np.array([1.0, 2.0]))
    array([2., 4.])

    """

    def of_reference(reference: Callable[P, R]) -> Primitive[P, R]:
        name = reference.__name__

        def decomposition(
            xp: Namespace,
            *args: P.args,
            **settings: P.kwargs,
        ) -> R:
            return reference(*args, **settings)

        decomposed_by = decomposition if decomposed else None
        step = Primitive(name, rule, reference, explain, decomposed_by, kind)
        update_wrapper(step, reference)
        return step

    return of_reference


def _convert_foreign(args: Sequence[Any]) -> list[Any] | None:
    """Return the arguments with the scalars of other libraries as Python's scalars.

    Libraries take NumPy's scalars for numbers, and some return them, as ``jax.numpy.finfo(dtype)``
    does. A library that embeds arrays in a file that it writes also takes arrays of other
    libraries. Return None where there is nothing to convert.
    """
    first = next(arg for arg in args if type(arg) is Traced and not isinstance(arg.value, Number))
    home, backend = first.library, get_backend(first.plain)

    def convert(arg: Any) -> Any:
        x = arg.value if type(arg) is Traced and arg.trace is None else arg
        if type(x) is Traced or not is_array(x) or array_namespace(x) is home:
            return arg
        if isinstance(x, Number):
            return x.item()  # type: ignore[attr-defined]  # as every array of no axes
        return backend.asarray(x) if backend.embeds else arg

    converted = [convert(arg) for arg in args]
    changed = any(x is not arg for x, arg in zip(converted, args, strict=True))
    return converted if changed else None


def shared(f: Callable[[Any], R]) -> Callable[[Any], R]:
    """Return f, computed once for all pullbacks of a step.

    The walker calls these one after the other with the same cotangent.
    """
    last: list[Any] = [None, None]

    def of_cotangent(g: Any) -> R:
        if last[0] is not g:
            last[:] = [g, f(g)]
        result: R = last[1]
        return result

    return of_cotangent


def traced_namespace(args: Sequence[Any]) -> Namespace:
    """Return the namespace of the first traced array among arguments."""
    for arg in args:
        if type(arg) is Traced:
            return arg.__array_namespace__()
    raise TypeError("no argument is a traced array")


@overload
def wrap(x: Array) -> "Traced": ...
@overload
def wrap(x: Any) -> Any: ...
def wrap(x: Any) -> Any:
    """Return an array, or the arrays in a tuple or list, as traced constants.

    Traced arrays and settings stay as they are.
    """
    if type(x) is Traced:
        return x
    if is_array(x):
        return Traced(unrecorded(x) if type(x) in RECORDING_TYPES else x)
    if isinstance(x, tuple):
        return type(x)(*map(wrap, x)) if hasattr(x, "_fields") else tuple(map(wrap, x))
    return list(map(wrap, x)) if isinstance(x, list) else x


def unwrap(x: Any) -> Any:
    """Undo `wrap`: return plain arrays for traced constants, also inside lists and tuples."""
    if type(x) is Traced:
        if x.trace is not None:
            raise x.trace.error(f"a plain array of {x!r}")
        return x.value
    if isinstance(x, list | tuple) and not hasattr(x, "_fields"):
        return type(x)(map(unwrap, x))
    return x


def _is_open(part: Any) -> bool:
    """Return whether a part of a key is an array whose values may differ the next time.

    Such a part is an argument of indexing. Every other part is a setting.
    """
    if type(part) is not Traced or part.trace is None:
        return False
    return part.trace.keeps_decompositions


class Traced(Operators):
    """An array that stands for ``value`` in a trace. Without a trace it is a constant.

    ``node`` belongs to the trace: a tape keeps there the index of the step that returned the array.
    ``alias`` records which other arrays share memory with it. None means no other array. A write,
    as ``x[0] = 1`` or ``x += 1``, shows in all of these, as it does in the library. The plain array
    of the caller is never written into.
    """

    __slots__ = ("__weakref__", "alias", "node", "trace", "value")

    def __init__(
        self,
        value: Any,
        trace: Trace | None = None,
        node: int = -1,
    ) -> None:
        self.value: Array = value
        self.trace = trace
        self.node = node
        self.alias: views.Memory | None = None

    def __array_namespace__(self, *, api_version: str | None = None) -> Namespace:
        from anynet.tracing.namespace import differentiable

        return differentiable(self.library)

    @property
    def plain(self) -> Array:
        """The plain array that this stands for."""
        value = self.value
        while type(value) is Traced:
            value = value.value
        return value

    @property
    def library(self) -> Namespace:
        """The namespace of the plain array."""
        return array_namespace(self.plain)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the traced function, without batch axes."""
        shape = self.value.shape
        return shape if self.trace is None else shape[self.trace.batch_axes :]

    @property
    def dtype(self) -> DType:
        """The dtype of the value."""
        return self.value.dtype

    @property
    def device(self) -> Device:
        """The device of the value."""
        return device(self.value)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def T(self) -> "Traced":
        """The array with its axes in reverse order."""
        if self.ndim == 2:
            # The library may have a faster function for matrices.
            return self.mT
        permute = STANDARD["permute_dims"]
        axes = tuple(range(self.ndim))[::-1]
        return views.note(self, permute(self, axes), "permute_dims", permute, axes)

    @property
    def mT(self) -> "Traced":
        """The transpose of the last two axes."""
        transpose = STANDARD["matrix_transpose"]
        return views.note(self, transpose(self), "matrix_transpose", transpose)

    @property
    def real(self) -> Array:
        """The real part."""
        return self.__array_namespace__().real(self) if is_complex(self) else self

    @property
    def imag(self) -> Array:
        """The imaginary part."""
        xp = self.__array_namespace__()
        return xp.imag(self) if is_complex(self) else xp.zeros_like(self)

    def to_device(self, device: Any, /, *, stream: Any = None) -> "Traced":
        """Return the array itself. Moving a traced array to another device raises."""
        if device != self.device:
            raise DifferentiationError(
                f"a traced array cannot move from {self.device} to {device}: move it before"
            )
        return self

    def __getitem__(self, key: Any) -> "Traced":
        parts = key if type(key) is tuple else (key,)
        reading = views.reading_of_basic(parts, self.ndim)
        if reading is None:
            if any(map(_is_open, parts)):
                element: Traced = INDEXING["getitem_at"](self, *parts)
                return element
            key, reading = unwrap(key), views.reading(parts, self.ndim)
        getitem = INDEXING["getitem"]
        out: Traced = getitem(self, key)
        return views.note(self, out, reading, getitem, key) if reading else out

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array of no axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator["Traced"]:
        return (self[i] if self.ndim == 1 else self[i, ...] for i in range(len(self)))

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write the value at the key, into this array and every array that shares its memory."""
        value = wrap(value)
        if type(value) is Traced and views.is_part(value, self, key):
            # Python assigns the part again after x[1:] += 1, which has changed x already.
            return
        parts = key if type(key) is tuple else (key,)
        if _is_mask(key) and self._fill(key, value):
            return
        if any(map(_is_open, parts)):
            views.write(self, INDEXING["put_at"](self, value, *parts))
        else:
            views.write(self, INDEXING["put"](self, unwrap(key), value))

    def _fill(self, mask: "Traced", value: Any) -> bool:
        """Write a scalar where a traced mask is true. Return whether the value is a scalar.

        The mask may differ the next time, or at the next point, so its elements are not counted.
        """
        xp = self.__array_namespace__()
        value = xp.asarray(value, dtype=self.dtype, device=self.device)
        if value.shape:
            return False
        mask_axes = (*mask.shape, *(1,) * (self.ndim - mask.ndim))
        views.write(self, xp.where(xp.reshape(mask, mask_axes), value, self))
        return True

    def __bool__(self) -> bool:
        return bool(self._concrete("bool()"))

    def __int__(self) -> int:
        return int(self._concrete("int()"))

    def __float__(self) -> float:
        return float(self._concrete("float()"))

    def __complex__(self) -> complex:
        return complex(self._concrete("complex()"))

    def __index__(self) -> int:
        return int(self._concrete("index()").__index__())

    def __round__(self, digits: int | None = None) -> Any:
        return round(_scalar(self._concrete("round()")), digits)

    def __trunc__(self) -> int:
        return int(_scalar(self._concrete("trunc()")))

    def __format__(self, spec: str) -> str:
        return format(_scalar(self._concrete(f"format(x, {spec!r})")), spec) if spec else str(self)

    def _concrete(self, wanted: str) -> Any:
        """Return the value of a constant. An array of a trace raises the error of the trace."""
        if self.trace is not None:
            raise self.trace.error(f"{wanted} of {self!r}")
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.trace is not None:
            raise self.trace.error(
                f"a plain array of {self!r}, which np.array([x, y]) and plain[i] = x need "
                "(np.stack([x, y]) does not, nor does writing into np.zeros_like(x) or "
                "np.zeros(shape, like=x)),"
            )
        plain = unwrap(self.value)
        x = get_backend(plain).to_host(plain)
        return array_namespace(x).asarray(x, dtype=dtype, copy=copy)

    def __dlpack__(self, **settings: Any) -> Any:
        given = {name: value for name, value in settings.items() if value is not None}
        return unwrap(self._concrete("a DLPack capsule")).__dlpack__(**given)

    def __dlpack_device__(self) -> tuple[Any, int]:
        place: tuple[Any, int] = unwrap(self._concrete("a DLPack device")).__dlpack_device__()
        return place

    def __deepcopy__(self, memo: dict[int, Any]) -> Array:
        """Return a copy of the plain array, or a recorded copy.

        So the copy of a network has its own parameters.
        """
        value: Any = self
        while type(value) is Traced:
            if value.trace is not None and value.trace.batch_axes:
                raise value.trace.error(f"a copy of {self!r}")
            if value.trace is not None and value.trace.keeps_decompositions:
                break
            value = value.value
        return array_namespace(value).asarray(value, copy=True)

    def __reduce__(self) -> Any:
        if self.trace is not None:
            raise self.trace.error(f"a pickle of {self!r}")
        raise TypeError(
            f"{self!r} cannot be pickled, because it belongs to a computation: pickle a plain array"
        )

    def __array_ufunc__(
        self,
        ufunc: Any,
        method: str,
        *inputs: Any,
        **settings: Any,
    ) -> Any:
        from anynet.tracing.numpy_protocols import array_ufunc

        return array_ufunc(ufunc, method, inputs, settings)

    def __array_function__(
        self,
        function: Any,
        types: Any,
        args: tuple[Any, ...],
        settings: dict[str, Any],
    ) -> Any:
        from anynet.tracing.numpy_protocols import array_function

        return array_function(self, function, args, settings)

    def __getattr__(self, name: str) -> Any:
        # NumPy's arrays have methods that the standard lacks.
        if not name.startswith("_"):
            from anynet.tracing.numpy_protocols import find_method

            method = find_method(self, name)
            if method is not None:
                return method
        raise AttributeNameError(
            f"traced arrays have the standard's attributes, and {name!r} is none of them: "
            f"use a function of its namespace, as xp = array_namespace(x); xp.sum(x)"
        )

    def __repr__(self) -> str:
        kind = "constant" if self.trace is None else type(self.trace).__name__.lower()
        return f"Traced({kind}, shape={self.shape}, dtype={self.dtype})"


def _is_mask(key: Any) -> bool:
    if type(key) is not Traced or key.trace is None:
        return False
    return key.dtype == key.library.bool


def _scalar(x: Array) -> Any:
    """Return the element of an array of no axes as Python's own scalar."""
    xp = array_namespace(x)
    kinds = (("bool", bool), ("integral", int), ("real floating", float))
    return next((kind for name, kind in kinds if xp.isdtype(x.dtype, name)), complex)(x)
