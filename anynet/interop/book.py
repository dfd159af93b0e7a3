"""Weights in the files of the book Deep Learning from Scratch.

A file is a pickle of a dict of NumPy arrays: W1 and b1 of the first layer with weights, W2 and b2
of the second, and so on. anynet reads it without executing it, see `anynet.data.pickled`. The
layouts are those of `Linear`, (in, out), and of `Conv2d`, (out, in, height, width).
"""

import hashlib
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anynet.arguments import describe, listed
from anynet.array import Array
from anynet.backend import Backend
from anynet.data import download
from anynet.data.download import Checksum, Source, cache_folder, is_offline
from anynet.data.pickled import read_pickled_arrays
from anynet.errors import ArgumentError, ArgumentTypeError, DataError
from anynet.interop.entries import entries
from anynet.interop.loading import load
from anynet.layers import Conv2d, Linear, Module
from anynet.layers import Dropout as InvertedDropout
from anynet.spelling import did_you_mean

__all__ = ["Dropout", "fetch", "load_weights"]

#: A commit of the book's repository of August 2022, with the files of 2016. A later one replaced
#: two of them by weights that are less accurate: 0.960 in place of 0.989 in chapter 7, and 0.980 in
#: place of 0.993 in chapter 8, on the test images of MNIST.
ADDRESS = (
    "https://raw.githubusercontent.com/oreilly-japan/deep-learning-from-scratch/"
    "fcc4d00f248b72236a376b2d391750b764c8d63b/"
)


@dataclass(frozen=True)
class _File:
    """A file in the book's repository."""

    folder: str
    #: SHA-256 of its versions, the one at `ADDRESS` first.
    checksums: tuple[str, ...]


FILES = {
    "sample_weight.pkl": _File(
        "ch03",
        ("b7f55a27988ba34c3777b0f1bbd464817c8a4db855723e6ff26f703501917a13",),
    ),
    "params.pkl": _File(
        "ch07",
        (
            "290ab40c1b1218b392cdc155b633a5df642d829453702fa421ce5f3c6c55f779",
            "a5da99cffddafcfe5e686e79dc0ec3a7cc993b58e64f483b50960511e5e85344",
        ),
    ),
    "deep_convnet_params.pkl": _File(
        "ch08",
        (
            "8c81d1d6ddedd08c8277c957f3af30a91e455a1d65474ec2b5a0e3527b7422cc",
            "4b7a27baee2037605afa94d3f514ca9fa9cc96623739328609765073cfd5f802",
        ),
    ),
}


class Dropout(InvertedDropout):
    """Return x with random elements set to 0 in training, and (1 - rate) · x otherwise.

    `layers.Dropout` divides by 1 - rate in training. The book's layer multiplies by it in
    inference, so weights that the book trained need this one.

    Args:
        rate: in 0 ≤ rate < 1.

    Attributes:
        key: a random key, a buffer that every use in training replaces.

    Raises:
        ArgumentError: a rate out of range.

    >>> from anynet.interop import book
    >>> layer = book.Dropout(0.25).initialize(seed=0, backend="numpy")
    >>> layer(np.ones(3))
    array([0.75, 0.75, 0.75])

    Source: Deep Learning from Scratch, chapter 6.4.3.

    """

    def forward(self, x: Array) -> Array:
        """Return x with a random mask applied, or (1 - rate) · x in inference."""
        return super().forward(x) * (1 - self.rate)


def load_weights(
    net: Module,
    path: str | os.PathLike[str],
    *,
    backend: Backend | str | None = None,
) -> None:
    """Replace the weights and biases of a network by those of a pickle of the book.

    The layers with weights are numbered in the order of definition: the first has W1 and b1. The
    values are converted to the dtypes of the network. After an error the network is as it was.

    Args:
        net: a network of `Linear` and `Conv2d` layers, and others without parameters.
        path: the file.
        backend: where uninitialized parameters go. The default is as for `Module.initialize`.

    Raises:
        ArgumentError: the network has parameters that such a file does not have, or a
            `layers.Dropout`, which scales otherwise than the book's.
        PathError: the file lacks an array of the network, or has others.
        ShapeError: an array has another shape.
        DataError: the file is not a pickle of arrays.
        FileNotFoundError: the file does not exist.

    >>> import pickle
    >>> from anynet.interop import book
    >>> with open("params.pkl", "wb") as file:
    ...     pickle.dump({"W1": np.ones((2, 1)), "b1": np.zeros(1)}, file)
    >>> net = layers.Sequential(layers.Linear(2, 1), layers.ReLU(), seed=0, backend="numpy")
    >>> book.load_weights(net, "params.pkl")
    >>> net(np.asarray([[3.0, 4.0]], dtype="float32"))
    array([[7.]], dtype=float32)

    Source: Deep Learning from Scratch, chapters 3.6.2, 7.5 and 8.1.

    """
    if not isinstance(net, Module):
        raise ArgumentTypeError(
            f"net is {describe(net)}: wanted a layers.Module, such as layers.Sequential(…)"
        )
    _check_dropout(net)
    names = _names(net)
    found = entries(net, {}, names.get)
    others = [
        place.path
        for entry in found
        for place in entry.places
        if not entry.names and not place.is_buffer
    ]
    if others:
        raise ArgumentError(
            f"the network has the parameters {listed(others, 8)}, which a file of the book does "
            "not have: wanted Linear and Conv2d layers only"
        )
    # JAX has float64, the dtype of most of these files, only if it is configured so.
    load(net, found, read_pickled_arrays(path, "numpy"), backend)


def fetch(name: str) -> Path:
    """Return the path of a file of weights that the book's authors published.

    The file is read from the folder that the environment variable ANYNET_BOOK_DIR names. If it is
    not set, it is read from the user's cache, and downloaded there first unless ANYNET_OFFLINE is
    1. It is checked by SHA-256. A download is the file of 2016, whose accuracy the book states.
    The less accurate files that replaced two of them in 2022 are valid too.

    Args:
        name: "sample_weight.pkl" of chapter 3, "params.pkl" of chapter 7 or
            "deep_convnet_params.pkl" of chapter 8.

    Raises:
        ArgumentError: the book has no file of that name.
        DataError: the file is missing or damaged and could not be downloaded. The message says
            where to put it.

    >>> from anynet.interop import book
    >>> path = book.fetch("params.pkl")  # doctest: +SKIP

    """
    if name not in FILES:
        raise ArgumentError(
            f"name is {name!r}{did_you_mean(str(name), [*FILES])}: wanted one of {', '.join(FILES)}"
        )
    own = os.environ.get("ANYNET_BOOK_DIR")
    folder = Path(os.path.expanduser(own)) if own else cache_folder() / "book"
    path = folder / name
    where = f"put {name} from {ADDRESS}{FILES[name].folder} into {folder}"
    if path.is_file():
        if _is_intact(path, name):
            return path
        if own or is_offline():
            raise DataError(f"{path} is damaged, or is another file: {where}")
    elif own:
        raise DataError(f"ANYNET_BOOK_DIR is {own}, and {name} is not there: {where}")
    source = Source(
        "the book",
        "book",
        (f"{ADDRESS}{FILES[name].folder}/",),
        {name: Checksum()},
        "ANYNET_BOOK_DIR",
    )
    return download.fetch(source, name, partial(_check, name))


def _check_dropout(net: Module) -> None:
    """Raise ArgumentError if a dropout of the network scales otherwise than the book's."""
    for path, module in net.modules():
        if isinstance(module, InvertedDropout) and not isinstance(module, Dropout) and module.rate:
            raise ArgumentError(
                f"{path or 'the network'} is a layers.Dropout, which does not scale in inference, "
                f"and the book's multiplies by {1 - module.rate:g}: wanted "
                f"anynet.interop.book.Dropout({module.rate:g})"
            )


def _names(net: Module) -> dict[str, str]:
    """Return the names of the book by the paths of weights and biases."""
    weighted = [path for path, module in net.modules() if isinstance(module, Linear | Conv2d)]
    names: dict[str, str] = {}
    for i, path in enumerate(weighted, 1):
        prefix = f"{path}." if path else ""
        names |= {f"{prefix}weight": f"W{i}", f"{prefix}bias": f"b{i}"}
    return names


def _check(name: str, path: Path) -> None:
    if not _is_intact(path, name):
        raise DataError(f"{path} is another file: its SHA-256 differs")


def _is_intact(path: Path, name: str) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() in FILES[name].checksums
