"""The numerical gradient of a whole network, against a loop over its parameters."""

import time
from statistics import median

import numpy as np
from rows import ROWS

import anynet
from anynet import functions, losses
from anynet.array import Array
from anynet.backend import Backend
from anynet.primitives import affine

#: Parameters in one round of the loop. The time for all of them is extrapolated.
SAMPLE = 1000


def measure(backend: Backend, rounds: int) -> dict[str, float]:
    """Return the median seconds for all 39,760 parameters of 784-50-10 at batch 100, ours and the
    loop's.
    """
    row = ROWS[0]
    (x, t), parameters = (
        row.data(),
        [p for pair in row.parameters() for p in pair or ()],
    )
    images, labels = backend.asarray(x), backend.asarray(t)
    tree = [backend.asarray(p) for p in parameters]
    count = sum(p.size for p in parameters)

    def loss(p: list[Array]) -> Array:
        h = functions.relu(affine(images, p[0], p[1]))
        return losses.cross_entropy(affine(h, p[2], p[3]), labels)

    seconds: dict[str, list[float]] = {"anynet": [], "loop": []}
    for _ in range(rounds):
        for _ in range(4):
            seconds["loop"].append(_loop(x, t, [p.copy() for p in parameters]) * count / SAMPLE)
        start = time.perf_counter()
        anynet.numerical_gradient(loss, tree)
        backend.synchronize()
        seconds["anynet"].append(time.perf_counter() - start)
    return {name: median(found) for name, found in seconds.items()}


def _loop(x: np.ndarray, t: np.ndarray, parameters: list[np.ndarray]) -> float:
    """Return the seconds that one central difference per parameter takes for a sample of the first
    weights.
    """
    w1, b1, w2, b2 = parameters
    rows = np.arange(len(t))

    def loss() -> float:
        h = np.maximum(x @ w1 + b1, 0)
        z = h @ w2 + b2
        z -= z.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[rows, t]))

    flat, gradient, step = w1.reshape(-1), np.empty(SAMPLE), 1e-3
    start = time.perf_counter()
    for i in range(SAMPLE):
        before = flat[i]
        flat[i] = before + step
        above = loss()
        flat[i] = before - step
        gradient[i] = (above - loss()) / (2 * step)
        flat[i] = before
    return time.perf_counter() - start
