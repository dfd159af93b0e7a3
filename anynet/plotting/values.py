"""The values that plots draw: arrays of any library, read in main memory."""

from typing import Any

from anynet.arguments import describe, listed
from anynet.array import Array, is_array, is_complex, unrecorded
from anynet.backend import get_backend
from anynet.errors import ArgumentTypeError, DataError, DTypeError, ShapeError

#: The largest value that a plot has. The ticks of matplotlib overflow for values near that of
#: float64.
LARGEST = 1e300


def host_namespace() -> Any:
    """Return the namespace of arrays in main memory."""
    return get_backend("numpy").xp


def on_host(name: str, x: Any) -> Any:
    """Return the values of an array, or of nested lists, as an array in main memory.

    Raises:
        ArgumentTypeError: neither an array nor lists of numbers.
        DataError: an array of a lazy backend, see `check_values`.

    """
    if is_array(x):
        check_values(name, x)
        return get_backend(x).to_host(unrecorded(x))
    if not isinstance(x, list | tuple):
        raise ArgumentTypeError(f"{name} is {describe(x)}: wanted an array")
    host = get_backend("numpy")
    try:
        values = host.asarray(x)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(
            f"{name} is {describe(x)}: wanted an array, or lists of numbers ({error})"
        ) from error
    if not host.xp.isdtype(values.dtype, ("bool", "numeric")):
        raise ArgumentTypeError(f"{name} is {describe(x)}: wanted an array, or lists of numbers")
    return values


def check_values(name: str, x: Array) -> None:
    """Raise DataError for an array of a library that builds a graph and has no values."""
    backend = get_backend(x)
    if backend.lazy:
        raise DataError(
            f"{name} is an array of {backend.name}, which has no values: wanted one of a library "
            "that computes, such as numpy"
        )


def real_values(name: str, x: Any) -> Any:
    """Return the values of a real array as float64 in main memory.

    Raises:
        DTypeError: it is complex.
        ArgumentTypeError: it is no array.

    """
    values = on_host(name, x)
    if is_complex(values):
        raise DTypeError(
            f"{name} has the dtype {values.dtype}: wanted real values, such as xp.abs({name})"
        )
    return values.astype("float64")


def finite_values(name: str, x: Any) -> Any:
    """Return the values of a real array without NaN or infinity as float64 in main memory.

    Raises:
        DataError: a value is not finite, or beyond 1e300. The message has its index.
        DTypeError: it is complex.
        ArgumentTypeError: it is no array.

    """
    values = real_values(name, x)
    outside = ~is_drawable(values)
    if outside.any():
        index = tuple(int(i[0]) for i in host_namespace().nonzero(outside))
        raise DataError(
            f"{name} has {values[index]} at index {index}, one of {int(outside.sum())} values that "
            f"are not finite or beyond {LARGEST:g}: wanted finite values"
        )
    return values


def is_drawable(values: Any) -> Any:
    """Return where values in main memory are neither NaN nor too large for a plot."""
    return abs(values) <= LARGEST


def class_indices(
    name: str,
    x: Any,
    rows: int,
    *,
    one_hot: bool = False,
) -> Any:
    """Return the class of each row, -1 for a row without one, as integers in main memory.

    Args:
        name: of the argument, for errors.
        x: class indices (rows,), or outputs or one-hot rows (rows, classes). The class of such a
            row is the index of the largest value. A row with a NaN has none.
        rows: how many there must be.
        one_hot: whether a row without a value above 0 has no class, as among labels.

    Raises:
        ShapeError: another shape.
        DTypeError: a complex dtype, or class indices of a floating dtype.
        ArgumentTypeError: no array.

    """
    values = on_host(name, x)
    host = host_namespace()
    shape = tuple(values.shape)
    if shape[:1] != (rows,) or len(shape) not in (1, 2) or shape[1:] in ((0,), (1,)):
        raise ShapeError(
            f"{name} has shape {shape}: wanted class indices ({rows},), or a row of values for "
            f"each class, ({rows}, classes)"
        )
    if len(shape) == 1:
        if not host.isdtype(values.dtype, ("integral", "bool")):
            raise DTypeError(
                f"{name} has the dtype {values.dtype} and shape {shape}: wanted class indices of "
                "an integer dtype, such as xp.astype(x, xp.int64)"
            )
        return host.maximum(values.astype("int64"), -1)
    values = real_values(name, values)
    has_class = ~host.isnan(values).any(axis=1)
    if one_hot:
        has_class &= (values > 0).any(axis=1)
    return host.where(has_class, values.argmax(axis=1), -1)


def class_names(classes: Any) -> list[str] | None:
    """Return the names of classes as strings, None if there are none.

    Raises:
        ArgumentTypeError: no list of names.

    """
    if classes is None:
        return None
    if isinstance(classes, str) or not hasattr(classes, "__iter__"):
        raise ArgumentTypeError(
            f"classes is {describe(classes)}: wanted the names of the classes, as ['cat', 'dog']"
        )
    return [str(name) for name in classes]


def name_of_class(index: int, names: list[str] | None) -> str:
    """Return the name of a class, or its index, and "none" for -1.

    Raises:
        DataError: the index has no name.

    """
    if index == -1:
        return "none"
    if names is None:
        return str(index)
    if not 0 <= index < len(names):
        raise DataError(
            f"class {index} has no name among {len(names)} names, {listed(names, 5)}: wanted a "
            "name for each class"
        )
    return names[index]
