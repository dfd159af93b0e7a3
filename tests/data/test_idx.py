import gzip
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from anynet.data import read_idx, write_idx
from anynet.errors import DataError

DTYPES = ("uint8", "int8", "int16", "int32", "float32", "float64")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    data=st.sampled_from(DTYPES).flatmap(
        lambda d: arrays.arrays(d, arrays.array_shapes(max_dims=4, max_side=5))
    ),
    suffix=st.sampled_from(["", ".gz"]),
)
def test_read_returns_the_written_data(tmp_path, data, suffix):
    path = tmp_path / f"data{suffix}"
    write_idx(path, data)
    found = np.asarray(read_idx(path))
    assert found.dtype == data.dtype
    np.testing.assert_array_equal(found, data)


def test_write_takes_arrays_of_any_library(backend, tmp_path):
    write_idx(
        tmp_path / "data",
        backend.asarray([[1, 2], [3, 4]], dtype=backend.xp.uint8),
    )
    assert read_idx(tmp_path / "data").tolist() == [[1, 2], [3, 4]]


def test_write_follows_the_format(tmp_path):
    path = tmp_path / "data"
    write_idx(path, np.asarray([[1, -2], [3, 256]], "int16"))
    assert path.read_bytes() == bytes.fromhex("00000b02 00000002 00000002 0001 fffe 0003 0100")


def test_gzip_header_has_no_time(tmp_path):
    """The same data then give the same file."""
    write_idx(tmp_path / "data.gz", np.arange(3, dtype="uint8"))
    content = (tmp_path / "data.gz").read_bytes()
    assert content[:2] == b"\x1f\x8b"
    assert content[4:8] == bytes(4)


def test_write_takes_arrays_that_are_not_contiguous(tmp_path):
    data = np.arange(6, dtype="int32").reshape(2, 3).T
    write_idx(tmp_path / "t", np.ascontiguousarray(data))
    np.testing.assert_array_equal(np.asarray(read_idx(tmp_path / "t")), data)
    write_idx(tmp_path / "s", data)
    np.testing.assert_array_equal(np.asarray(read_idx(tmp_path / "s")), data)


IMAGES = struct.pack(">BBBBII", 0, 0, 8, 2, 2, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with nothing: an IDX file begins with 00 00"),
        (b"PK\3\4", "begins with 50 4b 03 04: an IDX file begins"),
        (b"\0\0\7\1\0\0\0\1\0", "begins with 00 00 07 01"),
        (IMAGES[:9], "ends inside its header: 2 axes were promised"),
        (
            IMAGES + bytes(5),
            r"has shape \(2, 3\), so 6 bytes of data; it holds only 5",
        ),
        (
            IMAGES + bytes(7),
            r"has shape \(2, 3\), so 6 bytes of data; it holds more",
        ),
        (
            struct.pack(">BBBBB", 0, 0, 8, 0, 7),
            "has 0 axes: wanted 1 to 64",
        ),
        (
            struct.pack(">BBBB", 0, 0, 8, 65) + b"\0\0\0\1" * 65 + b"7",
            "has 65 axes: wanted 1 to 64",
        ),
        (
            struct.pack(">BBBB", 0, 0, 8, 64) + b"\xff" * 256 + b"7",
            "the limit is max_bytes=",
        ),
        (
            struct.pack(">BBBB", 0, 0, 8, 64) + b"\xff" * 252 + bytes(4),
            "holds no data",
        ),
        (
            struct.pack(">BBBBI", 0, 0, 14, 1, 2) + bytes(15),
            "16 bytes of data; it holds only 15",
        ),
        (gzip.compress(IMAGES + bytes(6)) + b"more", "damaged gzip file"),
        (
            struct.pack(">BBBBI", 0, 0, 8, 1, 0),
            r"holds no data: its shape is \(0,\)",
        ),
        (
            struct.pack(">BBBBII", 0, 0, 14, 2, 2**31, 2**31),
            r"claims shape .*bytes: the limit is max_bytes=",
        ),
        (gzip.compress(IMAGES + bytes(6))[:-9], "damaged gzip file"),
        (
            gzip.compress(IMAGES + bytes(6))[:-8] + bytes(8),
            "damaged gzip file",
        ),
        (gzip.compress(IMAGES + bytes(9)), "it holds more"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_invalid_files_raise(tmp_path, content, message):
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_gzip_bomb_is_not_decompressed(tmp_path):
    """The file would decompress to 64 MiB. Reading stops after the 6 bytes of the shape."""
    import tracemalloc

    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(IMAGES + bytes(2**26)))
    assert path.stat().st_size < 2**17
    tracemalloc.start()
    with pytest.raises(DataError, match="it holds more"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21
    path.write_bytes(gzip.compress(struct.pack(">BBBBI", 0, 0, 8, 1, 2**26) + bytes(2**26)))
    with pytest.raises(DataError, match=r"67,108,864 bytes: the limit is max_bytes=1,000"):
        read_idx(path, max_bytes=1000)


def test_header_of_a_gigabyte_takes_no_memory(tmp_path):
    import tracemalloc

    path = tmp_path / "claim"
    path.write_bytes(struct.pack(">BBBBI", 0, 0, 8, 1, 2**30) + bytes(9))
    tracemalloc.start()
    with pytest.raises(DataError, match="1,073,741,824 bytes of data; it holds only 9"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_read_takes_64_axes(tmp_path):
    path = tmp_path / "axes"
    path.write_bytes(struct.pack(">BBBB", 0, 0, 8, 64) + b"\0\0\0\1" * 64 + b"7")
    assert read_idx(path).shape == (1,) * 64


def test_write_raises_for_arrays_that_idx_cannot_store(tmp_path):
    for data, message in (
        (np.zeros((0, 3), "uint8"), "nothing to write"),
        (np.zeros((), "uint8"), "a scalar was given"),
        (np.zeros(3, "int64"), "no type for the form"),
    ):
        with pytest.raises(DataError, match=message):
            write_idx(tmp_path / "no", data)
    assert list(tmp_path.iterdir()) == []


def test_missing_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "none")
