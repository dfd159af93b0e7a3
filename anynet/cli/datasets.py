"""The data sets that ``anynet train`` knows by name."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anynet import data
from anynet.errors import ArgumentError, ShapeError
from anynet.spelling import did_you_mean

if TYPE_CHECKING:
    from anynet.backend import Backend
    from anynet.layers import Module

#: Functions of a backend that return a `data.Dataset`. Images are (N, channels, height, width).
DATASETS: dict[str, Callable[["Backend"], data.Dataset]] = {
    "mnist": lambda backend: data.load_mnist(backend, flat=False),
    "digits": lambda backend: data.load_digits(backend, flat=False),
    "fashion-mnist": lambda backend: data.load_fashion_mnist(backend, flat=False),
    "kmnist": lambda backend: data.load_kmnist(backend, flat=False),
    "emnist": lambda backend: data.load_emnist(backend=backend, flat=False),
    "cifar10": lambda backend: data.load_cifar10(backend, flat=False),
    "moons": data.moons,
    "spiral": data.spiral,
}


def load(name: str, backend: "Backend") -> data.Dataset:
    """Return a data set on a backend.

    Raises:
        ArgumentError: the name is unknown.

    """
    if name not in DATASETS:
        raise ArgumentError(
            f"data is {name!r}{did_you_mean(name, DATASETS)}: wanted one of {', '.join(DATASETS)}"
        )
    return DATASETS[name](backend)


def fitted(dataset: data.Dataset, net: "Module") -> data.Dataset:
    """Return the data set with images as the network takes them: (N, channels, height, width) or
    rows of pixels, (N, features).

    Raises:
        ShapeError: the network takes neither.

    """
    x, _ = dataset.train
    if x.ndim == 2:
        return dataset
    try:
        net(x[:1, ...])
    except ShapeError as error:
        rows = flattened(dataset)
        try:
            net(rows.train[0][:1, ...])
        except ShapeError:
            raise error from None
        return rows
    return dataset


def flattened(dataset: data.Dataset) -> data.Dataset:
    """Return the data set with each image as a row."""
    train, test = [(_rows(x), t) for x, t in (dataset.train, dataset.test)]
    return data.Dataset(train, test, dataset.classes)


def _rows(x: Any) -> Any:
    from anynet.array import array_namespace

    return array_namespace(x).reshape(x, (x.shape[0], -1))
