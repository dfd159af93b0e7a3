"""Points in the plane that no line separates, from a seed.

They are computed on the host, so the same seed gives the same values on every library.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from anynet import random
from anynet.arguments import describe, whole_number
from anynet.array import Array
from anynet.backend import Backend, get_backend
from anynet.data.dataset import Dataset
from anynet.errors import ArgumentError, ArgumentTypeError

Point = tuple[float, float]


def spiral(
    backend: Backend | str | None = None,
    *,
    points: int = 100,
    classes: int = 3,
    noise: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Return arms of a spiral: points float32 (N, 2), labels int32 (N,), in random order.

    Point i of ``points`` on arm c has the radius r = i / points and the angle 4·(c + r) plus noise.

    Args:
        backend: where the arrays go, see `anynet.get_backend`.
        points: of each class, for training, and as many for testing.
        classes: the number of arms, 1 or more. There is room for three.
        noise: the standard deviation of the angle, 0 or more.
        seed: of the noise and the order.

    Raises:
        ArgumentError: an argument is out of range.

    >>> from anynet.data import spiral
    >>> (x, t), test = spiral("numpy", points=50)
    >>> x.shape, t.shape
    ((150, 2), (150,))

    Source: Deep Learning from Scratch 2, chapter 1.4.1.

    """
    points = whole_number("points", points, 1)
    classes = whole_number("classes", classes, 1)
    noise = _deviation(noise)

    def place(label: int, i: int, normal: Point) -> Point:
        radius = i / points
        angle = 4.0 * label + 4.0 * radius + noise * normal[0]
        return radius * math.sin(angle), radius * math.cos(angle)

    return _dataset(place, points, classes, seed, backend)


def moons(
    backend: Backend | str | None = None,
    *,
    points: int = 100,
    noise: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Return two half circles that reach into each other: points float32 (N, 2), labels int32 (N,),
    in random order.

    Class 0 is (cos φ, sin φ), and class 1 is (1 - cos φ, 0.5 - sin φ), for φ from 0 to π.

    Args:
        backend: where the arrays go, see `anynet.get_backend`.
        points: of each class, for training, and as many for testing.
        noise: the standard deviation of both coordinates, 0 or more.
        seed: of the noise and the order.

    Raises:
        ArgumentError: an argument is out of range.

    >>> from anynet.data import moons
    >>> (x, t), test = moons("numpy", noise=0.0)
    >>> bool((x[t == 0, 1] >= 0).all())
    True

    Source: scikit-learn's make_moons.

    """
    points = whole_number("points", points, 1)
    noise = _deviation(noise)

    def place(label: int, i: int, normal: Point) -> Point:
        angle = math.pi * (i / max(points - 1, 1))
        x, y = math.cos(angle), math.sin(angle)
        x, y = (1 - x, 0.5 - y) if label else (x, y)
        return x + noise * normal[0], y + noise * normal[1]

    return _dataset(place, points, 2, seed, backend)


def _dataset(
    place: Callable[[int, int, Point], Point],
    points: int,
    classes: int,
    seed: int,
    backend: Backend | str | None,
) -> Dataset:
    """Return the points of all classes, with other noise for testing than for training.

    Args:
        place: returns a point by its label, its index in the class, and two normal values.
        points: of each class.
        classes: how many there are.
        seed: of the noise and the order.
        backend: where the arrays go.

    """
    backend, host = get_backend(backend), get_backend("numpy")
    pairs = []
    for part in range(2):
        # NumPy has the integers of the generator, as all libraries have them.
        key = random.fold_in(random.key(seed, host), part)
        rows = list(_rows(place, points, classes, key))
        order: Any = random.permutation(random.fold_in(key, 1), len(rows))
        shuffled = [rows[i] for i in order.tolist()]
        pairs.append(_arrays(shuffled, backend))
    train, test = pairs
    return Dataset(train, test)


def _rows(
    place: Callable[[int, int, Point], Point],
    points: int,
    classes: int,
    key: Any,
) -> Iterator[tuple[Point, int]]:
    """Yield each point and its label, class by class."""
    normals: Any = random.normal(random.fold_in(key, 0), (classes, points, 2))
    for label, of_class in enumerate(normals.tolist()):
        for i, normal in enumerate(of_class):
            yield place(label, i, normal), label


def _arrays(rows: Sequence[tuple[Point, int]], backend: Backend) -> tuple[Array, Array]:
    xp = backend.xp
    x = backend.asarray([point for point, _ in rows], dtype=xp.float32)
    t = backend.asarray([label for _, label in rows], dtype=xp.int32)
    return x, t


def _deviation(noise: Any) -> float:
    try:
        value = float(noise)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"noise is {describe(noise)}: wanted a number, 0 or more") from None
    if not 0 <= value < math.inf:
        raise ArgumentError(f"noise is {noise}: wanted a finite number, 0 or more")
    return value
