"""Arrays that were read from files, brought to a backend."""

from typing import Any

from anynet.array import Array, array_namespace, is_complex
from anynet.backend import Backend
from anynet.errors import DataError, DTypeError


def on_backend(
    x: Any,
    dtype: str,
    backend: Backend,
) -> Array:
    """Return a NumPy array on a backend, in the dtype of this name.

    If the library lacks float16 or bfloat16, the array is float32, which has all their values.

    Args:
        x: a NumPy array. Values of bfloat16 come in float32.
        dtype: the name of a dtype, such as ``"float32"``.
        backend: where the array goes.

    Raises:
        DataError: the library lacks another dtype.

    """
    own = getattr(backend.xp, dtype, None)
    if own is None and dtype in ("float16", "bfloat16"):
        return backend.asarray(x.astype("float32"))
    if own is None:
        raise DataError(
            f"{backend.name} has no {dtype}: read the file on another backend, such as numpy"
        )
    try:
        array = backend.asarray(x)
    except DTypeError as error:
        raise DataError(str(error)) from error
    # NumPy's array has the dtype already, except for bfloat16, which NumPy lacks.
    return backend.xp.astype(array, own, copy=False) if dtype == "bfloat16" else array


def first_outside(x: Any, like: Array) -> Any:
    """Return the first value that is out of the range of another array's dtype, None if all fit.

    Infinities fit into every floating dtype.

    Args:
        x: a NumPy array.
        like: an array with a dtype of the same kind: both integers, real or complex.

    """
    xp, host = array_namespace(like), array_namespace(x)
    if host.isdtype(x.dtype, "integral"):
        info = xp.iinfo(like.dtype)
        outside = (x < int(info.min)) | (x > int(info.max))
    else:
        largest = float(xp.finfo(like.dtype).max)
        # NumPy compares in the array's own dtype.
        if float(host.finfo(x.dtype).max) <= largest:
            return None
        parts = (x.real, x.imag) if is_complex(x) else (x,)
        outside = sum(host.isfinite(part) & (abs(part) > largest) for part in parts) > 0
    return x[outside][0] if outside.any() else None
