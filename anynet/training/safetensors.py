"""Arrays by name in a safetensors file, with texts, the version that wrote it and a checksum.

A file contains no code, and reading it runs none. The entries of its metadata that begin with
``anynet.`` are written here:

- ``anynet.sha256``: the checksum of the whole file, with zeros in place of its 64 digits.
- ``anynet.version``, ``anynet.format``: the version of anynet that wrote the file, and that of
  these entries. A reader raises for a format that is newer than its own.
- ``anynet.complex128``: the names of arrays of complex128, which the format lacks. They are stored
  as pairs of float64.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from anynet.array import Array, array_namespace, dtype_name
from anynet.backend import get_backend
from anynet.errors import ArgumentError, DataError
from anynet.files import atomic_write, real_path

#: Entries of the metadata with this prefix are anynet's own.
OWN = "anynet."
FORMAT = 1

#: An array of NumPy and the name of its dtype. An array of bfloat16 is one of float32.
Stored = tuple[Any, str]

# A dtype's name, the code of the format for it, and NumPy's for the stored bytes: little-endian.
# bfloat16 is stored as the upper halves of float32.
_DTYPES = {
    "bool": ("BOOL", "|b1"),
    "uint8": ("U8", "|u1"),
    "uint16": ("U16", "<u2"),
    "uint32": ("U32", "<u4"),
    "uint64": ("U64", "<u8"),
    "int8": ("I8", "|i1"),
    "int16": ("I16", "<i2"),
    "int32": ("I32", "<i4"),
    "int64": ("I64", "<i8"),
    "float16": ("F16", "<f2"),
    "bfloat16": ("BF16", "<u2"),
    "float32": ("F32", "<f4"),
    "float64": ("F64", "<f8"),
    "complex64": ("C64", "<c8"),
}
_NAMES = {code: name for name, (code, _) in _DTYPES.items()}

_START = b'{"__metadata__":{"anynet.sha256":"'
_ZEROS = b"0" * 64
#: Where the checksum is: after the length of the header and its start.
_CHECKSUM = slice(8 + len(_START), 8 + len(_START) + len(_ZEROS))


def write_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Array],
    texts: Mapping[str, str],
    previous: str | os.PathLike[str] | None = None,
) -> None:
    """Write arrays and texts to a safetensors file, see `anynet.files.atomic_write`.

    Args:
        path: the file.
        arrays: by name.
        texts: the metadata.
        previous: where the file that is replaced goes, None to remove it.

    Raises:
        ArgumentError: the file cannot store a dtype or a name.
        OSError: the disk is full, or the file cannot be written. The old file is intact.

    """
    # Imported here, because this module is imported before the version is known.
    from anynet import __version__

    stored = {name: _stored(name, x) for name, x in arrays.items()}
    pairs = [name for name, x in arrays.items() if dtype_name(x.dtype) == "complex128"]
    own = {"sha256": _ZEROS.decode(), "version": __version__, "format": str(FORMAT)}
    if pairs:
        own["complex128"] = json.dumps(pairs)
    metadata = {OWN + key: text for key, text in own.items()} | dict(texts)
    header: dict[str, Any] = {"__metadata__": metadata}
    # The widest dtypes first, as the format's own package does, so that each array is aligned.
    names = sorted(stored, key=lambda name: (-stored[name][0].itemsize, name))
    end = 0
    for name in names:
        x, dtype = stored[name]
        start, end = end, end + x.nbytes
        header[name] = {
            "dtype": _DTYPES[dtype][0],
            "shape": list(x.shape),
            "data_offsets": [start, end],
        }
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"a path or a text of the metadata is not Unicode that can be written: {error}"
        ) from error
    text += b" " * (-len(text) % 8)
    head = bytearray(len(text).to_bytes(8, "little") + text)
    parts = [stored[name][0].reshape(-1).view("u1") for name in names]
    head[_CHECKSUM] = _digest(head, *parts)
    try:
        with atomic_write(path, previous) as file:
            file.write(head)
            for part in parts:
                file.write(part)
    except OSError as error:
        if error.errno is None:
            raise
        # A failed write itself names no file.
        reason = error.strerror or type(error).__name__
        raise OSError(
            error.errno,
            f"{path} was not written ({len(head) + end:,} bytes): {reason}. A file that was there "
            "before is intact",
        ) from error


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Stored], dict[str, str]]:
    """Return the arrays of a safetensors file as NumPy's, and its metadata.

    Raises:
        DataError: the file is damaged, was written in a newer format, or contains a dtype that
            anynet does not read.
        FileNotFoundError: the file does not exist.

    """
    from safetensors import SafetensorError, deserialize

    content = real_path(path).read_bytes()
    try:
        entries = deserialize(content)  # type: ignore[no-untyped-call]
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        texts = header.get("__metadata__") or {}
        _check(path, content, texts)
        pairs = _complex_names(texts)
        arrays = {name: _array(path, name, entry, name in pairs) for name, entry in sorted(entries)}
    except (SafetensorError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not a safetensors file, or a damaged one ({error})") from error
    if pairs - arrays.keys():
        raise DataError(f"{path} has no array {min(pairs - arrays.keys())!r:.40}, and names it")
    return arrays, texts


def _check(
    path: str | os.PathLike[str],
    content: bytes,
    texts: dict[str, str],
) -> None:
    """Raise DataError unless a file of anynet has its checksum and a format that can be read.

    Files of other programs have neither.
    """
    own = {key for key in texts if key.startswith(OWN)}
    if not own:
        return
    text = texts.get(f"{OWN}format", "")
    if text.isdecimal() and text != str(FORMAT):
        version = texts.get(f"{OWN}version", "another version")
        raise DataError(
            f"{path} was written by anynet {version!s:.20} in format {text:.20}, and this version "
            f"reads format {FORMAT}: install the newer version to read it"
        )
    head = bytearray(content[: _CHECKSUM.stop])
    given = bytes(head[_CHECKSUM])
    head[_CHECKSUM] = _ZEROS
    if not head[8:].startswith(_START) or given != _digest(
        head, memoryview(content)[_CHECKSUM.stop :]
    ):
        raise DataError(
            f"{path} is damaged, or another program has changed it: its contents do not have the "
            f"checksum {given[:16].decode('latin1')!r}…"
        )


def _digest(*parts: Any) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest().encode()


def _complex_names(texts: dict[str, str]) -> set[str]:
    names = json.loads(texts.get(f"{OWN}complex128", "[]"))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("anynet.complex128 is no list of names")
    return set(names)


def _stored(name: str, x: Array) -> Stored:
    """Return the stored form of an array: contiguous and little-endian, and its dtype."""
    dtype = dtype_name(x.dtype)
    host: Any = get_backend("numpy").xp
    if dtype == "complex128":
        wide = host.asarray(get_backend(x).to_host(x), dtype="<c16", order="C")
        return wide.reshape(*wide.shape, 1).view("<f8"), "float64"
    if dtype not in _DTYPES:
        raise ArgumentError(
            f"{name} is of dtype {dtype}, which a safetensors file cannot store: convert it with "
            f"astype to one of {', '.join(_DTYPES)}"
        )
    if dtype != "bfloat16":
        own = host.asarray(get_backend(x).to_host(x), dtype=_DTYPES[dtype][1], order="C")
        return own, dtype
    xp = array_namespace(x)
    wide = host.asarray(
        get_backend(x).to_host(xp.astype(x, xp.float32)),
        dtype="<f4",
        order="C",
    )
    halves = host.ascontiguousarray(wide.reshape(-1).view("<u2")[1::2])
    return halves.reshape(wide.shape), dtype


def _array(
    path: str | os.PathLike[str],
    name: str,
    entry: Mapping[str, Any],
    is_pair: bool,
) -> Stored:
    """Return an array of a file and the name of its dtype."""
    dtype = _NAMES.get(entry["dtype"])
    if dtype is None:
        raise DataError(
            f"{path}: {name!r:.40} is of dtype {entry['dtype']}: wanted one of {', '.join(_NAMES)}"
        )
    host: Any = get_backend("numpy").xp
    x = host.frombuffer(entry["data"], dtype=_DTYPES[dtype][1]).reshape(entry["shape"])
    if dtype == "bfloat16":
        x = host.left_shift(x.astype("<u4"), 16).view("<f4")
    if is_pair:
        if dtype != "float64" or x.shape[-1:] != (2,):
            raise DataError(f"{path}: {name!r:.40} is complex128 and no pairs of float64")
        return x.view("<c16").reshape(x.shape[:-1]), "complex128"
    return x, dtype
