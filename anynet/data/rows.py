"""Rows of data: an array, or a tuple or dict of arrays with the same number of rows."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from anynet.arguments import describe
from anynet.array import (
    Array,
    array_namespace,
    is_array,
    is_complex,
    is_floating,
    is_mixed,
    mixed_message,
)
from anynet.errors import DataError, DTypeError, MixedArraysError
from anynet.tracing.standard import STANDARD

#: An array with one row for each example, or a tuple or dict of such arrays, or of such tuples.
Rows = Any

#: A batch: (x, t), or (x, t, weights).
Batch = tuple[Rows, Rows] | tuple[Rows, Rows, Array]

#: The function of the standard, by a kernel if the backend has one.
_take = STANDARD["take"]


def map_rows(function: Callable[[Any], Any], rows: Rows) -> Rows:
    """Return the same rows with function(array) for each array. A list becomes a tuple.

    >>> from anynet.data.rows import map_rows
    >>> map_rows(len, {"a": [np.ones(3), np.ones(3)]})
    {'a': (3, 3)}

    """
    if is_array(rows):
        return function(rows)
    if isinstance(rows, Mapping):
        return {name: map_rows(function, part) for name, part in rows.items()}
    if _is_sequence(rows):
        parts = [map_rows(function, part) for part in rows]
        return type(rows)(*parts) if hasattr(rows, "_fields") else tuple(parts)
    return function(rows)


def take_rows(rows: Rows, indices: Array) -> Rows:
    """Return the rows at these indices.

    >>> from anynet.data.rows import take_rows
    >>> take_rows((np.asarray([1, 2, 3]), np.asarray([4, 5, 6])), np.asarray([2, 0]))
    (array([3, 1]), array([6, 4]))

    """
    if is_array(rows):
        return _take(rows, indices, axis=0)
    return map_rows(lambda x: _take(x, indices, axis=0), rows)


def slice_rows(rows: Rows, part: slice) -> Rows:
    """Return a part of the rows in order."""
    return map_rows(lambda x: x[part, ...], rows)


def first_array(rows: Rows) -> Array:
    """Return the first array of the rows."""
    first: Array = next(array for _, array in named_parts("", rows))
    return first


def named_parts(name: str, rows: Rows) -> Iterator[tuple[str, Any]]:
    """Yield each array of the rows, and anything else in place of one, with a name for errors.

    >>> from anynet.data.rows import named_parts
    >>> list(named_parts("x", {"age": 3}))
    [("x['age']", 3)]

    """
    if isinstance(rows, Mapping) and rows:
        for key, part in rows.items():
            yield from named_parts(f"{name}[{key!r}]", part)
    elif _is_sequence(rows):
        for i, part in enumerate(rows):
            yield from named_parts(f"{name}[{i}]", part)
    else:
        yield name, rows


def _is_sequence(rows: Any) -> bool:
    """Return whether rows are several arrays, and no list of numbers."""
    if not isinstance(rows, tuple | list) or not rows:
        return False
    return isinstance(rows, tuple) or is_array(rows[0]) or isinstance(rows[0], Mapping | tuple)


def check_rows(
    x: Rows,
    t: Rows,
    where: str = "",
    weights: Any = None,
) -> None:
    """Raise unless x and t are arrays of one library and device with the same number of rows.

    Args:
        x: any value.
        t: any value.
        where: the beginning of error messages.
        weights: any value, None for none.

    Raises:
        DataError: one is not an array with rows, there are no rows, or the numbers differ.
        MixedArraysError: they are on two libraries or devices.

    """
    arrays = dict([*named_parts("x", x), *named_parts("t", t)])
    if weights is not None:
        arrays["weights"] = weights
    for name, value in arrays.items():
        if not is_array(value) or value.ndim == 0:
            raise DataError(
                f"{where}{name} is {describe(value)}: wanted an array with one row per example, as "
                "backend.asarray(…)"
            )
    if is_mixed(arrays.values()):
        raise MixedArraysError(where + mixed_message(arrays.values()))
    counts = {name: value.shape[0] for name, value in arrays.items()}
    (first, rows), *others = counts.items()
    for name, count in others:
        if rows == 0 or count != rows:
            raise DataError(
                f"{where}{first} has {rows} rows and {name} has {count}: wanted the same number, "
                "and at least one"
            )


def check_finite(
    x: Rows,
    t: Rows,
    where: str = "",
) -> None:
    """Raise DataError, whose message begins with ``where``, if a value is NaN or infinite."""
    for name, value in (*named_parts("x", x), *named_parts("t", t)):
        xp = array_namespace(value)
        if is_floating(value) and not bool(xp.all(xp.isfinite(value))):
            raise DataError(
                f"{where}{name} has values that are not finite (NaN or infinity): replace or drop "
                "those rows"
            )


def check_weights(weights: Array, where: str = "") -> None:
    """Raise unless weights of rows are one number of 0 or more for each, and not all 0.

    Args:
        weights: an array.
        where: the beginning of error messages.

    Raises:
        DataError: the weights are of another shape, or out of range.
        DTypeError: the weights are complex.

    """
    if weights.ndim != 1:
        raise DataError(
            f"{where}weights are of shape {tuple(weights.shape)}: wanted one number for each row, "
            f"({weights.shape[0]},)"
        )
    if is_complex(weights):
        raise DTypeError(f"{where}weights are of dtype {weights.dtype}: wanted real numbers")
    xp = array_namespace(weights)
    # Some libraries do not compare booleans or some unsigned integers.
    weights = weights if is_floating(weights) else xp.astype(weights, xp.float32)
    if not bool(xp.all(xp.isfinite(weights))):
        raise DataError(f"{where}weights are not finite (NaN or infinity): wanted 0 or more")
    lowest, highest = float(xp.min(weights)), float(xp.max(weights))
    if lowest < 0:
        raise DataError(f"{where}a weight is {lowest:g}: wanted 0 or more")
    if highest == 0:
        raise DataError(
            f"{where}all weights are 0: wanted one or more above 0 in each batch. Leave out rows "
            "of weight 0, or make the batches larger"
        )
