"""The rows of the table: networks, batches and optimizers, and the initial values that all
candidates share.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

RATE = 0.01

Run = Callable[[int], None]


@dataclass(frozen=True)
class Row:
    """A training step, or the outputs of many images in batches.

    Layers are ("linear", from, to), ("conv", from, to, kernel, padding), ("norm", channels),
    ("relu",), ("flatten",), and ("pool",), which halves height and width.
    """

    title: str
    layers: tuple[tuple[Any, ...], ...]
    batch: int = 100
    adam: bool = False
    #: Images of an inference, or 0 for a training step.
    images: int = 0

    @property
    def dense(self) -> bool:
        """Whether it is made of fully connected layers alone."""
        return all(kind in ("linear", "relu") for kind, *_ in self.layers)

    @property
    def rate(self) -> float:
        """The learning rate."""
        return 0.001 if self.adam else RATE

    def data(self) -> tuple[Any, Any]:
        """Return images and labels, of one batch or of the inference."""
        generator = np.random.default_rng(0)
        shape = (self.layers[0][1],) if self.dense else (1, 28, 28)
        n = self.images or self.batch
        return generator.random((n, *shape), "float32"), generator.integers(0, 10, n)

    def parameters(self) -> list[tuple[Any, Any] | None]:
        """Return weight and bias of each layer, None for one without parameters. Linear weights are
        (in, out).
        """
        generator = np.random.default_rng(1)
        found: list[tuple[Any, Any] | None] = []
        for kind, *sizes in self.layers:
            if kind == "linear":
                shape, fan, out = tuple(sizes), sizes[0], sizes[1]
            elif kind == "conv":
                shape, fan, out = (
                    (sizes[1], sizes[0], sizes[2], sizes[2]),
                    sizes[0] * sizes[2] ** 2,
                    sizes[1],
                )
            elif kind == "norm":
                found.append(
                    (
                        np.ones(sizes[0], "float32"),
                        np.zeros(sizes[0], "float32"),
                    )
                )
                continue
            else:
                found.append(None)
                continue
            weight = generator.normal(size=shape) * (2 / fan) ** 0.5
            found.append((weight.astype("float32"), np.zeros(out, "float32")))
        return found


def _dense(*widths: int) -> tuple[tuple[Any, ...], ...]:
    layers: list[tuple[Any, ...]] = []
    for i in range(len(widths) - 1):
        layers += [("linear", widths[i], widths[i + 1]), ("relu",)]
    return tuple(layers[:-1])


_SMALL = (
    ("conv", 1, 30, 5, 0),
    ("relu",),
    ("pool",),
    ("flatten",),
    *_dense(4320, 100, 10),
)
_LARGE = tuple(
    layer
    for before, after in ((1, 32), (32, 64))
    for layer in (
        ("conv", before, after, 3, 1),
        ("relu",),
        ("conv", after, after, 3, 1),
        ("norm", after),
        ("relu",),
        ("pool",),
    )
)

ROWS = (
    Row("784-50-10, batch 100", _dense(784, 50, 10)),
    Row("784-50-100-10, batch 100", _dense(784, 50, 100, 10)),
    Row(
        "784-50-100-10, inference on 10,000",
        _dense(784, 50, 100, 10),
        images=10_000,
    ),
    Row(
        "784-2048-2048-10, batch 512",
        _dense(784, 2048, 2048, 10),
        batch=512,
    ),
    Row(
        "784-2048-2048-10, batch 512, Adam",
        _dense(784, 2048, 2048, 10),
        batch=512,
        adam=True,
    ),
    Row("conv30(5×5)-pool-100-10, batch 100", _SMALL),
    Row(
        "32-32-bn-pool-64-64-bn-pool-10, batch 128, Adam",
        (*_LARGE, ("flatten",), ("linear", 3136, 10)),
        batch=128,
        adam=True,
    ),
)


def times(
    work: Callable[[], object],
    synchronize: Callable[[], object] = lambda: None,
) -> Run:
    """Return a function that does the work so many times, and waits for it."""

    def run(calls: int) -> None:
        for _ in range(calls):
            work()
        synchronize()

    return run
