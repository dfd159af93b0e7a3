"""MNIST, the handwritten digits: 60,000 images for training and 10,000 for testing, 28 by 28
pixels, labels 0 to 9.

Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition,
1998.
"""

from anynet.backend import Backend
from anynet.data.dataset import Dataset
from anynet.data.download import Checksum, Source
from anynet.data.idx_pairs import load_source

#: The checksums are those of the contents, computed here. There are copies of the files that were
#: compressed again.
SOURCE = Source(
    "MNIST",
    "MNIST",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    {
        "train-images-idx3-ubyte.gz": Checksum(
            contents="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte.gz": Checksum(
            contents="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte.gz": Checksum(
            contents="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte.gz": Checksum(
            contents="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    },
)


def load_mnist(backend: Backend | str | None = None, *, flat: bool = True) -> Dataset:
    """Return MNIST: pixels float32 from 0 to 1, labels int32 (N,).

    The files are in IDX format, gzipped or not, in any spelling of their names. They are read from
    the folder that the environment variable ANYNET_DATA_DIR names, from a folder MNIST or MNIST/raw
    in it, or from the user's cache. If ANYNET_DATA_DIR is not set, a missing file is downloaded to
    the cache, unless ANYNET_OFFLINE is 1. The contents are checked by SHA-256.

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
    return load_source(SOURCE, backend, flat=flat, classes=[*"0123456789"])
