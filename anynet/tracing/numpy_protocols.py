"""NumPy's protocols (NEP 13 and NEP 18) and its methods, for traced arrays of every library.

NumPy hands its functions over to arrays of other types. So code that calls NumPy's functions can be
differentiated as it stands: each name leads to functions of the standard. Nothing here needs NumPy.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

from anynet.array import Namespace, is_array, is_floating
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

#: What `reduce` and `accumulate` of a ufunc are.
REDUCTIONS = {
    **{
        "add": "sum",
        "multiply": "prod",
        "maximum": "max",
        "minimum": "min",
    },
    **{"logical_and": "all", "logical_or": "any"},
}
ACCUMULATIONS = {"add": "cumulative_sum", "multiply": "cumulative_prod"}

#: Methods of arrays, as functions of the array; those that every library with methods has alike.
ALIKE = frozenset("all any argmax argmin clip cumsum item mean prod reshape sum tolist".split())
METHODS: dict[str, _Function] = {
    name: partial(
        lambda name, x, *args, **settings: call(name, (x, *args), settings),
        name,
    )
    for name in (
        *(
            "all",
            "any",
            "argmax",
            "argmin",
            "argsort",
            "clip",
            "conj",
            "conjugate",
            "copy",
            "cumprod",
            "cumsum",
        ),
        *(
            "diagonal",
            "dot",
            "max",
            "mean",
            "min",
            "nonzero",
            "prod",
            "ravel",
            "repeat",
            "round",
            "searchsorted",
        ),
        *("squeeze", "std", "sum", "swapaxes", "take", "trace", "var"),
    )
}


def method(name: str) -> Callable[[_Function], _Function]:
    """Add a method whose parameters are not those of the function of its name."""

    def add(function: _Function) -> _Function:
        METHODS[name] = function
        return function

    return add


@method("reshape")
def _reshape(x: Any, *shape: Any, **settings: Any) -> Any:
    return call("reshape", (x, *shape) if len(shape) == 1 else (x, shape), settings)


@method("transpose")
def _transpose(x: Any, *axes: Any) -> Any:
    if len(axes) == 1 and not isinstance(axes[0], int):
        (axes,) = axes
    return call("transpose", (x, axes or None), {})


@method("flatten")
def _flatten(x: Any) -> Any:
    xp = x.__array_namespace__()
    return xp.reshape(x, (-1,), copy=True)


@method("astype")
def _astype(x: Any, dtype: Any, *, copy: bool = True) -> Any:
    xp = x.__array_namespace__()
    return xp.astype(x, _dtype(xp, dtype), copy=copy)


def _dtype(xp: Namespace, dtype: Any) -> Any:
    """Return a dtype of the library; NumPy takes Python's types and names for dtypes."""
    names = {
        bool: "bool",
        int: "int64",
        float: "float64",
        complex: "complex128",
    }
    if isinstance(dtype, type) and dtype in names:
        return getattr(xp, names[dtype])
    return getattr(xp, dtype) if isinstance(dtype, str) else dtype


@method("fill")
def _fill(x: Any, value: Any) -> None:
    x[...] = value


@method("item")
def _item(x: Any, *index: Any) -> Any:
    x = x[index] if index else x
    return (
        x.__complex__()
        if x.__array_namespace__().isdtype(x.dtype, "complex floating")
        else unwrap(x).item()
    )


@method("tolist")
def _tolist(x: Any) -> Any:
    return x.__array__().tolist()


def find_method(x: Any, name: str) -> Any:
    """Return a method of a traced array, None where the library has none of this name or one of
    another meaning.
    """
    function = METHODS.get(name)
    if function is None or not (name in ALIKE or _methods_are_numpys(x.library)):
        return None
    return partial(function, x)


@cache
def _methods_are_numpys(xp: Namespace) -> bool:
    """Tell whether methods mean what NumPy's do, or are not there: other libraries' std() divides
    by n - 1.
    """
    x: Any = xp.asarray([0.0, 2.0])
    return not hasattr(x, "std") or float(x.std()) == 1.0


def array_ufunc(
    ufunc: Any,
    method: str,
    inputs: tuple[Any, ...],
    settings: dict[str, Any],
) -> Any:
    """Do what NEP 13 asks for: one of NumPy's functions of elements, or a method of it."""
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
        return _into(
            name,
            getattr(xp, ACCUMULATIONS[name])(*inputs, axis=axis, **settings),
            out,
        )
    if method == "outer" and len(inputs) == 2:
        a, b = (xp.asarray(y, device=x.device) for y in inputs)
        return call(name, (xp.reshape(a, (*a.shape, *(1,) * b.ndim)), b), settings)
    if method == "at" and name in ("add", "subtract") and type(inputs[0]) is Traced:
        _add_at(*inputs, subtract=name == "subtract")
        return None
    raise _without(f"{name}.{method}", inputs)


def _add_at(a: Any, indices: Any, values: Any, *, subtract: bool) -> None:
    """Add at places that may be named twice, by whatever key."""
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
    change = xp.reshape(
        INDEXING["index_add"](xp.reshape(values, (-1,)), xp.reshape(places, (-1,)), 0, a.size),
        a.shape,
    )
    a[...] = a - change if subtract else a + change


#: Functions that make an array like one given as ``like`` (NEP 35), which comes apart from the
#: arguments.
CREATION = frozenset(
    "arange array asanyarray asarray empty eye full identity linspace ones zeros".split()
)


def _parts(key: Any) -> tuple[Any, ...]:
    return key if type(key) is tuple else (key,)


def array_function(x: Any, function: Any, args: tuple[Any, ...], settings: dict[str, Any]) -> Any:
    """Do what NEP 18 asks for: one of NumPy's other functions, called for the traced array x."""
    if function.__name__ in CREATION:
        return _create(x, function.__name__, args, settings)
    module = function.__module__.partition(".")[2]
    return call(
        f"{module}.{function.__name__}" if module else function.__name__,
        args,
        settings,
        function,
    )


_DTYPE_SECOND = frozenset("array asanyarray asarray empty identity ones zeros".split())


def _create(x: Any, name: str, args: tuple[Any, ...], settings: dict[str, Any]) -> Any:
    """Return a new traced array, which x and others can be written into."""
    xp = x.__array_namespace__()
    settings = {
        key: value
        for key, value in settings.items()
        if not (key in _NOTHING and value in _NOTHING[key])
    }
    copy = settings.pop("copy", True) if name == "array" else None
    if name in _DTYPE_SECOND and args[1:]:
        settings["dtype"], args = args[-1], args[:1]
    if "M" in settings:
        columns = settings.pop("M")
        args = args if columns is None else (*args, columns)
    # NumPy's own default, in words.
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
        # NumPy's default is the widest dtype, other libraries' is not.
        out = xp.astype(out, xp.result_type(out.dtype, x.dtype), copy=False)
    return xp.asarray(out, copy=True) if copy else out


#: Names of the first parameter.
_FIRST = (
    "a",
    "x",
    "arr",
    "array",
    "ary",
    "m",
    "arrays",
    "tup",
    "condition",
)
#: Settings that say nothing.
_NOTHING: dict[str, tuple[Any, ...]] = {
    **{
        "casting": ("same_kind",),
        "where": (True,),
        "subok": (True, False),
        "stable": (True, False, None),
    },
    **{
        "order": ("C", None),
        "kind": (None, "stable", "quicksort", "mergesort"),
        "append": (None,),
    },
    **dict.fromkeys(("n", "s", "axes", "norm"), (None,)),
}


def call(
    name: str,
    args: tuple[Any, ...],
    settings: dict[str, Any],
    function: Any = None,
) -> Any:
    """Call the function that NumPy calls so."""
    settings = dict(settings)
    for first in _FIRST if not args else ():
        if first in settings:
            args = (settings.pop(first),)
            break
    found = list(_traced((args, settings)))
    xp = found[0].__array_namespace__()
    out = settings.pop("out", None)
    if name in PARAMETERS:
        name, in_order = PARAMETERS[name]
        unnamed, _, named = in_order.rpartition("/")
        names = unnamed.split()
        settings |= dict(zip((*names, *named.split()), args[1:], strict=False))
        args = (
            args[0],
            *(settings.pop(parameter) for parameter in names if parameter in settings),
        )
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
        if function is None or any(x.trace is not None for x in found):
            raise _without(name, found)
        return function(
            *unwrap(args),
            **{key: unwrap(value) for key, value in settings.items()},
        )
    settings = {
        key: value
        for key, value in settings.items()
        if not (key in _NOTHING and any(value is x for x in _NOTHING[key])) and not _is_unset(value)
    }
    if name not in COMPOSED:
        args = tuple(
            xp.asarray(x, device=found[0].device) if isinstance(x, list) else x for x in args
        )
    if isinstance(settings.get("axis"), list):
        settings["axis"] = tuple(settings["axis"])
    dtype = _dtype(xp, settings.pop("dtype", None))
    if dtype is not None and name in ("mean", "std", "var"):
        args = (xp.astype(args[0], dtype),)
    elif dtype is not None:
        settings["dtype"] = dtype
    if "where" in settings and name in RENAMED:
        # Where the mask is False, the library's own function leaves what is in memory.
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


def _not_taken(name: str, args: tuple[Any, ...], settings: dict[str, Any]) -> ArgumentError:
    """Return the error for arguments that the standard's function does not take."""
    given = f"the settings {', '.join(settings)}" if settings else f"{len(args)} arguments"
    return ArgumentError(
        f"np.{name} of a traced array: {given} were given; wanted those of the standard's function, "
        f"see help(x.__array_namespace__().{name})"
    )


def _known(xp: Namespace, name: str) -> Any:
    found: Any = xp
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _is_unset(value: Any) -> bool:
    """Tell whether this is what NumPy's functions have for arguments that are not given."""
    return type(value).__name__ == "_NoValueType"


def _into(name: str, result: Any, out: Any) -> Any:
    """Write a result into the array that was given for it."""
    if out is None:
        return result
    if type(out) is not Traced:
        raise DifferentiationError(
            f"np.{name} of a traced array cannot be written into a plain one: make that traced too, "
            "as np.zeros_like(x), or a new one, y = y + x in place of y += x"
        )
    out[...] = result
    return out


def _without(name: str, given: Any) -> Exception:
    """Return the error for a function of NumPy's that has no counterpart."""
    found = list(_traced(given))
    x = next((x for x in found if x.trace is not None), found[0])
    error: Exception = (
        differentiation_error(f"np.{name} of {x!r}")
        if x.trace is None
        else x.trace.error(f"np.{name} of {x!r}")
    )
    return error


def _traced(x: Any) -> Iterator[Any]:
    """Return the traced arrays among arguments."""
    if type(x) is Traced:
        yield x
    elif isinstance(x, tuple | list):
        for part in x:
            yield from _traced(part)
    elif isinstance(x, dict):
        yield from _traced(list(x.values()))
