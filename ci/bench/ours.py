"""anynet's candidates: a row on one backend, eager or compiled, and its matrix products alone."""

from typing import Any

import numpy as np
from rows import Row, Run, times

import anynet
from anynet import layers, losses, optimizers
from anynet.backend import Backend, configure
from anynet.training import training_step


def network(row: Row, backend: Backend) -> layers.Sequential:
    """Return the row's network."""
    makers: dict[str, Any] = {
        "linear": layers.Linear,
        "relu": layers.ReLU,
        "conv": lambda before, after, kernel, padding: layers.Conv2d(
            before, after, kernel, padding=padding
        ),
        "norm": layers.BatchNorm,
        "pool": lambda: layers.MaxPool2d(2),
        "flatten": layers.Flatten,
    }
    parts = [makers[kind](*sizes) for kind, *sizes in row.layers]
    net = layers.Sequential(*parts, seed=0, backend=backend)
    for layer, given in zip(parts, row.parameters(), strict=True):
        if given is not None:
            layer.weight, layer.bias = map(backend.asarray, given)
    return net


def candidate(row: Row, name: str, compiled: bool) -> Run:
    """Return the row's work."""
    backend = configure(name)
    net, (x, t) = network(row, backend), map(backend.asarray, row.data())
    if row.images:
        infer = anynet.compile(net) if compiled else net
        return times(
            lambda: [infer(x[i : i + row.batch, ...]) for i in range(0, row.images, row.batch)],
            backend.synchronize,
        )
    step: Any = training_step(losses.cross_entropy)
    step = anynet.compile(step) if compiled else step
    optimizer = (optimizers.Adam if row.adam else optimizers.SGD)(row.rate)
    return times(lambda: step(net, optimizer, x, t), backend.synchronize)


def products(row: Row, name: str) -> Run:
    """Multiply the matrices of the row and do nothing else. The first layer needs no cotangent of
    its input.

    A convolution counts as the products of its unfolded images, one for the batch.
    """
    backend, generator, side = configure(name), np.random.default_rng(1), 28
    sizes = []
    for kind, *given in row.layers:
        if kind == "linear":
            sizes.append((row.batch, *given))
        elif kind == "conv":
            side += 2 * given[3] - given[2] + 1
            sizes.append((row.batch * side**2, given[0] * given[2] ** 2, given[1]))
        elif kind == "pool":
            side //= 2
    matrices = [
        tuple(
            backend.asarray(generator.random(shape, "float32"))
            for shape in ((n, a), (a, b), (n, b))
        )
        for n, a, b in sizes
    ]
    matmul = backend.xp.matmul

    def work() -> None:
        for x, weight, _ in matrices:
            matmul(x, weight)
        for i, (x, weight, g) in reversed(list(enumerate(matrices))):
            matmul(x.T, g)
            if i:
                matmul(g, weight.T)

    def infer() -> None:
        for _ in range(row.images // row.batch):
            for x, weight, _ in matrices:
                matmul(x, weight)

    return times(infer if row.images else work, backend.synchronize)
