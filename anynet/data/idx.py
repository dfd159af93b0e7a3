"""IDX files, the format of MNIST: a magic number, the shape, and the values in big-endian order.

Format: two zero bytes, a byte for the type, a byte for the number of axes, each axis as a 32-bit
integer, the data. Source: LeCun, Cortes and Burges, The MNIST database of handwritten digits.
"""

import array
import gzip
import math
import os
import sys
import zlib
from pathlib import Path
from typing import IO, Any

from anynet.array import is_array
from anynet.backend import get_backend
from anynet.errors import DataError
from anynet.files import atomic_write

# The type's byte, its letter in the modules array and struct, and its size in bytes.
_TYPES = {
    0x08: ("B", 1),
    0x09: ("b", 1),
    0x0B: ("h", 2),
    0x0C: ("i", 4),
    0x0D: ("f", 4),
    0x0E: ("d", 8),
}
_CODES = {letter: code for code, (letter, _) in _TYPES.items()}

# Bytes read at a time, because a header may promise more than the file contains.
_CHUNK = 2**16

# A memoryview has no more.
_MAX_AXES = 64

#: The default limit on the size of the data.
MAX_BYTES = 2**30


def read_idx(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> memoryview:
    """Return the values of an IDX file as a memoryview with its shape and native format.

    The first bytes show whether the file is gzipped. No more is unpacked than the header promises.

    Args:
        path: the file, gzipped or not.
        max_bytes: the largest size of the data.

    Raises:
        DataError: the file is not an IDX file, has a type that IDX does not define, is damaged,
            empty, shorter or longer than its header promises, or larger than ``max_bytes``.
        FileNotFoundError: the file does not exist.

    >>> import os, tempfile
    >>> from anynet.data import read_idx, write_idx
    >>> path = os.path.join(tempfile.mkdtemp(), "labels-idx1-ubyte.gz")
    >>> write_idx(path, bytes([3, 1, 4]))
    >>> read_idx(path).tolist()
    [3, 1, 4]

    """
    path = Path(path).expanduser()
    with path.open("rb") as raw:
        return read_idx_stream(raw, path, max_bytes)


def read_idx_stream(
    raw: IO[bytes],
    path: Path,
    max_bytes: int = MAX_BYTES,
) -> memoryview:
    """Return the values of an open IDX file, gzipped or not, see `read_idx`.

    Args:
        raw: the file, which can seek.
        path: its name in messages.
        max_bytes: the largest size of the data.

    """
    zipped = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    try:
        return _read(
            gzip.GzipFile(fileobj=raw) if zipped else raw,
            path,
            max_bytes,
        )
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}): fetch it again") from error


def _read(
    file: IO[bytes] | gzip.GzipFile,
    path: Path,
    max_bytes: int,
) -> memoryview:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        raise DataError(
            f"{path} begins with {magic.hex(' ') or 'nothing'}: an IDX file begins with 00 00, "
            f"a type ({', '.join(f'{code:02x}' for code in _TYPES)}) and its number of axes"
        )
    letter, itemsize = _TYPES[magic[2]]
    if not 1 <= magic[3] <= _MAX_AXES:
        raise DataError(
            f"{path} has {magic[3]} axes: wanted 1 to {_MAX_AXES}, such as 3 of images and 1 of "
            "labels"
        )
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise DataError(
            f"{path} ends inside its header: {magic[3]} axes were promised; fetch it again"
        )
    shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4))
    wanted = math.prod(shape) * itemsize
    if not wanted:
        raise DataError(f"{path} holds no data: its shape is {shape}")
    if wanted > max_bytes:
        raise DataError(
            f"{path} claims shape {shape}, {wanted:,} bytes: the limit is max_bytes={max_bytes:,}"
        )
    numbers = array.array(letter)
    while missing := wanted - len(numbers) * itemsize:
        chunk = file.read(min(missing, _CHUNK))
        if len(chunk) < min(missing, _CHUNK):
            found = f"only {wanted - missing + len(chunk):,}"
            raise DataError(
                f"{path} has shape {shape}, so {wanted:,} bytes of data; it holds {found}: fetch "
                "it again"
            )
        numbers.frombytes(chunk)
    if file.read(1):
        raise DataError(
            f"{path} has shape {shape}, so {wanted:,} bytes of data; it holds more: fetch it again"
        )
    if sys.byteorder == "little":
        numbers.byteswap()
    view = memoryview(numbers)
    return view.cast("B").cast(letter, shape)  # type: ignore[call-overload,no-any-return]


def write_idx(path: str | os.PathLike[str], data: Any) -> None:
    """Write an array or a buffer as an IDX file, gzipped if its name ends in ``.gz``.

    The write is atomic: an error or an interrupt leaves the old file, if there was one.

    Args:
        path: the file.
        data: an array of any library, or a buffer such as bytes or a memoryview: uint8, int8,
            int16, int32, float32 or float64, with one axis or more.

    Raises:
        DataError: the data are empty, a scalar, or of another type, such as 64-bit integers.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from anynet.data import read_idx, write_idx
    >>> path = os.path.join(tempfile.mkdtemp(), "table.idx")
    >>> write_idx(path, np.asarray([[1.5, 2.5]], "float32"))
    >>> read_idx(path).tolist()
    [[1.5, 2.5]]

    """
    view = memoryview(get_backend(data).to_host(data) if is_array(data) else data)
    if not view.nbytes:
        raise DataError(f"there is nothing to write to {path}: the shape is {view.shape}")
    if not view.ndim:
        raise DataError(
            f"a scalar was given to write to {path}: wanted an array of one axis or more"
        )
    letter = {"l": "i" if array.array("l").itemsize == 4 else "q"}.get(view.format, view.format)
    if letter not in _CODES:
        raise DataError(
            f"IDX has no type for the format {view.format!r}: wanted uint8, int8, int16, int32, "
            "float32 or float64, to which astype converts"
        )
    numbers = array.array(letter, view.tobytes())
    if sys.byteorder == "little":
        numbers.byteswap()
    header = bytes((0, 0, _CODES[letter], view.ndim))
    header += b"".join(length.to_bytes(4, "big") for length in view.shape or ())
    content = header + numbers.tobytes()
    with atomic_write(path) as file:
        # No time stamp: the same data make the same file.
        file.write(gzip.compress(content, mtime=0) if str(path).endswith(".gz") else content)
