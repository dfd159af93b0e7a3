import numpy as np
import pytest
from helpers import host, normal
from hypothesis import given, settings
from hypothesis import strategies as st

import anynet
from anynet import random
from anynet.data import Loader, load_digits, random_batch
from anynet.errors import ArgumentError, ArgumentTypeError, DataError, MixedArraysError


def rows(backend, n):
    """Return x whose row i contains i, and t with label i."""
    x = np.repeat(np.arange(n, dtype="float32")[:, None], 3, axis=1)
    return backend.asarray(x), backend.asarray(np.arange(n))


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 40),
    size=st.integers(1, 50),
    shuffle=st.booleans(),
    drop=st.booleans(),
    seed=st.integers(0, 9),
)
def test_epoch_has_each_row_once(n, size, shuffle, drop, seed):
    x, t = rows(anynet.get_backend("numpy"), n)
    if drop and size > n:
        with pytest.raises(ValueError, match="no batch would be left"):
            Loader(x, t, size, drop_last=True)
        return
    loader = Loader(x, t, size, seed=seed, shuffle=shuffle, drop_last=drop)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert all(xs.shape == (len(ts), 3) and (xs[:, 0] == ts).all() for xs, ts in batches)
    assert all(len(ts) == size for _, ts in batches[: None if drop else -1])
    seen = np.concatenate([ts for _, ts in batches])
    assert len(set(seen.tolist())) == len(seen) == (n - n % size if drop else n)
    if not shuffle:
        assert seen.tolist() == list(range(len(seen)))


def test_batches_stay_on_the_device_of_the_data(backend):
    x, t = rows(backend, 10)
    for xs, ts in Loader(x, t, 4):
        assert anynet.get_backend(xs).device == anynet.get_backend(ts).device == backend.device
        assert xs.dtype == x.dtype


def test_shuffles_agree_with_numpy_and_differ_between_epochs(backend):
    def orders(b, seed):
        loader = Loader(*rows(b, 50), 50, seed=seed)
        return [host(t).tolist() for _ in range(3) for _, t in loader]

    ours = orders(backend, 4)
    assert ours == orders(anynet.get_backend("numpy"), 4)
    assert ours[0] != ours[1] != ours[2] != ours[0]
    assert ours[0] != orders(backend, 5)[0]
    assert sorted(ours[0]) == list(range(50))


def test_orders_do_not_change_between_versions(backend):
    loader = Loader(*rows(backend, 8), 4, seed=3)
    assert [[host(t).tolist() for _, t in loader] for _ in range(2)] == [
        [[1, 7, 4, 3], [2, 0, 6, 5]],
        [[5, 4, 3, 7], [0, 1, 2, 6]],
    ]
    _, t = random_batch(random.key(3, backend), 6, *rows(backend, 8))
    assert host(t).tolist() == [4, 4, 5, 3, 4, 0]


def test_start_epoch_returns_the_order_of_the_batches(backend):
    loader = Loader(*rows(backend, 7), 3, seed=2)
    iterated = Loader(*rows(backend, 7), 3, seed=2)
    for _ in range(2):
        order = np.concatenate([host(t) for _, t in iterated])
        assert host(loader.start_epoch()).tolist() == order.tolist()
    assert Loader(*rows(backend, 7), 3, shuffle=False).start_epoch() is None


def test_random_batch_samples_rows_uniformly(backend):
    x, t = rows(backend, 5)
    xs, ts = random_batch(random.key(0, backend), 200, x, t)
    np.testing.assert_array_equal(host(xs)[:, 0], host(ts))
    # The expected count is 200 / 5, and 28 is 5 standard deviations.
    assert all(abs(count - 40) < 28 for count in np.bincount(host(ts), minlength=5))
    assert host(random_batch(random.key(1, backend), 200, x, t)[1]).tolist() != host(ts).tolist()
    assert random_batch(random.key(0, backend), 1, x, t)[0].shape == (1, 3)
    with pytest.raises(ValueError, match="size is 0: wanted 1 or more"):
        random_batch(random.key(0, backend), 0, x, t)


def test_invalid_data_raise(backend):
    x, t = rows(backend, 4)
    spoiled = host(x).copy()
    spoiled[2, 1] = np.nan
    for arguments, message in (
        (
            (x[:0, ...], t[:0]),
            "x has 0 rows and t has 0: wanted the same number, and at least one",
        ),
        ((x, t[:3]), "x has 4 rows and t has 3"),
        ((backend.asarray(spoiled), t), "not finite"),
        (
            (x, backend.asarray(spoiled[:, 1])),
            "t has values that are not finite",
        ),
        ((x, [0, 1, 2, 3]), r"t is \[0, 1, 2, 3\]: wanted an array"),
        (
            (backend.asarray(1.0), t),
            "x is .*: wanted an array with one row per example",
        ),
    ):
        with pytest.raises(DataError, match=message):
            Loader(*arguments)
    for size in (0, -1):
        with pytest.raises(ValueError, match=f"batch_size is {size}: wanted 1 or more"):
            Loader(x, t, size)


def test_arrays_of_two_libraries_raise(backend):
    other = anynet.get_backend("array_api_strict:device1" if backend.name == "numpy" else "numpy")
    with pytest.raises(MixedArraysError, match="met in one call; bring them to one"):
        Loader(rows(backend, 4)[0], rows(other, 4)[1])


def test_digits_are_scikit_learns(backend):
    from sklearn.datasets import load_digits as original

    train, test = load_digits(backend)
    assert train[0].shape == (1500, 784)
    assert test[0].shape == (297, 784)
    assert train[0].dtype == backend.xp.float32
    images, labels = original(return_X_y=True)
    np.testing.assert_array_equal(host(train[1]), labels[:1500])
    scaled = host(test[0]).reshape(-1, 28, 28)
    assert scaled.min() >= 0
    assert scaled.max() <= 1
    # Interpolation nearly preserves the mean of a block, 7 × 7 after it and 2 × 2 before it.
    blocks = scaled.reshape(-1, 4, 7, 4, 7).mean(axis=(2, 4))
    pixels = (images[1500:].reshape(-1, 4, 2, 4, 2) / 16).mean(axis=(2, 4))
    assert np.corrcoef(blocks.ravel(), pixels.ravel())[0, 1] > 0.98
    assert load_digits(backend, flat=False).train[0].shape == (1500, 1, 28, 28)


def test_inputs_of_more_axes_are_gathered_by_rows(backend):
    x, t = normal(backend, 6, 2, 2), backend.asarray(np.arange(6))
    for xs, ts in Loader(x, t, 4, seed=1):
        np.testing.assert_array_equal(host(xs), host(x)[host(ts)])


@pytest.mark.parametrize("shuffle", [False, True])
def test_loader_goes_on_in_the_middle_of_an_epoch(backend, shuffle):
    """The rest of the epoch, the augmentation and all later epochs are the same."""

    def make():
        augment = lambda key, x: x + random.uniform(key, tuple(x.shape), dtype=x.dtype)
        return Loader(*rows(backend, 10), 4, seed=5, shuffle=shuffle, augment=augment)

    def read(batches):
        return [(host(x).tolist(), host(t).tolist()) for x, t in batches]

    expected = make()
    passes = [read(expected) for _ in range(3)]
    for done in range(4):
        first, second = make(), make()
        read(first)
        batches = iter(first)
        for _ in range(done):
            next(batches)
        state = first.state_dict()
        assert (state["epoch"], state["batch"]) == (1, done)
        second.load_state_dict(state)
        assert second.next_batch == done
        assert read(second) == passes[1][done:]
        assert second.next_batch == 0
        assert read(second) == passes[2]


def test_loader_begins_a_new_epoch_after_one_that_was_cut_short(backend):
    loader, expected = [Loader(*rows(backend, 6), 2, seed=1) for _ in range(2)]
    next(iter(loader))
    passes = [[host(t).tolist() for _, t in expected] for _ in range(2)]
    assert [host(t).tolist() for _, t in loader] == passes[1]


def test_state_of_another_loader_raises(backend):
    loader = Loader(*rows(backend, 6), 2, seed=1)
    state = loader.state_dict()
    for wrong, message in (
        ({}, "the state of a loader lacks 'epoch', 'batch', 'rows'"),
        (3, "the state of a loader is 3"),
        ({**state, "more": 1}, "the state of a loader has an unknown 'more'"),
        ({**state, "seed": 2, "rows": 7}, "rows is 6 here and 7 in the state, seed is 1 here and"),
        ({**state, "batch": 4}, "the batch of the state is 4: wanted 0 to 3"),
        ({**state, "batch": -1}, "the batch of the state is -1"),
        ({**state, "epoch": "x"}, "the epoch of the state is 'x'"),
    ):
        with pytest.raises(ArgumentError, match=message):
            loader.load_state_dict(wrong)
    assert loader.state_dict() == state


def test_augmentation_that_returns_no_inputs_raises():
    x, t = np.ones((4, 2), "float32"), np.arange(4)
    for augment, text in ((lambda key, x: None, "None"), (lambda key, x: (x, x), "a tuple of 2")):
        with pytest.raises(ArgumentTypeError, match=rf"augment\(key, x\) returned {text} for"):
            next(iter(Loader(x, t, augment=augment)))
