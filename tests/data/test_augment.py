"""Augmentation: bilinear interpolation against SciPy, and what random changes keep."""

import math

import numpy as np
import pytest
from helpers import assert_close, host, numbers
from scipy import ndimage

from anynet import random
from anynet.data import augment, random_affine
from anynet.errors import ArgumentError, DTypeError, ShapeError

#: Places in and around an image of 5 × 7: on pixels, between them, at the edges, just outside and
#: far away.
PLACES = np.array(
    [
        -9.0,
        -1.5,
        -1.0,
        -0.25,
        0.0,
        0.5,
        2.75,
        3.0,
        4.0,
        4.25,
        4.999,
        5.0,
        5.5,
        6.0,
        6.25,
        6.999,
        7.0,
        30.0,
    ]
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_interpolation_against_scipy(backend, dtype):
    x = numbers(backend, 2, 3, 5, 7, dtype=dtype)
    rows, columns = (places.astype(dtype) for places in np.meshgrid(PLACES, PLACES, indexing="ij"))
    # The second image is read at other places.
    rows, columns = np.stack([rows, columns]), np.stack([columns, rows])
    expected = [
        [ndimage.map_coordinates(image, places, order=1, mode="grid-constant") for image in images]
        for images, places in zip(host(x), np.stack([rows, columns], axis=1), strict=True)
    ]
    found = augment.sample(x, backend.asarray(rows), backend.asarray(columns))
    assert_close(found, expected, like=x, rtol=1e-5, atol=1e-6)
    outside = (rows <= -1) | (rows >= 5) | (columns <= -1) | (columns >= 7)
    assert not np.moveaxis(host(found), 1, -1)[outside].any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 2, 5, 4), (1, 1, 1, 1), (2, 1, 4, 7), (0, 1, 4, 4)])
def test_no_change_is_the_identity(backend, shape, dtype):
    if not hasattr(backend.xp, dtype):
        pytest.skip(reason="the library has no float16")
    x = numbers(backend, *shape, dtype=dtype)
    found = random_affine(shift=0, degrees=0, scale=0)(random.key(0, backend), x)
    assert_close(found, host(x), like=x, rtol=0)


def test_the_same_key_gives_the_same_images(backend):
    x = numbers(backend, 4, 1, 6, 6, dtype="float32")
    first, again, other = (
        host(random_affine()(random.key(seed, backend), x)) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    numpys = random_affine()(random.key(3, "numpy"), host(x))
    np.testing.assert_allclose(first, numpys, rtol=1e-4, atol=1e-4)
    # Every image is changed by amounts of its own.
    alike = host(
        random_affine()(
            random.key(3, backend),
            backend.asarray(np.repeat(host(x)[:1], 4, axis=0)),
        )
    )
    assert all(np.abs(alike[0] - alike[i]).max() > 0.1 for i in (1, 2, 3))


@pytest.mark.parametrize("size", [(9, 9), (6, 11)])
def test_random_affine_against_scipy(backend, size):
    x = numbers(backend, 5, 2, *size)
    key = random.key(7, backend)
    down, right, turn, growth = host(random.uniform(key, (4, 5), low=-1.0, high=1.0)).astype(
        "float64"
    )
    found = host(random_affine(shift=3.0, degrees=40.0, scale=0.3)(key, x))
    centre = (np.array(size) - 1) / 2
    for i in range(5):
        angle = math.radians(40.0 * turn[i])
        # From places in the result to places in the image, as SciPy wants it.
        back = np.array(
            [
                [math.cos(angle), -math.sin(angle)],
                [math.sin(angle), math.cos(angle)],
            ]
        ) / (1 + 0.3 * growth[i])
        offset = centre - back @ centre - 3.0 * np.array([down[i], right[i]])
        for image, ours in zip(host(x)[i], found[i], strict=True):
            expected = ndimage.affine_transform(image, back, offset, order=1, mode="grid-constant")
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def blobs(backend, n=200):
    """Return images of one soft spot in the middle, 41 × 41."""
    along = np.exp(-(((np.arange(41) - 20) / 4) ** 2))
    return backend.asarray(
        np.broadcast_to(np.outer(along, along), (n, 1, 41, 41)).astype("float32")
    )


def spread(values, most):
    """Tell whether values go up to a bound both ways, nearly reach it and are evenly spread."""
    return most * 0.9 < values.max() <= most * 1.01 and -most * 1.01 <= values.min() < -0.9 * most


def test_amounts_stay_within_their_bounds(backend):
    key, x = random.key(0, backend), blobs(backend)
    shifted = host(random_affine(shift=4.0, degrees=0, scale=0)(key, x))[:, 0].astype("float64")
    places = np.arange(41) - 20
    mass = shifted.sum(axis=(1, 2))
    assert spread((shifted.sum(axis=2) @ places) / mass, 4.0)
    assert spread((shifted.sum(axis=1) @ places) / mass, 4.0)
    sized = host(random_affine(shift=0, degrees=0, scale=0.2)(key, x))[:, 0].astype("float64")
    # What is larger by a factor in both directions has more mass by its square.
    assert spread(np.sqrt(sized.sum(axis=(1, 2)) / host(x)[0, 0].sum()) - 1, 0.2)
    bar = host(x) * (np.abs(places) < 3)
    turned = host(
        random_affine(shift=0, degrees=30.0, scale=0)(key, backend.asarray(bar.astype("float32")))
    )[:, 0]
    across, along, both = (
        (turned * weight).sum(axis=(1, 2))
        for weight in (
            places[None, :] ** 2,
            places[:, None] ** 2,
            places[:, None] * places[None, :],
        )
    )
    # The angle of the long axis of the bar, which stands upright.
    assert spread(np.degrees(np.arctan2(2 * both, along - across) / 2), 30.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"shift": -1},
            "shift is -1: wanted a number from 0 up to but not inf",
        ),
        ({"shift": math.inf}, "shift is inf"),
        (
            {"degrees": 360},
            "degrees is 360: wanted a number from 0 up to but not 360",
        ),
        ({"degrees": -0.1}, "degrees is -0.1"),
        (
            {"scale": 1.0},
            "scale is 1.0: wanted a number from 0 up to but not 1",
        ),
        ({"scale": math.nan}, "scale is nan"),
    ],
)
def test_amounts_that_cannot_be(settings, message):
    with pytest.raises(ArgumentError, match=message):
        random_affine(**settings)


def test_what_is_no_batch_of_floating_images(backend):
    change, key = random_affine(), random.key(0, backend)
    with pytest.raises(
        ShapeError,
        match=r"images of shape \(3, 4, 4\): wanted \(N, channels, height, width\)",
    ):
        change(key, numbers(backend, 3, 4, 4))
    with pytest.raises(
        DTypeError,
        match=r"random_affine: .*uint8 was given: wanted a floating dtype, such as xp\.astype",
    ):
        change(key, backend.asarray(np.full((1, 1, 4, 4), 200, "uint8")))
