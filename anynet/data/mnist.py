"""MNIST, the handwritten digits: 60,000 images for training and 10,000 for testing, 28 by 28
pixels, labels 0 to 9.

Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition,
1998.
"""

import hashlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from anynet.backend import Backend
from anynet.data.dataset import Dataset
from anynet.data.idx import read_idx
from anynet.data.idx_pairs import contents, idx_files, to_dataset
from anynet.errors import DataError
from anynet.files import atomic_write

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

#: The files, with the SHA-256 of their unpacked contents. Copies that were compressed again are
#: valid.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

#: Seconds to wait for a mirror to answer.
TIMEOUT = 10


def load_mnist(backend: Backend | str | None = None, *, flat: bool = True) -> Dataset:
    """Return MNIST: pixels float32 from 0 to 1, labels int32 (N,).

    The files are in IDX format, gzipped or not, in any spelling of their names. They are read from
    the folder that the environment variable ANYNET_DATA_DIR names, or from its MNIST/raw. If it is
    not set, they are read from the user's cache, and downloaded there first unless ANYNET_OFFLINE
    is 1. Their contents are checked by SHA-256.

    Args:
        backend: where the arrays go, see `anynet.get_backend`.
        flat: images are (N, 784), otherwise (N, 1, 28, 28).

    Raises:
        DataError: a file is missing or damaged and could not be downloaded. The message says where
            to put it.

    >>> from anynet.data import load_mnist
    >>> (x, t), test = load_mnist("numpy")  # doctest: +SKIP
    >>> x.shape, t.shape  # doctest: +SKIP
    ((60000, 784), (60000,))

    """
    read = {name: _read(name) for name in FILES}
    keys = [(part, what) for part in ("train", "test") for what in ("images", "labels")]
    return to_dataset(
        dict(zip(keys, read.values(), strict=True)),
        backend,
        flat=flat,
    )


def cache_folder() -> Path:
    """Return the folder of downloads: in XDG_CACHE_HOME, LOCALAPPDATA or ~/.cache."""
    base = (
        os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    )
    return Path(base) / "anynet"


def _read(name: str) -> tuple[Path, memoryview]:
    own = os.environ.get("ANYNET_DATA_DIR")
    if own:
        folder = Path(os.path.expanduser(own))
        found = _find(folder, name)
        if found is None:
            raise DataError(
                f"ANYNET_DATA_DIR is {own}, and neither {name} nor {name}.gz is in it or in its "
                f"MNIST/raw: put it there; {contents(folder)}"
            )
        return found, _checked(found, name)
    found = _find(cache_folder(), name)
    if found is not None:
        try:
            return found, _checked(found, name)
        except DataError:
            if _offline():
                raise
    found = _fetch(name)
    return found, _checked(found, name)


def _find(folder: Path, name: str) -> Path | None:
    # The folders that torchvision makes in the one that it is given.
    folders = (
        folder,
        folder / "raw",
        folder / "MNIST",
        folder / "MNIST" / "raw",
    )
    return idx_files(*folders).get(name)


def _checked(path: Path, name: str) -> memoryview:
    data = read_idx(path)
    # The hash is that of the whole unpacked file, so the header is put back.
    header = bytes((0, 0, 0x08, data.ndim)) + b"".join(
        length.to_bytes(4, "big") for length in data.shape or ()
    )
    if data.format != "B" or hashlib.sha256(header + data.tobytes()).hexdigest() != FILES[name]:
        raise DataError(
            f"{path} is an IDX file of shape {data.shape}, but not MNIST's {name}: "
            "remove or replace it, or read another data set with load_idx_pairs"
        )
    return data


def _offline() -> bool:
    return os.environ.get("ANYNET_OFFLINE", "") not in ("", "0")


def _fetch(name: str) -> Path:
    """Download a file to the cache, from the first mirror where it is complete."""
    where = f"put {name}.gz into {cache_folder()} or into the folder that ANYNET_DATA_DIR names"
    if _offline():
        raise DataError(f"MNIST's {name} is not here and ANYNET_OFFLINE is set: {where}")
    try:
        import pooch
    except ImportError:
        raise DataError(
            f"MNIST's {name} is not here, and downloading it needs pooch: pip install pooch, or "
            f"{where}"
        ) from None
    pooch.get_logger().setLevel("WARNING")
    target = cache_folder() / f"{name}.gz"
    reasons = []
    for mirror in MIRRORS:
        try:
            downloader = pooch.HTTPDownloader(timeout=TIMEOUT)
            with TemporaryDirectory() as folder:
                path = Path(folder) / f"{name}.gz"
                downloader(f"{mirror}{name}.gz", str(path), None)
                _checked(path, name)
                with atomic_write(target) as file:
                    file.write(path.read_bytes())
        except (OSError, DataError, ValueError) as error:
            reasons.append(f"{mirror}: {type(error).__name__}")
        else:
            return target
    raise DataError(f"MNIST's {name} could not be fetched ({'; '.join(reasons)}): {where}")
