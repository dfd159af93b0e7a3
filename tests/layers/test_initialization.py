"""Uninitialized parameters stand for arrays until a network is initialized."""

import copy

import numpy as np
import pytest
from helpers import host

from anynet import initializers, layers
from anynet.errors import ArgumentError, ArgumentTypeError


def test_parameter_says_that_it_is_uninitialized():
    weight = layers.parameter((4, 3), initializers.he)
    assert isinstance(weight, layers.Uninitialized)
    assert weight.shape == (4, 3)
    assert repr(weight) == "Uninitialized((4, 3))"


def test_parameter_takes_integers_of_another_library():
    weight = layers.parameter((np.int64(4), 3), initializers.he)
    assert weight.shape == (4, 3)
    assert type(weight.shape[0]) is int


@pytest.mark.parametrize(
    ("shape", "initializer", "error", "message"),
    [
        (3, initializers.he, ArgumentTypeError, "the shape of a parameter is 3: wanted a tuple"),
        ((-1,), initializers.he, ArgumentError, "an axis of a parameter is -1: wanted 0 or more"),
        ((3,), "he", ArgumentTypeError, "initializer is 'he': wanted one of"),
    ],
)
def test_wrong_parameter_raises(shape, initializer, error, message):
    with pytest.raises(error, match=message):
        layers.parameter(shape, initializer)


def test_one_parameter_in_two_attributes_is_tied(backend):
    class Tied(layers.Module):
        def __init__(self):
            self.a = self.b = layers.parameter((3,), initializers.normal(1.0))
            self.c = layers.parameter((3,), initializers.normal(1.0))

    net = Tied().initialize(0, backend)
    assert net.a is net.b
    assert list(net.parameters()) == ["a", "c"]
    assert not np.array_equal(host(net.a), host(net.c))


def test_copies_of_an_uninitialized_network_draw_the_same(backend):
    net = layers.Linear(4, 3)
    other = copy.deepcopy(net)
    a, b = net.initialize(1, backend).weight, other.initialize(1, backend).weight
    np.testing.assert_array_equal(host(a), host(b))
