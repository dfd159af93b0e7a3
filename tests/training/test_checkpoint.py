import errno
import json
import os
import signal
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import layers
from anynet.data.host import on_backend
from anynet.errors import ArgumentError, DataError, ShapeError
from anynet.training import checkpoint


def network(backend, seed=0, hidden=3):
    return layers.Sequential(
        layers.Linear(4, hidden),
        layers.ReLU(),
        layers.Linear(hidden, 2),
        seed=seed,
        backend=backend,
    )


def test_networks_round_trip_between_backends(backend, tmp_path):
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


def test_safetensors_reads_the_file(tmp_path):
    from safetensors.numpy import load_file

    net = network("numpy")
    net.layers[0].weight = np.asfortranarray(net.layers[0].weight)
    checkpoint.save(net, tmp_path / "net")
    for name, array in load_file(tmp_path / "net").items():
        np.testing.assert_array_equal(array, net[name])


def test_load_keeps_the_dtypes_of_the_network(backend, tmp_path):
    checkpoint.save(network("numpy"), tmp_path / "net")
    net = layers.Sequential(
        layers.Linear(4, 3),
        layers.ReLU(),
        layers.Linear(3, 2),
        seed=1,
        backend=backend,
        dtype=backend.xp.float64,
    )
    checkpoint.load(net, tmp_path / "net")
    assert net.layers[0].weight.dtype == backend.xp.float64


def test_file_of_another_network_raises_and_changes_nothing(backend, tmp_path):
    checkpoint.save(network("numpy", hidden=5), tmp_path / "net")
    net = network(backend)
    before = {name: host(p).copy() for name, p in net.parameters().items()}
    with pytest.raises(
        ShapeError,
        match=r"layers\.0\.weight is \(4, 3\) in the network and \(4, 5\) in the file; ",
    ):
        checkpoint.load(net, tmp_path / "net")
    checkpoint.save({"w": normal(backend, 2)}, tmp_path / "other")
    with pytest.raises(
        ShapeError,
        match=r"layers\.0\.weight is missing in the file; .*w is in the file only",
    ):
        checkpoint.load(net, tmp_path / "other")
    for name, p in net.parameters().items():
        assert_close(p, before[name], rtol=0)


def test_damaged_files_and_empty_networks_raise(backend, tmp_path):
    path = tmp_path / "net"
    checkpoint.save(network("numpy"), path)
    whole = path.read_bytes()
    flipped = whole[:-1] + bytes([whole[-1] ^ 1])
    for damaged, message in {
        b"": "is not a safetensors file, or a damaged one",
        whole[:20]: "is not a safetensors file, or a damaged one",
        whole[:-5]: "is not a safetensors file, or a damaged one",
        b"\xff" * 100: "is not a safetensors file, or a damaged one",
        whole + b"more": "is not a safetensors file, or a damaged one",
        flipped: "is damaged, or another program has changed it",
        whole.replace(b"sha256", b"sha257"): "is damaged, or another program has changed it",
    }.items():
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=message):
            checkpoint.read(path, backend)
        with pytest.raises(DataError, match=message):
            checkpoint.metadata(path)
    with pytest.raises(FileNotFoundError):
        checkpoint.read(tmp_path / "none")
    empty = layers.Sequential(layers.Linear(2, 2))
    with pytest.raises(DataError, match="no arrays to save"):
        checkpoint.save(empty, path)
    with pytest.raises(DataError, match="no arrays yet: call initialize"):
        checkpoint.load(empty, path)


DTYPES = (
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
)
DTYPES += ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (0, 2)])
def test_every_dtype_round_trips(backend, tmp_path, dtype, shape):
    wanted = getattr(backend.xp, dtype, None)
    if wanted is None:
        pytest.skip(f"{backend.name} has no {dtype}")
    values = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, shape)
    x = backend.xp.astype(backend.asarray(values.astype("float32")), wanted)
    checkpoint.save({"x": x}, tmp_path / "x")
    (found,) = checkpoint.read(tmp_path / "x", backend).values()
    assert found.dtype == wanted
    assert tuple(found.shape) == shape
    assert bool(backend.xp.all(found == x))


def test_bfloat16_follows_the_format(backend, tmp_path):
    """The values are PyTorch's, read by the format's reference reader."""
    torch = pytest.importorskip("torch", reason="needs torch")
    safetensors = pytest.importorskip("safetensors.torch", reason="needs torch")
    x = torch.tensor([1.0, -2.5, 3.1, 1e38, float("inf"), float("nan"), 1e-40]).to(torch.bfloat16)
    checkpoint.save({"x": x}, tmp_path / "x")
    (theirs,) = safetensors.load_file(tmp_path / "x").values()
    assert theirs.dtype == torch.bfloat16
    assert torch.equal(theirs.view(torch.int16), x.view(torch.int16))
    (found,) = checkpoint.read(tmp_path / "x", backend).values()
    assert found.dtype == getattr(backend.xp, "bfloat16", backend.xp.float32)
    wide = host(backend.xp.astype(found, backend.xp.float32))
    np.testing.assert_array_equal(wide, x.float().numpy())


def test_header_agrees_with_safetensors(tmp_path):
    from safetensors.numpy import save

    arrays = {
        "b": np.ones((2, 3), "f4"),
        "a": np.arange(3, dtype="i2"),
        "c": np.array(2.5),
        "é": np.ones(3, "u1"),
    }
    checkpoint.save(arrays, tmp_path / "x", {"epoch": "3"})
    content = (tmp_path / "x").read_bytes()
    length = 8 + int.from_bytes(content[:8], "little")
    texts = json.loads(content[8:length])["__metadata__"]
    assert texts.keys() == {"epoch", "anynet.sha256", "anynet.version", "anynet.format"}
    assert texts["anynet.version"] == anynet.__version__
    theirs = save(arrays, texts)
    # Theirs has the texts in random order.
    assert json.loads(content[8:length]) == json.loads(theirs[8:length])
    assert content[length:] == theirs[length:]


def test_float16_becomes_float32_if_the_library_lacks_it(backend, tmp_path):
    checkpoint.save({"x": np.array([1.5, -6e4], "float16")}, tmp_path / "x")
    (found,) = checkpoint.read(tmp_path / "x", backend).values()
    assert found.dtype == getattr(backend.xp, "float16", backend.xp.float32)
    assert host(found).tolist() == [1.5, -60000]


def test_big_endian_arrays_are_saved(tmp_path):
    checkpoint.save({"x": np.array([1.5, 2.5], ">f4")}, tmp_path / "x")
    assert checkpoint.read(tmp_path / "x")["x"].tolist() == [1.5, 2.5]


def test_read_returns_writable_arrays(tmp_path):
    checkpoint.save({"x": np.ones(2)}, tmp_path / "x")
    x = checkpoint.read(tmp_path / "x")["x"]
    x += 1
    assert x.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("tree", "metadata", "message"),
    [
        (
            {"z": 0, "a.b": 1, "a": {"b": 2, "c": 3}},
            None,
            r"under 'a\.b': the one at 'a\.b' and the one at 'a' → 'b': rename one",
        ),
        (
            {"a": [1], "a.0": 2},
            None,
            r"under 'a\.0': the one at 'a' → 0 and the one at 'a\.0'",
        ),
        (
            {1: 1, "1": 2},
            None,
            "under '1': the one at 1 and the one at '1'",
        ),
        (
            {"__metadata__": 1},
            None,
            "named '__metadata__', which the format uses itself",
        ),
        ({"\ud800": 1}, None, "is not Unicode that can be written"),
        ({"a": 1}, {"epoch": 3}, "wanted a dict of strings"),
        ({"a": 1}, [("epoch", "3")], "wanted a dict of strings"),
        (
            {"a": 1},
            {"anynet.tied": "{}"},
            "an entry 'anynet.tied', and anynet writes those that begin with 'anynet.' itself",
        ),
    ],
)
def test_save_raises_for_invalid_arguments(tmp_path, tree, metadata, message):
    tree = _with_arrays(tree)
    with pytest.raises(ArgumentError, match=message):
        checkpoint.save(tree, tmp_path / "x", metadata)
    assert list(tmp_path.iterdir()) == []


def _with_arrays(tree):
    if isinstance(tree, int):
        return np.full(2, tree)
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = {key: _with_arrays(child) for key, child in items}
    return found if isinstance(tree, dict) else list(found.values())


@pytest.mark.parametrize("dtype", ["float8_e4m3fn"])
def test_save_raises_for_dtypes_that_the_format_lacks(backend, tmp_path, dtype):
    wanted = getattr(backend.xp, dtype, None)
    if wanted is None:
        pytest.skip(f"{backend.name} has no {dtype}")
    x = backend.xp.astype(normal(backend, 3), wanted)
    (tmp_path / "x").write_bytes(b"before")
    with pytest.raises(
        ArgumentError,
        match=rf"x is of dtype {dtype}, which a safetensors file cannot store: convert",
    ):
        checkpoint.save({"x": x}, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"before"


@pytest.mark.parametrize(
    ("stored", "own", "message"),
    [
        (
            "int8",
            "float32",
            "x is float32 in the network and int8 in the file",
        ),
        (
            "complex64",
            "float32",
            "x is float32 in the network and complex64 in the file",
        ),
        (
            "float32",
            "complex64",
            "x is complex64 in the network and float32 in the file",
        ),
        (
            "float32",
            "int32",
            "x is int32 in the network and float32 in the file",
        ),
        (
            "bool",
            "float32",
            "x is float32 in the network and bool in the file",
        ),
        ("int8", "bool", "x is bool in the network and int8 in the file"),
    ],
)
def test_load_raises_for_dtypes_of_another_kind(backend, tmp_path, stored, own, message):
    checkpoint.save(
        {"w": np.ones(2, "float32"), "x": np.ones(2, stored)},
        tmp_path / "x",
    )
    net = {"w": backend.xp.zeros(2, dtype=backend.xp.float32, device=backend.device)}
    net["x"] = backend.xp.zeros(2, dtype=getattr(backend.xp, own), device=backend.device)
    with pytest.raises(DataError, match=message):
        checkpoint.load(net, tmp_path / "x")
    assert host(net["w"]).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("value", "stored", "own", "fits"),
    [
        (1e300, "float64", "float32", False),
        (-1e300, "float64", "float32", False),
        (3.4e38, "float32", "bfloat16", False),
        (3.3e38, "float32", "bfloat16", True),
        (3.4e38, "float64", "float32", True),
        (70000.0, "float32", "float16", False),
        (70000.0, "bfloat16", "float16", False),
        (np.inf, "float64", "float32", True),
        (np.nan, "float64", "float16", True),
        (60000.0, "float16", "float64", True),
        (300, "int64", "uint8", False),
        (-1, "int8", "uint64", False),
        (2**63, "uint64", "int64", False),
        (255, "int64", "uint8", True),
        (-(2**31), "int64", "int32", True),
    ],
)
@pytest.mark.parametrize("shape", [(), (3,)])
def test_load_raises_for_values_out_of_range(backend, tmp_path, value, stored, own, fits, shape):
    if not hasattr(backend.xp, own):
        pytest.skip(f"{backend.name} has no {own}")
    if stored == "bfloat16":
        torch = pytest.importorskip("torch", reason="needs torch")
        x = torch.full(shape, value, dtype=torch.bfloat16)
    else:
        x = np.full(shape, value, stored)
    checkpoint.save({"x": x}, tmp_path / "x")
    net = {"x": backend.xp.zeros(shape, dtype=getattr(backend.xp, own), device=backend.device)}
    if fits:
        checkpoint.load(net, tmp_path / "x")
        wide = (
            host(backend.xp.astype(net["x"], backend.xp.float64))
            if own == "bfloat16"
            else host(net["x"])
        )
        np.testing.assert_allclose(
            wide,
            np.full(shape, value, "float64"),
            rtol=1e-2 if own == "bfloat16" else 1e-6,
        )
    else:
        with pytest.raises(
            DataError,
            match=rf"x is {own} in the network and {stored} in the file, where a value is",
        ):
            checkpoint.load(net, tmp_path / "x")
        assert not host(backend.xp.any(net["x"] != 0))


def test_read_raises_for_unknown_dtypes(tmp_path):
    header = b'{"w":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}'
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + b"ab")
    with pytest.raises(DataError, match=r"'w' is of dtype F8_E4M3: wanted one of BOOL, U8"):
        checkpoint.read(tmp_path / "x")


def test_library_without_a_dtype_raises():
    """Another width, or integers for floats, would change the values of the file."""
    small = SimpleNamespace(name="small", xp=SimpleNamespace())
    with pytest.raises(
        DataError,
        match="small has no int16: read the file on another backend, such as numpy",
    ):
        on_backend(np.ones(2, "int16"), "int16", small)


def test_bfloat16_network_round_trips(backend, tmp_path):
    if not hasattr(backend.xp, "bfloat16"):
        pytest.skip(f"{backend.name} has no bfloat16")
    dtype = backend.xp.bfloat16
    net = layers.Sequential(
        layers.Linear(4, 3),
        layers.BatchNorm(3),
        seed=0,
        backend=backend,
        dtype=dtype,
    )
    checkpoint.save(net, tmp_path / "net")
    other = layers.Sequential(
        layers.Linear(4, 3),
        layers.BatchNorm(3),
        seed=1,
        backend=backend,
        dtype=dtype,
    )
    checkpoint.load(other, tmp_path / "net")
    for name, p in net.parameters().items():
        assert other[name].dtype == dtype
        assert bool(backend.xp.all(other[name] == p))
    single = layers.Sequential(layers.Linear(4, 3), layers.BatchNorm(3), seed=1)
    checkpoint.load(single, tmp_path / "net")
    for name, p in net.parameters().items():
        np.testing.assert_array_equal(single[name], host(backend.xp.astype(p, backend.xp.float32)))


def test_metadata_leaves_out_tied_arrays(tmp_path):
    net = layers.Sequential(layers.Linear(3, 3), layers.Linear(3, 3), seed=0)
    net["layers.1.weight"] = net["layers.0.weight"]
    checkpoint.save(net, tmp_path / "x", {"epoch": "3"})
    assert checkpoint.metadata(tmp_path / "x") == {"epoch": "3"}


def test_save_and_load_are_public_names():
    assert anynet.save is checkpoint.save
    assert anynet.load is checkpoint.load


def test_file_in_a_newer_format_raises(tmp_path):
    checkpoint.save({"x": np.ones(2)}, tmp_path / "x")
    content = (tmp_path / "x").read_bytes()
    newer = content.replace(b'"anynet.format":"1"', b'"anynet.format":"2"')
    (tmp_path / "x").write_bytes(newer)
    with pytest.raises(
        DataError,
        match=rf"by anynet {anynet.__version__} in format 2, and this version reads format 1",
    ):
        checkpoint.read(tmp_path / "x")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a device that is full")
def test_full_disk_is_an_error_with_the_path(tmp_path):
    with pytest.raises(
        OSError, match=r"full was not written \(\d+ bytes\): No space left"
    ) as caught:
        checkpoint.save({"x": np.ones(2)}, "/dev/full")
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of the size of a file")
def test_error_while_writing_keeps_the_old_file(tmp_path):
    import resource

    path = tmp_path / "x"
    checkpoint.save({"x": np.zeros(2)}, path)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(
            OSError, match=r"File too large\. A file that was there before is intact"
        ):
            checkpoint.save({"x": np.ones(10_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x"]
