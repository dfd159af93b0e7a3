"""Traced arrays and primitives: how a function learns that it is being differentiated, or evaluated
in a batch.

A `Traced` array stands for another array. A function of traced arrays is handed to the innermost
`Trace` among them (the one begun last), which does what it is there for (a tape records, a batch
shifts axes) and evaluates the same function one level further out, until plain arrays are left. So
traces nest in any order, and nothing is ambient.
"""

import math
import operator
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, update_wrapper
from itertools import count
from numbers import Number
from typing import Any, Generic, ParamSpec, Protocol, SupportsIndex, TypeVar, overload

from anynet.array import (
    RECORDING_TYPES,
    Array,
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
    AttributeNameError,
    DifferentiationError,
    DTypeError,
    MixedArraysError,
    NoRuleError,
    ShapeError,
)
from anynet.tracing import views

P = ParamSpec("P")
R = TypeVar("R")
Rule = Callable[..., Any]
Kind = str | tuple[str, ...] | None

#: Every trace takes the next level when it begins: a later one is further in.
next_level = count().__next__


def differentiation_error(what: str) -> DifferentiationError:
    """Return the error for a number that is taken out of a traced array, in a trace that
    differentiates.
    """
    return DifferentiationError(
        f"{what} would cut it out of the derivative: use the functions of its namespace (where() "
        "for a choice), anynet.stop_gradient(x) if the numbers alone are meant, or "
        "anynet.custom_vjp for compiled code with a derivative of your own"
    )


def call(f: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """Call a user's function with traced arrays.

    Raises:
        MixedArraysError: it gave plain arrays beside traced ones to code that looks for one
            namespace.
        DifferentiationError: it gave traced arrays to a function of the library itself.

    """
    try:
        return f(*args, **named)
    except TypeError as error:
        explain(error)
        raise


def explain(error: TypeError) -> None:
    """Raise what is behind the error of a function that was called with traced arrays, if it is
    known; see `call`.
    """
    if isinstance(error, AnynetError):
        return
    if "Multiple namespaces" in str(error):
        raise MixedArraysError(
            f"a function was given traced arrays and plain ones ({error}): bring the plain ones to "
            "the traced, as xp = x.__array_namespace__(); y = xp.asarray(y)"
        ) from error
    if "Traced" in str(error):
        raise DifferentiationError(
            f"a function was given a traced array and takes none ({error}): use the functions of "
            "the array's namespace, as xp = x.__array_namespace__(); xp.exp(x), or "
            "anynet.custom_vjp for compiled code with a derivative of your own"
        ) from error


class Trace(Protocol):
    """What is done with functions of traced arrays."""

    level: int
    #: Leading axes of the value that the traced array does not show.
    batch_axes: int
    #: Whether functions that others are put together of are handed over as they are, not in their
    #: parts.
    keeps_decompositions: bool

    def apply(
        self,
        step: "Primitive[..., Any]",
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        """Evaluate the primitive, at least one of whose arguments belongs to this trace."""

    def error(self, what: str, /) -> AnynetError:
        """Return the error for what was asked of a traced array and cannot be."""


class Primitive(Generic[P, R]):
    """A function that traces treat as one step: a function of the standard, or one of ours with a
    reference.

    It is computed by the backend's kernel of that name; where there is none, or the kernel returns
    NotImplemented, by the reference, which for a function of the standard is the one in the
    namespace of the arguments.

    The rule is called as ``rule(xp, out, *args, **settings)`` and returns one pullback per array
    argument, in order (a single one not in a tuple); a pullback takes the cotangent ``g`` of
    ``out`` and returns that of its argument, whose shape and dtype the walker mends. None in a
    pullback's place says that there is no derivative; a rule that is None says so of the whole
    function.

    A decomposition stands in a rule's place for a function that is others put together: traced
    arguments go through it, as ``decomposition(xp, *args, **settings)`` with the differentiable
    namespace, and its parts are what is traced.

    After the library has raised, ``explain`` is called with the same arguments, to raise a better
    error if it can: calls that succeed pay for no check.

    The kind is that of the first argument's dtype, as ``isdtype`` takes it; None takes every dtype.
    It is checked once for each dtype.
    """

    __slots__ = (
        "__dict__",
        "_implementations",
        "_known_dtypes",
        "decomposition",
        "explain",
        "kind",
        "name",
        "opaque",
        "own_rule",
        "reference",
        "rule",
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
        own_rule: bool = False,
    ) -> None:
        self.name = name
        self.rule = rule
        self.reference = reference
        self.explain = explain
        self.decomposition = decomposition
        self.kind = kind
        #: Whether the reference is a user's own code, which gets plain arrays wherever it can.
        self.opaque = opaque
        #: Whether the rule is a user's own, which the parts of the reference need not agree with.
        self.own_rule = own_rule
        # The quickest function for arguments of these types, the one that takes all of them, and
        # their namespace.
        self._implementations: dict[
            tuple[type, ...],
            tuple[Callable[..., R], Callable[..., R], Namespace],
        ] = {}
        # Dtypes that are of the kind, by identity, for to hash one takes long.
        self._known_dtypes: dict[int, Any] = {}

    def __call__(self, *args: P.args, **settings: P.kwargs) -> R:
        """Compute the result, or hand the call to the innermost trace among the arguments."""
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
        try:
            result: R
            if innermost is None:
                plain = [arg.value if type(arg) is Traced else arg for arg in args]
                result = wrap(self.evaluate(plain, settings)[0])
            elif self.decomposition is None or innermost.keeps_decompositions:
                result = innermost.apply(self, args, settings)
            else:
                self._check_kind(args[0])
                xp = next(arg for arg in args if type(arg) is Traced).__array_namespace__()
                result = self.decomposition(xp, *map(wrap, args), **settings)
            return result
        except MixedArraysError:
            converted = _for_strangers(args)
            if converted is None:
                raise
            return self(*converted, **settings)

    def evaluate(
        self, args: Sequence[Any], settings: dict[str, Any]
    ) -> tuple[R, Namespace, Callable[..., R]]:
        """Return the result for plain arguments or those of traces further out, its namespace, and
        what computed it.
        """
        types = tuple(map(type, args))
        found = self._implementations.get(types)
        if found is None:
            if Traced in types:
                args = [wrap(arg) if is_array(arg) else arg for arg in args]
                xp = next(arg for arg in args if type(arg) is Traced).__array_namespace__()
                return self(*args, **settings), xp, self
            found = self._implementations[types] = self._find(args)
        elif self.kind is not None and id(args[0].dtype) not in self._known_dtypes:
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
            if self.explain is not None:
                self.explain(*args, **settings)
            raise
        return out, xp, implementation

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
            given = type(x).__name__
            raise no_array(f"{self.name}: ", given)
        if not array_namespace(x).isdtype(x.dtype, self.kind):
            raise DTypeError(wrong_dtype(self.name, x))
        if len(self._known_dtypes) == _MOST_DTYPES:
            self._known_dtypes.clear()
        # Held, so that no other object has its identity.
        self._known_dtypes[id(x.dtype)] = x.dtype

    def __get__(self, instance: Any, owner: Any = None) -> "Primitive[P, R]":
        """Return the primitive itself: in a class it is no method.

        `help` and Sphinx take what has a ``__get__`` for a function.
        """
        return self

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> Any:
        """Copy or pickle one that a module holds by its name, as functions are."""
        own = vars(self)
        named = (
            getattr(
                sys.modules.get(own.get("__module__", "")),
                own.get("__qualname__", ""),
                None,
            )
            is self
        )
        return own["__qualname__"] if named else super().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


_MOST_DTYPES = 64

#: The standard's functions as primitives, by name; `anynet.autodiff.rules` holds their rules and
#: fills it.
STANDARD: dict[str, Primitive[..., Any]] = {}


def primitive(
    rule: Rule | None = None,
    explain: Callable[..., None] | None = None,
    *,
    decomposition: Callable[..., Any] | None = None,
    kind: Kind = None,
) -> Callable[[Callable[P, R]], Primitive[P, R]]:
    """Return a decorator that makes a primitive of its reference.

    The primitive has the name, docstring and signature of the reference.
    """

    def of_reference(reference: Callable[P, R]) -> Primitive[P, R]:
        made = Primitive(
            reference.__name__,
            rule,
            reference,
            explain,
            decomposition,
            kind,
        )
        update_wrapper(made, reference)
        return made

    return of_reference


def _for_strangers(args: Sequence[Any]) -> list[Any] | None:
    """Return the arguments with the scalars of a stranger library as Python's numbers; None where
    there are none.

    Libraries take NumPy's scalars for numbers, and some return them, as jax.numpy.finfo(dtype).eps.
    Arrays become constants of a library that embeds them in what it writes.
    """
    first = next(arg for arg in args if type(arg) is Traced and not isinstance(arg.value, Number))
    home, backend = first.library, get_backend(first.plain)

    def at_home(arg: Any) -> Any:
        x = arg.value if type(arg) is Traced and arg.trace is None else arg
        if type(x) is Traced or not is_array(x) or array_namespace(x) is home:
            return arg
        if isinstance(x, Number):
            return x.item()  # type: ignore[attr-defined]  # as every array of no axes
        return backend.asarray(x) if backend.embeds else arg

    found = [at_home(arg) for arg in args]
    return found if any(x is not arg for x, arg in zip(found, args, strict=True)) else None


def shared(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return f, computed once for all the pullbacks of a step, which get the same cotangent one
    after the other.
    """
    last: list[Any] = [None, None]

    def of_cotangent(g: Any) -> Any:
        if last[0] is not g:
            last[:] = [g, f(g)]
        return last[1]

    return of_cotangent


def _scalar(x: Array) -> Any:
    """Return the number that an array of no axes holds, as Python's own."""
    xp = array_namespace(x)
    kinds = (("bool", bool), ("integral", int), ("real floating", float))
    return next((kind for name, kind in kinds if xp.isdtype(x.dtype, name)), complex)(x)


@overload
def wrap(x: Array) -> "Traced": ...
@overload
def wrap(x: Any) -> Any: ...
def wrap(x: Any) -> Any:
    """Return an array (or several) as a traced constant; what is traced already stays, and so do
    settings.
    """
    if type(x) is Traced:
        return x
    if is_array(x):
        return Traced(unrecorded(x) if type(x) in RECORDING_TYPES else x)
    if isinstance(x, tuple):
        return type(x)(*map(wrap, x)) if hasattr(x, "_fields") else tuple(map(wrap, x))
    return list(map(wrap, x)) if isinstance(x, list) else x


def unwrap(x: Any) -> Any:
    """Undo `wrap`: traced constants become plain arrays, also inside lists and tuples."""
    if type(x) is Traced:
        if x.trace is not None:
            raise x.trace.error(f"a plain array of {x!r}")
        return x.value
    if isinstance(x, list | tuple) and not hasattr(x, "_fields"):
        return type(x)(map(unwrap, x))
    return x


def _operator(name: str, *, reflected: bool = False) -> Any:
    """Make the method of an operator; strings, lists and the like are left to the other operand."""

    def unary(self: "Traced") -> Any:
        return STANDARD[name](self)

    def binary(self: "Traced", other: Any) -> Any:
        if type(other) is Traced or isinstance(other, int | float | complex) or is_array(other):
            return STANDARD[name](other, self) if reflected else STANDARD[name](self, other)
        return NotImplemented

    return unary if name in ("negative", "positive", "abs", "bitwise_invert") else binary


def _in_place(name: str, method: str) -> Any:
    """Make the method of an in-place operator; Python makes a new array where the library has no
    such method.
    """

    def operate(self: "Traced", other: Any) -> Any:
        if not (
            type(other) is Traced or isinstance(other, int | float | complex) or is_array(other)
        ):
            return NotImplemented
        if self.trace is not None and self.trace.batch_axes:
            whole, element = _types(self.library)
            if hasattr(whole, method) and not self.shape and not hasattr(element, method):
                raise NoRuleError(
                    f"{name} in place of no axes: it is in place in an array, and not in a scalar"
                )
        else:
            whole = type(self.plain)
        if not hasattr(whole, method):
            return NotImplemented
        new = STANDARD[name](self, other)
        if new.shape != self.shape:
            raise ShapeError(
                f"{name} in place: the array has shape {(*self.shape,)} and the result "
                f"{(*new.shape,)}: make a new array, x = x + y in place of x += y"
            )
        if new.dtype != self.dtype:
            # Raises what the library raises.
            xp = self.library
            small = [
                xp.ones((1,) * min(x.ndim, 1), dtype=x.dtype) if is_array(x) else x
                for x in (self, other)
            ]
            getattr(operator, method)(*small)
            new = STANDARD["astype"](new, self.dtype)
        if not hasattr(type(new.plain), method):
            # A scalar, where this is an array of no axes.
            new = STANDARD["put"](self, ..., new)
        views.write(self, new)
        return self

    return operate


@cache
def _types(xp: Namespace) -> tuple[type, type]:
    """Return the type of arrays, and of what a sum of all elements is."""
    x = xp.zeros(1)
    return type(x), type(xp.sum(x))


#: Parts of a key that are slices or the like; a key of these and of integers reads a view, in
#: libraries that have any.
_SLICES = frozenset((slice, type(None), type(...)))


#: By the types of a key's parts: how many are integers, and whether any is a slice; None for those
#: of other types.
_kinds: dict[tuple[type, ...], tuple[int, bool] | None] = {}


def _integers_and_slices(
    kinds: tuple[type, ...],
) -> tuple[int, bool] | None:
    plain = all(kind is int or kind in _SLICES for kind in kinds)
    known = _kinds[kinds] = (kinds.count(int), not _SLICES.isdisjoint(kinds)) if plain else None
    return known


def _reading(parts: tuple[Any, ...], ndim: int) -> str:
    """Return the name in `views.FUNCTIONS` of how a key of any parts reads, "" where it copies in
    every library.
    """
    integers = 0
    slices = False
    for part in parts:
        kind = type(part)
        if kind in _SLICES:
            slices = True
        elif is_array(part) and not isinstance(part, Number):
            if part.ndim or array_namespace(part).isdtype(part.dtype, "bool"):
                return ""
            return "getitem of an array"
        elif kind is not bool and hasattr(kind, "__index__"):
            integers += 1
        else:
            return ""
    return "getitem" if slices or integers != ndim else "getitem of integers"


class Traced:
    """An array that stands for ``value`` in a trace; in none, it is a constant.

    ``node`` is for the trace: a tape keeps there the place of the step that made the array;
    ``alias`` says which other arrays share memory with it, None if there are none. A write, as
    ``x[0] = 1`` or ``x += 1``, shows in all of these, as it does in the library; the plain array
    that x stood for, the caller's own, stays as it was.
    """

    __slots__ = ("__weakref__", "alias", "node", "trace", "value")

    def __init__(self, value: Any, trace: Trace | None = None, node: int = -1) -> None:
        self.value: Array = value
        self.trace = trace
        self.node = node
        self.alias: views.Memory | None = None

    def __array_namespace__(self, *, api_version: str | None = None) -> Namespace:
        from anynet.tracing.namespace import differentiable

        return differentiable(self.library)

    @property
    def plain(self) -> Array:
        """The plain array at the bottom."""
        value = self.value
        while type(value) is Traced:
            value = value.value
        return value

    @property
    def library(self) -> Namespace:
        """The plain namespace at the bottom."""
        return array_namespace(self.plain)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that the traced function sees."""
        shape: tuple[int, ...] = self.value.shape
        return shape if self.trace is None else shape[self.trace.batch_axes :]

    @property
    def dtype(self) -> Any:
        """The dtype of the value."""
        return self.value.dtype

    @property
    def device(self) -> Any:
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
            # The library may have a quicker function for it.
            return self.mT
        permute, axes = (
            STANDARD["permute_dims"],
            tuple(range(self.ndim))[::-1],
        )
        return views.note(self, permute(self, axes), "permute_dims", permute, axes)

    @property
    def real(self) -> Array:
        """The real part."""
        return self.__array_namespace__().real(self) if is_complex(self) else self

    @property
    def imag(self) -> Array:
        """The imaginary part."""
        xp = self.__array_namespace__()
        return xp.imag(self) if is_complex(self) else xp.zeros_like(self)

    @property
    def mT(self) -> "Traced":
        """The transpose of the last two axes."""
        transpose = STANDARD["matrix_transpose"]
        return views.note(self, transpose(self), "matrix_transpose", transpose)

    def to_device(self, device: Any, /, *, stream: Any = None) -> "Traced":
        """Return the array where it is; moving one while it is traced is not differentiable."""
        if device != self.device:
            raise DifferentiationError(
                f"a traced array cannot move from {self.device} to {device}: move it before"
            )
        return self

    def __getitem__(self, key: Any) -> Any:
        parts = key if type(key) is tuple else (key,)
        kinds = tuple(map(type, parts))
        known = _kinds.get(kinds) or _integers_and_slices(kinds)
        if known is not None:
            name = "getitem" if known[1] or known[0] != self.ndim else "getitem of integers"
        elif any(
            type(part) is Traced and part.trace is not None and part.trace.keeps_decompositions
            for part in parts
        ):
            # Their numbers may be others next time: then they are arguments, no settings.
            return STANDARD["getitem_at"](self, *parts)
        else:
            key, name = unwrap(key), _reading(parts, self.ndim)
        getitem = STANDARD["getitem"]
        out = getitem(self, key)
        return views.note(self, out, name, getitem, key) if name else out

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array of no axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] if self.ndim == 1 else self[i, ...] for i in range(len(self)))

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write the value at the key, into this array and all that share memory with it."""
        value = wrap(value)
        if type(value) is Traced and views.is_part(value, self, key):
            # Python does so after x[1:] += 1, which has changed x already.
            return
        if (
            type(key) is Traced
            and key.trace is not None
            and key.dtype == key.__array_namespace__().bool
        ):
            # A mask that may be another next time, or at the next point.
            xp = self.__array_namespace__()
            value = xp.asarray(value, dtype=self.dtype, device=self.device)
            if not value.shape:
                mask = xp.reshape(key, (*key.shape, *(1,) * (self.ndim - key.ndim)))
                views.write(self, xp.where(mask, value, self))
                return
        parts = key if type(key) is tuple else (key,)
        if any(
            type(part) is Traced and part.trace is not None and part.trace.keeps_decompositions
            for part in parts
        ):
            views.write(self, STANDARD["put_at"](self, value, *parts))
        else:
            views.write(self, STANDARD["put"](self, unwrap(key), value))

    def __bool__(self) -> bool:
        return bool(self._concrete("bool()"))

    def __int__(self) -> int:
        return int(self._concrete("int()"))

    def __float__(self) -> float:
        return float(self._concrete("float()"))

    def __complex__(self) -> complex:
        return complex(self._concrete("complex()"))

    def __round__(self, digits: int | None = None) -> Any:
        return round(_scalar(self._concrete("round()")), digits)

    def __trunc__(self) -> int:
        return int(_scalar(self._concrete("trunc()")))

    def __format__(self, spec: str) -> str:
        return format(_scalar(self._concrete(f"format(x, {spec!r})")), spec) if spec else str(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.trace is not None:
            raise self.trace.error(
                f"a plain array of {self!r}, which np.array([x, y]) and plain[i] = x ask for "
                "(np.stack([x, y]) does not, nor does writing into np.zeros_like(x) or "
                "np.zeros(shape, like=x)),"
            )
        plain = unwrap(self.value)
        x = get_backend(plain).to_host(plain)
        return array_namespace(x).asarray(x, dtype=dtype, copy=copy)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        settings = {
            "stream": stream,
            "max_version": max_version,
            "dl_device": dl_device,
            "copy": copy,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        return unwrap(self._concrete("a DLPack capsule")).__dlpack__(**given)

    def __dlpack_device__(self) -> tuple[Any, int]:
        return unwrap(self._concrete("a DLPack device")).__dlpack_device__()  # type: ignore[no-any-return]

    def __deepcopy__(self, memo: dict[int, Any]) -> Array:
        """Return the numbers, which are a plain array, or recorded: a copy of a network has
        parameters of its own.
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
        raise (
            self.trace.error(f"a pickle of {self!r}")
            if self.trace is not None
            else TypeError(
                f"{self!r} cannot be pickled: it belongs to a computation; pickle its numbers"
            )
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
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

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __index__(self) -> int:
        return int(self._concrete("index()").__index__())

    def __getattr__(self, name: str) -> Any:
        # Methods that arrays of NumPy have, and the standard's have not.
        if not name.startswith("_"):
            from anynet.tracing.numpy_protocols import find_method

            found = find_method(self, name)
            if found is not None:
                return found
        raise AttributeNameError(
            f"traced arrays have the standard's attributes, and {name!r} is none of them: "
            f"use a function of its namespace, as xp = array_namespace(x); xp.sum(x)"
        )

    def _concrete(self, wanted: str) -> Any:
        if self.trace is not None:
            raise self.trace.error(f"{wanted} of {self!r}")
        return self.value

    def __repr__(self) -> str:
        kind = "constant" if self.trace is None else type(self.trace).__name__.lower()
        return f"Traced({kind}, shape={self.shape}, dtype={self.dtype})"

    __hash__ = object.__hash__
    __add__ = _operator("add")
    __radd__ = _operator("add", reflected=True)
    __iadd__ = _in_place("add", "__iadd__")
    __sub__ = _operator("subtract")
    __rsub__ = _operator("subtract", reflected=True)
    __isub__ = _in_place("subtract", "__isub__")
    __mul__ = _operator("multiply")
    __rmul__ = _operator("multiply", reflected=True)
    __imul__ = _in_place("multiply", "__imul__")
    __truediv__ = _operator("divide")
    __rtruediv__ = _operator("divide", reflected=True)
    __itruediv__ = _in_place("divide", "__itruediv__")
    __floordiv__ = _operator("floor_divide")
    __rfloordiv__ = _operator("floor_divide", reflected=True)
    __ifloordiv__ = _in_place("floor_divide", "__ifloordiv__")
    __mod__ = _operator("remainder")
    __rmod__ = _operator("remainder", reflected=True)
    __imod__ = _in_place("remainder", "__imod__")
    __pow__ = _operator("pow")
    __rpow__ = _operator("pow", reflected=True)
    __ipow__ = _in_place("pow", "__ipow__")
    __matmul__ = _operator("matmul")
    __rmatmul__ = _operator("matmul", reflected=True)
    __imatmul__ = _in_place("matmul", "__imatmul__")
    __neg__ = _operator("negative")
    __pos__ = _operator("positive")
    __abs__ = _operator("abs")
    __lt__ = _operator("less")
    __le__ = _operator("less_equal")
    __gt__ = _operator("greater")
    __ge__ = _operator("greater_equal")
    __eq__ = _operator("equal")
    __ne__ = _operator("not_equal")
    __and__ = _operator("bitwise_and")
    __rand__ = _operator("bitwise_and", reflected=True)
    __iand__ = _in_place("bitwise_and", "__iand__")
    __or__ = _operator("bitwise_or")
    __ror__ = _operator("bitwise_or", reflected=True)
    __ior__ = _in_place("bitwise_or", "__ior__")
    __xor__ = _operator("bitwise_xor")
    __rxor__ = _operator("bitwise_xor", reflected=True)
    __ixor__ = _in_place("bitwise_xor", "__ixor__")
    __invert__ = _operator("bitwise_invert")
    __lshift__ = _operator("bitwise_left_shift")
    __rlshift__ = _operator("bitwise_left_shift", reflected=True)
    __ilshift__ = _in_place("bitwise_left_shift", "__ilshift__")
    __rshift__ = _operator("bitwise_right_shift")
    __rrshift__ = _operator("bitwise_right_shift", reflected=True)
    __irshift__ = _in_place("bitwise_right_shift", "__irshift__")
