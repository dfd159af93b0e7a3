"""NumPy's protocols (NEP 13 and NEP 18) and methods, for traced arrays of every library.

NumPy calls these protocols when a function gets an array of another type. So code that calls
NumPy's functions can be differentiated without a change: each name leads to functions of the
standard.
Nothing here imports NumPy.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

from anynet.array import Namespace, is_array, is_complex, is_floating
from anynet.errors import ArgumentError, DifferentiationError
from anynet.tracing.errors import differentiation_error
from anynet.tracing.numpy_functions import (
    COMPOSED,
    OF_COMPLEX,
    PARAMETERS,
    RENAMED,
    complex_of,
    take,
)
from anynet.tracing.standard import INDEXING
from anynet.tracing.trace import Traced, unwrap, wrap

_Function = Callable[..., Any]

#: The standard's functions for `reduce` and `accumulate` of a ufunc.
REDUCTIONS = {
    "add": "sum",
    "logical_and": "all",
    "logical_or": "any",
    "maximum": "max",
    "minimum": "min",
    "multiply": "prod",
}
ACCUMULATIONS = {"add": "cumulative_sum", "multiply": "cumulative_prod"}


def _call_method(
    name: str,
    x: Traced,
    *args: Any,
    **settings: Any,
) -> Any:
    return call(name, (x, *args), settings)


#: Methods that have the same meaning in every library that has methods.
ALIKE = frozenset("all any argmax argmin clip cumsum item mean prod reshape sum tolist".split())
#: Methods of arrays, as functions of the array.
METHODS: dict[str, _Function] = {
    name: partial(_call_method, name)
    for name in """
        all any argmax argmin argsort clip conj conjugate copy cumprod cumsum diagonal dot max mean
        min nonzero prod ravel repeat round searchsorted squeeze std sum swapaxes take trace var
        """.split()
}


def method(name: str) -> Callable[[_Function], _Function]:
    """Return a decorator that adds a method to `METHODS`.

    Its parameters differ from those of NumPy's function of the same name.
    """

    def add(function: _Function) -> _Function:
        METHODS[name] = function
        return function

    return add


@method("reshape")
def _reshape(
    x: Traced,
    *shape: Any,
    **settings: Any,
) -> Any:
    return call(
        "reshape",
        (x, *shape) if len(shape) == 1 else (x, shape),
        settings,
    )


@method("transpose")
def _transpose(x: Traced, *axes: Any) -> Any:
    if len(axes) == 1 and not isinstance(axes[0], int):
        (axes,) = axes
    return call("transpose", (x, axes or None), {})


@method("flatten")
def _flatten(x: Traced) -> Any:
    xp = x.__array_namespace__()
    return xp.reshape(x, (-1,), copy=True)


@method("astype")
def _astype(
    x: Traced,
    dtype: Any,
    *,
    copy: bool = True,
) -> Any:
    xp = x.__array_namespace__()
    return xp.astype(x, _dtype(xp, dtype), copy=copy)


def _dtype(xp: Namespace, dtype: Any) -> Any:
    """Return a dtype of the library. NumPy also takes Python's types, and names, for dtypes."""
    names: dict[type, str] = {
        bool: "bool",
        int: "int64",
        float: "float64",
        complex: "complex128",
    }
    if isinstance(dtype, type) and dtype in names:
        return getattr(xp, names[dtype])
    return getattr(xp, dtype) if isinstance(dtype, str) else dtype


@method("fill")
def _fill(x: Traced, value: Any) -> None:
    x[...] = value


@method("item")
def _item(x: Traced, *index: Any) -> Any:
    element = x[index] if index else x
    return complex(element) if is_complex(element) else unwrap(element).item()


@method("tolist")
def _tolist(x: Traced) -> Any:
    return x.__array__().tolist()


def find_method(x: Traced, name: str) -> _Function | None:
    """Return a method of a traced array.

    Return None where the library has no method of this name, or where its meaning differs.
    """
    function = METHODS.get(name)
    if function is None or not (name in ALIKE or _methods_are_numpys(x.library)):
        return None
    return partial(function, x)


@cache
def _methods_are_numpys(xp: Namespace) -> bool:
    """Return whether methods mean the same as NumPy's, or do not exist.

    The method std() of some libraries divides by n - 1.
    """
    x: Any = xp.asarray([0.0, 2.0])
    return not hasattr(x, "std") or float(x.std()) == 1.0


def array_ufunc(
    ufunc: Any,
    method: str,
    inputs: tuple[Any, ...],
    settings: dict[str, Any],
) -> Any:
    """Evaluate a universal function of NumPy, or a method of one, as NEP 13 specifies."""
    name: str = ufunc.__name__
    out = settings.pop("out", None)
    if isinstance(out, tuple) and len(out) == 1:
        (out,) = out
    if method == "__call__":
        return _into(name, call(name, inputs, settings, ufunc), out)
    if method == "reduce" and name in REDUCTIONS:
        return _into(
            name,
            call(REDUCTIONS[name], inputs, {"axis": 0, **settings}),
            out,
        )
    x = next(_traced((inputs, settings)))
    xp = x.__array_namespace__()
    if method == "accumulate" and name in ACCUMULATIONS:
        axis = settings.pop("axis", 0)
        accumulate = getattr(xp, ACCUMULATIONS[name])
        return _into(name, accumulate(*inputs, axis=axis, **settings), out)
    if method == "outer" and len(inputs) == 2:
        a, b = (xp.asarray(y, device=x.device) for y in inputs)
        return call(
            name,
            (xp.reshape(a, (*a.shape, *(1,) * b.ndim)), b),
            settings,
        )
    if method == "at" and name in ("add", "subtract") and type(inputs[0]) is Traced:
        _add_at(*inputs, subtract=name == "subtract")
        return None
    raise _without(f"{name}.{method}", inputs)


def _add_at(
    a: Traced,
    indices: Any,
    values: Any,
    *,
    subtract: bool,
) -> None:
    """Add at a key that may name an element more than once."""
    xp = a.__array_namespace__()
    places = xp.reshape(xp.arange(a.size, device=a.device), a.shape)
    arrays = [
        xp.asarray(part, device=a.device) if isinstance(part, list) else part
        for part in _parts(indices)
    ]
    if len(arrays) == 1 and is_array(arrays[0]) and xp.isdtype(arrays[0].dtype, "integral"):
        places = take(xp, places, arrays[0], axis=0)
    else:
        places = places[tuple(arrays)]
    values = xp.broadcast_to(xp.asarray(values, dtype=a.dtype, device=a.device), places.shape)
    index_add = INDEXING["index_add"]
    sums = index_add(
        xp.reshape(values, (-1,)),
        xp.reshape(places, (-1,)),
        0,
        a.size,
    )
    change = xp.reshape(sums, a.shape)
    a[...] = a - change if subtract else a + change


#: Functions that create an array of the type of ``like`` (NEP 35). NumPy passes ``like`` apart from
#: the arguments.
CREATION = frozenset(
    "arange array asanyarray asarray empty eye full identity linspace ones zeros".split()
)


def _parts(key: Any) -> tuple[Any, ...]:
    return key if type(key) is tuple else (key,)


def array_function(
    x: Traced,
    function: _Function,
    args: tuple[Any, ...],
    settings: dict[str, Any],
) -> Any:
    """Evaluate one of NumPy's other functions for the traced array x, as NEP 18 specifies."""
    name = function.__name__
    if name in CREATION:
        return _create(x, name, args, settings)
    module = function.__module__.partition(".")[2]
    return call(f"{module}.{name}" if module else name, args, settings, function)


_DTYPE_SECOND = frozenset("array asanyarray asarray empty identity ones zeros".split())


def _create(
    x: Traced,
    name: str,
    args: tuple[Any, ...],
    settings: dict[str, Any],
) -> Any:
    """Return a new traced array. Traced arrays can be written into it."""
    xp: Any = x.__array_namespace__()
    settings = {
        key: value
        for key, value in settings.items()
        if not (key in _DEFAULTS and value in _DEFAULTS[key])
    }
    copy = settings.pop("copy", True) if name == "array" else None
    if name in _DTYPE_SECOND and args[1:]:
        settings["dtype"], args = args[-1], args[:1]
    if "M" in settings:
        columns = settings.pop("M")
        args = args if columns is None else (*args, columns)
    # With float NumPy means its default.
    settings["dtype"] = (
        None if settings.get("dtype") is float else _dtype(xp, settings.get("dtype"))
    )
    if settings.get("device") is None:
        settings["device"] = x.device
    names = {"array": "asarray", "asanyarray": "asarray", "identity": "eye"}
    try:
        out = getattr(xp, names.get(name, name))(*args, **settings)
    except TypeError as error:
        raise ArgumentError(
            f"np.{name} with like=: {len(args)} arguments and the settings "
            f"{', '.join(settings) or 'none'} were given; wanted those of the standard's "
            f"{names.get(name, name)}()"
        ) from error
    if (
        settings["dtype"] is None
        and is_floating(x)
        and is_floating(out)
        and next(_traced(args), None) is None
    ):
        # NumPy's default is the widest dtype. The default of other libraries is not.
        out = xp.astype(
            out,
            xp.result_type(out.dtype, x.dtype),
            copy=False,
        )
    return xp.asarray(out, copy=True) if copy else out


#: Names of the first parameter.
_FIRST = "a x arr array ary m arrays tup condition".split()
#: Values of settings that have no effect.
_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "append": (None,),
    "casting": ("same_kind",),
    "kind": (None, "stable", "quicksort", "mergesort"),
    "order": ("C", None),
    "stable": (True, False, None),
    "subok": (True, False),
    "where": (True,),
    **dict.fromkeys(("n", "s", "axes", "norm"), (None,)),
}


def call(
    name: str,
    args: tuple[Any, ...],
    settings: dict[str, Any],
    function: _Function | None = None,
) -> Any:
    """Evaluate NumPy's function of this name with functions of the standard."""
    settings = dict(settings)
    for first in _FIRST if not args else ():
        if first in settings:
            args = (settings.pop(first),)
            break
    traced = list(_traced((args, settings)))
    xp = traced[0].__array_namespace__()
    out = settings.pop("out", None)
    if name in PARAMETERS:
        name, in_order = PARAMETERS[name]
        unnamed, _, named = in_order.rpartition("/")
        names = unnamed.split()
        settings |= dict(zip((*names, *named.split()), args[1:], strict=False))
        positional = [settings.pop(parameter) for parameter in names if parameter in settings]
        args = (args[0], *positional)
        if "ddof" in settings:
            settings["correction"] = settings.pop("ddof")
        out = settings.pop("out", out)
        run = _known(xp, name)
    elif name in COMPOSED:
        run = partial(COMPOSED[name], xp)
    elif name in RENAMED:
        run = _known(xp, RENAMED[name])
    else:
        run = None
    if run is None:
        if function is None or any(x.trace is not None for x in traced):
            raise _without(name, traced)
        plain = {key: unwrap(value) for key, value in settings.items()}
        return function(*unwrap(args), **plain)
    settings = {
        key: value
        for key, value in settings.items()
        if not (_is_unset(value) or any(value is default for default in _DEFAULTS.get(key, ())))
    }
    if name not in COMPOSED:
        args = tuple(
            xp.asarray(x, device=traced[0].device) if isinstance(x, list) else x for x in args
        )
    if isinstance(settings.get("axis"), list):
        settings["axis"] = tuple(settings["axis"])
    dtype = _dtype(xp, settings.pop("dtype", None))
    if dtype is not None and name in ("mean", "std", "var"):
        args = (xp.astype(args[0], dtype),)
    elif dtype is not None:
        settings["dtype"] = dtype
    if "where" in settings and name in RENAMED:
        # Where the mask is False, the library's function leaves memory uninitialized.
        raise _not_taken(name, args, settings)
    if name in OF_COMPLEX:
        args = (complex_of(xp, wrap(args[0])),)
    try:
        result = run(*map(wrap, args), **settings)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise _not_taken(name, args, settings) from error
    return _into(name, result, out)


def _not_taken(
    name: str,
    args: tuple[Any, ...],
    settings: dict[str, Any],
) -> ArgumentError:
    """Return the error for arguments that the standard's function does not accept."""
    given = f"the settings {', '.join(settings)}" if settings else f"{len(args)} arguments"
    return ArgumentError(
        f"np.{name} of a traced array: {given} were given; wanted those of the standard's "
        f"function, see help(x.__array_namespace__().{name})"
    )


def _known(xp: Namespace, name: str) -> Any:
    value: Any = xp
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


def _is_unset(value: Any) -> bool:
    """Return whether this is NumPy's default for an argument that was not passed."""
    return type(value).__name__ == "_NoValueType"


def _into(
    name: str,
    result: Any,
    out: Any,
) -> Any:
    """Return the result, written into ``out`` if that is given."""
    if out is None:
        return result
    if type(out) is not Traced:
        raise DifferentiationError(
            f"np.{name} of a traced array cannot be written into a plain array: use a traced "
            "array, as np.zeros_like(x), or make a new array, y = y + x in place of y += x"
        )
    out[...] = result
    return out


def _without(name: str, given: Any) -> Exception:
    """Return the error for a function of NumPy that has no counterpart in the standard."""
    arrays = list(_traced(given))
    x = next((x for x in arrays if x.trace is not None), arrays[0])
    error = differentiation_error if x.trace is None else x.trace.error
    return error(f"np.{name} of {x!r}")


def _traced(x: Any) -> Iterator[Traced]:
    """Yield the traced arrays among arguments."""
    if type(x) is Traced:
        yield x
    elif isinstance(x, tuple | list):
        for part in x:
            yield from _traced(part)
    elif isinstance(x, dict):
        yield from _traced(list(x.values()))
