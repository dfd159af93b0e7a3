"""Checkpoints: the arrays of a network in a safetensors file, by path.

A file contains no code, and reading it runs none. A tied array is stored once, under its first
path. The metadata of the file contain its other paths.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from anynet import tree
from anynet.array import Array, dtype_name, is_array
from anynet.backend import Backend, get_backend
from anynet.data.host import first_outside, on_backend
from anynet.errors import ArgumentError, DataError, ShapeError
from anynet.training.safetensors import OWN, Stored, read_arrays, write_arrays

T = TypeVar("T")

__all__ = [
    "load",
    "metadata",
    "read",
    "save",
]

#: The entry of the metadata for tied arrays: a JSON object from each other path to the first one.
TIED = "anynet.tied"

#: The entry of a file that `anynet.fit` wrote, in which the names of the network's arrays have this
#: prefix.
RUN = "anynet.run"
NETWORK = "net."

_KINDS = {
    "bool": "bool",
    "uint": "integer",
    "int": "integer",
    "bfloat": "floating",
    "float": "floating",
}
_KINDS["complex"] = "complex"


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
    texts = _checked_metadata(metadata or {})
    ties = tree.ties(net)
    if ties:
        texts |= {TIED: json.dumps(ties)}
    write_arrays(path, own, texts)


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
    return {
        name: on_backend(x, dtype, backend) for name, (x, dtype) in read_arrays(path)[0].items()
    }


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
    texts = read_arrays(path)[1]
    return {key: text for key, text in sorted(texts.items()) if not key.startswith(OWN)}


def load(net: Any, path: str | os.PathLike[str]) -> None:
    """Replace the arrays of a network by those of a safetensors file, on its device and in its
    dtypes.

    Arrays that were tied when they were saved are tied again. After an error the network is as it
    was. From the file of a run, see `anynet.fit`, it reads the network only.

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
    _check_initialized(net)
    arrays, texts = read_arrays(path)
    if RUN in texts:
        arrays = network_part(arrays)
    replace_arrays(net, arrays, tied_paths(path, texts), str(path))


def network_part(by_name: Mapping[str, T]) -> dict[str, T]:
    """Return the entries of a run's file that are of the network, by their paths in it."""
    return {
        name.removeprefix(NETWORK): value
        for name, value in by_name.items()
        if name.startswith(NETWORK)
    }


def replace_arrays(
    net: Any,
    arrays: Mapping[str, Stored],
    tied: Mapping[str, str],
    source: str,
) -> None:
    """Replace the arrays of a network by arrays of a file, see `load`.

    Args:
        net: an initialized network.
        arrays: by path.
        tied: the path of the array that each other path shares.
        source: the name of the file, for errors.

    """
    own = _by_path(net)
    # The name of each path's array in the file.
    known = {name: name for name in arrays}
    known |= {name: first for name, first in tied.items() if name not in arrays and first in arrays}
    ties = tree.ties(net)
    wrong = [f"{name} is missing in the file" for name in own if name not in known]
    wrong += [
        f"{name} is in the file only"
        + (f", and tied to {ties[name]} in the network" if name in ties else "")
        for name in known
        if name not in own and known[name] != known.get(ties.get(name, ""))
    ]
    wrong += [
        f"{name} is {tuple(x.shape)} in the network and {arrays[known[name]][0].shape} in the file"
        for name, x in own.items()
        if name in known and tuple(x.shape) != arrays[known[name]][0].shape
    ]
    if wrong:
        raise ShapeError(f"{source} does not fit the network: {'; '.join(wrong)}")
    wrong = [
        problem for name, x in own.items() if (problem := _problem(name, x, *arrays[known[name]]))
    ]
    if wrong:
        raise DataError(f"{source} does not fit the network's dtypes: {'; '.join(wrong)}")
    # Paths with one array in the file share one array: they are tied again.
    new: dict[str, Array] = {}
    for name, x in own.items():
        if known[name] not in new:
            wanted, value = dtype_name(x.dtype), arrays[known[name]][0]
            value = value.astype("float32" if wanted == "bfloat16" else wanted)
            new[known[name]] = on_backend(value, wanted, get_backend(x))
    for (holder, place, _, _), name in zip(tree.pairs(net, net), own, strict=True):
        holder[place] = new[known[name]]


def _check_initialized(net: Any) -> None:
    if next(tree.leaves(net), None) is None:
        raise DataError(
            "the network has no arrays yet: call initialize() before loading others in their place"
        )


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


def _checked_metadata(texts: Any) -> dict[str, str]:
    if not isinstance(texts, dict) or not all(
        isinstance(t, str) for item in texts.items() for t in item
    ):
        raise ArgumentError(
            f"metadata={texts!r:.80} was given: wanted a dict of strings, such as {{'epoch': '3'}}"
        )
    own = [key for key in texts if key.startswith(OWN)]
    if own:
        raise ArgumentError(
            f"the metadata have an entry {own[0]!r:.40}, and anynet writes those that begin with "
            f"{OWN!r} itself: rename it"
        )
    return dict(texts)


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
    outside = first_outside(x, own)
    return "" if outside is None else f"{problem}, where a value is {outside}"


def tied_paths(path: str | os.PathLike[str], texts: dict[str, str]) -> dict[str, str]:
    text = texts.get(TIED, "{}")
    try:
        tied = json.loads(text)
    except ValueError:
        tied = None
    if not isinstance(tied, dict) or not all(isinstance(first, str) for first in tied.values()):
        raise DataError(f"{path} says of tied arrays {text!r:.80}: wanted a JSON object of paths")
    return tied
