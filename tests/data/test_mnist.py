"""MNIST with small files under its names, their hashes, and mirrors on this machine."""

import gzip
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import host

from anynet.data import load_mnist, mnist, write_idx
from anynet.data.download import Checksum, cache_folder
from anynet.errors import DataError


def small():
    generator = np.random.default_rng(0)
    images = {
        "train": generator.integers(0, 256, (6, 28, 28), "uint8"),
        "t10k": generator.integers(0, 256, (3, 28, 28), "uint8"),
    }
    found = {}
    for part, data in images.items():
        found[f"{part}-images-idx3-ubyte"] = data
        found[f"{part}-labels-idx1-ubyte"] = np.arange(len(data), dtype="uint8") % 10
    return found


@pytest.fixture
def files(tmp_path, monkeypatch, no_data):
    """Return a folder of small files. The cache is empty, and there is no network."""
    folder = tmp_path / "files"
    for name, data in small().items():
        write_idx(folder / f"{name}.gz", data)
    known = {
        path.name: Checksum(contents=hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest())
        for path in map(folder.joinpath, mnist.SOURCE.files)
    }
    source = replace(mnist.SOURCE, files=known, mirrors=("http://127.0.0.1:9/",))
    monkeypatch.setattr(mnist, "SOURCE", source)
    return folder


@pytest.fixture
def use_mirrors(monkeypatch):
    def use(*addresses):
        monkeypatch.setattr(mnist, "SOURCE", replace(mnist.SOURCE, mirrors=addresses))

    return use


def cache():
    return cache_folder() / "MNIST"


def check(dataset):
    data = small()
    for (x, t), part in zip(dataset, ("train", "t10k"), strict=True):
        images = data[f"{part}-images-idx3-ubyte"]
        np.testing.assert_allclose(
            host(x).reshape(-1),
            images.reshape(-1) / np.float32(255),
            rtol=2e-7,
        )
        np.testing.assert_array_equal(host(t), data[f"{part}-labels-idx1-ubyte"])


def test_loads_from_a_folder(backend, files, monkeypatch):
    monkeypatch.setenv("ANYNET_DATA_DIR", str(files))
    dataset = load_mnist(backend)
    check(dataset)
    assert dataset.train[0].shape == (6, 784)
    assert dataset.train[0].dtype == backend.xp.float32
    assert dataset.train[1].dtype == backend.xp.int32
    assert load_mnist(backend, flat=False).test[0].shape == (3, 1, 28, 28)


def test_loads_decompressed_files(files, monkeypatch):
    for path in list(files.iterdir()):
        (files / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    monkeypatch.setenv("ANYNET_DATA_DIR", str(files))
    check(load_mnist("numpy"))


@pytest.mark.parametrize(
    "spell",
    [
        str.upper,
        lambda name: name.replace("-idx", ".idx"),
        lambda name: f"{name}/{name}",
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_loads_files_with_other_spellings(files, monkeypatch, spell, suffix):
    """In upper case, with a dot, and each file in a folder of the same name."""
    for path in list(files.iterdir()):
        new = files / (spell(path.stem) + suffix)
        new.parent.mkdir(exist_ok=True, parents=True)
        new.write_bytes(path.read_bytes() if suffix else gzip.decompress(path.read_bytes()))
        path.unlink()
    monkeypatch.setenv("ANYNET_DATA_DIR", str(files))
    check(load_mnist("numpy"))


@pytest.mark.parametrize("given", [".", "MNIST", "MNIST/raw"])
def test_loads_folders_of_torchvision(tmp_path, files, monkeypatch, given):
    """The root folder of torchvision, or a folder inside it. The home folder is ``~``."""
    (tmp_path / "data" / "MNIST").mkdir(parents=True)
    files.rename(tmp_path / "data" / "MNIST" / "raw")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("ANYNET_DATA_DIR", f"~/data/{given}")
    check(load_mnist("numpy"))


def test_missing_folder_raises(tmp_path, files, monkeypatch):
    monkeypatch.setenv("ANYNET_DATA_DIR", str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"there is no folder .*none"):
        load_mnist("numpy")


def test_folder_without_a_file_raises(files, monkeypatch):
    monkeypatch.setenv("ANYNET_DATA_DIR", str(files))
    (files / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(
        DataError,
        match=r"MNIST's t10k-labels-idx1-ubyte\.gz is not there: put it into .*MNIST, or unset "
        "ANYNET_DATA_DIR to download it; .* holds t10k-im",
    ):
        load_mnist("numpy")


def test_other_data_under_the_same_name_raise(files, monkeypatch):
    monkeypatch.setenv("ANYNET_DATA_DIR", str(files))
    write_idx(files / "train-labels-idx1-ubyte.gz", np.zeros(6, "uint8"))
    with pytest.raises(
        DataError,
        match=r"shape \(6,\), but not MNIST's train-labels-idx1-ubyte.gz: put that file in",
    ):
        load_mnist("numpy")


def test_downloads_once(files, serve, use_mirrors):
    address, asked = serve(files)
    use_mirrors(address)
    check(load_mnist("numpy"))
    assert sorted(asked) == sorted(f"/{name}" for name in mnist.SOURCE.files)
    check(load_mnist("numpy"))
    assert len(asked) == 4
    assert sorted(path.name for path in cache().iterdir()) == sorted(
        name for name in mnist.SOURCE.files
    )


def test_skips_a_mirror_with_damaged_files(tmp_path, files, serve, use_mirrors):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in files.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes()[:-20])
    first, asked_first = serve(damaged)
    second, asked_second = serve(files)
    use_mirrors(first, second)
    check(load_mnist("numpy"))
    assert len(asked_first) == len(asked_second) == 4


def test_replaces_a_damaged_cache_unless_offline(files, serve, use_mirrors, monkeypatch):
    address, asked = serve(files)
    use_mirrors(address)
    load_mnist("numpy")
    (cache() / "train-labels-idx1-ubyte.gz").write_bytes(b"\x1f\x8bhalf")
    monkeypatch.setenv("ANYNET_OFFLINE", "1")
    with pytest.raises(DataError, match="damaged gzip file"):
        load_mnist("numpy")
    monkeypatch.setenv("ANYNET_OFFLINE", "0")
    check(load_mnist("numpy"))
    assert len(asked) == 5


def test_failed_download_leaves_no_file(files):
    pytest.importorskip("pooch", reason="fetching needs pooch")
    with pytest.raises(
        DataError,
        match=r"train-images-idx3-ubyte.gz could not be fetched \(http.*\): "
        r"put .*\.gz into .*ANYNET_DATA_DIR",
    ):
        load_mnist("numpy")
    assert list(cache().glob("*")) == []


def test_offline_sends_no_request(files, serve, use_mirrors, monkeypatch):
    address, asked = serve(files)
    use_mirrors(address)
    monkeypatch.setenv("ANYNET_OFFLINE", "1")
    with pytest.raises(DataError, match="is not here and ANYNET_OFFLINE is set: put"):
        load_mnist("numpy")
    assert asked == []


@pytest.mark.skipif(
    "ANYNET_DATA_DIR" not in os.environ,
    reason="needs MNIST's files in ANYNET_DATA_DIR",
)
def test_real_files_have_the_known_counts(backend):
    train, test = load_mnist(backend)
    assert train[0].shape == (60000, 784)
    assert test[0].shape == (10000, 784)
    assert host(train[1])[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    counts = np.bincount(host(test[1])).tolist()
    assert counts == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert host(train[0]).min() == 0
    assert host(train[0]).max() == 1
    assert Path(os.environ["ANYNET_DATA_DIR"]).is_dir()
