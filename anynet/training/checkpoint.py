"""Checkpoints: the arrays of a network in a safetensors file, by path.

A file contains no code, and reading it runs none. A tied array is stored once, under its first
path. The metadata of the file contain its other paths.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anynet import tree
from anynet.array import Array, array_namespace, dtype_name, is_array
from anynet.backend import Backend, get_backend
from anynet.data.host import on_backend
from anynet.errors import ArgumentError, DataError, ShapeError
from anynet.files import atomic_write

__all__ = [
    "load",
    "metadata",
    "read",
    "save",
]

#: The entry of the metadata for tied arrays: a JSON object from each other path to the first one.
TIED = "anynet.tied"

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
_KINDS = {
    "bool": "bool",
    "uint": "integer",
    "int": "integer",
    "bfloat": "floating",
    "float": "floating",
}
_KINDS["complex"] = "complex"
_NAMES = {code: name for name, (code, _) in _DTYPES.items()}


def save(
    net: Any,
    path: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
) -> None:
    """Write every array of a network, or of another tree, to a safetensors file.

    The write is atomic: an error or an interrupt leaves the old file, if there was one.

    Args:
        net: a network, an optimizer's state, or another tree of arrays.
        path: the file, by convention ``….safetensors``.
        metadata: texts by name, which `metadata` reads.

    Raises:
        ArgumentError: two arrays have one path, the file cannot store a dtype or a name, or the
            metadata are not a dict of strings.
        DataError: there are no arrays.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from anynet import checkpoint
    >>> path = os.path.join(tempfile.mkdtemp(), "net.safetensors")
    >>> checkpoint.save({"w": np.ones(2)}, path, {"epoch": "3"})
    >>> checkpoint.read(path)["w"], checkpoint.metadata(path)
    (array([1., 1.]), {'epoch': '3'})

    """
    own = _by_path(net)
    if not own:
        raise DataError(
            "there are no arrays to save: the network is not initialized, or has no parameters"
        )
    header: dict[str, Any] = {"__metadata__": _checked_metadata(metadata or {}, tree.ties(net))}
    stored = {name: _stored(name, x) for name, x in own.items()}
    # The widest dtypes first, as the format's own package does, so that each array is aligned.
    names = sorted(stored, key=lambda name: (-stored[name].itemsize, name))
    end = 0
    for name in names:
        start, end = end, end + stored[name].nbytes
        code = _DTYPES[dtype_name(own[name].dtype)][0]
        header[name] = {
            "dtype": code,
            "shape": list(own[name].shape),
            "data_offsets": [start, end],
        }
    if not header["__metadata__"]:
        del header["__metadata__"]
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"a path or a text of the metadata is not Unicode that can be written: {error}"
        ) from error
    text += b" " * (-len(text) % 8)
    with atomic_write(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(stored[name].reshape(-1).view("u1"))


def read(path: str | os.PathLike[str], backend: Backend | str | None = None) -> dict[str, Array]:
    """Return the arrays of a safetensors file by name.

    They have the dtypes of the file. If the library lacks float16 or bfloat16, they are float32,
    which has all their values.

    Args:
        path: the file.
        backend: where the arrays go, see `anynet.get_backend`.

    Raises:
        DataError: the file is damaged, or contains a dtype that anynet does not read.
        FileNotFoundError: the file does not exist.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from anynet import checkpoint
    >>> path = os.path.join(tempfile.mkdtemp(), "net.safetensors")
    >>> checkpoint.save({"a": [np.ones(1), np.zeros(2)]}, path)
    >>> checkpoint.read(path)
    {'a.0': array([1.]), 'a.1': array([0., 0.])}

    """
    backend = get_backend(backend)
    return {name: on_backend(x, dtype, backend) for name, (x, dtype) in _read(path)[0].items()}


def metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the texts that were saved with the arrays of a safetensors file.

    Args:
        path: the file.

    Raises:
        DataError: the file is damaged.
        FileNotFoundError: the file does not exist.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from anynet import checkpoint
    >>> path = os.path.join(tempfile.mkdtemp(), "net.safetensors")
    >>> checkpoint.save({"w": np.ones(2)}, path, {"epoch": "3"})
    >>> checkpoint.metadata(path)
    {'epoch': '3'}

    """
    texts = _read(path)[1]
    return {key: text for key, text in sorted(texts.items()) if key != TIED}


def load(net: Any, path: str | os.PathLike[str]) -> None:
    """Replace the arrays of a network by those of a safetensors file, on its device and in its
    dtypes.

    Arrays that were tied when they were saved are tied again. After an error the network is as it
    was.

    Args:
        net: an initialized network of the same architecture.
        path: the file.

    Raises:
        ShapeError: the file has other names or shapes than the network.
        DataError: a dtype is of another kind than that of the network, a value is too large for
            the dtype of the network, or the file is damaged.
        FileNotFoundError: the file does not exist.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from anynet import checkpoint
    >>> path = os.path.join(tempfile.mkdtemp(), "net.safetensors")
    >>> checkpoint.save({"w": np.ones(2)}, path)
    >>> net = {"w": np.zeros(2, "float32")}
    >>> checkpoint.load(net, path)
    >>> net["w"]
    array([1., 1.], dtype=float32)

    """
    own = _by_path(net)
    if not own:
        raise DataError(
            "the network has no arrays yet: call initialize() before loading others in their place"
        )
    found, texts = _read(path)
    # The name of each path's array in the file.
    known = {name: name for name in found}
    known |= {
        name: first
        for name, first in _tied(path, texts).items()
        if name not in found and first in found
    }
    ties = tree.ties(net)
    wrong = [f"{name} is missing in the file" for name in own if name not in known]
    wrong += [
        f"{name} is in the file only"
        + (f", and tied to {ties[name]} in the network" if name in ties else "")
        for name in known
        if name not in own and known[name] != known.get(ties.get(name, ""))
    ]
    wrong += [
        f"{name} is {tuple(x.shape)} in the network and {found[known[name]][0].shape} in the file"
        for name, x in own.items()
        if name in known and tuple(x.shape) != found[known[name]][0].shape
    ]
    if wrong:
        raise ShapeError(f"{path} does not fit the network: {'; '.join(wrong)}")
    wrong = [
        problem for name, x in own.items() if (problem := _problem(name, x, *found[known[name]]))
    ]
    if wrong:
        raise DataError(f"{path} does not fit the network's dtypes: {'; '.join(wrong)}")
    # Paths with one array in the file share one array: they are tied again.
    new: dict[str, Array] = {}
    for name, x in own.items():
        if known[name] not in new:
            wanted, value = dtype_name(x.dtype), found[known[name]][0]
            value = value.astype("float32" if wanted == "bfloat16" else wanted)
            new[known[name]] = on_backend(value, wanted, get_backend(x))
    for (holder, place, _, _), name in zip(tree.pairs(net, net), own, strict=True):
        holder[place] = new[known[name]]


def _by_path(net: Any) -> dict[str, Array]:
    """Return the arrays of a tree by path.

    Raises:
        ArgumentError: two arrays have one path, or the name that the format reserves.

    """
    places = list(tree.leaves(net))
    own = dict(places)
    if len(own) < len(places):
        twice = Counter(name for name, _ in places).most_common(1)[0][0]
        first, second, *_ = [keys for keys in _keys(net) if ".".join(map(str, keys)) == twice]
        raise ArgumentError(
            f"two arrays would be stored under {twice!r}: the one at "
            f"{' → '.join(map(repr, first))} and the one at "
            f"{' → '.join(map(repr, second))}: rename one of them"
        )
    if "__metadata__" in own:
        raise ArgumentError(
            "an array is named '__metadata__', which the format uses itself: rename it"
        )
    return own


def _keys(node: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the keys, attributes and indices that lead to each array of a tree."""
    if is_array(node):
        yield ()
    elif not tree.is_setting(node):
        if isinstance(node, tuple | list):
            items = node._asdict() if hasattr(node, "_asdict") else dict(enumerate(node))
        else:
            items = vars(node) if tree.is_node(node) else node
        for key, child in items.items():
            yield from ((key, *rest) for rest in _keys(child))


def _checked_metadata(texts: Any, ties: dict[str, str]) -> dict[str, str]:
    if not isinstance(texts, dict) or not all(
        isinstance(t, str) for item in texts.items() for t in item
    ):
        raise ArgumentError(
            f"metadata={texts!r:.80} was given: wanted a dict of strings, such as {{'epoch': '3'}}"
        )
    if TIED in texts:
        raise ArgumentError(
            f"the metadata have an entry {TIED!r}, which anynet writes itself: rename it"
        )
    return {**texts, TIED: json.dumps(ties)} if ties else texts


def _stored(name: str, x: Array) -> Any:
    """Return the stored form of an array: a NumPy array, contiguous and little-endian."""
    dtype = dtype_name(x.dtype)
    if dtype not in _DTYPES:
        raise ArgumentError(
            f"{name} is of dtype {dtype}, which a safetensors file cannot store: convert it with "
            f"astype to one of {', '.join(_DTYPES)}"
        )
    host: Any = get_backend("numpy").xp
    if dtype != "bfloat16":
        return host.asarray(
            get_backend(x).to_host(x),
            dtype=_DTYPES[dtype][1],
            order="C",
        )
    xp = array_namespace(x)
    wide = host.asarray(
        get_backend(x).to_host(xp.astype(x, xp.float32)),
        dtype="<f4",
        order="C",
    )
    return host.ascontiguousarray(wide.reshape(-1).view("<u2")[1::2])


def _read(
    path: str | os.PathLike[str],
) -> tuple[dict[str, tuple[Any, str]], dict[str, str]]:
    """Return the arrays of a file as NumPy's, with the names of their dtypes, and the metadata.

    Arrays of bfloat16 are float32.
    """
    from safetensors import SafetensorError, deserialize

    content = Path(path).expanduser().read_bytes()
    try:
        entries = deserialize(content)  # type: ignore[no-untyped-call]
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        host: Any = get_backend("numpy").xp
        found = {}
        for name, entry in sorted(entries):
            dtype = _NAMES.get(entry["dtype"])
            if dtype is None:
                raise DataError(
                    f"{path}: {name!r:.40} is of dtype {entry['dtype']}: wanted one of "
                    f"{', '.join(_NAMES)}"
                )
            x = host.frombuffer(entry["data"], dtype=_DTYPES[dtype][1]).reshape(entry["shape"])
            if dtype == "bfloat16":
                x = host.left_shift(x.astype("<u4"), 16).view("<f4")
            found[name] = x, dtype
    except (SafetensorError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not a safetensors file, or a damaged one ({error})") from error
    return found, header.get("__metadata__") or {}


def _problem(
    name: str,
    own: Array,
    x: Any,
    dtype: str,
) -> str:
    """Return why an array of the network cannot have the values of the file, "" if it can."""
    wanted = dtype_name(own.dtype)
    if wanted == dtype:
        return ""
    kind = _KINDS.get(dtype.rstrip("0123456789"))
    problem = f"{name} is {wanted} in the network and {dtype} in the file"
    if kind is None or kind != _KINDS.get(wanted.rstrip("0123456789")):
        return problem
    host, xp = get_backend("numpy").xp, array_namespace(own)
    if kind == "integer":
        info = xp.iinfo(own.dtype)
        outside = x[(x < int(info.min)) | (x > int(info.max))]
    else:
        largest = float(xp.finfo(own.dtype).max)
        # NumPy compares in the array's own dtype.
        narrows = float(host.finfo(x.dtype).max) > largest
        outside = x[host.isfinite(x) & (abs(x) > largest)] if narrows else x.reshape(-1)[:0]
    return f"{problem}, where a value is {outside[0]}" if outside.size else ""


def _tied(path: str | os.PathLike[str], texts: dict[str, str]) -> dict[str, str]:
    text = texts.get(TIED, "{}")
    try:
        tied = json.loads(text)
    except ValueError:
        tied = None
    if not isinstance(tied, dict) or not all(isinstance(first, str) for first in tied.values()):
        raise DataError(f"{path} says of tied arrays {text!r:.80}: wanted a JSON object of paths")
    return tied
