"""Data sets in MNIST's format, with the file names of their publishers."""

import numpy as np
import pytest
from helpers import host

from anynet.data import load_idx_pairs, write_idx
from anynet.errors import DataError


def write(
    folder,
    name="{part}-{what}-idx{axes}-ubyte.gz",
    test="t10k",
    seed=0,
    first=0,
):
    """Write images of 4 × 3 pixels with labels, and return the arrays."""
    generator, found = np.random.default_rng(seed), []
    for part, n in (("train", 5), (test, 3)):
        images = generator.integers(0, 256, (n, 4, 3), "uint8")
        labels = (np.arange(n) + first).astype("uint8")
        write_idx(folder / name.format(part=part, what="images", axes=3), images)
        write_idx(folder / name.format(part=part, what="labels", axes=1), labels)
        found += [images, labels]
    return found


def check(dataset, wanted):
    for (x, t), images, labels in zip(dataset, wanted[::2], wanted[1::2], strict=True):
        np.testing.assert_allclose(
            host(x),
            images.reshape(len(images), -1) / np.float32(255),
            rtol=2e-7,
        )
        assert host(t).tolist() == labels.tolist()


@pytest.mark.parametrize("where", [".", "raw"])
def test_fashion_mnist_and_kmnist_load(backend, tmp_path, where):
    """Their files have the names of MNIST's."""
    wanted = write(tmp_path / where)
    dataset = load_idx_pairs(tmp_path, backend)
    check(dataset, wanted)
    assert dataset.train[0].dtype == backend.xp.float32
    assert dataset.train[1].dtype == backend.xp.int32
    images = load_idx_pairs(tmp_path, backend, flat=False).test[0]
    assert images.shape == (3, 1, 4, 3)
    np.testing.assert_allclose(host(images)[:, 0], wanted[2] / np.float32(255), rtol=2e-7)


def test_emnist_loads_by_name(tmp_path, monkeypatch):
    """A folder holds several data sets. Their test part is called test, and letters start at 1."""
    digits = write(
        tmp_path,
        "emnist-digits-{part}-{what}-idx{axes}-ubyte",
        "test",
        seed=1,
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    check(load_idx_pairs("~"), digits)
    letters = write(
        tmp_path,
        "EMNIST-letters-{part}-{what}.idx{axes}-ubyte.gz",
        "test",
        seed=2,
        first=1,
    )
    for name in ("emnist-letters", "EMNIST-Letters", "letters"):
        check(load_idx_pairs(tmp_path, name=name), letters)
    check(load_idx_pairs(tmp_path, name="emnist-digits"), digits)
    with pytest.raises(
        DataError,
        match="holds emnist-digits, emnist-letters: choose one of them by name=",
    ):
        load_idx_pairs(tmp_path)
    with pytest.raises(
        DataError,
        match=r"no train images, .* of 'emnist-balanced' in IDX files.*holds EMNIST-letters-",
    ):
        load_idx_pairs(tmp_path, name="emnist-balanced")


def test_decompressed_file_takes_precedence(tmp_path):
    write(tmp_path, "{part}-{what}-IDX{axes}-ubyte.GZ", seed=1)
    unpacked = write(tmp_path, "{part}-{what}-idx{axes}-ubyte", seed=2)
    check(load_idx_pairs(tmp_path), unpacked)


def test_error_lists_missing_and_present_files(tmp_path):
    write(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "notes").mkdir()
    with pytest.raises(
        DataError,
        match="no train labels, no test labels in IDX files, .*: "
        r".* holds notes/, t10k-images-idx3-ubyte\.gz, train",
    ):
        load_idx_pairs(tmp_path)
    with pytest.raises(DataError, match=r"there is no folder .*none"):
        load_idx_pairs(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds nothing"):
        load_idx_pairs(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "train-labels-idx1-ubyte",
            np.zeros(4, "u1"),
            r"of shape \(4,\): wanted integers \(5,\), one for each image",
        ),
        (
            "train-labels-idx1-ubyte",
            np.zeros((5, 8), "i4"),
            r"of shape \(5, 8\): wanted integers \(5,\)",
        ),
        (
            "train-labels-idx1-ubyte",
            np.zeros(5, "f4"),
            r"wanted integers \(5,\)",
        ),
        (
            "t10k-images-idx3-ubyte",
            np.zeros((3, 12), "u1"),
            r"of shape \(3, 12\): wanted images of bytes",
        ),
        (
            "t10k-images-idx3-ubyte",
            np.zeros((3, 4, 3), "i4"),
            r"wanted images of bytes",
        ),
    ],
)
def test_mismatched_files_raise(tmp_path, name, data, message):
    write(tmp_path)
    write_idx(tmp_path / name, data)
    with pytest.raises(DataError, match=message):
        load_idx_pairs(tmp_path)
