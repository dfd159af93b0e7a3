"""Measure the tape: a chain of multiplications of small arrays, forward alone and with the backward
walk.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

import anynet
from anynet.array import array_namespace
from anynet.bench import Maker

#: Operations in the chain, among which the overhead of a call is shared.
LENGTH = 100


def chains() -> dict[str, Maker]:
    """Return the candidates. Each computes the chain, and those that differentiate also its
    gradient.
    """
    candidates = {"NumPy, forwards only": _numpy, "anynet": _anynet}
    if find_spec("autograd"):
        candidates["HIPS autograd"] = _autograd
    if find_spec("torch"):
        candidates["PyTorch"] = _torch
    return {name: partial(_repeated, make) for name, make in candidates.items()}


def _repeated(
    make: Callable[[], Callable[[], object]],
) -> Callable[[int], None]:
    work = make()

    def run(calls: int) -> None:
        for _ in range(calls):
            work()

    return run


def _chain(x: Any) -> Any:
    y = x
    for _ in range(LENGTH):
        y = y * x
    return y


def _numpy() -> Callable[[], object]:
    x = np.full(4, 1.001)
    return lambda: np.sum(_chain(x))


def _anynet() -> Callable[[], object]:
    gradient = anynet.grad(lambda x: array_namespace(x).sum(_chain(x)))
    x = np.full(4, 1.001)
    return lambda: gradient(x)


def _autograd() -> Callable[[], object]:
    import autograd

    gradient = autograd.grad(lambda x: autograd.numpy.sum(_chain(x)))
    x = np.full(4, 1.001)
    return lambda: gradient(x)


def _torch() -> Callable[[], object]:
    import torch

    x = torch.full((4,), 1.001, dtype=torch.float64, requires_grad=True)

    def work() -> None:
        x.grad = None
        _chain(x).sum().backward()

    return work
