"""Functions to differentiate, and the comparison with central differences."""

import math

import numpy as np
import pytest
from helpers import host

import anynet
from anynet.array import array_namespace, device
from anynet.autodiff.trace import lift

# Where each function is smooth: its arguments are drawn from here.
UNARY = {
    "abs": (0.1, 2), "acos": (-0.9, 0.9), "acosh": (1.1, 3), "asin": (-0.9, 0.9), "asinh": (-2, 2), "atan": (-2, 2),
    "atanh": (-0.9, 0.9), "cos": (-3, 3), "cosh": (-2, 2), "exp": (-2, 2), "expm1": (-2, 2), "log": (0.1, 3),
    "log1p": (-0.9, 3), "log2": (0.1, 3), "log10": (0.1, 3), "negative": (-2, 2), "positive": (-2, 2),
    "reciprocal": (0.2, 2), "sin": (-3, 3), "sinh": (-2, 2), "sqrt": (0.1, 3), "square": (-2, 2), "tan": (-1.2, 1.2),
    "tanh": (-2, 2),
}  # fmt: skip
BINARY = {
    "add": (-2, 2), "atan2": (0.3, 2), "copysign": (0.2, 2), "divide": (0.3, 2), "hypot": (0.2, 2),
    "logaddexp": (-2, 2), "maximum": (-2, 2), "minimum": (-2, 2), "multiply": (-2, 2), "pow": (0.3, 2),
    "subtract": (-2, 2),
}  # fmt: skip


def directional(f, x, order=1):
    """Return the analytic and the numerical derivative of f along a random direction, of the gradient for order 2."""
    xp = array_namespace(x)
    if order == 2:
        weights = xp.asarray(np.random.default_rng(2).normal(size=x.shape), device=device(x))
        first = anynet.grad(f)
        return directional(lambda y: array_namespace(y).sum(first(y) * weights), x)
    v = np.random.default_rng(1).normal(size=x.shape)
    analytic = np.sum(host(anynet.grad(f)(x)) * v)
    step = 1e-5 * xp.asarray(v, device=device(x))
    # As constants, for not every library reads a slice backwards, and anynet does.
    return analytic, float((f(lift(x + step)) - f(lift(x - step))) / 2e-5)


def agree(f, x, orders=(1, 2)):
    for order in orders:
        analytic, numerical = directional(f, x, order)
        assert analytic == pytest.approx(numerical, rel=2e-6, abs=2e-7), f"derivative {order}"


def drawn(shape, low, high, seed):
    return np.random.default_rng(seed).uniform(low, high, size=shape)


def weighted(function, seed=3):
    """Return a scalar function whose cotangents all differ."""

    def f(x):
        xp = array_namespace(x)
        y = function(xp, x)
        weights = xp.reshape(xp.cos(xp.arange(math.prod(y.shape), dtype=y.dtype, device=device(y))), y.shape)
        return xp.sum(y * weights)

    return f


REDUCTIONS = ["sum", "mean", "max", "min", "var", "std"]

SHAPED = {
    "reshape": lambda xp, x: xp.reshape(x, (4, -1)),
    "permute_dims": lambda xp, x: xp.permute_dims(x, (2, 0, 1)),
    "moveaxis": lambda xp, x: xp.moveaxis(x, 0, -1),
    "expand_dims": lambda xp, x: xp.expand_dims(x, axis=1),
    "squeeze": lambda xp, x: xp.squeeze(xp.expand_dims(x, axis=0), 0),
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (5, 2, 3, 4)),
    "concat": lambda xp, x: xp.concat([x, 2 * x, x * x], axis=1),
    "concat flat": lambda xp, x: xp.concat([x, 3 * x], axis=None),
    "stack": lambda xp, x: xp.stack([x, 2 * x], axis=-1),
    "flip": lambda xp, x: xp.flip(x, axis=(0, 2)),
    "roll": lambda xp, x: xp.roll(x, (1, -2), axis=(0, 2)),
    "cumulative_sum": lambda xp, x: xp.cumulative_sum(x, axis=1),
    "cumulative_sum initial": lambda xp, x: xp.cumulative_sum(x, axis=-1, include_initial=True),
    "astype": lambda xp, x: xp.astype(x, xp.float64),
    "where": lambda xp, x: xp.where(x > 0, x * x, 3 * x),
    "clip": lambda xp, x: xp.clip(x, -0.5, 0.5),
    "clip by arrays": lambda xp, x: xp.clip(x, max=0.3 * x * x),
    "matrix_transpose": lambda xp, x: xp.matrix_transpose(x),
    "slice": lambda xp, x: x[:, ::-2, 1],
    "slice and none": lambda xp, x: x[None, 1, ..., 1:3],
}
