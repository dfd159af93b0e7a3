"""Fashion-MNIST: 60,000 images of clothes for training and 10,000 for testing, 28 by 28 pixels, in
ten classes.

Source: Xiao, Rasul and Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms, 2017.
"""

from anynet.backend import Backend
from anynet.data.dataset import Dataset
from anynet.data.download import Checksum, Source
from anynet.data.idx_pairs import load_source

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

#: The checksums of the files are those of TensorFlow Datasets (url_checksums/fashion_mnist.txt).
#: The contents of the labels were computed here from the files of the authors' repository.
SOURCE = Source(
    "Fashion-MNIST",
    "FashionMNIST",
    (
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    {
        "train-images-idx3-ubyte.gz": Checksum(
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
        ),
        "train-labels-idx1-ubyte.gz": Checksum(
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            contents="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        "t10k-images-idx3-ubyte.gz": Checksum(
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
        ),
        "t10k-labels-idx1-ubyte.gz": Checksum(
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            contents="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    },
)


def load_fashion_mnist(backend: Backend | str | None = None, *, flat: bool = True) -> Dataset:
    """Return Fashion-MNIST: pixels float32 from 0 to 1, labels int32 (N,), and names of classes.

    The files have the names of MNIST's. They are read from a folder FashionMNIST, or
    FashionMNIST/raw, in the folder that the environment variable ANYNET_DATA_DIR names, or from the
    user's cache. See `load_mnist` for downloads.

    Args:
        backend: where the arrays go, see `anynet.get_backend`.
        flat: images are (N, 784), otherwise (N, 1, 28, 28).

    Raises:
        DataError: a file is missing or damaged and could not be downloaded. The message says where
            to put it.

    >>> from anynet.data import load_fashion_mnist
    >>> dataset = load_fashion_mnist("numpy", flat=False)  # doctest: +SKIP
    >>> dataset.train[0].shape, dataset.classes[9]  # doctest: +SKIP
    ((60000, 1, 28, 28), 'Ankle boot')

    """
    return load_source(SOURCE, backend, flat=flat, classes=CLASSES)
