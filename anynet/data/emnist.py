"""EMNIST: handwritten letters and digits, 28 by 28 pixels, in six splits.

Source: Cohen, Afshar, Tapson and van Schaik, EMNIST: an extension of MNIST to handwritten letters,
2017.
"""

import string
import zlib
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from anynet.backend import Backend
from anynet.data.dataset import Dataset
from anynet.data.download import Checksum, Source, check_archive, obtain
from anynet.data.idx import MAX_BYTES, read_idx_stream
from anynet.data.idx_pairs import to_dataset
from anynet.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from zipfile import ZipFile

ARCHIVE = "gzip.zip"

#: The checksum is that of TensorFlow Datasets (url_checksums/emnist.txt).
SOURCE = Source(
    "EMNIST",
    "EMNIST",
    (
        "https://biometrics.nist.gov/cs_links/EMNIST/",
        "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
    ),
    {ARCHIVE: Checksum("fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e")},
)

#: Letters of which upper and lower case look alike are one class.
_MERGED = string.digits + string.ascii_uppercase + "abdefghnqrt"


@dataclass(frozen=True)
class Split:
    """The classes of a split, and the label of the first one in the files."""

    classes: str
    first_label: int = 0


SPLITS = {
    "balanced": Split(_MERGED),
    "byclass": Split(string.digits + string.ascii_uppercase + string.ascii_lowercase),
    "bymerge": Split(_MERGED),
    "digits": Split(string.digits),
    "letters": Split(string.ascii_lowercase, first_label=1),
    "mnist": Split(string.digits),
}


def load_emnist(
    split: str = "balanced",
    backend: Backend | str | None = None,
    *,
    flat: bool = True,
) -> Dataset:
    """Return a split of EMNIST: pixels float32 from 0 to 1, labels int32 (N,), and names of
    classes.

    The file gzip.zip (562 MB) is read from the folder EMNIST, or EMNIST/raw, in the folder that the
    environment variable ANYNET_DATA_DIR names, or from the user's cache. See `load_mnist` for
    downloads. The images are upright, and the labels begin at 0, other than in the file.

    Args:
        split: ``balanced`` (47 classes, 112,800 images for training and 18,800 for testing),
            ``byclass`` (62), ``bymerge`` (47), ``digits`` (10), ``letters`` (26) or ``mnist`` (10).
        backend: where the arrays go, see `anynet.get_backend`.
        flat: images are (N, 784), otherwise (N, 1, 28, 28).

    Raises:
        ArgumentError: the split is unknown.
        DataError: the file is missing or damaged and could not be downloaded. The message says
            where to put it.

    >>> from anynet.data import load_emnist
    >>> dataset = load_emnist("letters", "numpy")  # doctest: +SKIP
    >>> len(dataset.classes)  # doctest: +SKIP
    26

    """
    if split not in SPLITS:
        raise ArgumentError(f"split is {split!r}: wanted one of {', '.join(SPLITS)}")
    chosen = SPLITS[split]
    path = obtain(SOURCE, ARCHIVE, partial(check_archive, SOURCE, ARCHIVE))
    return to_dataset(
        read_split(path, split),
        backend,
        flat=flat,
        classes=chosen.classes,
        first_label=chosen.first_label,
        transposed=True,
    )


def read_split(path: Path, split: str) -> dict[tuple[str, str], tuple[Path, memoryview]]:
    """Return the contents of the four IDX files of a split, in the form that `to_dataset` takes.

    Raises:
        DataError: the archive is damaged, or lacks a file.

    """
    # This import takes a while.
    import zipfile

    ranks = {"images": 3, "labels": 1}
    names = {
        (part, what): f"gzip/emnist-{split}-{part}-{what}-idx{rank}-ubyte.gz"
        for part in ("train", "test")
        for what, rank in ranks.items()
    }
    try:
        with zipfile.ZipFile(path) as archive:
            return {key: (path / name, _read(archive, path, name)) for key, name in names.items()}
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path} is a damaged zip file ({error}): fetch it again") from error


def _read(archive: "ZipFile", path: Path, name: str) -> memoryview:
    """Return the values of an IDX file in an archive."""
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise DataError(f"{path} holds no {name}: fetch it again") from None
    if entry.file_size > MAX_BYTES:
        raise DataError(
            f"{path} claims that {name} has {entry.file_size:,} bytes: the limit is {MAX_BYTES:,}"
        )
    return read_idx_stream(BytesIO(archive.read(entry)), path / name)
