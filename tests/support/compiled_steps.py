"""Networks, steps and comparisons that the tests of the compiler share."""

import argparse
import contextlib
import itertools
import signal
import sys
from typing import ClassVar

import numpy as np
import pytest
from helpers import assert_close, host

import anynet
from anynet import interrupt, layers, losses, optimizers, tree
from anynet.array import array_namespace
from anynet.compiler import compiled_step, device_graph
from anynet.errors import (
    DataError,
)
from anynet.optimizers import schedules

OPTIMIZERS = {
    "SGD": lambda: optimizers.SGD(schedules.Cosine(0.1, 10)),
    "Momentum": lambda: optimizers.Momentum(schedules.Cosine(0.1, 10), nesterov=True),
    "Adam": lambda: optimizers.Adam(schedules.Warmup(schedules.Cosine(0.01, 7), 3)),
    "AdamW": lambda: optimizers.AdamW(schedules.Cosine(0.01, 10)),
}


def total(x):
    return array_namespace(x).sum(x)


def small(backend, **settings):
    return layers.Sequential(
        layers.Linear(3, 4),
        layers.BatchNorm(4),
        layers.ReLU(),
        layers.Dropout(0.3),
        layers.Linear(4, 2),
        seed=0,
        backend=backend,
        **settings,
    )


def batch(backend, rows=6):
    rng = np.random.default_rng(rows)
    x = rng.normal(size=(rows, 3)).astype("float32")
    return backend.asarray(x), backend.asarray(rng.integers(0, 2, rows))


def same(backend, found, wanted):
    """Compare bits on NumPy. Compilers of other libraries may fuse and round otherwise."""
    if backend.name == "numpy":
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(host(found), host(wanted))
    else:
        assert_close(found, host(wanted), rtol=1e-4, atol=1e-5)


def same_bits(backend, found, wanted):
    """Compare all arrays, on NumPy. Elsewhere Adam amplifies the rounding of small gradients."""
    for (_, x), (_, y) in zip(tree.leaves(found), tree.leaves(wanted), strict=True):
        assert x.dtype == y.dtype
        assert x.shape == y.shape
        if backend.name == "numpy":
            same(backend, x, y)


class Trainer:
    """A network, its optimizer, and other state of a user."""

    kept: ClassVar[dict] = {}

    def __init__(self, backend):
        self.net, self.optimizer = small(backend), optimizers.Momentum(0.1)
        self.losses = []
        self.factor = 1.0
        self.settings = argparse.Namespace(smoothing=0.0)

    def step(self, x, t):
        both = anynet.value_and_grad(lambda net: self.factor * self.loss(net(x), t))
        value, grads = both(self.net)
        self.optimizer.update(self.net, grads)
        return value

    def loss(self, y, t):
        return losses.cross_entropy(y, t, label_smoothing=self.settings.smoothing)

    @anynet.compile
    def compiled(self, x, t):
        return self.step(x, t)


def plain_net(backend):
    return layers.Sequential(
        layers.Linear(3, 4),
        layers.Tanh(),
        layers.Linear(4, 2),
        seed=0,
        backend=backend,
    )


def both_ways(backend, step, calls, make=lambda: optimizers.Momentum(0.1)):
    """Call a step and the compiled step.

    Compare losses, errors, counts of updates and states after each call.
    """
    runs = [(f, plain_net(backend), make()) for f in (step, anynet.compile(step))]
    for call in calls:
        found = []
        for f, net, optimizer in runs:
            try:
                found.append(float(f(net, optimizer, *call)))
            except (DataError, KeyError, RuntimeError) as error:
                found.append(type(error))
        assert found[0] == (
            found[1]
            if isinstance(found[1], type)
            else pytest.approx(found[1], rel=1e-4, nan_ok=True)
        )
        assert runs[0][2].updates == runs[1][2].updates
        same_bits(backend, runs[0][1:], runs[1][1:])
    return runs


def swapped(s, x):
    s["new"], s["old"] = s["old"], s["new"]
    return s["old"] + x


@contextlib.contextmanager
def interrupt_at(number):
    """Press Ctrl-C at a moment, by its number, at which Python looks for signals in this package's
    compiled steps."""
    modules = [module.__file__ for module in (compiled_step, device_graph, interrupt)]
    seen = itertools.count()

    def profile(frame, event, argument):
        # What enters a lock is not interrupted before its block begins, or by Python's own fault.
        if event not in ("call", "c_return") or getattr(argument, "__name__", None) == "__enter__":
            return
        if frame.f_code.co_filename in modules and next(seen) == number:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    other = sys.getprofile()
    try:
        sys.setprofile(profile)
        yield
    finally:
        sys.setprofile(other)
        signal.signal(signal.SIGINT, before)
