"""The handwritten digits that come with scikit-learn: 1,797 small images, without a download."""

from typing import Any

from anynet.array import Array, Namespace
from anynet.backend import Backend, get_backend
from anynet.data.dataset import Dataset
from anynet.errors import DataError

#: How many of the 1,797 are for testing: the last ones, which other people wrote.
TEST = 297


def load_digits(backend: Backend | str | None = None, *, flat: bool = True) -> Dataset:
    """Return scikit-learn's digits, scaled from 8 by 8 to 28 by 28 pixels as those of MNIST.

    Pixels are float32 from 0 to 1, labels int32 (N,): 1,500 digits for training and 297 for
    testing.

    Args:
        backend: where the arrays go, see `anynet.get_backend`.
        flat: images are (N, 784), otherwise (N, 1, 28, 28).

    Raises:
        DataError: scikit-learn is not installed.

    Source: Alpaydin and Kaynak, Optical recognition of handwritten digits, 1998.

    >>> from anynet.data import load_digits
    >>> train, test = load_digits("numpy", flat=False)
    >>> train[0].shape, test[1].shape
    ((1500, 1, 28, 28), (297,))

    """
    try:
        from sklearn import datasets
    except ImportError:
        raise DataError("the digits come with scikit-learn: pip install scikit-learn") from None
    backend = get_backend(backend)
    xp = backend.xp
    bunch: Any = datasets.load_digits()
    small = backend.asarray(bunch.images, dtype=xp.float32) / 16
    widen = _interpolation(backend, 8, 28)
    images = xp.matmul(xp.matmul(widen, small), xp.matrix_transpose(widen))
    images = xp.reshape(images, (-1, 784) if flat else (-1, 1, 28, 28))
    labels = backend.asarray(bunch.target, dtype=xp.int32)
    return Dataset(
        (images[:-TEST, ...], labels[:-TEST]),
        (images[-TEST:, ...], labels[-TEST:]),
        "0123456789",
    )


def _interpolation(
    backend: Backend,
    given: int,
    wanted: int,
) -> Array:
    """Return the matrix (wanted, given) that interpolates linearly between the middles of
    pixels.
    """
    xp: Namespace = backend.xp
    indices = xp.arange(wanted, dtype=xp.float32, device=backend.device)
    places = (indices + 0.5) * (given / wanted) - 0.5
    places = xp.maximum(places, xp.zeros_like(places))
    places = xp.minimum(places, xp.full_like(places, given - 1))
    pixels = xp.arange(given, dtype=xp.float32, device=backend.device)
    distance = xp.abs(xp.expand_dims(places, axis=1) - pixels)
    return xp.maximum(1 - distance, xp.zeros_like(distance))
