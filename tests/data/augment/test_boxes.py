"""Flips, crops and erased boxes, by their laws and beside PyTorch."""

import functools

import numpy as np
import pytest
from helpers import host, normal

import anynet
from anynet import random
from anynet.data import (
    compose,
    random_affine,
    random_crop,
    random_erase,
    random_flip,
    random_resized_crop,
    random_shift,
)
from anynet.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError

#: One augmentation of each kind, for images of 6 × 7.
AUGMENTS = {
    "flip": random_flip(vertical=0.5),
    "crop": random_crop((4, 5), padding=1),
    "shift": random_shift(2),
    "resized_crop": random_resized_crop((4, 5)),
    "erase": random_erase(3, probability=0.7, value=2.0),
}


def ramps(backend, images, height, width):
    """Return images whose two channels are the row and the column of each pixel."""
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"))
    return backend.asarray(np.broadcast_to(grid.astype("float32"), (images, *grid.shape)).copy())


@pytest.mark.parametrize("name", AUGMENTS)
def test_images_keep_their_library_and_dtype_and_depend_on_the_key(backend, name):
    augment, xp = AUGMENTS[name], backend.xp
    halves = [getattr(xp, half) for half in ("bfloat16", "float16") if hasattr(xp, half)]
    for dtype in (*halves, xp.float32, xp.float64):
        x = xp.astype(normal(backend, 9, 2, 6, 7), dtype)
        first = augment(random.key(0, backend), x)
        assert anynet.get_backend(first).device == backend.device
        assert first.dtype == dtype
        assert first.shape[:2] == (9, 2)
        np.testing.assert_array_equal(host(first), host(augment(random.key(0, backend), x)))
    assert (host(first) != host(augment(random.key(1, backend), x))).any()


@pytest.mark.parametrize("name", AUGMENTS)
def test_empty_batches_stay_empty(backend, name):
    x = normal(backend, 0, 2, 6, 7)
    assert AUGMENTS[name](random.key(0, backend), x).shape[:2] == (0, 2)


@pytest.mark.parametrize("name", AUGMENTS)
def test_the_same_key_gives_the_same_images_on_every_library(backend, name):
    x = normal(backend, 9, 2, 6, 7, dtype="float32")
    here = host(AUGMENTS[name](random.key(5, backend), x))
    on_numpy = AUGMENTS[name](random.key(5, "numpy"), host(x))
    # Only a resized crop computes with the pixels.
    tolerance = 1e-5 if name == "resized_crop" else 0
    np.testing.assert_allclose(here, on_numpy, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", AUGMENTS)
def test_compiled_augmentation_is_the_eager_one(backend, name):
    x = normal(backend, 9, 2, 6, 7, dtype="float32")
    compiled = anynet.compile(AUGMENTS[name])
    for seed in range(3):
        key = random.key(seed, backend)
        expected = host(AUGMENTS[name](key, x))
        np.testing.assert_allclose(host(compiled(key, x)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", AUGMENTS)
def test_augmentation_never_waits_for_the_device(strictest, name):
    x = strictest.asarray(np.ones((3, 2, 6, 7), "float32"))
    AUGMENTS[name](random.key(0, strictest), x)


def test_flips_twice_are_the_identity(backend):
    x, key = normal(backend, 30, 2, 4, 5), random.key(3, backend)
    augment = random_flip(horizontal=0.5, vertical=0.3)
    np.testing.assert_array_equal(host(augment(key, augment(key, x))), host(x))


def test_flips_have_their_probabilities(backend):
    x = ramps(backend, 4000, 2, 2)
    images = host(random_flip(horizontal=0.7, vertical=0.2)(random.key(1, backend), x))
    assert abs((images[:, 0, 0, 0] == 1).mean() - 0.2) < 0.03
    assert abs((images[:, 1, 0, 0] == 1).mean() - 0.7) < 0.03
    always = random_flip(horizontal=1.0, vertical=1.0)(random.key(1, backend), x)
    np.testing.assert_array_equal(host(always), host(x)[:, :, ::-1, ::-1])


@pytest.mark.parametrize(("size", "padding"), [(None, 2), (3, 0), ((4, 2), 1), ((6, 7), 0)])
def test_crops_are_slices_at_all_places_alike(backend, size, padding):
    x = normal(backend, 900, 2, 6, 7)
    images = host(random_crop(size, padding=padding)(random.key(2, backend), x))
    padded = np.pad(host(x), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    height, width = images.shape[2:]
    counts = {}
    for image, whole in zip(images, padded, strict=True):
        places = [
            (top, left)
            for top in range(whole.shape[1] - height + 1)
            for left in range(whole.shape[2] - width + 1)
            if (whole[:, top : top + height, left : left + width] == image).all()
        ]
        counts[places[0]] = counts.get(places[0], 0) + 1
    expected = 900 / len(counts)
    assert len(counts) == (6 + 2 * padding - height + 1) * (7 + 2 * padding - width + 1)
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_shifts_by_whole_pixels_are_slices(backend):
    x = normal(backend, 50, 1, 5, 6)
    images = host(random_shift(2)(random.key(0, backend), x))
    seen = set()
    for image, whole in zip(images[:, 0], host(x)[:, 0], strict=True):
        for down in range(-2, 3):
            for right in range(-2, 3):
                moved = np.zeros_like(whole)
                to = np.s_[max(down, 0) : 5 + min(down, 0), max(right, 0) : 6 + min(right, 0)]
                of = np.s_[max(-down, 0) : 5 - max(down, 0), max(-right, 0) : 6 - max(right, 0)]
                moved[to] = whole[of]
                if (moved == image).all():
                    seen.add((down, right))
                    break
        assert seen
    assert len(seen) > 15


def test_resized_whole_images_agree_with_torch(backend):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    x = normal(backend, 2, 3, 8, 8)
    augment = random_resized_crop((13, 16), scale=(1, 1), ratio=(1, 1))
    pixels = torch.from_numpy(host(x).copy())
    expected = torch.nn.functional.interpolate(
        pixels, (13, 16), mode="bilinear", align_corners=False
    )
    images = host(augment(random.key(0, backend), x))
    np.testing.assert_allclose(images, expected.numpy(), rtol=1e-5, atol=1e-5)


def test_resized_crops_agree_with_torch_inside_the_image(backend):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    x, key = normal(backend, 6, 2, 20, 30), random.key(0, backend)
    images = host(random_resized_crop((7, 9), scale=(0.2, 0.9))(key, x))
    # The same boxes, read from the coordinates of the pixels.
    places = host(random_resized_crop((7, 9), scale=(0.2, 0.9))(key, ramps(backend, 6, 20, 30)))
    rows, columns = torch.from_numpy(places.astype("float64")).unbind(1)
    grid = torch.stack([(2 * columns + 1) / 30 - 1, (2 * rows + 1) / 20 - 1], dim=-1)
    expected = torch.nn.functional.grid_sample(
        torch.from_numpy(host(x).copy()), grid, padding_mode="border", align_corners=False
    )
    np.testing.assert_allclose(images, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_resized_crops_have_the_areas_and_ratios_asked_for(backend):
    augment = random_resized_crop(40, scale=(0.1, 0.4), ratio=(0.5, 2.0))
    places = host(augment(random.key(0, backend), ramps(backend, 400, 60, 60)))
    # Of the coordinates in the middle, because those at an edge of the image are clipped to it.
    steps = places[:, :, 20, 20] - places[:, :, 19, 19]
    height, width = 40 * steps.T.astype("float64")
    share = height * width / 3600
    assert (places >= 0).all()
    assert (places <= 59).all()
    assert 0.0999 < share.min() < 0.11
    assert 0.39 < share.max() < 0.4001
    # A part ends at the edges of the image, which this one reaches at no ratio.
    ratio = width / height
    assert 0.4999 < ratio.min() < 0.52
    assert 1.9 < ratio.max() < 2.001
    assert abs(np.log(ratio).mean()) < 0.1


@pytest.mark.parametrize(("size", "area"), [(1, 1), (3, 9), ((2, 5), 10), ((6, 7), 42)])
def test_erased_boxes_have_their_area_and_all_places(backend, size, area):
    x = normal(backend, 500, 2, 6, 7)
    images = host(random_erase(size, value=-9.0)(random.key(0, backend), x))
    erased = images == -9.0
    assert (erased.sum(axis=(2, 3)) == area).all()
    assert (erased[:, 0] == erased[:, 1]).all()
    np.testing.assert_array_equal(images[~erased], host(x)[~erased])
    assert erased.any(axis=(0, 1)).all()
    height, width = (size, size) if isinstance(size, int) else size
    for box in erased[:50, 0]:
        assert box.any(axis=1).sum() == height
        assert box.any(axis=0).sum() == width


def test_erased_boxes_have_their_probability(backend):
    x = backend.asarray(np.ones((3000, 1, 2, 2), "float32"))
    images = host(random_erase(2, probability=0.3)(random.key(0, backend), x))
    assert abs((images.max(axis=(1, 2, 3)) == 0).mean() - 0.3) < 0.03


def test_compose_applies_all_in_order(backend):
    x, key = normal(backend, 4, 1, 6, 6), random.key(9, backend)
    flip, shift = random_flip(), random_shift(1)
    by_hand = shift(random.fold_in(key, 1), flip(random.fold_in(key, 0), x))
    np.testing.assert_array_equal(host(compose(flip, shift)(key, x)), host(by_hand))
    np.testing.assert_array_equal(host(compose()(key, x)), host(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: random_flip(1.5), "horizontal is 1.5: wanted a number from 0 to 1"),
        (lambda: random_flip("left"), "horizontal is 'left', of type .*: wanted a number"),
        (lambda: random_resized_crop(4, scale=("a", 1)), "scale is 'a', of type .*: wanted"),
        (lambda: random_erase(2, value=None), "value is None, of type .*: wanted a number"),
        (lambda: random_affine(shift="2"), "shift is '2', of type .*: wanted a number"),
        (lambda: random_flip(vertical=-0.1), "vertical is -0.1"),
        (lambda: random_crop(0), "size is 0: wanted 1 or more"),
        (lambda: random_crop((3, 2.5)), "size is 2.5: wanted a whole number"),
        (lambda: random_crop(padding=-1), "padding is -1"),
        (lambda: random_shift(0.5), "most is 0.5: wanted a whole number"),
        (lambda: random_resized_crop(4, scale=(0, 1)), r"scale is \(0, 1\): wanted the ends"),
        (lambda: random_resized_crop(4, scale=(0.5, 1.1)), "scale is .* up to 1"),
        (lambda: random_resized_crop(4, scale=0.5), "scale is 0.5"),
        (lambda: random_resized_crop(4, ratio=(2, 1)), "ratio is .* the smaller one first"),
        (lambda: random_resized_crop(4, ratio=(1, float("nan"))), "ratio is "),
        (lambda: random_erase(2, probability=2), "probability is 2"),
        (lambda: random_erase(2, value=float("nan")), "value is nan"),
        (lambda: compose(random_flip), r"augments\[0\] is the function random_flip: wanted"),
        (lambda: compose(random_flip(), 3), r"augments\[1\] is 3: wanted a function"),
    ],
)
def test_settings_out_of_range_raise(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("augment", AUGMENTS.values(), ids=AUGMENTS)
def test_other_shapes_dtypes_and_values_raise(backend, augment):
    key = random.key(0, backend)
    with pytest.raises(ShapeError, match=r"wanted \(N, channels, height, width\)"):
        augment(key, normal(backend, 3, 6, 7))
    with pytest.raises(DTypeError, match="wanted a floating dtype"):
        augment(key, backend.asarray(np.full((1, 1, 6, 7), 200, "uint8")))
    with pytest.raises(ArgumentTypeError, match="wanted an array with one row"):
        augment(key, {"image": normal(backend, 1, 1, 6, 7)})


def test_parts_larger_than_the_images_raise(backend):
    x, key = normal(backend, 1, 1, 4, 4), random.key(0, backend)
    with pytest.raises(ShapeError, match=r"size is \(7, 7\) and the images are of \(6, 6\)"):
        random_crop(7, padding=1)(key, x)
    with pytest.raises(ShapeError, match=r"size is \(5, 5\) and the images are of \(4, 4\)"):
        random_erase(5)(key, x)


def test_partial_functions_are_augmentations(backend):
    def brighter(amount, key, x):
        return x + amount

    x = normal(backend, 2, 1, 3, 3)
    changed = compose(functools.partial(brighter, 2.0))(random.key(0, backend), x)
    np.testing.assert_array_equal(host(changed), host(x) + 2)
