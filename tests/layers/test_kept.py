"""A layer whose forward keeps an array raises, and is as it was before."""

import contextlib

import numpy as np
import pytest
from helpers import host, normal

import anynet
from anynet import layers
from anynet.array import array_namespace
from anynet.errors import (
    StateError,
)


def total(x):
    return array_namespace(x).sum(x)


def squares(net, x):
    return total(net(x) ** 2)


class Keeps(layers.Module):
    """A layer as in the book, which keeps its results in one way or another."""

    def __init__(self, how):
        self.how = how
        self.out = None
        self.seen, self.by_name = [], {}
        self.linear = layers.Linear(3, 3)

    def forward(self, x):
        y = self.linear(x)
        if self.how == "in place of None":
            self.out = y
        elif self.how == "new":
            self.x = x
        elif self.how == "pair":
            self.cache = (x, y)
        elif self.how == "list":
            self.seen.append(y)
        elif self.how == "dict":
            self.by_name["y"] = y
        return y


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("in place of None", "out"),
        ("new", "x"),
        ("pair", "cache"),
        ("list", "seen"),
        ("dict", "by_name"),
    ],
)
def test_forward_that_keeps_an_array_raises(backend, how, name):
    x = normal(backend, 5, 3, dtype="float32")
    net = layers.Sequential(Keeps(how), seed=0, backend=backend)
    with pytest.raises(
        StateError,
        match=rf"^layers\.0: Keeps\.forward\(\) keeps an array in self\.{name}(\.\w)?, .*BUFFERS",
    ):
        net(x)
    net = layers.Sequential(Keeps(how), seed=0, backend=backend)
    # What is differentiated is a copy, and so are its lists and dicts.
    with (
        contextlib.nullcontext()
        if how in ("list", "dict")
        else pytest.raises(StateError, match=rf"self\.{name}")
    ):
        anynet.grad(squares)(net, x)
    assert len(net.parameters()) == 2


def keeps_in_another_layer(self, y):
    self.linear.last = y


def keeps_deep_inside(self, y):
    self.notes["a"]["y"] = y


def keeps_in_place_of_none(self, y):
    self.notes["b"][0] = y


@pytest.mark.parametrize(
    "keep",
    [keeps_in_another_layer, keeps_deep_inside, keeps_in_place_of_none],
)
def test_array_kept_deep_inside_raises_and_is_removed(backend, keep):
    class Deep(layers.Module):
        def __init__(self):
            self.linear = layers.Linear(3, 2)
            self.notes = {"a": {}, "b": [None]}

        def forward(self, x):
            y = self.linear(x)
            keep(self, y)
            return y

    net, x = (
        layers.Sequential(Deep(), seed=0, backend=backend),
        normal(backend, 5, 3, dtype="float32"),
    )
    for _ in range(2):
        with pytest.raises(
            StateError,
            match=r"keeps an array in self\.(linear\.last|last|notes)",
        ):
            net(x)
        assert list(net.parameters()) == [
            "layers.0.linear.weight",
            "layers.0.linear.bias",
        ]


def test_layer_is_restored_after_the_error(backend):
    for how in ("new", "pair", "list", "dict", "in place of None"):
        net = layers.Sequential(Keeps(how), seed=0, backend=backend)
        with pytest.raises(StateError):
            net(normal(backend, 5, 3, dtype="float32"))
        assert list(net.parameters()) == list(
            layers.Sequential(Keeps(how), seed=0, backend=backend).parameters()
        )


def test_forward_may_create_layers(backend):
    class Late(layers.Module):
        def __init__(self):
            self.inner = None

        def forward(self, x):
            if self.inner is None:
                self.inner = layers.Linear(x.shape[1], 2).initialize(0, backend)
            return self.inner(x)

    net = layers.Sequential(Late())
    net(normal(backend, 5, 3, dtype="float32"))
    assert list(net.parameters()) == [
        "layers.0.inner.weight",
        "layers.0.inner.bias",
    ]


def test_forward_may_keep_settings_and_buffers(backend):
    class Counts(layers.Module):
        BUFFERS = ("last",)

        def __init__(self):
            self.calls = 0
            self.last = backend.asarray([0.0, 0.0, 0.0])

        def forward(self, x):
            self.calls += 1
            self.last = x[0, ...]
            return x * 2.0

    net, x = Counts(), normal(backend, 5, 3, dtype="float32")
    net(x)
    anynet.grad(lambda x, net: squares(net, x))(x, net)
    assert net.calls >= 1
    np.testing.assert_array_equal(host(net.last), host(x)[0])


def test_buffer_that_begins_as_none_raises(backend):
    """The module that is differentiated is a copy, so it could not be written back."""

    class Late(layers.Module):
        BUFFERS = ("last",)

        def __init__(self):
            self.last = None
            self.linear = layers.Linear(3, 3)

        def forward(self, x):
            self.last = x[0, ...]
            return self.linear(x)

    net = layers.Sequential(Late(), seed=0, backend=backend)
    with pytest.raises(
        StateError,
        match=r"keeps an array in self\.last, .* set it in __init__",
    ):
        anynet.grad(squares)(net, normal(backend, 5, 3, dtype="float32"))
