"""Images and labels in IDX files, as MNIST, Fashion-MNIST, KMNIST and EMNIST are published.

File names are those of MNIST in any usual spelling: ``train-images-idx3-ubyte``,
``t10k-labels.idx1-ubyte``, ``EMNIST-letters-test-images-idx3-ubyte.gz``. Source: LeCun, Cortes and
Burges, The MNIST database of handwritten digits; Cohen et al., EMNIST, 2017.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from anynet.backend import Backend, get_backend
from anynet.data.dataset import Dataset
from anynet.data.download import Source, contents, obtain, sha256_of, spelled
from anynet.data.idx import read_idx
from anynet.errors import DataError

_NAME = re.compile(r"(?:(?P<name>.+)-)?(?P<part>train|t10k|test)-(?P<what>images|labels)-idx\d-\w+")


def load_idx_pairs(
    folder: str | os.PathLike[str],
    backend: Backend | str | None = None,
    *,
    name: str = "",
    flat: bool = True,
) -> Dataset:
    """Return the images and labels of a folder of IDX files, for training and testing.

    Pixels are float32 from 0 to 1, labels int32 (N,) as stored. EMNIST stores images transposed,
    and the labels of its letters begin at 1.

    Args:
        folder: contains the four files, gzipped or not, directly or in ``raw``, where torchvision
            puts them.
        backend: where the arrays go, see `anynet.get_backend`.
        name: the beginning of the file names, such as ``emnist-letters`` or ``letters``, if the
            folder contains more than one data set.
        flat: images are (N, height · width), otherwise (N, 1, height, width).

    Raises:
        DataError: a file is missing or damaged, or images and labels do not belong together. The
            message lists the contents of the folder.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from anynet.data import load_idx_pairs, write_idx
    >>> folder = tempfile.mkdtemp()
    >>> for part in ("train", "t10k"):
    ...     write_idx(f"{folder}/{part}-images-idx3-ubyte", np.ones((2, 4, 4), "uint8"))
    ...     write_idx(f"{folder}/{part}-labels-idx1-ubyte", np.ones(2, "uint8"))
    >>> (x, t), test = load_idx_pairs(folder, "numpy")
    >>> x.shape, t.tolist()
    ((2, 16), [1, 1])

    """
    folder = Path(os.path.expanduser(folder))
    files = idx_files(folder, folder / "raw")
    sets: dict[str, dict[tuple[str, str], Path]] = {}
    for found, path in files.items():
        if match := _NAME.fullmatch(found):
            part = "train" if match["part"] == "train" else "test"
            sets.setdefault(match["name"] or "", {}).setdefault((part, match["what"]), path)
    if not name and len(sets) > 1 and "" not in sets:
        raise DataError(f"{folder} holds {', '.join(sorted(sets))}: choose one of them by name=")
    if name:
        # The shortest is the name itself.
        matching = sorted(
            (found for found in sets if f"-{found}".endswith(f"-{name.lower()}")),
            key=len,
        )
    else:
        matching = [""] if "" in sets else list(sets)
    chosen = sets[matching[0]] if matching else {}
    wanted = [(part, what) for part in ("train", "test") for what in ("images", "labels")]
    if missing := [f"{part} {what}" for part, what in wanted if (part, what) not in chosen]:
        which = f" of {name!r}" if name else ""
        raise DataError(
            f"no {', no '.join(missing)}{which} in IDX files, such as train-images-idx3-ubyte.gz: "
            f"{contents(folder)}"
        )
    return to_dataset(
        {key: (path := chosen[key], read_idx(path)) for key in wanted},
        backend,
        flat=flat,
    )


def to_dataset(
    files: dict[tuple[str, str], tuple[Path, memoryview]],
    backend: Backend | str | None,
    *,
    flat: bool,
    classes: Sequence[str] = (),
    first_label: int = 0,
    transposed: bool = False,
) -> Dataset:
    """Return a data set of the contents of four files; see `load_idx_pairs`.

    Args:
        files: the path and the contents of each, by ("train" or "test", "images" or "labels").
        backend: where the arrays go.
        flat: whether an image is one row.
        classes: their names.
        first_label: the label of the first class.
        transposed: whether the files contain columns of pixels in place of rows.

    Raises:
        DataError: images and labels do not belong together.

    """
    backend = get_backend(backend)
    xp, pairs = backend.xp, []
    for part in ("train", "test"):
        (image_path, images), (label_path, labels) = (
            files[part, "images"],
            files[part, "labels"],
        )
        if images.format != "B" or images.ndim != 3:
            raise DataError(
                f"{image_path} is of shape {images.shape}: wanted images of bytes, (N, height, "
                "width)"
            )
        if (
            labels.format not in ("B", "b", "h", "i")
            or labels.ndim != 1
            or len(labels) != len(images)
        ):
            raise DataError(
                f"{label_path} is of shape {labels.shape}: wanted integers ({len(images)},), one "
                "for each image"
            )
        _, height, width = images.shape or ()
        shape = (-1, height * width) if flat else (-1, 1, height, width)
        last = first_label + len(classes) - 1
        lowest, highest = min(labels), max(labels)
        if classes and not first_label <= lowest <= highest <= last:
            raise DataError(
                f"{label_path} has labels from {lowest} to {highest}: wanted {first_label} to "
                f"{last}"
            )
        pixels = backend.asarray(images)
        pixels = xp.matrix_transpose(pixels) if transposed else pixels
        pixels = xp.astype(xp.reshape(pixels, shape), xp.float32) / 255
        indices = xp.astype(backend.asarray(labels), xp.int32)
        pairs.append((pixels, indices - first_label if first_label else indices))
    train, test = pairs
    return Dataset(train, test, classes)


def load_source(
    source: Source,
    backend: Backend | str | None,
    *,
    flat: bool,
    classes: Sequence[str] = (),
) -> Dataset:
    """Return a data set that is published as four IDX files.

    Args:
        source: its files, in the order of images and labels for training, and for testing.
        backend: where the arrays go.
        flat: whether an image is one row.
        classes: their names.

    Raises:
        DataError: a file is missing or damaged and could not be downloaded.

    """
    keys = [(part, what) for part in ("train", "test") for what in ("images", "labels")]
    files = {
        key: obtain(source, name, partial(_checked, source, name))
        for key, name in zip(keys, source.files, strict=True)
    }
    return to_dataset(files, backend, flat=flat, classes=classes)


def _checked(source: Source, name: str, path: Path) -> tuple[Path, memoryview]:
    """Return the path and the contents of a file, whose SHA-256 is checked.

    Raises:
        DataError: it is another file, or damaged.

    """
    data = read_idx(path)
    known = source.files[name]
    if (known.file and sha256_of(path) == known.file) or (
        known.contents and _hash(data) == known.contents
    ):
        return path, data
    remedy = (
        f"put that file in its place, or into a folder {source.folder} beside it, or read another "
        "data set with load_idx_pairs"
    )
    if not known.contents and not path.name.lower().endswith(".gz"):
        remedy = f"an unpacked file cannot be checked, so keep the published {name} beside it"
    raise DataError(
        f"{path} is an IDX file of shape {data.shape}, but not {source.title}'s {name}: {remedy}"
    )


def _hash(data: memoryview) -> str:
    """Return the SHA-256 of an unpacked IDX file of bytes with these values, "" for others."""
    if data.format != "B":
        return ""
    # The hash is that of the whole file, so the header is put back.
    lengths = [length.to_bytes(4, "big") for length in data.shape or ()]
    header = bytes((0, 0, 0x08, data.ndim)) + b"".join(lengths)
    return hashlib.sha256(header + data.tobytes()).hexdigest()


def idx_files(*folders: Path) -> dict[str, Path]:
    """Return the files of folders by their names in MNIST's spelling: lower case, hyphens, no
    ``.gz``.

    An unpacked file takes precedence over a gzipped one. A file may be in a folder of its own name,
    as archives make them.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        entries = folder.iterdir() if folder.is_dir() else ()
        for path in sorted(
            entries,
            key=lambda path: (path.name.lower().endswith(".gz"), path.name),
        ):
            name = spelled(path.name)
            inner = (
                next(
                    (p for p in path.iterdir() if spelled(p.name) == name),
                    path,
                )
                if path.is_dir()
                else path
            )
            if inner.is_file():
                found.setdefault(name, inner)
    return found
