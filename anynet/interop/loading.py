"""Arrays of another framework, checked and copied into a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anynet.arguments import describe, listed
from anynet.array import Array, Shape, array_namespace, dtype_name, is_array
from anynet.backend import Backend, get_backend
from anynet.data.host import first_outside, on_backend
from anynet.errors import (
    ArgumentTypeError,
    DataError,
    DTypeError,
    PathError,
    ShapeError,
)
from anynet.interop.entries import Entry, Place
from anynet.layers import Module
from anynet.layers.initialization import is_uninitialized

_NARROW = ("float16", "bfloat16")
_KINDS = ("bool", "integral", "real floating", "complex floating")
#: How many names a message lists.
_SHOWN = 8


@dataclass(frozen=True)
class _Value:
    """The values for an array, as a NumPy array in the network's layout, and where they are from.

    Values of bfloat16 are float32.
    """

    name: str
    dtype: str
    host: Any


def load(
    net: Module,
    entries: list[Entry],
    state: Any,
    backend: Backend | str | None,
) -> None:
    """Replace the arrays of a network by those of a state. An error changes nothing.

    Args:
        net: the network of the entries.
        entries: see `anynet.interop.entries.entries`.
        state: arrays of any library by name.
        backend: where uninitialized arrays go. See `Module.initialize`.

    Raises:
        PathError, ShapeError, DTypeError, DataError: the state does not fit the network.
        ArgumentTypeError: the state is not a dict of arrays.

    """
    _check_state(state)
    _check_names(entries, state)
    _check_shapes(entries, state)
    values = _values(entries, state)
    drawn = [*net.parameters().values()]
    target = get_backend(drawn[0] if drawn and backend is None else backend)
    arrays: dict[int, Array] = {}
    new: list[tuple[Place, Array]] = []
    for entry in entries:
        for place in entry.places:
            key = id(place.array)
            if key in values and key not in arrays:
                arrays[key] = _converted(values[key], place, target)
            if key in arrays:
                new.append((place, arrays[key]))
    for place, array in new:
        place.put(array)


def _check_state(state: Any) -> None:
    """Check that a state is a dict of arrays."""
    if not isinstance(state, Mapping):
        is_module = hasattr(state, "state_dict")
        remedy = "call its state_dict()" if is_module else "read a file first, as torch.load does"
        raise ArgumentTypeError(
            f"state is {describe(state)}: wanted a dict of arrays by name; {remedy}"
        )
    for name, x in state.items():
        if not isinstance(name, str):
            raise ArgumentTypeError(f"state has the key {name!r:.80}: wanted the name of an array")
        if not is_array(x):
            inner = f"; if the arrays are in it, pass state[{name!r}]"
            raise ArgumentTypeError(
                f"state[{name!r}] is {describe(x)}: wanted an array"
                f"{inner if isinstance(x, Mapping) else ''}"
            )
        try:
            tuple(x.shape)
        except Exception as error:
            # An array of one of PyTorch's lazy layers.
            raise DataError(
                f"{name} in the state has no shape yet: call the module once, and then its "
                "state_dict()"
            ) from error


def _check_names(entries: list[Entry], state: Mapping[str, Array]) -> None:
    """Check that a state has the names of a network, and no others.

    Of the names of one array, one is enough.
    """
    expected = {name for entry in entries for name in entry.names}
    given = {
        id(place.array)
        for entry in entries
        if any(name in state for name in entry.names)
        for place in entry.places
    }
    lacking = [
        entry
        for entry in entries
        if entry.names and any(id(place.array) not in given for place in entry.places)
    ]
    unknown = {name: tuple(x.shape) for name, x in state.items() if name not in expected}
    if not lacking and not unknown:
        return
    wrong = []
    if lacking:
        shown = [f"{entry.name} {entry.shape} for {entry.paths}" for entry in lacking]
        wrong.append(f"it lacks {listed(shown, _SHOWN)}")
    if unknown:
        shown = [f"{name} {shape}" for name, shape in unknown.items()]
        wrong.append(f"it has {listed(shown, _SHOWN)}, which the network does not have")
    raise PathError(
        f"the state does not fit the network: {'; '.join(wrong)}: {_remedy(lacking, unknown)}"
    )


def _remedy(lacking: list[Entry], unknown: dict[str, Shape]) -> str:
    """Return how to make the names of a state fit."""
    if not lacking:
        return "remove these from the state if the network does not need them"
    wanted = lacking[0]
    if not unknown:
        return f"leave an array as it is with names={{{wanted.name!r}: None}}"
    of_shape = [name for name, shape in unknown.items() if shape == wanted.shape]
    old, new = _differing(wanted.name, (of_shape or [*unknown])[0])
    return f"map the names of the network to those of the state, such as names={{{old!r}: {new!r}}}"


def _differing(old: str, new: str) -> tuple[str, str]:
    """Return two names without the parts at the end that are equal, as in 0.weight, fc.weight."""
    left, right = old.split("."), new.split(".")
    while left and len(right) > 1 and left[-1] == right[-1]:
        left, right = left[:-1], right[:-1]
    return ".".join(left), ".".join(right)


def _check_shapes(entries: list[Entry], state: Mapping[str, Array]) -> None:
    wrong = [
        f"{name} is {tuple(state[name].shape)} in the state: wanted {entry.shape} for {entry.paths}"
        for entry in entries
        for name in entry.names
        if name in state and entry.places and tuple(state[name].shape) != entry.shape
    ]
    if wrong:
        raise ShapeError(f"the state does not fit the network: {listed(wrong, _SHOWN)}")


def _values(entries: list[Entry], state: Mapping[str, Array]) -> dict[int, _Value]:
    """Return the values for the arrays of a network by the identity of the arrays.

    Raises:
        DataError: a tied array would get two different values.

    """
    xp: Any = get_backend("numpy").xp
    values: dict[int, _Value] = {}
    for entry in entries:
        for name in entry.names if entry.places else ():
            if name not in state:
                continue
            dtype = dtype_name(state[name].dtype)
            for place, part in entry.split(_on_host(name, state[name])):
                value = values.setdefault(id(place.array), _Value(name, dtype, part))
                if value.host is not part and not xp.array_equal(value.host, part, equal_nan=True):
                    raise DataError(
                        f"{value.name} and {name} differ in the state, and {place.path} is tied in "
                        "the network: give each place an array of its own"
                    )
    return values


def _on_host(name: str, x: Array) -> Any:
    """Return an array as NumPy's.

    Raises:
        DataError: it has no values that can be copied.

    """
    try:
        return get_backend(x).to_host(x)
    except Exception as error:
        line = str(error).partition("\n")[0]
        raise DataError(
            f"{name} in the state cannot be copied to main memory ({type(error).__name__}: "
            f"{line:.80}): wanted a dense array with values"
        ) from error


def _converted(
    value: _Value,
    place: Place,
    backend: Backend,
) -> Array:
    """Return the values as an array like that of a place, or on a backend if that has none yet.

    Raises:
        DTypeError: the dtype is of another kind, or the library lacks it.
        DataError: a value is too large for the dtype of the place.

    """
    own = place.array
    if is_uninitialized(own):
        dtype = _first_dtype(value, place)
    else:
        backend, dtype = get_backend(own), dtype_name(own.dtype)
        _check_values(value, own, place.path)
    host: Any = get_backend("numpy").xp
    # Always a copy, because training changes arrays in place.
    copied = host.array(
        value.host,
        dtype="float32" if dtype == "bfloat16" else dtype,
        order="C",
    )
    try:
        return on_backend(copied, dtype, backend)
    except DataError as error:
        raise DTypeError(
            f"{value.name} is {value.dtype} in the state, which {backend.name} cannot have here "
            f"({error}): initialize the network first, in another dtype"
        ) from error


def _first_dtype(value: _Value, place: Place) -> str:
    """Return the name of the dtype that an uninitialized array gets, that of the state.

    Buffers are float32 at least.
    """
    xp = get_backend("numpy").xp
    is_known = value.dtype == "bfloat16" or hasattr(xp, value.dtype)
    is_floating = xp.isdtype(value.host.dtype, ("real floating", "complex floating"))
    if not is_known or not (is_floating or place.is_buffer):
        raise DTypeError(
            f"{value.name} is {value.dtype} in the state: wanted a floating dtype, such as "
            f"float32, for {place.path}"
        )
    return "float32" if place.is_buffer and value.dtype in _NARROW else value.dtype


def _check_values(
    value: _Value,
    own: Array,
    path: str,
) -> None:
    """Check that values can be converted to the dtype of the network's array."""
    xp, host = array_namespace(own), get_backend("numpy").xp
    x = value.host
    kind = next((kind for kind in _KINDS if host.isdtype(x.dtype, kind)), "")
    problem = f"{value.name} is {value.dtype} in the state and {path} is {dtype_name(own.dtype)}"
    if not kind or not xp.isdtype(own.dtype, kind):
        raise DTypeError(f"{problem}: wanted dtypes of one kind, such as floating ones")
    outside = None if kind == "bool" else first_outside(x, own)
    if outside is not None:
        raise DataError(f"{problem}, which cannot have the value {outside}: convert the network")
