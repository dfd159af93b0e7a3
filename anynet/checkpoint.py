"""Checkpoints: the arrays of a network in a safetensors file, by path; no code is stored and none runs.

A tied array is stored once, by its first path; the file's metadata say which further paths are tied to it.
"""

import json
import os
from pathlib import Path
from typing import Any

from anynet import tree
from anynet.array import Array, array_namespace
from anynet.backend import Backend, get_backend
from anynet.errors import DataError, ShapeError
from anynet.files import written_whole

#: The metadata's entry for tied arrays: a JSON object from each further path to the first one.
TIED = "anynet.tied"


def save(net: Any, path: str | os.PathLike[str], metadata: dict[str, str] | None = None) -> None:
    """Write every array of a network, or of another tree, to a safetensors file; it appears whole or not at all."""
    from safetensors.numpy import save as serialize

    if tied := tree.ties(net):
        metadata = {**(metadata or {}), TIED: json.dumps(tied)}
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

    Arrays that were tied when they were saved are tied again.

    Raises:
        ShapeError: the file has other names or shapes than the network; nothing is changed then.
        DataError: see `read`.

    """
    own = dict(tree.leaves(net))
    if not own:
        raise DataError("the network has no numbers yet: call initialize() before loading others in their place")
    found = read(path, get_backend(next(iter(own.values()))))
    # The name under which the file has the array of each path.
    known = {name: name for name in found}
    known |= {name: first for name, first in _tied(path).items() if name not in found and first in found}
    ties = tree.ties(net)
    wrong = [f"{name} is missing in the file" for name in own if name not in known]
    wrong += [
        f"{name} is in the file only" + (f", and tied to {ties[name]} in the network" if name in ties else "")
        for name in known
        if name not in own and known[name] != known.get(ties.get(name, ""))
    ]
    wrong += [
        f"{name} is {tuple(x.shape)} in the network and {tuple(found[known[name]].shape)} in the file"
        for name, x in own.items()
        if name in known and x.shape != found[known[name]].shape
    ]
    if wrong:
        raise ShapeError(f"{path} does not fit the network: {'; '.join(wrong)}")
    # One array for what is one in the file: it is tied again.
    new: dict[str, Array] = {}
    for name, x in own.items():
        if known[name] not in new:
            new[known[name]] = array_namespace(x).astype(found[known[name]], x.dtype, copy=False)
    for (holder, place, _, _), name in zip(tree.pairs(net, net), own, strict=True):
        holder[place] = new[known[name]]


def _tied(path: str | os.PathLike[str]) -> dict[str, str]:
    text = metadata(path).get(TIED, "{}")
    try:
        tied = json.loads(text)
    except ValueError:
        tied = None
    if not isinstance(tied, dict) or not all(isinstance(first, str) for first in tied.values()):
        raise DataError(f"{path} says of tied arrays {text!r:.80}: wanted a JSON object of paths")
    return tied
