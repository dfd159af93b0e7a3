"""Kuzushiji-MNIST: 60,000 images of cursive Japanese characters for training and 10,000 for
testing, 28 by 28 pixels, in ten classes.

Source: Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto and Ha, Deep learning for classical
Japanese literature, 2018.
"""

from anynet.backend import Backend
from anynet.data.dataset import Dataset
from anynet.data.download import Checksum, Source
from anynet.data.idx_pairs import load_source

#: The sounds of the characters お, き, す, つ, な, は, ま, や, れ, を.
CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

#: The checksums are those of TensorFlow Datasets (url_checksums/kmnist.txt).
SOURCE = Source(
    "KMNIST",
    "KMNIST",
    (
        "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    ),
    {
        "train-images-idx3-ubyte.gz": Checksum(
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"
        ),
        "train-labels-idx1-ubyte.gz": Checksum(
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"
        ),
        "t10k-images-idx3-ubyte.gz": Checksum(
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"
        ),
        "t10k-labels-idx1-ubyte.gz": Checksum(
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"
        ),
    },
)


def load_kmnist(backend: Backend | str | None = None, *, flat: bool = True) -> Dataset:
    """Return Kuzushiji-MNIST: pixels float32 from 0 to 1, labels int32 (N,), and names of classes.

    The files have the names of MNIST's. They are read from a folder KMNIST, or KMNIST/raw, in the
    folder that the environment variable ANYNET_DATA_DIR names, or from the user's cache. See
    `load_mnist` for downloads.

    Args:
        backend: where the arrays go, see `anynet.get_backend`.
        flat: images are (N, 784), otherwise (N, 1, 28, 28).

    Raises:
        DataError: a file is missing or damaged and could not be downloaded. The message says where
            to put it.

    >>> from anynet.data import load_kmnist
    >>> dataset = load_kmnist("numpy")  # doctest: +SKIP
    >>> dataset.classes[3]  # doctest: +SKIP
    'tsu'

    """
    return load_source(SOURCE, backend, flat=flat, classes=CLASSES)
