import os

import numpy as np
import pytest
from helpers import assert_close, host, numbers

from anynet import checkpoint, layers
from anynet.errors import DataError, ShapeError
from anynet.files import written_whole


def network(backend, seed=0, hidden=3):
    return layers.Sequential(
        layers.Linear(4, hidden), layers.ReLU(), layers.Linear(hidden, 2), seed=seed, backend=backend
    )


def test_round_trip_between_backends(backend, tmp_path):
    path = tmp_path / "deep" / "net.safetensors"
    net = network("numpy")
    checkpoint.save(net, path, {"epoch": "3"})
    other = network(backend, seed=1)
    before = other.layers[0].weight
    checkpoint.load(other, path)
    for name, p in other.parameters().items():
        assert_close(p, net[name], like=before, rtol=0)
    assert checkpoint.metadata(path) == {"epoch": "3"}
    assert list(checkpoint.read(path, backend)) == sorted(net.parameters())


def test_the_file_is_one_that_others_read(tmp_path):
    from safetensors.numpy import load_file

    net = network("numpy")
    net.layers[0].weight = np.asfortranarray(net.layers[0].weight)
    checkpoint.save(net, tmp_path / "net")
    for name, array in load_file(tmp_path / "net").items():
        np.testing.assert_array_equal(array, net[name])


def test_dtypes_follow_the_network(backend, tmp_path):
    checkpoint.save(network("numpy"), tmp_path / "net")
    net = layers.Sequential(
        layers.Linear(4, 3), layers.ReLU(), layers.Linear(3, 2), seed=1, backend=backend, dtype=backend.xp.float64
    )
    checkpoint.load(net, tmp_path / "net")
    assert net.layers[0].weight.dtype == backend.xp.float64


def test_a_file_that_does_not_fit_changes_nothing(backend, tmp_path):
    checkpoint.save(network("numpy", hidden=5), tmp_path / "net")
    net = network(backend)
    before = {name: host(p).copy() for name, p in net.parameters().items()}
    with pytest.raises(ShapeError, match=r"layers\.0\.weight is \(4, 3\) in the network and \(4, 5\) in the file; "):
        checkpoint.load(net, tmp_path / "net")
    checkpoint.save({"w": numbers(backend, 2)}, tmp_path / "other")
    with pytest.raises(ShapeError, match=r"layers\.0\.weight is missing in the file; .*w is in the file only"):
        checkpoint.load(net, tmp_path / "other")
    for name, p in net.parameters().items():
        assert_close(p, before[name], rtol=0)


def test_damaged_files_and_empty_networks(backend, tmp_path):
    path = tmp_path / "net"
    checkpoint.save(network("numpy"), path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:20], whole[:-5], b"\xff" * 100, whole + b"more"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="is not a safetensors file, or a damaged one"):
            checkpoint.read(path, backend)
        with pytest.raises(DataError, match="is not a safetensors file, or a damaged one"):
            checkpoint.metadata(path)
    with pytest.raises(FileNotFoundError):
        checkpoint.read(tmp_path / "none")
    empty = layers.Sequential(layers.Linear(2, 2))
    with pytest.raises(DataError, match="no numbers to save"):
        checkpoint.save(empty, path)
    with pytest.raises(DataError, match="no numbers yet: call initialize"):
        checkpoint.load(empty, path)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def cut_off():
        with written_whole(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]
    with written_whole(path) as file:
        file.write(b"after")
    assert path.read_bytes() == b"after"
    assert os.listdir(tmp_path) == ["file"]
