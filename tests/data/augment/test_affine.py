"""Shifts, rotations and scales beside SciPy, and the range of their random changes."""

import math

import numpy as np
import pytest
from helpers import assert_close, host, normal
from scipy import ndimage

from anynet import random
from anynet.data import random_affine, random_rotate, random_scale
from anynet.data.augment import sample
from anynet.errors import ArgumentError, DTypeError, ShapeError

#: Coordinates for an image of 5 × 7: on pixels, between them, at the edges, and outside.
COORDINATES = np.array(
    [-9, -1.5, -1, -0.25, 0, 0.5, 2.75, 3, 4, 4.25, 4.999, 5, 5.5, 6, 6.25, 6.999, 7, 30]
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sample_agrees_with_scipy(backend, dtype):
    x = normal(backend, 2, 3, 5, 7, dtype=dtype)
    grid = np.meshgrid(COORDINATES.astype(dtype), COORDINATES.astype(dtype), indexing="ij")
    # The second image has the coordinates swapped.
    rows, columns = np.stack(grid), np.stack(grid[::-1])
    expected = [
        [ndimage.map_coordinates(image, both, order=1, mode="grid-constant") for image in images]
        for images, *both in zip(host(x), rows, columns, strict=True)
    ]
    sampled = sample(x, backend.asarray(rows), backend.asarray(columns))
    assert_close(sampled, expected, like=x, rtol=1e-5, atol=1e-6)
    outside = (rows <= -1) | (rows >= 5) | (columns <= -1) | (columns >= 7)
    assert not np.moveaxis(host(sampled), 1, -1)[outside].any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 2, 5, 4), (1, 1, 1, 1), (2, 1, 4, 7), (0, 1, 4, 4)])
def test_zero_amounts_return_the_images(backend, shape, dtype):
    if not hasattr(backend.xp, dtype):
        pytest.skip(reason="the library has no float16")
    x = normal(backend, *shape, dtype=dtype)
    images = random_affine(shift=0, degrees=0, scale=0)(random.key(0, backend), x)
    assert_close(images, host(x), like=x, rtol=0)


def test_images_depend_on_the_key_alone(backend):
    x = normal(backend, 4, 1, 6, 6, dtype="float32")
    change = random_affine()
    first = host(change(random.key(3, backend), x))
    second = host(change(random.key(3, backend), x))
    other = host(change(random.key(4, backend), x))
    on_numpy = change(random.key(3, "numpy"), host(x))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.1
    np.testing.assert_allclose(first, on_numpy, rtol=1e-4, atol=1e-4)


def test_each_image_of_a_batch_changes_by_other_amounts(backend):
    x = host(normal(backend, 1, 1, 6, 6, dtype="float32"))
    copies = backend.asarray(np.repeat(x, 4, axis=0))
    first, *others = host(random_affine()(random.key(3, backend), copies))
    assert all(np.abs(first - other).max() > 0.1 for other in others)


@pytest.mark.parametrize("size", [(9, 9), (6, 11)])
def test_random_affine_agrees_with_scipy(backend, size):
    x = normal(backend, 5, 2, *size)
    key = random.key(7, backend)
    amounts = host(random.uniform(key, (4, 5), low=-1.0, high=1.0)).astype("float64")
    images = host(random_affine(shift=3.0, degrees=40.0, scale=0.3)(key, x))
    center = (np.array(size) - 1) / 2
    for i, (down, right, turn, growth) in enumerate(amounts.T):
        cos, sin = math.cos(math.radians(40 * turn)), math.sin(math.radians(40 * turn))
        # SciPy takes the map from coordinates of the result to coordinates of the image.
        matrix = np.array([[cos, -sin], [sin, cos]]) / (1 + 0.3 * growth)
        offset = center - matrix @ center - 3.0 * np.array([down, right])
        for image, ours in zip(host(x)[i], images[i], strict=True):
            expected = ndimage.affine_transform(
                image, matrix, offset, order=1, mode="grid-constant"
            )
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_rotations_and_scales_are_affine_changes(backend):
    x, key = normal(backend, 3, 1, 6, 6, dtype="float32"), random.key(2, backend)
    for change, same in (
        (random_rotate(20.0), random_affine(shift=0, degrees=20.0, scale=0)),
        (random_scale(0.3), random_affine(shift=0, degrees=0, scale=0.3)),
    ):
        np.testing.assert_array_equal(host(change(key, x)), host(same(key, x)))


def blobs(backend, n=200):
    """Return images (41, 41) of a Gaussian at the center."""
    profile = np.exp(-(((np.arange(41) - 20) / 4) ** 2))
    image = np.outer(profile, profile).astype("float32")
    return backend.asarray(np.broadcast_to(image, (n, 1, 41, 41)).copy())


def fills_the_range(values, most):
    """Return whether the values lie within ±most and nearly reach both ends."""
    return most * 0.9 < values.max() <= most * 1.01 and -most * 1.01 <= values.min() < -0.9 * most


#: Distances from the center of an image.
DISTANCES = np.arange(41) - 20


def changed(backend, x, **amounts):
    """Return images after random changes, (N, 41, 41)."""
    images = random_affine(**amounts)(random.key(0, backend), x)
    return host(images)[:, 0].astype("float64")


def test_shifts_fill_their_range(backend):
    images = changed(backend, blobs(backend), shift=4.0, degrees=0, scale=0)
    mass = images.sum(axis=(1, 2))
    assert fills_the_range((images.sum(axis=2) @ DISTANCES) / mass, 4.0)
    assert fills_the_range((images.sum(axis=1) @ DISTANCES) / mass, 4.0)


def test_scales_fill_their_range(backend):
    x = blobs(backend)
    mass = changed(backend, x, shift=0, degrees=0, scale=0.2).sum(axis=(1, 2))
    # The mass grows by the square of the scale.
    assert fills_the_range(np.sqrt(mass / host(x)[0, 0].sum()) - 1, 0.2)


def test_angles_fill_their_range(backend):
    upright_bar = host(blobs(backend)) * (np.abs(DISTANCES) < 3)
    x = backend.asarray(upright_bar.astype("float32"))
    images = changed(backend, x, shift=0, degrees=30.0, scale=0)
    down, right = DISTANCES[:, None], DISTANCES[None, :]
    moments = [(images * weight).sum(axis=(1, 2)) for weight in (down**2, right**2, down * right)]
    # The angle of the long axis of the bar.
    angle = np.arctan2(2 * moments[2], moments[0] - moments[1]) / 2
    assert fills_the_range(np.degrees(angle), 30.0)


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
def test_amounts_out_of_range_raise(settings, message):
    with pytest.raises(ArgumentError, match=message):
        random_affine(**settings)


def test_images_of_other_shapes_and_dtypes_raise(backend):
    change, key = random_affine(), random.key(0, backend)
    with pytest.raises(
        ShapeError,
        match=r"images of shape \(3, 4, 4\): wanted \(N, channels, height, width\)",
    ):
        change(key, normal(backend, 3, 4, 4))
    with pytest.raises(
        DTypeError,
        match=r"random_affine: .*uint8 was given: wanted a floating dtype, such as xp\.astype",
    ):
        change(key, backend.asarray(np.full((1, 1, 4, 4), 200, "uint8")))
