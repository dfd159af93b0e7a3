"""CIFAR-10: 50,000 color images for training and 10,000 for testing, 32 by 32 pixels, in ten
classes.

The binary version is a tar archive. A record is a byte for the label and 3,072 bytes for the pixels
in the order of channels, rows and columns. The Python version is a pickle, which is a program.
Source: Krizhevsky, Learning multiple layers of features from tiny images, 2009.
"""

import zlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from anynet.array import Array
from anynet.backend import Backend, get_backend
from anynet.data.dataset import Dataset
from anynet.data.download import Checksum, Source, check_archive, obtain
from anynet.errors import DataError

if TYPE_CHECKING:
    from tarfile import TarFile, TarInfo

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

ARCHIVE = "cifar-10-binary.tar.gz"

#: The checksum is that of TensorFlow Datasets (url_checksums/cifar10.txt). The authors' page has
#: the MD5, c32a1d4ab5d03f1284b67883e8d87530.
SOURCE = Source(
    "CIFAR-10",
    "CIFAR10",
    ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"),
    {ARCHIVE: Checksum("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd")},
)

TRAIN = tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6))
TEST = "cifar-10-batches-bin/test_batch.bin"

#: The images of a file in the archive, and the bytes of one image and its label.
IMAGES = 10_000
RECORD = 1 + 3 * 32 * 32


def load_cifar10(backend: Backend | str | None = None, *, flat: bool = True) -> Dataset:
    """Return CIFAR-10: pixels float32 from 0 to 1, labels int32 (N,), and names of classes.

    The file cifar-10-binary.tar.gz (170 MB) is read from the folder that the environment variable
    ANYNET_DATA_DIR names, from a folder CIFAR10 in it, or from the user's cache. See `load_mnist`
    for downloads.

    Args:
        backend: where the arrays go, see `anynet.get_backend`.
        flat: images are (N, 3072), otherwise (N, 3, 32, 32).

    Raises:
        DataError: the file is missing or damaged and could not be downloaded. The message says
            where to put it.

    >>> from anynet.data import load_cifar10
    >>> dataset = load_cifar10("numpy", flat=False)  # doctest: +SKIP
    >>> dataset.train[0].shape, dataset.classes[0]  # doctest: +SKIP
    ((50000, 3, 32, 32), 'airplane')

    """
    path = obtain(SOURCE, ARCHIVE, partial(check_archive, SOURCE, ARCHIVE))
    backend = get_backend(backend)
    batches = read_batches(path)
    train = bytearray().join([batches[name] for name in TRAIN])
    return Dataset(
        _pair(train, backend, flat=flat),
        _pair(bytearray(batches[TEST]), backend, flat=flat),
        CLASSES,
    )


def read_batches(path: Path) -> dict[str, bytes]:
    """Return the six files of images in the archive by name. Nothing is extracted to the disk.

    Raises:
        DataError: the archive is damaged, or lacks a file.

    """
    # This import takes a while.
    import tarfile

    found: dict[str, bytes] = {}
    wanted = {*TRAIN, TEST}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                if member.name in wanted and member.isfile():
                    found[member.name] = _read(archive, member, path)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} is a damaged archive ({error}): fetch it again") from error
    if missing := sorted(wanted - found.keys()):
        raise DataError(f"{path} holds no {', '.join(missing)}: fetch it again")
    return found


def _read(archive: "TarFile", member: "TarInfo", path: Path) -> bytes:
    wanted = IMAGES * RECORD
    file = archive.extractfile(member)
    if member.size != wanted or file is None:
        raise DataError(
            f"{path} has a {member.name} of {member.size:,} bytes: wanted {wanted:,}; fetch "
            "it again"
        )
    content = file.read()
    labels = content[::RECORD]
    if len(content) < wanted or max(labels) >= len(CLASSES):
        raise DataError(f"{path} has a damaged {member.name}: fetch it again")
    return content


def _pair(content: bytearray, backend: Backend, *, flat: bool) -> tuple[Array, Array]:
    """Return the images and labels of records."""
    xp = backend.xp
    records = xp.reshape(backend.asarray(memoryview(content)), (-1, RECORD))
    shape = (-1, RECORD - 1) if flat else (-1, 3, 32, 32)
    images = xp.astype(xp.reshape(records[:, 1:], shape), xp.float32) / 255
    return images, xp.astype(records[:, 0], xp.int32)
