"""Resizing of sequences, images and volumes."""

import numpy as np
import pytest
from helpers import host

from anynet import layers
from anynet.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError


def zeros(*shape):
    return np.zeros(shape)


def test_nearest_repeats_elements(backend):
    data = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    out = layers.Upsample(scale_factor=(3, 2))(backend.asarray(data))
    np.testing.assert_array_equal(host(out), data.repeat(3, axis=2).repeat(2, axis=3))


def test_nearest_of_a_whole_factor_is_exact():
    """In floats, 49 · (1 / 49) is below 1, and PyTorch takes the element before."""
    data = np.arange(4.0).reshape(1, 1, 4)
    for out in (layers.Upsample(scale_factor=49)(data), layers.Upsample(size=196)(data)):
        np.testing.assert_array_equal(out, data.repeat(49, axis=2))


def test_linear_is_numpy_interpolation(backend):
    data = np.random.default_rng(0).normal(size=(1, 1, 6))
    at = np.linspace(0, 5, 17)
    for align_corners, positions in (
        (True, at),
        (False, (np.arange(17) + 0.5) * 6 / 17 - 0.5),
    ):
        layer = layers.Upsample(size=17, mode="linear", align_corners=align_corners)
        expected = np.interp(positions, np.arange(6), data[0, 0])
        found = host(layer(backend.asarray(data)))[0, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_infinity_stays_in_its_place(backend):
    data = np.ones((1, 1, 4))
    data[0, 0, 3] = np.inf
    out = host(layers.Upsample(scale_factor=2)(backend.asarray(data)))[0, 0]
    np.testing.assert_array_equal(out, [1, 1, 1, 1, 1, 1, np.inf, np.inf])


def test_empty_batch(backend):
    for settings in ({"scale_factor": 2}, {"size": (6, 8), "mode": "bilinear"}):
        out = layers.Upsample(**settings)(backend.asarray(zeros(0, 2, 3, 4)))
        assert tuple(out.shape) == (0, 2, 6, 8)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, ArgumentError, "size is None and scale_factor is None: wanted one of them"),
        ({"size": 2, "scale_factor": 2}, ArgumentError, "wanted one of them"),
        ({"size": 2.5}, ArgumentTypeError, "size is 2.5: wanted a whole number, 1 or more"),
        ({"size": (2, 0)}, ArgumentError, "size is 0: wanted 1 or more"),
        ({"scale_factor": 0}, ArgumentError, "scale_factor is 0: wanted a finite number above 0"),
        ({"scale_factor": float("nan")}, ArgumentError, "scale_factor is nan"),
        ({"scale_factor": "2"}, ArgumentTypeError, "scale_factor is '2'"),
        (
            {"size": 2, "mode": "cubic"},
            ArgumentError,
            "mode is 'cubic': wanted one of nearest, linear, bilinear, trilinear",
        ),
        (
            {"size": 2, "align_corners": True},
            ArgumentError,
            "align_corners is True and mode is 'nearest'",
        ),
    ],
)
def test_wrong_settings(settings, error, message):
    with pytest.raises(error, match=message):
        layers.Upsample(**settings)


@pytest.mark.parametrize(
    ("settings", "x", "error", "message"),
    [
        (
            {"size": 2, "mode": "bilinear"},
            zeros(1, 1, 3),
            ShapeError,
            r"input of shape \(1, 1, 3\) for mode 'bilinear': wanted \(N, channels, h, w\)",
        ),
        ({"size": 2}, zeros(1, 3), ShapeError, r"input of shape \(1, 3\) for mode 'nearest'"),
        ({"size": (2, 2)}, zeros(1, 1, 3), ShapeError, r"size is \(2, 2\) for .*wanted 1 values"),
        (
            {"scale_factor": 0.2},
            zeros(1, 1, 3),
            ShapeError,
            r"input of size \(3,\) gives an output of size \(0,\): wanted a length of 1 or more",
        ),
        ({"size": 2}, zeros(1, 1, 0), ShapeError, r"input of size \(0,\)"),
        ({"size": 2}, zeros(1, 1, 3).astype(int), DTypeError, "Upsample: an array of int64"),
    ],
)
def test_wrong_inputs(settings, x, error, message):
    with pytest.raises(error, match=message):
        layers.Upsample(**settings)(x)
