"""Mixup and cutmix: shares of inputs and labels, in loaders and in training."""

import numpy as np
import pytest
from helpers import host, normal
from scipy import stats

import anynet
from anynet import layers, losses, optimizers, random
from anynet.data import Loader, compose, cutmix, mixup, random_flip
from anynet.data.augment.mixing import _beta
from anynet.errors import (
    AnynetError,
    ArgumentError,
    ArgumentTypeError,
    DataError,
    DTypeError,
    NonFiniteError,
    ShapeError,
)

MIXES = {"mixup": mixup, "cutmix": cutmix}
BOTH = pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)


def digits(backend, n=40, dtype="float32"):
    """Return images (n, 1, 6, 5) whose pixels are all the index of the image, and its index."""
    x = np.broadcast_to(np.arange(n, dtype=dtype)[:, None, None, None], (n, 1, 6, 5)).copy()
    return backend.asarray(x), backend.asarray(np.arange(n))


@BOTH
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_of_labels_are_those_of_the_images(backend, mix, alpha):
    x, t = digits(backend, dtype="float64")
    images, rows = mix(alpha=alpha, classes=40)(random.key(0, backend), x, t)
    assert rows.dtype == x.dtype
    rows, images = host(rows), host(images)
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-15)
    assert (rows >= 0).all()
    assert ((rows > 0).sum(axis=1) == 2).sum() > 20
    # The mean of the pixels is the share of each image's index.
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), rows @ np.arange(40), rtol=1e-12)


def test_share_of_the_area_is_exactly_that_of_the_label(backend):
    x, t = digits(backend, n=300)
    images, rows = cutmix(classes=300)(random.key(1, backend), x, t)
    images, rows = host(images), host(rows)
    for i in range(300):
        own = (images[i] == i).sum()
        box = images[i, 0] != i
        # All pixels of the box are of one other image, and it is a box.
        assert len(set(images[i, 0][box])) <= 1
        assert box.sum() == box.any(axis=0).sum() * box.any(axis=1).sum()
        if own < 30:
            other = int(images[i, 0][box][0])
            # XLA divides with an error of a bit.
            np.testing.assert_allclose(rows[i, [i, other]] * 30, [own, 30 - own], atol=4e-6)
        else:
            assert rows[i, i] == 1


@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.0, 2.0, 10.0])
def test_shares_have_the_distribution_beta(backend, alpha):
    samples = host(_beta(random.key(0, backend), alpha, 20_000, backend.asarray([1.0]))).astype(
        "float64"
    )
    assert ((samples >= 0) & (samples <= 1)).all()
    # float32 has few values near 1. Below a half the rounding is fine.
    low = samples[samples < 0.5]
    assert abs(len(low) / len(samples) - 0.5) < 0.02
    expected = stats.beta(alpha, alpha)
    test = stats.kstest(low, lambda share: 2 * expected.cdf(share))
    assert test.pvalue > 0.001


@BOTH
def test_same_key_gives_the_same_partners_and_boxes_on_every_library(backend, mix):
    x, t = digits(backend)
    here = mix(alpha=1.0, classes=40)(random.key(5, backend), x, t)
    on_numpy = mix(alpha=1.0, classes=40)(random.key(5, "numpy"), host(x), host(t))
    if mix is cutmix:
        np.testing.assert_array_equal(host(here[0]), on_numpy[0])
    for ours, theirs in zip(here, on_numpy, strict=True):
        np.testing.assert_allclose(host(ours), theirs, rtol=1e-6, atol=1e-6)


@BOTH
def test_compiled_mix_is_the_eager_one(backend, mix):
    x, t = digits(backend)
    augment = mix(alpha=0.4, classes=40)
    compiled = anynet.compile(augment)
    for seed in range(3):
        key = random.key(seed, backend)
        for ours, theirs in zip(compiled(key, x, t), augment(key, x, t), strict=True):
            np.testing.assert_allclose(host(ours), host(theirs), rtol=1e-5, atol=1e-5)


@BOTH
def test_mix_never_waits_for_the_device(strictest, mix):
    x = strictest.asarray(np.ones((3, 2, 6, 7), "float32"))
    mix(alpha=0.5, classes=3)(random.key(0, strictest), x, strictest.asarray(np.arange(3)))


@BOTH
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_labels_sum_to_one(backend, mix, dtype):
    if not hasattr(backend.xp, dtype):
        pytest.skip(reason=f"the library has no {dtype}")
    half = getattr(backend.xp, dtype)
    x = backend.xp.astype(normal(backend, 8, 3, 300, 300), half)
    images, rows = mix(classes=8)(random.key(0, backend), x, backend.asarray(np.arange(8)))
    assert images.dtype == rows.dtype == half
    np.testing.assert_allclose(host(rows).astype("float32").sum(axis=1), 1, atol=0.01)


@BOTH
def test_real_and_one_hot_targets_keep_their_shape_and_dtype(backend, mix):
    x, _ = digits(backend)
    for shape in ((40,), (40, 3), (40, 2, 2)):
        t = normal(backend, *shape)
        _, mixed = mix()(random.key(0, backend), x, t)
        assert tuple(mixed.shape) == shape
        assert mixed.dtype == t.dtype
        # A mean of two rows is no farther out than they are.
        assert host(mixed).min() >= host(t).min()
        assert host(mixed).max() <= host(t).max()


def test_mixup_takes_rows_of_any_shape(backend):
    x = normal(backend, 6, 4)
    mixed, rows = mixup(classes=2)(random.key(0, backend), x, backend.asarray([0, 1] * 3))
    assert mixed.shape == (6, 4)
    assert rows.shape == (6, 2)


@BOTH
def test_empty_batches_stay_empty(backend, mix):
    x, t = digits(backend)
    images, rows = mix(classes=40)(random.key(0, backend), x[:0, ...], t[:0])
    assert images.shape == (0, 1, 6, 5)
    assert rows.shape == (0, 40)


@BOTH
@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_labels_of_every_integer_dtype(backend, mix, dtype):
    x, t = digits(backend, n=20)
    labels = backend.xp.astype(t, getattr(backend.xp, dtype))
    key = random.key(0, backend)
    expected = host(mix(classes=20)(key, x, t)[1])
    np.testing.assert_array_equal(host(mix(classes=20)(key, x, labels)[1]), expected)


@BOTH
def test_a_label_out_of_range_becomes_nan(backend, mix):
    x, _ = digits(backend, n=3)
    for label in (-1, 3, 200):
        t = backend.asarray(np.asarray([0, label, 2]))
        _, rows = mix(classes=3)(random.key(0, backend), x, t)
        assert np.isnan(host(rows)).any()


@BOTH
def test_bad_settings_and_labels_raise(backend, mix):
    x, t = digits(backend)
    key = random.key(0, backend)
    for alpha in (0, -1.0, np.inf, np.nan):
        with pytest.raises(ArgumentError, match=r"alpha is .*: wanted a finite number above 0"):
            mix(alpha=alpha)
    with pytest.raises(ArgumentError, match="classes is 0: wanted 1 or more"):
        mix(classes=0)
    with pytest.raises(ArgumentError, match=r"classes is None: wanted the number of classes"):
        mix()(key, x, t)
    with pytest.raises(ShapeError, match=r"integers of shape \(40, 1\): wanted class indices"):
        mix(classes=3)(key, x, t[:, None])
    with pytest.raises(DTypeError, match=r"the labels are of dtype .*bool"):
        mix(classes=3)(key, x, t > 3)
    with pytest.raises(DataError, match=r"x has 40 rows and the labels are \(39,\)"):
        mix(classes=40)(key, x, t[1:])
    with pytest.raises(ArgumentTypeError, match=r"alpha is '1', of type .*: wanted a number"):
        mix(alpha="1")
    with pytest.raises(ArgumentTypeError, match="wanted an array with one row for each example"):
        mix(classes=40)(key, (x, x), t)
    with pytest.raises(DTypeError, match="wanted a floating dtype"):
        mix(classes=40)(key, backend.xp.astype(x, backend.xp.int32), t)


def test_augmentation_that_returns_no_pair_raises(backend):
    x, t = digits(backend)
    # An array of two rows could be taken for both.
    loader = Loader(x, t, 2, augment=lambda key, x, t: x)
    with pytest.raises(ArgumentTypeError, match=r"returned an array of shape .*: wanted both"):
        next(iter(loader))


def test_loader_gives_labels_to_an_augmentation_that_needs_them(backend):
    x, t = digits(backend)
    keys = []

    def inputs_only(key, x, strength=2.0):
        keys.append(host(key).tolist())
        return x * strength

    def both(key, x, t):
        keys.append(host(key).tolist())
        return x + 1, t * 2

    images, labels = next(iter(Loader(x, t, 8, augment=inputs_only)))
    np.testing.assert_array_equal(host(images)[:, 0, 0, 0], 2 * host(labels))
    images, doubled = next(iter(Loader(x, t, 8, augment=both)))
    np.testing.assert_array_equal(host(images)[:, 0, 0, 0], host(doubled) / 2 + 1)
    assert keys[0] == keys[1]
    weights = backend.asarray(np.ones(40, "float32"))
    batch = next(iter(Loader(x, t, 8, augment=inputs_only, weights=weights)))
    assert len(batch) == 3
    with pytest.raises(ArgumentError, match="augment changes labels"):
        Loader(x, t, 8, augment=both, weights=weights)
    with pytest.raises(ArgumentTypeError, match=r"or augment\(key, x, t\)"):
        Loader(x, t, 8, augment=lambda key, x, t, more: (x, t))


def test_fit_trains_on_mixed_labels(backend):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    pixels = rng.normal(size=(60, 1, 4, 4)) + labels[:, None, None, None]
    x, t = backend.asarray(pixels.astype("float32")), backend.asarray(labels)
    augment = compose(random_flip(), mixup(classes=3), cutmix())
    net = layers.Sequential(layers.Flatten(), layers.Linear(16, 3), seed=0, backend=backend)
    history = anynet.fit(
        net,
        Loader(x, t, 20, augment=augment),
        optimizer=optimizers.Adam(0.05),
        epochs=8,
        compile=True,
        progress=False,
    )
    assert history.epochs[-1].loss < history.epochs[0].loss
    assert losses.cross_entropy(net(x), t) < 1.0


def test_fit_raises_where_classes_are_too_few(backend):
    x, t = digits(backend, n=20)
    net = layers.Sequential(layers.Flatten(), layers.Linear(30, 20), seed=0, backend=backend)
    with pytest.raises(AnynetError) as raised:
        anynet.fit(net, Loader(x, t, 20, augment=mixup(classes=10)), epochs=1, progress=False)
    assert isinstance(raised.value, ShapeError | NonFiniteError)
