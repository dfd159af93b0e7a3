"""The networks that ``anynet train`` makes for a data set."""

from typing import Any

from anynet import layers
from anynet.array import array_namespace
from anynet.data import Dataset
from anynet.errors import ArgumentError


def make(name: str, dataset: Dataset) -> layers.Module:
    """Return an uninitialized network for a data set.

    Args:
        name: ``mlp``, which has hidden layers of 50 and 100 units, or ``cnn``.
        dataset: images (N, channels, height, width) or rows (N, features), and class indices.

    Raises:
        ArgumentError: a convolutional network for rows.

    """
    x, t = dataset.train
    classes = int(array_namespace(t).max(t)) + 1
    if name == "mlp":
        return fully_connected(tuple(x.shape[1:]), classes)
    if x.ndim != 4:
        raise ArgumentError(
            f"model is {name!r}, and the data are rows of shape {tuple(x.shape[1:])}: wanted "
            "images, or --model mlp"
        )
    return convolutional(tuple(x.shape[1:]), classes)


def fully_connected(shape: tuple[int, ...], classes: int) -> layers.Module:
    """Return features-50-100-classes with ReLU."""
    features = 1
    for length in shape:
        features *= length
    return layers.Sequential(
        layers.Flatten(),
        layers.Linear(features, 50),
        layers.ReLU(),
        layers.Linear(50, 100),
        layers.ReLU(),
        layers.Linear(100, classes),
    )


def convolutional(shape: tuple[int, ...], classes: int) -> layers.Module:
    """Return two blocks of convolution and pooling, and two linear layers."""
    channels, height, width = shape
    return layers.Sequential(
        *_block(channels, 16),
        *_block(16, 32),
        layers.Flatten(),
        layers.Linear(32 * (height // 4) * (width // 4), 100),
        layers.ReLU(),
        layers.Linear(100, classes),
    )


def _block(in_channels: int, out_channels: int) -> list[Any]:
    """Return layers that halve the height and the width."""
    return [
        layers.Conv2d(in_channels, out_channels, 3, padding="same", bias=False),
        layers.BatchNorm(out_channels),
        layers.ReLU(),
        layers.MaxPool2d(2),
    ]
