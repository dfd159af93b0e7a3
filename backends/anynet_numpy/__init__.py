"""The NumPy backend: the library that is always there."""

from typing import Any

import array_api_compat.numpy
import numpy as np

from anynet.arguments import describe
from anynet.array import widened
from anynet.backend import Backend, get_backend
from anynet.errors import BackendError, DataError, DTypeError
from anynet_numpy import older
from anynet_numpy.kernels import KERNELS
from anynet_numpy.target import NumpyTarget

#: Kinds of NumPy's dtypes: Booleans, integers, real and complex floating-point numbers.
_NUMERIC = "biufc"


class NumpyBackend(Backend):
    """NumPy on the CPU."""

    kernels = KERNELS
    target = NumpyTarget

    def __init__(self, device: str = "") -> None:
        if device not in ("", "cpu"):
            raise BackendError(
                f"numpy has no device {device!r}; it has 'cpu': leave the device out"
            )
        super().__init__(array_api_compat.numpy, "cpu")

    def from_host(self, obj: Any) -> Any:
        """Return a scalar, nested lists or an object with a buffer as an array."""
        return in_numpy(obj)

    def from_array(self, x: Any) -> Any:
        """Return any library's array, copied if its device is not the CPU.

        A dtype that NumPy lacks, such as bfloat16, becomes float32, which has all its values.
        """
        if isinstance(x, np.ndarray | np.generic):
            return checked(x)
        if not hasattr(x, "__dlpack__"):
            return checked(np.asarray(x))
        if hasattr(x, "resolve_neg"):
            # PyTorch exports a tensor that is the negative of its memory without the sign, and none
            # that is the conjugate.
            x = x.resolve_conj().resolve_neg()
        known = hasattr(np, str(x.dtype).rpartition(".")[2])
        try:
            return older.from_dlpack(x if known else widened(x))
        except BufferError:
            backend = get_backend(x)
            if type(backend).to_host is Backend.to_host:
                raise
            # It can read what DLPack cannot, such as an array on several devices.
            return backend.to_host(x)


def in_numpy(obj: Any) -> Any:
    """Return a scalar, lists, a buffer or an object with ``__dlpack__`` as a NumPy array.

    Raises:
        DTypeError: as for `checked`.
        DataError: the memory of the object cannot be read by DLPack.

    """
    # NumPy's own way comes first. Its errors are those that a library explains.
    if hasattr(obj, "__array__") or not hasattr(obj, "__dlpack__"):
        return checked(np.asarray(obj))
    try:
        return checked(older.from_dlpack(obj))
    except (BufferError, RuntimeError, TypeError) as error:
        raise DataError(
            f"DLPack cannot read the memory of {describe(obj)} ({type(error).__name__}: {error}): "
            "convert it to a NumPy array first"
        ) from error


def checked(x: Any) -> Any:
    """Return a NumPy array of numbers as it is, but in the machine's byte order.

    Raises:
        DTypeError: it has objects, texts, dates or records, or some of its values are masked.

    """
    # Other packages' dtypes, such as bfloat16, may be of the kind of records.
    if x.dtype.kind not in _NUMERIC and (x.dtype.kind != "V" or x.dtype.type is np.void):
        remedy = (
            "take its columns one by one, x[name]"
            if x.dtype.names
            else "convert it first, x.astype('float32')"
        )
        raise DTypeError(f"an array of dtype {x.dtype} was given: wanted numbers; {remedy}")
    if type(x) is not np.ndarray and hasattr(x, "filled"):
        raise DTypeError(
            "a masked array was given: wanted one that has all values, such as x.filled(0)"
        )
    return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def portable(obj: Any) -> Any:
    """Return a scalar, lists or a buffer as a NumPy array that every library takes.

    It is as `checked` returns it, and has regular strides. A dtype of an extension of NumPy, such
    as bfloat16, becomes float32, which has all its values.

    Raises:
        DTypeError: as for `checked`, or a real dtype has more than 64 bits.

    """
    x = in_numpy(obj)
    if x.dtype.kind == "V":
        return x.astype("float32")
    if x.dtype.kind in "fc" and x.dtype.itemsize > (8 if x.dtype.kind == "f" else 16):
        short = "float64" if x.dtype.kind == "f" else "complex128"
        raise DTypeError(
            f"an array of {x.dtype} was given: wanted {short} or a shorter one, such as "
            f"x.astype('{short}')"
        )
    return x.copy() if any(stride < 0 or stride % x.itemsize for stride in x.strides) else x
