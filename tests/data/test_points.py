"""Spirals and moons."""

import math

import numpy as np
import pytest
from helpers import host

from anynet.data import moons, spiral
from anynet.errors import ArgumentError


@pytest.mark.parametrize("make", [moons, spiral])
def test_values_are_the_same_on_every_library(backend, make):
    ours, reference = make(backend, seed=3), make("numpy", seed=3)
    for (x, t), (x0, t0) in zip(ours, reference, strict=True):
        assert (x.dtype, t.dtype) == (backend.xp.float32, backend.xp.int32)
        np.testing.assert_array_equal(host(x), x0)
        np.testing.assert_array_equal(host(t), t0)


@pytest.mark.parametrize("make", [moons, spiral])
def test_seeds_and_parts_differ(make):
    train, test = make("numpy")
    (other, _), _ = make("numpy", seed=1)
    assert (np.sort(train[0], axis=0) != np.sort(test[0], axis=0)).any()
    assert (np.sort(train[0], axis=0) != np.sort(other, axis=0)).any()
    assert np.bincount(train[1]).tolist() == [100] * (train[1].max() + 1)
    # In random order.
    assert (np.diff(train[1]) != 0).sum() > 50


def test_moons_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets", reason="compares with scikit-learn")
    theirs, labels = datasets.make_moons(80, shuffle=False)
    (x, t), _ = moons("numpy", points=40, noise=0.0)
    for label in (0, 1):
        ours = sorted(map(tuple, x[t == label].tolist()))
        wanted = sorted(map(tuple, theirs[labels == label].astype("float32").tolist()))
        np.testing.assert_allclose(ours, wanted, atol=1e-6)


def test_spiral_without_noise():
    """The angle grows by four with the radius, and by four with the class."""
    (x, t), _ = spiral("numpy", points=20, noise=0.0)
    radius = np.hypot(*x.T)
    assert sorted(np.rint(20 * radius[t == 1])) == list(range(20))
    angle = np.arctan2(x[:, 0], x[:, 1])
    turns = (angle - 4 * t - 4 * radius)[radius > 0] / (2 * math.pi)
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-5)


def test_noise_has_its_deviation():
    (x, _), _ = moons("numpy", points=5000, noise=0.1, seed=5)
    (clean, _), _ = moons("numpy", points=5000, noise=0.0, seed=5)
    assert abs((x - clean).std() - 0.1) < 0.002


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"points": 0}, "points is 0: wanted 1 or more"),
        ({"points": 2.5}, "points is 2.5: wanted a whole number"),
        ({"noise": -1}, "noise is -1: wanted a finite number, 0 or more"),
        ({"noise": math.nan}, "noise is nan: wanted a finite number"),
        ({"noise": "much"}, "noise is 'much': wanted a number"),
        ({"seed": -1}, "seed is -1: wanted an integer from 0"),
    ],
)
def test_wrong_arguments_raise(settings, message):
    for make in (moons, spiral):
        with pytest.raises(ArgumentError, match=message):
            make("numpy", **settings)
    with pytest.raises(ArgumentError, match="classes is 0: wanted 1 or more"):
        spiral("numpy", classes=0)


def test_one_point():
    assert moons("numpy", points=1).train[0].shape == (2, 2)
    assert spiral("numpy", points=1, classes=1).train[0].shape == (1, 2)
