"""Checkpoints: the arrays of a network in a safetensors file, by path; no code is stored and none runs."""

import os
from pathlib import Path
from typing import Any

from anynet import tree
from anynet.array import Array, array_namespace
from anynet.backend import Backend, get_backend
from anynet.errors import DataError, ShapeError
from anynet.files import written_whole


def save(net: Any, path: str | os.PathLike[str], metadata: dict[str, str] | None = None) -> None:
    """Write every array of a network, or of another tree, to a safetensors file; it appears whole or not at all."""
    from safetensors.numpy import save as serialize

    arrays = {name: get_backend(x).to_host(x) for name, x in tree.leaves(net)}
    if not arrays:
        raise DataError("there are no numbers to save: the network is not initialized, or holds no arrays")
    # The format knows one order of the elements; an array that lies transposed is copied first.
    content = serialize(
        {name: x if x.flags.c_contiguous else x.copy(order="C") for name, x in arrays.items()}, metadata
    )
    with written_whole(path) as file:
        file.write(content)


def read(path: str | os.PathLike[str], backend: Backend | str | None = None) -> dict[str, Array]:
    """Return the arrays of a safetensors file by name, on a backend.

    Raises:
        DataError: the file is damaged, or holds a dtype that NumPy does not have.
        FileNotFoundError: there is no such file.

    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as deserialize

    backend = get_backend(backend)
    content = Path(path).read_bytes()
    try:
        arrays = deserialize(content)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a safetensors file, or a damaged one ({error})") from error
    return {name: backend.asarray(x) for name, x in sorted(arrays.items())}


def metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the texts that were saved beside the arrays of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return dict(sorted((file.metadata() or {}).items()))
    except SafetensorError as error:
        raise DataError(f"{path} is not a safetensors file, or a damaged one ({error})") from error


def load(net: Any, path: str | os.PathLike[str]) -> None:
    """Put the arrays of a safetensors file into a network of the same architecture, on its device and in its dtypes.

    Raises:
        ShapeError: the file has other names or shapes than the network; nothing is changed then.
        DataError: see `read`.

    """
    own = dict(tree.leaves(net))
    if not own:
        raise DataError("the network has no numbers yet: call initialize() before loading others in their place")
    found = read(path, get_backend(next(iter(own.values()))))
    wrong = [f"{name} is missing in the file" for name in own if name not in found]
    wrong += [f"{name} is in the file only" for name in found if name not in own]
    wrong += [
        f"{name} is {tuple(x.shape)} in the network and {tuple(found[name].shape)} in the file"
        for name, x in own.items()
        if name in found and x.shape != found[name].shape
    ]
    if wrong:
        raise ShapeError(f"{path} does not fit the network: {'; '.join(wrong)}")
    values = [array_namespace(x).astype(found[name], x.dtype, copy=False) for name, x in own.items()]
    for (holder, name, _, _), value in zip(tree.pairs(net, net), values, strict=True):
        holder[name] = value
