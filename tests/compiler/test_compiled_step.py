"""Compiled steps do what the steps do, and say so where they cannot."""

import argparse
import contextlib
import contextvars
import copy
import functools
import itertools
import operator
import pickle
import queue
import random
import signal
import sys
import threading
import weakref
from collections import Counter, OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import ClassVar, NamedTuple

import numpy as np
import pytest
from examples_of_layers import everything
from helpers import assert_close, checks_labels, host, numbers
from pretended_graphs import Pretended

import anynet
from anynet import interrupt, layers, losses, optimizers, tree
from anynet.array import array_namespace
from anynet.backend import get_backend
from anynet.compiler import compiled_step, device_graph
from anynet.compiler.target import target_of
from anynet.data import Loader
from anynet.data.loader import batch as batch_of
from anynet.errors import (
    ArgumentError,
    CompilationError,
    DataError,
    ShapeError,
)
from anynet.optimizers import schedules
from anynet.tracing.trace import Traced
from anynet.training import on_rows, training_step

OPTIMIZERS = {
    "SGD": lambda: optimizers.SGD(schedules.Cosine(0.1, 10)),
    "Momentum": lambda: optimizers.Momentum(schedules.Cosine(0.1, 10), nesterov=True),
    "Adam": lambda: optimizers.Adam(schedules.WarmupCosine(0.01, 10, 3)),
    "AdamW": lambda: optimizers.AdamW(schedules.Cosine(0.01, 10)),
}


def total(x):
    return array_namespace(x).sum(x)


def small(backend, **settings):
    return layers.Sequential(
        layers.Linear(3, 4), layers.BatchNorm(4), layers.ReLU(), layers.Dropout(0.3), layers.Linear(4, 2),
        seed=0, backend=backend, **settings,
    )  # fmt: skip


def batch(backend, rows=6):
    rng = np.random.default_rng(rows)
    x = rng.normal(size=(rows, 3)).astype("float32")
    return backend.asarray(x), backend.asarray(rng.integers(0, 2, rows))


def same(backend, found, wanted):
    """The same bits on NumPy; elsewhere a compiler may fuse, and round otherwise."""
    if backend.name == "numpy":
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(host(found), host(wanted))
    else:
        assert_close(found, host(wanted), rtol=1e-4, atol=1e-5)


def same_bits(backend, found, wanted):
    """The same arrays throughout, on NumPy; elsewhere small gradients are all rounding, which Adam
    makes large."""
    for (_, x), (_, y) in zip(tree.leaves(found), tree.leaves(wanted), strict=True):
        assert x.dtype == y.dtype
        assert x.shape == y.shape
        if backend.name == "numpy":
            same(backend, x, y)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_of_all_layers(backend, name):
    step = anynet.value_and_grad(
        lambda net, inputs: sum(total(y * y) for y in net(inputs).values())
    )

    def train(net, optimizer, inputs):
        loss, grads = step(net, inputs)
        optimizer.update(net, grads)
        return loss

    compiled = anynet.compile(train)
    # JAX would take long to compile all of it again and again.
    if backend.name == "jax" and name != "Adam":
        pytest.skip(reason="JAX compiles for too long; one optimizer is tested")
    (net, inputs), (other, _) = everything(backend), everything(backend)
    optimizer, other_optimizer = OPTIMIZERS[name](), OPTIMIZERS[name]()
    for _ in range(4):
        same(
            backend,
            compiled(net, optimizer, inputs),
            train(other, other_optimizer, inputs),
        )
    same_bits(backend, (net, optimizer), (other, other_optimizer))
    # State that begins is another kind of argument.
    assert len(compiled.programs) == 1
    assert optimizer.updates == 4


def test_the_function_runs_once_for_each_kind_of_arguments(backend):

    def f(net, x, power):
        return net(x) ** power

    net, compiled = small(backend), anynet.compile(f)
    for rows, power in ((6, 2), (6, 2), (5, 2), (6, 3), (5, 2), (6, 2)):
        x, _ = batch(backend, rows)
        same(backend, compiled(net, x, power), net(x) ** power)
    assert len(compiled.programs) == 3
    # A setting inside the network.
    x, _ = batch(backend)
    net.set_training(True)
    compiled(net, x, 2)
    assert len(compiled.programs) == 4


def test_arrays_that_a_user_holds_stay_as_they_were(backend):
    net, optimizer, (x, t) = (
        small(backend),
        optimizers.Adam(0.1),
        batch(backend),
    )
    step = anynet.compile(training_step(losses.cross_entropy))
    seen = []
    for _ in range(5):
        arrays = [
            step(net, optimizer, x, t),
            *net.parameters().values(),
            *net.buffers().values(),
        ]
        arrays += [x for _, x in tree.leaves(optimizer)]
        seen.append((arrays, [host(x).copy() for x in arrays]))
    for arrays, before in seen:
        for x, was in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(host(x), was)
    if backend.name == "numpy":
        kept = [x for arrays, _ in seen for x in arrays if x.ndim]
        assert not any(
            np.shares_memory(x, y) for i, x in enumerate(kept) for y in kept[:i] if x is not y
        )


class Chain(layers.Module):
    """Layers in a list, which may change, and a setting."""

    def __init__(self, parts):
        self.parts = list(parts)
        self.factor = 1.0

    def forward(self, x):
        for part in self.parts:
            x = part(x)
        return total(x) * self.factor


def test_changes_between_calls_are_seen(backend):
    """Also where the network is the one that the last call left."""
    compiled, f = (
        anynet.compile(lambda net, x: net(x)),
        lambda net, x: net(x),
    )
    nets = [
        Chain(layers.Linear(3, 3) for _ in range(3)).initialize(seed, backend) for seed in (0, 1)
    ]
    net, (x, _) = nets[0], batch(backend)

    def swap():
        net.parts[0], net.parts[2] = net.parts[2], net.parts[0]

    for change in (
        lambda: None,
        lambda: setattr(net, "factor", 2.0),
        lambda: setattr(net.parts[0], "weight", net.parts[0].weight + 1),
        lambda: setattr(net, "factor", backend.asarray(2.0)),
        lambda: setattr(net.parts[1], "weight", net.parts[0].weight),
        lambda: setattr(net.parts[1], "weight", net.parts[0].weight + 1),
        lambda: net.parts.append(layers.ReLU()),
        swap,
        lambda: net.parts.insert(1, net.parts.pop()),
        lambda: net.parts.pop(0),
        lambda: vars(net).pop("factor") and setattr(net, "factor", 3.0),
    ):
        change()
        for given in (net, net, nets[1], net):
            same(backend, compiled(given, x), f(given, x))
    half = backend.asarray(host(x)[:3])
    for given in (
        half,
        x,
        half,
        backend.xp.astype(half, backend.xp.float64),
        half,
    ):
        same(backend, compiled(net, given), f(net, given))


def test_results_are_not_written_over_a_view_of_another_argument(backend):
    """A sum of a matrix and its transpose, both seen for the last time."""

    def f(x, w):
        y = x @ w
        return y + y.T

    compiled, x, w = (
        anynet.compile(f),
        numbers(backend, 4, 4),
        numbers(backend, 4, 4, seed=1),
    )
    for _ in range(3):
        assert_close(compiled(x, w), host(f(x, w)), rtol=1e-6)


def test_arrays_that_train_together():
    """One array in two places goes two ways when it is trained, with or without a compiler."""
    step = training_step(losses.mean_squared_error)
    compiled, x = (
        anynet.compile(step),
        np.random.default_rng(0).normal(size=(5, 3)),
    )
    nets = []
    for train in (step, compiled):
        net = layers.Sequential(layers.Linear(3, 3), layers.Tanh(), layers.Linear(3, 3), seed=0)
        net.layers[2].weight = net.layers[0].weight
        optimizer = optimizers.SGD()
        for _ in range(4):
            train(net, optimizer, x, x)
        nets.append(net)
    same_bits(get_backend("numpy"), *nets)


def test_results_are_trees(backend):
    net, (x, t) = small(backend).freeze("layers.0"), batch(backend)
    both = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))
    compiled = anynet.compile(both)
    copy = small(backend).freeze("layers.0")
    for _ in range(3):
        (loss, grads), (other, wanted) = (
            compiled(net, x, t),
            both(copy, x, t),
        )
        same(backend, loss, other)
        assert list(grads.parameters()) == list(wanted.parameters())
        for path, g in wanted.parameters().items():
            same(backend, grads[path], g)
    for path, buffer in copy.buffers().items():
        same(backend, net[path], buffer)
    assert anynet.compile(lambda x: (x, [1, x + 1, None]))(x)[1][0] == 1


def test_a_network_is_a_step(backend):
    net, (x, t) = small(backend), batch(backend)
    infer = anynet.compile(net)
    same(backend, infer(x), net(x))
    optimizers.SGD(0.5).update(net, anynet.grad(lambda net: losses.cross_entropy(net(x), t))(net))
    same(backend, infer(x), net(x))
    assert len(infer.programs) == 1


def test_a_compiled_function_has_a_derivative(backend):
    cube = anynet.compile(lambda x: total(x**3))
    x = numbers(backend, 4)
    cube(x)
    assert_close(anynet.grad(cube)(x), 3 * host(x) ** 2)
    assert_close(anynet.compile(anynet.grad(cube))(x), 3 * host(x) ** 2)


def test_arrays_as_indices(backend):
    picked = anynet.compile(anynet.grad(lambda x, i: total(x[i, 0] ** 2)))
    x = numbers(backend, 4, 2)
    for places in ([0, 2, 2], [3, 1, 0]):
        wanted = np.zeros((4, 2))
        np.add.at(wanted[:, 0], places, 2 * host(x)[places, 0])
        assert_close(picked(x, backend.asarray(np.array(places))), wanted)
    assert len(picked.programs) == 1


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (
            lambda x: x if float(total(x)) > 0 else -x,
            r"float\(\) of Traced.*is not settled while a step is recorded",
        ),
        (
            lambda x: x if total(x) > 0 else -x,
            r"bool\(\) of Traced.*where\(\) for a choice",
        ),
        (
            lambda x: x[x > 0],
            "getitem_at: how many elements come out depends on the values",
        ),
        (
            lambda x: array_namespace(x).unique_values(x),
            "unique_values: how many elements come out depends",
        ),
        (
            lambda x: array_namespace(x).nonzero(x)[0],
            "nonzero: how many elements come out depends",
        ),
    ],
)
def test_what_cannot_be_recorded(backend, f, message):
    with pytest.raises(CompilationError, match=message):
        anynet.compile(f)(numbers(backend, 3))


OUTSIDE = small("numpy")


class Trainer:
    """A network and its optimizer, and what a user keeps beside them."""

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


def closure(backend):
    """A step over what a closure holds."""
    trainer = Trainer(backend)
    net, held = trainer.net, {"optimizers": [trainer.optimizer]}

    def step(x, t):
        value, grads = anynet.value_and_grad(lambda net: losses.cross_entropy(net(x), t))(net)
        held["optimizers"][0].update(net, grads)
        return value

    return trainer, step


def partial_arguments(backend):
    trainer = Trainer(backend)
    return trainer, functools.partial(
        training_step(losses.cross_entropy), trainer.net, trainer.optimizer
    )


def partial_keywords(backend):
    trainer = Trainer(backend)
    both = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))

    def step(x, t, *, net, optimizer):
        value, grads = both(net, x, t)
        optimizer.update(net, grads)
        return value

    return trainer, functools.partial(step, net=trainer.net, optimizer=trainer.optimizer)


def defaults(backend):
    trainer = Trainer(backend)

    def step(x, t, net=trainer.net, held=(trainer.optimizer,)):
        value, grads = anynet.value_and_grad(lambda net: losses.cross_entropy(net(x), t))(net)
        held[0].update(net, grads)
        return value

    return trainer, step


def class_attribute(backend):
    trainer = Trainer(backend)
    Trainer.kept["now"] = trainer

    def step(x, t):
        return Trainer.kept["now"].step(x, t)

    return trainer, step


def method(backend):
    trainer = Trainer(backend)
    return trainer, trainer.step


@pytest.mark.parametrize(
    "make",
    [
        closure,
        partial_arguments,
        partial_keywords,
        defaults,
        class_attribute,
        method,
    ],
    ids=lambda f: f.__name__,
)
def test_what_a_step_reaches_is_as_good_as_an_argument(backend, make):
    (trainer, step), (other, plain) = make(backend), make(backend)
    if make is class_attribute:
        plain = other.step
        Trainer.kept["now"] = trainer
    compiled, batches = (
        anynet.compile(step),
        [batch(backend, 6), batch(backend, 5)],
    )
    for i in range(6):
        x, t = batches[i == 3]
        same(backend, compiled(x, t), plain(x, t))
        if make is not class_attribute:
            trainer.losses.append(i)
        if i == 4:
            # Between calls users put parameters in place, too.
            for net in (trainer.net, other.net):
                net["layers.0.weight"] = net["layers.0.weight"] * 0.5
    same_bits(
        backend,
        (trainer.net, trainer.optimizer),
        (other.net, other.optimizer),
    )
    assert trainer.optimizer.updates == 6
    # One of the first state, and one for each shape.
    assert len(compiled.programs) == 2


def test_settings_outside_are_seen(backend):
    trainer, other, (x, t) = (
        Trainer(backend),
        Trainer(backend),
        batch(backend),
    )
    compiled = anynet.compile(trainer.step)
    for change in (
        lambda _: None,
        lambda _: None,
        lambda trainer: setattr(trainer, "factor", 2.0),
        lambda trainer: setattr(trainer.settings, "smoothing", 0.5),
        lambda trainer: trainer.net.set_training(False),
        lambda trainer: setattr(trainer, "net", small(backend)),
        lambda trainer: vars(trainer).update(loss=lambda y, t: total(y * y)),
    ):
        for one in (trainer, other):
            change(one)
        for _ in range(2):
            same(backend, compiled(x, t), other.step(x, t))
    same_bits(
        backend,
        (trainer.net, trainer.optimizer),
        (other.net, other.optimizer),
    )


SCALE = 1.0
SHIFT = np.zeros(2)


def test_globals_are_seen(monkeypatch):
    def step(x):
        return SCALE * OUTSIDE(x) + SHIFT

    compiled, x = anynet.compile(step), np.ones((4, 3), "f4")
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x), step(x))
    for scale in (2.0, 2, True, 0.0, -0.0, float("nan"), float("nan")):
        monkeypatch.setitem(globals(), "SCALE", scale)
        for _ in range(2):
            np.testing.assert_array_equal(compiled(x), step(x))
    assert len(compiled.programs) == 7
    # An array that is written into.
    SHIFT[1] = 5
    np.testing.assert_array_equal(compiled(x), step(x))
    SHIFT[1] = 0


def test_methods(backend):
    """Each instance is an argument of its own."""
    trainers, others, (x, t) = (
        [Trainer(backend) for _ in range(2)],
        Trainer(backend),
        batch(backend),
    )
    for _ in range(3):
        wanted = others.step(x, t)
        for trainer in trainers:
            same(backend, trainer.compiled(x, t), wanted)
    assert isinstance(Trainer.compiled, compiled_step.CompiledStep)


class Squared(layers.Module):
    def __init__(self, backend):
        self.weight = numbers(backend, 3)
        self.power = 2

    @anynet.compile
    def forward(self, x):
        return self.weight * x**self.power


def test_forward(backend):
    net, other, x = (
        Squared(backend),
        Squared(backend),
        numbers(backend, 3, seed=1),
    )
    other.weight = other.weight + 1
    for power in (2, 2, 3):
        net.power = power
        for _ in range(2):
            assert_close(net(x), host(net.weight) * host(x) ** power, rtol=1e-5)
            assert_close(other(x), host(other.weight) * host(x) ** 2, rtol=1e-5)
    assert_close(
        anynet.grad(lambda net: total(net(x)))(net).weight,
        host(x) ** 3,
        rtol=1e-5,
    )


def test_nothing_is_left_traced(backend):
    """Also where the step raises, while it is recorded or later."""
    trainer, (x, t) = Trainer(backend), batch(backend)
    fail = [True]

    def step(x, t):
        value = trainer.step(x, t)
        trainer.pair = (value, [value])
        if fail[0]:
            raise KeyError("as it happens")
        return value

    compiled = anynet.compile(step)
    for updates in (1, 2):
        with pytest.raises(KeyError, match="as it happens"):
            compiled(x, t)
        assert trainer.optimizer.updates == updates
        left = [
            *tree.leaves((trainer.net, trainer.optimizer)),
            *tree.leaves(trainer.pair),
        ]
        assert [path for path, x in left if type(x) is Traced] == []
    other = Trainer(backend)
    for _ in range(2):
        other.step(x, t)
    same_bits(
        backend,
        (trainer.net, trainer.optimizer),
        (other.net, other.optimizer),
    )
    fail[0] = False
    for _ in range(4):
        same(backend, compiled(x, t), other.step(x, t))
    same(backend, trainer.pair[1][0], trainer.pair[0])
    same_bits(
        backend,
        (trainer.net, trainer.optimizer),
        (other.net, other.optimizer),
    )


class Recurrent(layers.Module):
    """State in a tuple, and in a list, which are replaced by others."""

    def __init__(self, backend):
        self.state = (numbers(backend, 3), [numbers(backend, 3, seed=1)])


def test_containers_that_are_replaced(backend):
    def step(net, x):
        h, (c,) = net.state
        net.state = (c, [h + x])
        return h

    compiled, x = anynet.compile(step), numbers(backend, 3, seed=2)
    net, other = Recurrent(backend), Recurrent(backend)
    seen = []
    for _ in range(5):
        same(backend, compiled(net, x), step(other, x))
        seen.append((net.state, net.state[1], host(net.state[1][0]).copy()))
    assert len(compiled.programs) == 1
    for (_, rest), held, values in seen:
        assert rest is held
        np.testing.assert_array_equal(host(rest[0]), values)
    assert_close(net.state[0], host(other.state[0]), rtol=1e-6)


class Descent:
    """An optimizer of a user's own: it may keep arrays, and numbers."""

    def __init__(self, keep=None):
        self.kept, self.keep = {}, keep

    def update(self, net, grads):
        for i, (holder, name, parameter, gradient) in enumerate(tree.pairs(net, grads)):
            if gradient is not None:
                held = self.kept.get(i, 0.0) * 0.5 + gradient
                holder[name] = parameter - 0.1 * held
                if self.keep == "array":
                    self.kept[i] = held
        if self.keep == "number":
            self.kept["updates"] = self.kept.get("updates", 0) + 1


@pytest.mark.parametrize("keep", [None, "array", "number"])
def test_optimizers_of_ones_own(keep):
    x, t = batch(anynet.get_backend("numpy"), 20)
    histories, descents = [], []
    for compiled in (False, True):
        descents.append(Descent(keep))
        warns = pytest.warns(
            UserWarning,
            match="changes what it reaches with every call.*'updates'",
        )
        with warns if keep == "number" and compiled else contextlib.nullcontext():
            histories.append(
                anynet.fit(
                    small("numpy"), (x, t), epochs=4, batch_size=5, optimizer=descents[-1], compile=compiled,
                    progress=False,
                )
            )  # fmt: skip
    assert histories[0].losses == histories[1].losses
    assert descents[0].kept.get("updates") == descents[1].kept.get("updates")


def test_arrays_kept_from_a_recording():
    """In a place that is reached they are plain arrays; elsewhere they are refused."""
    kept = []
    step = anynet.compile(lambda x: kept.append(x) or x + 1)
    step(np.ones(2))
    np.testing.assert_array_equal(kept[0] + 1, [2, 2])
    step(np.full(2, 2.0))
    np.testing.assert_array_equal(kept, [[1, 1], [2, 2]])
    keep = kept.append
    anynet.compile(lambda x: keep(x) or x + 1)(np.ones(2))
    np.testing.assert_array_equal(kept[2], [1, 1])
    hidden = queue.SimpleQueue()
    anynet.compile(lambda x: hidden.put(x) or x + 1)(np.ones(2))
    with pytest.raises(CompilationError, match="add: an array of a compiled step was kept"):
        hidden.get() + 1


def test_errors_are_those_of_the_step(backend):
    net = layers.Sequential(
        layers.Embedding(5, 2),
        layers.Flatten(),
        layers.Linear(4, 3),
        seed=0,
        backend=backend,
    )
    step = anynet.compile(training_step(losses.cross_entropy))
    x, t = (
        backend.asarray(np.array([[0, 4]])),
        backend.asarray(np.array([2])),
    )
    step(net, optimizers.SGD(0.1), x, t)
    if checks_labels(backend):
        with pytest.raises(DataError, match="label 3 is no class"):
            step(net, optimizers.SGD(0.1), x, t + 1)
        with pytest.raises(
            DataError,
            match=r"layers\.0: index 5 is outside the table of 5 rows",
        ):
            step(net, optimizers.SGD(0.1), x + 1, t)
    with pytest.raises(ShapeError, match=r"layers\.2: input of shape \(1, 6\) does not fit"):
        step(
            net,
            optimizers.SGD(0.1),
            backend.asarray(np.array([[0, 4, 1]])),
            t,
        )


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_steps_in_a_loop(backend, name):
    """Each with its own learning rate, from where the last loop ended, with what changes in the
    network."""
    x, t = batch(backend, 60)
    rows = backend.asarray(np.random.default_rng(0).permutation(60).reshape(10, 6))
    train = training_step(losses.cross_entropy)
    step = anynet.compile(on_rows(train))
    net, optimizer, other, other_optimizer = (
        small(backend),
        OPTIMIZERS[name](),
        small(backend),
        OPTIMIZERS[name](),
    )
    wanted = [train(other, other_optimizer, *batch_of(x, t, rows[i, ...])) for i in range(10)]
    found = [
        loss
        for start, stop in ((0, 3), (3, 4), (4, 20))
        for loss in host(step.for_each(rows, net, optimizer, x, t, start=start, stop=stop)).tolist()
    ]
    assert found == pytest.approx([float(x) for x in wanted], rel=1e-4)
    assert optimizer.updates == 10
    same_bits(backend, (net, optimizer), (other, other_optimizer))


def test_results_of_a_loop(backend):
    pair = anynet.compile(lambda net, x: (net(x), {"rows": x}))
    net, x = small(backend), backend.asarray(np.ones((4, 5, 3), "float32"))
    y, rest = pair.for_each(x, net)
    assert y.shape == (4, 5, 2)
    assert rest["rows"].shape == x.shape
    infer = anynet.compile(net)
    assert_close(infer.for_each(x), host(y), rtol=1e-5)
    with pytest.raises(ArgumentError, match="no entry from 4 to 4; there are 4"):
        pair.for_each(x, net, start=4)


@pytest.mark.parametrize("rows", [64, 70, 5])
def test_an_epoch_in_loops(backend, rows):
    """The losses are those of one step after the other, the last batch is shorter, order or
    none."""
    x, t = batch(backend, rows)
    for shuffle in (True, False):
        histories = []
        for compile in (False, True):
            loader = Loader(x, t, 8, shuffle=shuffle)
            histories.append(
                anynet.fit(
                    small(backend), loader, optimizer=optimizers.Momentum(0.1), epochs=2, compile=compile,
                    progress=False,
                )
            )  # fmt: skip
        plain, compiled = histories
        assert compiled.losses == pytest.approx(plain.losses, rel=1e-3)
        assert compiled.epochs[-1].train_score == pytest.approx(plain.epochs[-1].train_score)


def test_fit(backend):
    x, t = batch(backend, 20)
    histories, nets = [], []
    for compiled in (False, True):
        nets.append(small(backend))
        histories.append(
            anynet.fit(
                nets[-1], (x, t), epochs=3, batch_size=8, optimizer=optimizers.Adam(schedules.Cosine(0.1, 9)),
                compile=compiled, progress=False,
            )
        )  # fmt: skip
    np.testing.assert_allclose(
        histories[1].losses,
        histories[0].losses,
        rtol=0 if backend.name == "numpy" else 1e-4,
    )
    same_bits(backend, *nets)


def test_recordings_are_kept_by_use():
    compiled = anynet.compile(lambda x: x + 1)

    def call(n):
        np.testing.assert_array_equal(compiled(np.zeros(n)), np.ones(n))

    def sizes():
        return {
            structure[structure.index(0) + 2]
            for structure, _ in (x.structure for x in compiled.programs)
        }

    for n in range(compiled_step.KEPT):
        call(n)
    with pytest.warns(
        UserWarning,
        match=r"with more than 32 kinds of arguments.*as by padding batches",
    ):
        call(compiled_step.KEPT)
    # Where all are used in turn, none is recorded again; and no warning a second time.
    before = [*compiled.programs]
    for _ in range(3):
        for n in range(compiled_step.KEPT + 8):
            call(n)
    assert set(compiled.programs) == set(before)
    # One that is used all the while stays, others give way.
    for i in range(2 * compiled_step.UNUSED):
        call(5)
        call(100 + i % 20)
    assert {(5,), *((100 + i,) for i in range(20))} <= sizes()
    assert len(compiled.programs) == compiled_step.KEPT


def test_a_step_that_is_never_called_alike_is_not_recorded_for_ever():
    compiled, calls = (
        anynet.compile(lambda x, n: x + n),
        3 * compiled_step.KEPT,
    )
    with pytest.warns(UserWarning, match="kinds of arguments"):
        found = [compiled(np.zeros(2), n) for n in range(calls)]
    np.testing.assert_array_equal(found, [[n, n] for n in range(calls)])
    assert len(compiled.programs) == compiled_step.KEPT
    np.testing.assert_array_equal(compiled(np.zeros(2), 3), [3, 3])


def test_several_threads_at_once():
    """They would write into the same buffers."""
    compiled = anynet.compile(lambda x, w: total((x @ w) * (x @ w)))
    rng = np.random.default_rng(0)
    w = rng.normal(size=(200, 300))
    given = [rng.normal(size=(100, 200)) for _ in range(8)]
    wanted = [compiled(x, w) for x in given]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            found = list(pool.map(lambda x: compiled(x, w), given))
            np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_arguments_of_any_name(backend):
    """Also of such as the code of a recording has itself."""
    constant = numbers(backend, 3)
    f = lambda c, v4, multiply, n2, slice: multiply * (c * constant + v4) - n2 / slice
    compiled, args = (
        anynet.compile(f),
        [numbers(backend, 3, seed=i + 1) for i in range(5)],
    )
    for _ in range(3):
        assert_close(compiled(*args), host(f(*args)), rtol=1e-6)
    assert len(compiled.programs) == 1


def test_the_recording_can_be_read():
    compiled = anynet.compile(anynet.grad(lambda w, x: total((x @ w) ** 2)))
    compiled(np.ones((2, 3)), np.ones((4, 2)))
    source = compiled.programs[0].source
    assert source.startswith("def run(w, x):\n    v2 = dot(x, w, out=c")
    assert repr(compiled) == "compile(<lambda>): 1 recorded"


def test_functions_with_derivatives_of_their_own(backend):
    """Buffers inside are renewed by each replay; a function of plain arrays only is called again
    each time."""
    x, t = batch(backend)
    twice = anynet.custom_vjp(lambda x: x * 2, lambda g, out, x: g * 2)
    # JAX compiles all that a replay calls, and has no plain arrays then; a GPU repeats what it was
    # asked for by itself.
    outside = lambda x: backend.asarray(np.sin(host(x)))
    sine = (
        outside
        if target_of(backend).calls_python(outside, [x])
        else lambda x: array_namespace(x).sin(x)
    )
    plain = anynet.custom_vjp(lambda x: sine(x), lambda g, out, x: g)

    def loss(net, x, t):
        first, norm, last = net.layers
        return losses.cross_entropy(plain(last(twice(anynet.autodiff.remat(norm)(first(x))))), t)

    def train(net, optimizer, x, t):
        value, grads = anynet.value_and_grad(loss)(net, x, t)
        optimizer.update(net, grads)
        return value

    make = lambda: layers.Sequential(
        layers.Linear(3, 4),
        layers.BatchNorm(4),
        layers.Linear(4, 2),
        seed=0,
        backend=backend,
    )
    nets, descent, compiled = (
        (make(), make()),
        optimizers.SGD(),
        anynet.compile(train),
    )
    for _ in range(4):
        same(
            backend,
            compiled(nets[1], descent, x, t),
            train(nets[0], descent, x, t),
        )
    same(
        backend,
        nets[1]["layers.1.running_mean"],
        nets[0]["layers.1.running_mean"],
    )
    assert len(compiled.programs) == 1


@dataclass
class Settings:
    factor: float = 1.0


class InSlots:
    __slots__ = ("factor",)


class AlwaysEqual:
    """An object whose comparison says nothing."""

    def __eq__(self, other):
        return True

    __hash__ = None


@pytest.mark.parametrize(
    "kind",
    [argparse.Namespace, SimpleNamespace, Settings, InSlots, AlwaysEqual],
)
def test_settings_that_change_inside(kind):
    """By type and value: 1, 1.0 and True are three settings, 0.0 and -0.0 two, NaN is one."""
    settings, x = kind(), np.arange(3)
    holder = Chain([])
    holder.settings = settings
    for given in (settings, [{"inner": settings}], holder):
        f = lambda given, x: settings_in(given).factor * x
        compiled = anynet.compile(f)
        for factor in (
            1.0,
            2.0,
            2.0,
            2,
            True,
            1.0,
            -0.0,
            0.0,
            float("nan"),
            float("nan"),
        ):
            settings.factor = factor
            found, wanted = compiled(given, x), f(given, x)
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)
            np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))
        assert len(compiled.programs) == 7


def settings_in(x):
    return settings_in(x[0]["inner"]) if type(x) is list else getattr(x, "settings", x)


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        ({1, 2}, lambda x, i: x.add(i)),
        ([1, 2], lambda x, i: x.append(i)),
        (deque([1, 2]), lambda x, i: x.append(i)),
        (Counter([1]), lambda x, i: x.update([i])),
        (bytearray(b"12"), lambda x, i: x.append(i)),
        (OrderedDict({1: 2}), lambda x, i: x.update({i: i})),
        ({1: 2}, lambda x, i: x.update({i + 1: x.pop(i) if i in x else 1})),
    ],
    ids=lambda x: type(x).__name__,
)
def test_containers_that_change(settings, change):
    f = lambda settings, x: sum(settings) * x
    compiled, x = anynet.compile(f), np.arange(3.0)
    for i in (3, 4, 4, 5):
        for _ in range(2):
            np.testing.assert_array_equal(compiled(settings, x), f(settings, x))
        change(settings, i)
    np.testing.assert_array_equal(compiled(settings, x), f(settings, x))


def with_attribute():
    def step(x):
        return x * step.factor

    step.factor = 1
    return step, lambda: setattr(step, "factor", 2)


def with_set():
    kept = {1}
    return lambda x: x * sum(kept), lambda: kept.add(2)


def with_import():
    config = sys.modules["config_of_a_step"] = ModuleType("config_of_a_step")
    config.factor = 1

    def step(x):
        from config_of_a_step import factor

        return x * factor

    return step, lambda: setattr(config, "factor", 2)


def with_any_global():
    module = {"factor": 1}
    exec("def step(x): return x * eval('factor')", module)
    return module["step"], lambda: module.update(factor=2)


def with_weak_reference():
    settings = Settings(1)
    found = weakref.ref(settings)
    return lambda x: x * found().factor, lambda: setattr(settings, "factor", 2)


def with_method_of_compiled_code():
    options = {"factor": 1}
    get = options.get
    return lambda x: x * get("factor"), lambda: options.update(factor=2)


def with_getter():
    settings, factor = Settings(1), operator.attrgetter("factor")
    return lambda x: x * factor(settings), lambda: setattr(settings, "factor", 2)


def with_thread_local():
    kept = threading.local()
    kept.factor = 1
    return lambda x: x * kept.factor, lambda: setattr(kept, "factor", 2)


def with_context_variable():
    factor = contextvars.ContextVar("factor", default=1)
    return lambda x: x * factor.get(), lambda: factor.set(2)


def with_partial_method():
    class Scaling:
        factor = 1
        scaled = functools.partialmethod(lambda self, k, x: x * self.factor * k, 1)

    return lambda x: Scaling().scaled(x), lambda: setattr(Scaling, "factor", 2)


def with_attributes_of_a_dict():
    class Options(dict):
        __getattr__ = dict.__getitem__

    options = Options(factor=1)
    return lambda x: x * options.factor, lambda: options.update(factor=2)


def with_other_code():
    def scaled(x, *, k=1):
        return x * k

    def other(x, *, k=1):
        return x * k * 2

    return lambda x: scaled(x), lambda: setattr(scaled, "__code__", other.__code__)


def with_other_defaults():
    def scaled(x, *, k=1):
        return x * k

    return lambda x: scaled(x), lambda: setattr(scaled, "__kwdefaults__", {"k": 2})


@pytest.mark.parametrize(
    "make",
    [
        with_attribute,
        with_set,
        with_import,
        with_any_global,
        with_weak_reference,
        with_method_of_compiled_code,
        with_getter,
        with_thread_local,
        with_context_variable,
        with_partial_method,
        with_attributes_of_a_dict,
        with_other_code,
        with_other_defaults,
    ],
    ids=lambda f: f.__name__,
)
def test_settings_in_any_place(make):
    step, change = make()
    compiled, x = anynet.compile(step), np.arange(3)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x), x)
    change()
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x), step(x))
    assert step(x)[1] > 1
    assert len(compiled.programs) == 2


def test_references_among_the_arguments():
    settings, x = Settings(1), np.arange(3)
    options = {"factor": 1}
    for f, given in (
        (lambda x, found: x * found().factor, weakref.ref(settings)),
        (lambda x, get: x * get(settings), operator.attrgetter("factor")),
        (lambda x, get: x * get("factor"), options.get),
    ):
        compiled = anynet.compile(f)
        for factor in (1, 1, 2, 2, 3):
            settings.factor = options["factor"] = factor
            np.testing.assert_array_equal(compiled(x, given), factor * x)
        assert len(compiled.programs) == 3


def test_functions_of_pythons_random_numbers():
    generator = random.Random(0)
    draw, like = generator.random, random.Random(0)
    compiled = anynet.compile(lambda x: x + draw())
    with pytest.warns(UserWarning, match="changes what it reaches with every call"):
        found = [float(compiled(np.zeros(()))) for _ in range(10)]
    assert found == [like.random() for _ in range(10)]


def test_numbers_among_the_arguments():
    compiled, x = anynet.compile(lambda x, k: x * k), np.arange(3)
    for k in (1, 1.0, True, 1, 2.0, False, 0.0, -0.0, 0):
        found, wanted = compiled(x, k), x * k
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))
    compiled = anynet.compile(lambda x, k: x * k)
    for _ in range(3):
        compiled(x, float("nan"))
    assert len(compiled.programs) == 1


def test_keyword_arguments_that_change():
    f = lambda x, *, k=1, y=None: x * k if y is None else x * k + y
    compiled, x = anynet.compile(f), np.arange(3.0)
    for _ in range(2):
        for named in (
            {},
            {"k": 2},
            {"k": 3},
            {"y": x},
            {"y": x, "k": 2},
            {"k": 2, "y": x + 1},
        ):
            np.testing.assert_array_equal(compiled(x, **named), f(x, **named))


class Pair(NamedTuple):
    a: object
    b: object


class Other(NamedTuple):
    a: object
    b: object


def test_trees_that_differ_in_nesting_or_type_only():
    f = lambda tree: tree["a"].get("c", 0) + 2 * tree["a"]["b"] + 3 * tree.get("c", 0)
    compiled, x, y = anynet.compile(f), np.ones(2), np.full(2, 5.0)
    for given in (
        {"a": {"b": x}, "c": y},
        {"a": {"b": x, "c": y}},
        {"a": {"b": x}, "c": y},
    ):
        np.testing.assert_array_equal(compiled(given), f(given))
    swapped = anynet.compile(lambda pair: type(pair)(pair.b, pair.a))
    for kind in (Pair, Other, Pair, Other):
        for b in (y, 3):
            found = swapped(kind(x, b))
            assert type(found) is kind
            np.testing.assert_array_equal(found.a, b)
            np.testing.assert_array_equal(found.b, x)


def test_lists_that_grow(backend):
    compiled, x = (
        anynet.compile(lambda rows: sum(rows)),
        numbers(backend, 3),
    )
    rows = [x]
    for i in range(3):
        assert_close(compiled(rows), host(x) * (i + 1), rtol=1e-6)
        rows.append(x)

    def step(rows, x):
        rows.append(x + 1)
        return rows[-1]

    kept, growing = [], anynet.compile(step)
    with pytest.warns(
        UserWarning,
        match="changes what it reaches with every call.*keep counts and lists outside",
    ):
        found = [growing(kept, x + i) for i in range(10)]
    assert len(found) == len(kept)
    for i, row in enumerate(kept):
        assert_close(row, host(x) + i + 1, rtol=1e-6)


def test_what_gives_something_else_each_time():
    """A generator of random values, and an iterator: never a constant."""
    generator, like = np.random.default_rng(0), np.random.default_rng(0)
    numbers = (i * 1.0 for i in range(100))
    compiled = anynet.compile(lambda x: x + generator.normal(size=3) + next(numbers))
    with pytest.warns(UserWarning, match="changes what it reaches with every call"):
        found = [compiled(np.zeros(3)) for _ in range(12)]
    np.testing.assert_array_equal(found, [like.normal(size=3) + i for i in range(12)])


def plain_net(backend):
    return layers.Sequential(
        layers.Linear(3, 4),
        layers.Tanh(),
        layers.Linear(4, 2),
        seed=0,
        backend=backend,
    )


def both_ways(backend, step, calls, make=lambda: optimizers.Momentum(0.1)):
    """Call a step and the compiled one; compare losses, errors, counts of updates and states after
    each call."""
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


def test_a_call_that_raises_is_no_update(backend):
    x, t = batch(backend)
    calls = [(x, t), (x, t), (x, t), (x, t)]
    if checks_labels(backend):
        calls.insert(0, (x, t + 2))
        calls.insert(3, (x, t + 2))
    both_ways(backend, training_step(losses.cross_entropy), calls)


def test_a_step_that_raises_after_the_update(backend):
    """While it is recorded: what was updated is updated, as without a compiler."""
    train = training_step(losses.cross_entropy)
    raises = [True, False, True, False, False, False]

    def step(net, optimizer, x, t, fails):
        value = train(net, optimizer, x, t)
        if fails:
            raise KeyError
        return value

    runs = both_ways(backend, step, [(*batch(backend), fails) for fails in raises])
    assert runs[1][2].updates == 6


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_a_schedule_that_raises(backend, fails_at):
    """It is not asked a second time."""
    asked = []

    def schedule(step):
        asked.append(step)
        if len(asked) == fails_at + 1:
            raise RuntimeError("no rate as yet")
        return 0.1

    hidden = schedule.__call__
    nets = plain_net(backend), plain_net(backend)
    step = anynet.compile(training_step(losses.cross_entropy))
    optimizer, (x, t) = (
        optimizers.SGD(lambda step: hidden(step)),
        batch(backend),
    )
    for i in range(4):
        with (
            pytest.raises(RuntimeError, match="no rate as yet")
            if i == fails_at
            else contextlib.nullcontext()
        ):
            step(nets[0], optimizer, x, t)
    assert optimizer.updates == 3
    assert asked == sorted([0, 1, 2, fails_at])
    other = optimizers.SGD(0.1)
    for _ in range(3):
        training_step(losses.cross_entropy)(nets[1], other, x, t)
    same_bits(backend, *nets)


def test_a_replay_that_fails_is_made_once(backend):
    """A step that falls back counts one update, not two."""
    step = training_step(losses.cross_entropy)
    compiled, (x, t) = anynet.compile(step), batch(backend)
    net, optimizer = plain_net(backend), optimizers.Adam(0.1)
    for _ in range(3):
        compiled(net, optimizer, x, t)
    recording = compiled.programs[0]
    run = recording._run

    def fail(leaves, scalars):
        run(leaves, scalars)
        raise MemoryError("no room for it")

    recording._run = fail
    with pytest.warns(
        UserWarning,
        match=r"failed, and did not when not compiled: MemoryError\('no room for it'\)",
    ):
        compiled(net, optimizer, x, t)
    recording._run = run
    compiled(net, optimizer, x, t)
    other, other_optimizer = plain_net(backend), optimizers.Adam(0.1)
    for _ in range(5):
        step(other, other_optimizer, x, t)
    assert optimizer.updates == other_optimizer.updates == 5
    same_bits(backend, (net, optimizer), (other, other_optimizer))


def test_interrupted_in_a_replay():
    compiled, (x, t) = (
        anynet.compile(training_step(losses.cross_entropy)),
        batch(get_backend("numpy")),
    )
    net, optimizer = plain_net("numpy"), optimizers.SGD(0.1)
    for _ in range(2):
        compiled(net, optimizer, x, t)
    before = net.parameters()

    def interrupt(leaves, scalars):
        raise KeyboardInterrupt

    compiled.programs[0]._run = interrupt
    with pytest.raises(KeyboardInterrupt):
        compiled(net, optimizer, x, t)
    assert optimizer.updates == 2
    assert all(net[path] is x for path, x in before.items())


def test_several_updates_in_a_step(backend):
    """Each with its own learning rate and count; one of an optimizer that the step makes itself."""
    both = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))
    rates = schedules.Cosine(0.1, 20)
    second = {}

    def step(net, optimizer, x, t):
        once = optimizers.Momentum(0.05)
        for each in (optimizer, optimizer, second[id(optimizer)], once):
            value, grads = both(net, x, t)
            each.update(net, grads)
        return value

    def make():
        optimizer = optimizers.Momentum(rates)
        second[id(optimizer)] = optimizers.SGD(rates)
        return optimizer

    (_, _, first), _ = both_ways(backend, step, [batch(backend)] * 4, make)
    assert first.updates == 8
    assert second[id(first)].updates == 4


@pytest.mark.parametrize(
    "factor",
    [
        lambda optimizer: min(1.0, optimizer.updates / 3),
        lambda optimizer: optimizer.learning_rate(optimizer.updates),
        lambda optimizer: float(copy.deepcopy(optimizer).updates),
    ],
)
def test_the_number_of_updates_is_no_constant(factor):
    """A step that reads it is another one with each call."""
    backend = get_backend("numpy")
    (x, t), runs = batch(backend), []
    for wrap in (lambda f: f, anynet.compile):
        net, optimizer = (
            plain_net(backend),
            optimizers.SGD(schedules.Cosine(0.1, 20)),
        )

        def step(x, t, net=net, optimizer=optimizer):
            value, grads = anynet.value_and_grad(
                lambda net: losses.cross_entropy(net(x), t) * factor(optimizer)
            )(net)  # fmt: skip
            optimizer.update(net, grads)
            return value

        runs.append((wrap(step), net))
    (plain, net), (compiled, other) = runs
    with pytest.warns(
        UserWarning,
        match=r"changes what it reaches with every call \(the (number of updates|learning rate)",
    ):
        found = [compiled(x, t) for _ in range(10)]
    np.testing.assert_array_equal(found, [plain(x, t) for _ in range(10)])
    same_bits(backend, net, other)


def test_copies_of_networks_in_a_step(backend):
    """The inner steps of meta-learning go on with a copy, which is made anew each time."""
    x, t = batch(backend)

    def step(net, optimizer):
        inner = copy.deepcopy(net)
        for _ in range(2):
            optimizers.SGD(0.1).update(
                inner,
                anynet.grad(lambda net: losses.cross_entropy(net(x), t))(inner),
            )
        value, grads = anynet.value_and_grad(lambda net: losses.cross_entropy(net(x), t))(inner)
        optimizer.update(net, grads)
        return value

    both_ways(backend, step, [()] * 4)


def test_an_update_that_raises_does_not_count():
    net, optimizer = plain_net("numpy"), optimizers.Adam(0.1)
    grads = net.map(lambda x: x[:1])
    with pytest.raises((ValueError, ArgumentError)):
        optimizer.update(net, grads)
    assert optimizer.updates == 0


@anynet.compile
def doubled(x):
    return 2 * x


def test_copies_of_compiled_steps():
    """Without the recordings; a decorated function goes by its name, a lambda cannot be pickled."""
    net, x = plain_net("numpy"), np.ones((2, 3), "f4")
    infer = anynet.compile(net)
    infer(x)
    for other in (
        copy.copy(infer),
        copy.deepcopy(infer),
        pickle.loads(pickle.dumps(infer)),
    ):
        assert other.programs == []
        np.testing.assert_array_equal(other(x), infer(x))
    assert pickle.loads(pickle.dumps(doubled)) is doubled
    assert copy.deepcopy(doubled) is doubled
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(anynet.compile(lambda x: x))


def test_threads_that_share_a_network():
    """The first calls of one step at the same time; another step meanwhile says so."""
    net, x = plain_net("numpy"), np.ones((2, 3), "f4")
    wanted = net(x)
    compiled = anynet.compile(lambda x: net(x))
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(compiled, [x] * 20):
            np.testing.assert_array_equal(found, wanted)
        other = anynet.compile(lambda x: pool.submit(net, x).result())
        with pytest.raises(
            CompilationError,
            match="another thread is recording a compiled step",
        ):
            other(x)
    assert len(compiled.programs) == 1


def test_arrays_that_a_users_function_keeps():
    """They are not memory that is used again, and neither is what it returns."""
    # What it holds is not seen from outside.
    kept = queue.SimpleQueue()

    def keep(x):
        kept.put((x, x.copy()))
        return x[...]

    own = anynet.custom_vjp(keep, lambda g, out, x: g)
    compiled = anynet.compile(lambda x: total(own(own(x * 2 + 1) * 3 + 1) * 4 + 1))
    for i in range(4):
        x = np.full((50, 50), float(i))
        np.testing.assert_array_equal(compiled(x), np.sum(((x * 2 + 1) * 3 + 1) * 4 + 1))
    assert len(compiled.programs) == 1
    assert kept.qsize() >= 8
    while not kept.empty():
        np.testing.assert_array_equal(*kept.get())


def test_an_error_of_a_users_function_is_no_second_call():
    # What they hold is not seen from outside.
    calls, fails = queue.SimpleQueue(), queue.SimpleQueue()

    def work(x):
        calls.put(1)
        if fails.qsize():
            raise ConnectionError("the other side is gone")
        return np.asarray(x) * 2

    own = anynet.custom_vjp(work, lambda g, out, x: g)
    compiled, x = anynet.compile(lambda x: total(own(x) * 3)), np.ones(3)
    for _ in range(2):
        compiled(x)
    assert len(compiled.programs) == 1
    before = calls.qsize()
    fails.put(1)
    with pytest.raises(ConnectionError, match="the other side is gone"):
        compiled(x)
    assert calls.qsize() == before + 1


def test_code_in_a_checkpoint_is_part_of_the_step():
    inside = anynet.autodiff.remat(lambda x: x * float(total(x)))
    step = anynet.compile(lambda x: inside(x) + 1)
    with pytest.raises(CompilationError, match="is not settled while a step is recorded"):
        step(np.ones(3))


def test_modules_of_random_numbers():
    """Their state changes with every call."""
    compiled = anynet.compile(lambda x: x * np.random.rand(3) + random.random())
    np.random.seed(0)
    random.seed(0)
    with pytest.warns(UserWarning, match="changes what it reaches with every call"):
        found = [compiled(np.ones(3)) for _ in range(12)]
    np.random.seed(0)
    random.seed(0)
    np.testing.assert_array_equal(found, [np.random.rand(3) + random.random() for _ in range(12)])


class Point:
    """Attributes that a pattern names; in a class that has more later."""

    def __init__(self):
        self.x = 1.0

    def step(self, y):
        match self:
            case Point(x=x):
                return x * self.scale * y


class Table(dict):
    """A dict with attributes."""


def test_attributes_of_any_kind():
    y, point, table = np.arange(3.0), Point(), Table(a=1.0)
    Point.scale = 1.0
    table.b = 2.0
    steps = point.step, lambda y: table["a"] * table.b * y
    compiled = [anynet.compile(step) for step in steps]
    by_argument = anynet.compile(lambda table, y: table["a"] * table.b * y)
    for change in (
        lambda: None,
        lambda: setattr(point, "x", 2.0),
        lambda: setattr(point, "scale", 3.0),
        lambda: vars(point).pop("scale"),
        lambda: setattr(Point, "scale", 4.0),
        lambda: setattr(table, "b", 5.0),
        lambda: table.update(a=6.0),
    ):
        change()
        for _ in range(2):
            for f, step in zip(compiled, steps, strict=True):
                np.testing.assert_array_equal(f(y), step(y))
            np.testing.assert_array_equal(by_argument(table, y), steps[1](y))


def test_one_network_in_an_argument_and_outside(backend):
    (x, t), runs = batch(backend), []
    for compiled in (False, True):
        net, optimizer = plain_net(backend), optimizers.Momentum(0.1)

        def step(given, net=net, optimizer=optimizer):
            value, grads = anynet.value_and_grad(lambda net: losses.cross_entropy(net(x), t))(given)
            optimizer.update(given, grads)
            return value + total(net(x))

        f = anynet.compile(step) if compiled else step
        runs.append(([host(f(net)) for _ in range(4)], net))
    np.testing.assert_allclose(runs[0][0], runs[1][0], rtol=1e-5)
    same_bits(backend, runs[0][1], runs[1][1])


def test_a_step_inside_a_step(backend):
    net, x = plain_net(backend), batch(backend)[0]
    inner = anynet.compile(lambda x: net(x))
    outer = anynet.compile(lambda x: inner(x) * 2)
    for _ in range(3):
        assert_close(inner(x), host(net(x)), rtol=1e-5)
        assert_close(outer(x), 2 * host(net(x)), rtol=1e-5)
        net["layers.0.weight"] = net["layers.0.weight"] + 1
    assert len(inner.programs) == len(outer.programs) == 1


def writing(backend):
    """Steps that write into arrays: into one they are given, by a view of it, and into those that a
    dict holds."""
    held = {
        "sum": numbers(backend, 3),
        "count": [numbers(backend, 3, seed=1)],
    }

    def whole(x, y):
        x += y
        return total(x)

    def element(x, y):
        x[0] = y[1]
        return total(x)

    def view(x, y):
        tail = x[1:]
        tail *= 2.0
        return total(x * y)

    def outside(x, y):
        held["sum"] -= 0.1 * x
        held["count"][0][...] = y
        return total(held["sum"] + held["count"][0])

    return held, (whole, element, view, outside)


@pytest.mark.parametrize("which", range(4))
def test_arrays_that_a_step_writes_into(backend, which):
    """The user's own arrays change, as they do without a compiler."""
    if backend.name == "jax":
        pytest.skip(reason="JAX's arrays cannot be written into")
    (held, steps), (other, like) = writing(backend), writing(backend)
    step, plain = anynet.compile(steps[which]), like[which]
    first, x, y = (
        numbers(backend, 3),
        numbers(backend, 3),
        numbers(backend, 3, seed=5),
    )
    arrays = held["sum"], held["count"][0]
    for _ in range(4):
        assert_close(step(x, y), host(plain(first, y)), rtol=1e-6)
        assert_close(x, host(first), rtol=1e-6)
        assert_close(arrays[0], host(other["sum"]), rtol=1e-6)
        assert_close(arrays[1], host(other["count"][0]), rtol=1e-6)
    assert arrays[0] is held["sum"]
    assert arrays[1] is held["count"][0]
    assert len(step.programs) == 1


def test_writing_into_memory_that_two_arrays_share(backend):
    """Refused, or done as it is where a later call is given such arrays."""
    if backend.name not in ("numpy", "torch"):
        pytest.skip(reason="arrays of this library share no memory, or do not say so")
    base, first, second = (backend.asarray(np.ones(n)) for n in (4, 3, 3))
    tail = base[1:]

    def step(x, y):
        x += 1.0
        return total(x) + total(y)

    compiled = anynet.compile(step)
    for x, y in (
        (first, second),
        (first, second),
        (tail, second),
        (first, tail),
        (tail, tail),
        (tail, base[:3]),
    ):
        before = float(total(x))
        found = float(compiled(x, y))
        assert float(total(x)) == before + 3
        assert found == float(total(x)) + float(total(y))
    assert len(compiled.programs) == 1
    with pytest.raises(CompilationError, match="shares memory with another one"):
        anynet.compile(lambda: step(tail, base))()
    # A view of what the step does not use.
    alone = anynet.compile(lambda: step(tail, second))
    for _ in range(3):
        before = float(total(base))
        alone()
        assert float(total(base)) == before + 3


@pytest.mark.parametrize("inside", ["a dict", "a tuple"])
def test_views_that_a_step_keeps_of_what_it_writes_into(backend, inside):
    """What is written later would show in the one and not in the other."""
    if backend.name not in ("numpy", "torch"):
        pytest.skip(reason="slices of this library are no views")

    def step(s, x):
        part = s["sum"][1:]
        s["sum"] += x
        s["part"] = part if inside == "a dict" else (part,)

    compiled, x = anynet.compile(step), numbers(backend, 3)
    part = numbers(backend, 2)
    with pytest.raises(
        CompilationError,
        match=r"keeps a view of an array that it writes into.*keep a copy",
    ):
        compiled(
            {
                "sum": numbers(backend, 3),
                "part": part if inside == "a dict" else (part,),
            },
            x,
        )


def test_arguments_that_a_step_keeps_and_writes_into(backend):
    """The array of the user would change, and does not where another one is kept."""
    if backend.name not in ("numpy", "torch"):
        pytest.skip(reason="arrays of this library cannot be written into, or are no views")

    def now(s, x):
        s["kept"] = x
        x += 1.0

    def later(s, x):
        s["kept"] *= 0.5
        s["kept"] = x

    def a_view(s, x):
        s["kept"][1:] *= 0.5
        s["kept"] = x[:]

    for step in (now, later, a_view):
        with pytest.raises(
            CompilationError,
            match=r"keeps an array that it is given|keeps a view of an array",
        ):
            anynet.compile(step)({"kept": numbers(backend, 3)}, numbers(backend, 3))


def test_a_loop_over_what_a_step_reaches(backend):
    """Networks and optimizers from outside go from one entry to the next, too."""
    x, t = batch(backend, 24)
    rows = backend.asarray(np.arange(24).reshape(6, 4))
    train, runs = training_step(losses.cross_entropy), []
    for _ in range(2):
        net, optimizer = (
            plain_net(backend),
            optimizers.Momentum(schedules.Cosine(0.1, 9)),
        )
        runs.append((functools.partial(lambda net, optimizer, rows: train(net, optimizer, *batch_of(x, t, rows)),
                                       net, optimizer), net, optimizer))  # fmt: skip
    (step, net, optimizer), (plain, other, _) = runs
    compiled = anynet.compile(step)
    wanted = [float(plain(rows[i, ...])) for i in range(6)]
    found = host(compiled.for_each(rows)).tolist()
    assert found == pytest.approx(wanted, rel=1e-4)
    assert optimizer.updates == 6
    same_bits(backend, net, other)


def mix(a, b):
    return 0.9 * a + 0.1 * b


def delayed(s, x):
    s["new"], s["old"] = s["new"] + x, s["new"]
    return s["new"] * 1.0


def swapped(s, x):
    s["new"], s["old"] = s["old"], s["new"]
    return s["old"] + x


def averaged(s, x):
    s["new"], s["old"] = s["new"] + x, mix(s["old"], s["new"])
    return s["old"]


def looked_ahead(s, x):
    """The slow state goes a part of the way to the fast one, which goes on from where that was."""
    s["old"], s["new"] = mix(s["old"], s["new"]), s["old"] + x
    return s["new"]


def spread(s, x):
    s["new"], s["old"] = (
        s["old"] + x,
        array_namespace(x).broadcast_to(s["new"][:1], (3,)),
    )
    return s["old"]


def handed_on(s, x):
    s["new"], s["old"] = x, s["new"]
    return s["old"]


@pytest.mark.parametrize("step", [delayed, swapped, averaged, looked_ahead, spread, handed_on])
def test_state_that_moves_in_a_loop(backend, step):
    """As a loop in Python: what was new goes to what is old, as for target networks, averages and
    lookahead."""
    entries = numbers(backend, 6, 3)
    states = [
        {
            "new": numbers(backend, 3, seed=1),
            "old": numbers(backend, 3, seed=2),
        }
        for _ in range(2)
    ]
    wanted = [host(step(states[0], entries[i, ...])) for i in range(6)]
    compiled = anynet.compile(step)
    found = [
        host(compiled.for_each(entries, states[1], start=i, stop=j)) for i, j in ((0, 4), (4, 6))
    ]
    np.testing.assert_allclose(np.concatenate(found), np.stack(wanted), rtol=1e-5)
    for name in states[0]:
        assert_close(states[1][name], host(states[0][name]), rtol=1e-5)


@pytest.mark.parametrize("which", range(4))
def test_arrays_that_a_step_writes_into_in_a_loop(backend, which):
    """The results are those of each step, and the user's own arrays change, also entries."""
    if backend.name == "jax":
        pytest.skip(reason="JAX's arrays cannot be written into")

    def added(s, x):
        s["sum"] += x
        return s["sum"]

    def replaced(s, x):
        s["sum"] += x
        s["sum"] = s["sum"] * 2.0
        return s["sum"]

    def entry(s, x):
        x *= 2.0
        s["sum"] = s["sum"] + x
        return total(x)

    def shared(s, x):
        s["sum"] += x
        return s["part"] * 1.0

    step, found = (added, replaced, entry, shared)[which], []
    for wrap in (lambda f: f, anynet.compile):
        base = numbers(backend, 6)
        state = (
            {"sum": base[:3], "part": base[2:]}
            if which == 3 and backend.name == "torch"
            else {"sum": base[:3]}
        )
        if which == 3 and len(state) == 1:
            state["part"] = numbers(backend, 3, seed=4)
        entries, f = numbers(backend, 5, 3, seed=1), wrap(step)
        if isinstance(f, compiled_step.CompiledStep):
            if which == 3 and backend.name == "torch":
                # Recorded with arrays that share no memory.
                f(
                    dict(state, part=numbers(backend, 4, seed=4)),
                    entries[0, ...] * 0.0,
                )
            results = host(f.for_each(entries, state))
        else:
            results = np.stack([np.array(host(f(state, entries[i, ...]))) for i in range(5)])
        found.append([results, host(base), host(state["sum"]), host(entries)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_loop_inside_a_step_and_a_derivative(backend):
    """It is a part of what is recorded, or differentiated."""
    inner = anynet.compile(lambda s, x: s * x + 1.0)
    s, entries = numbers(backend, 3), numbers(backend, 4, 3, seed=1)
    wanted = host(s) * host(entries) + 1.0
    for _ in range(2):
        assert_close(inner.for_each(entries, s), wanted, rtol=1e-5)
    outer = anynet.compile(lambda s, entries: inner.for_each(entries, s) * 2.0)
    for _ in range(3):
        assert_close(outer(s, entries), 2 * wanted, rtol=1e-5)
    gradient = anynet.grad(lambda s: total(inner.for_each(entries, s)))(s)
    assert_close(gradient, host(entries).sum(0), rtol=1e-5)


class Schedule:
    """A rate of 0.1; the calls that are named raise an error."""

    def __init__(self, *fails, error=RuntimeError):
        self.calls, self.fails, self.error = 0, fails, error

    def __call__(self, step):
        self.calls += 1
        if self.calls - 1 in self.fails:
            raise self.error("no rate as yet")
        return 0.1


@pytest.mark.parametrize(
    ("fails", "error"),
    [
        ((0,), RuntimeError), ((2,), RuntimeError), ((2, 3, 6), RuntimeError), ((1,), StopIteration),
        ((4,), KeyboardInterrupt),
    ],
)  # fmt: skip
def test_a_schedule_that_raises_in_a_loop(backend, fails, error):
    """The next call trains on: nothing was counted, and nothing is still locked."""
    x, t = batch(backend, 60)
    rows = backend.asarray(np.arange(60).reshape(10, 6))
    train = training_step(losses.cross_entropy)
    step, net, optimizer = (
        anynet.compile(on_rows(train)),
        plain_net(backend),
        optimizers.Momentum(Schedule(*fails, error=error)),
    )
    start = 0
    while start < 10:
        stop = min(10, start + 4)
        try:
            step.for_each(rows, net, optimizer, x, t, start=start, stop=stop)
        except error:
            assert 0 <= optimizer.updates - start < stop - start
        start = optimizer.updates
    assert not any(recording._lock.locked() for recording in step.programs)
    other, other_optimizer = plain_net(backend), optimizers.Momentum(0.1)
    for i in range(10):
        train(other, other_optimizer, *batch_of(x, t, rows[i, ...]))
    same_bits(backend, net, other)


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


def interrupted_everywhere(backend, call, steps):
    """Interrupt calls of some steps at all their moments: all of the steps are done, or none, also
    by the clock."""
    x, t = batch(backend, 12)
    rows = backend.asarray(np.arange(12).reshape(4, 3))
    step = on_rows(training_step(losses.cross_entropy))
    (net, optimizer), (other, like) = (
        (plain_net(backend), optimizers.Momentum(0.1)) for _ in range(2)
    )
    compiled, interrupts = anynet.compile(step), 0
    for i in range(2):
        compiled(net, optimizer, x, t, rows[i, ...])
        step(other, like, x, t, rows[i, ...])
    # The second time with what the first has made.
    for _ in range(2):
        for number in itertools.count():
            before, interrupted = optimizer.updates, False
            try:
                with interrupt_at(number):
                    call(compiled, rows, net, optimizer, x, t)
            except KeyboardInterrupt:
                interrupted = True
            assert optimizer.updates in (before, before + steps)
            for i in range(optimizer.updates - before):
                step(other, like, x, t, rows[2 + i, ...])
            same_bits(backend, (net, optimizer.state), (other, like.state))
            assert not any(recording._lock.locked() for recording in compiled.programs)
            if not interrupted:
                break
            interrupts += 1
    return interrupts


def test_interrupted_anywhere_in_a_replay():
    one = lambda step, rows, *given: step(*given, rows[2, ...])
    assert interrupted_everywhere(get_backend("numpy"), one, 1) > 20


def test_interrupted_anywhere_in_a_loop(monkeypatch):
    """On a device that is pretended, with numbers that leave what they meet as it is."""
    numpy = type(get_backend("numpy"))
    monkeypatch.setattr(Pretended, "number_dtype", lambda self, arrays: np.dtype("float32"))

    class Target(numpy.target):
        driver = Pretended()

    monkeypatch.setattr(numpy, "target", Target)
    two = lambda step, rows, *given: step.for_each(rows, *given, start=2)
    assert interrupted_everywhere(get_backend("numpy"), two, 2) > 100


def test_interrupted_anywhere_while_recording():
    """No traced array is left in a network, and the step is done or not."""
    backend = get_backend("numpy")
    step, (x, t) = training_step(losses.cross_entropy), batch(backend)
    (net, optimizer), (other, like) = (
        (plain_net(backend), optimizers.Momentum(0.1)) for _ in range(2)
    )
    for each, of in ((net, optimizer), (other, like)):
        step(each, of, x, t)
    for number in itertools.count(step=4):
        before, interrupted = optimizer.updates, False
        try:
            with interrupt_at(number):
                anynet.compile(step)(net, optimizer, x, t)
        except KeyboardInterrupt:
            interrupted = True
        assert optimizer.updates in (before, before + 1)
        if optimizer.updates > before:
            step(other, like, x, t)
        same_bits(backend, (net, optimizer.state), (other, like.state))
        if not interrupted:
            break
    assert number > 20
    assert not [x for _, x in tree.leaves((net, optimizer)) if type(x) is Traced]


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_learning_rates_are_as_exact_as_the_parameters(backend, dtype):
    """A rate of 0.1 is not rounded to float32 on the way."""
    x = numbers(backend, 3, seed=1)
    if str(x.dtype).rpartition(".")[2] != "float64":
        pytest.skip(reason="the library has no float64 by its settings")
    g = backend.xp.astype(x, getattr(backend.xp, dtype))
    parameters, optimizer = (
        {"w": g * 2.0},
        optimizers.SGD(lambda step: 0.1 / (step + 3)),
    )

    def step(parameters, optimizer, g):
        optimizer.update(parameters, {"w": g})

    compiled, wanted = anynet.compile(step), host(g) * 2.0
    for i in range(4):
        compiled(parameters, optimizer, g)
        wanted = wanted - 0.1 / (i + 3) * host(g)
        assert_close(parameters["w"], wanted, rtol=1e-13)
