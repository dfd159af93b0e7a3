import io
import pickle
import struct
import zlib

import numpy as np
import pytest
from helpers import assert_close, host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anynet.errors import DataError
from anynet.pickled import read_pickled_arrays


def weights():
    generator = np.random.default_rng(0)
    return {
        "W1": generator.normal(size=(4, 3)).astype("float32"),
        "b1": np.zeros(3),
        "F": np.asfortranarray(generator.normal(size=(2, 5))),
        "i": np.arange(4, dtype="int16"),
        "big": np.arange(3, dtype=">f8"),
        "flags": np.array([True, False]),
        "none": np.zeros((0, 2), "float32"),
        "scalar": np.array(2.5),
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol(backend, tmp_path, protocol):
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps(weights(), protocol))
    found = read_pickled_arrays(path, backend)
    assert list(found) == list(weights())
    for name, expected in weights().items():
        assert_close(found[name], expected, rtol=0)
        assert host(found[name]).dtype == expected.dtype.newbyteorder("=")


def test_as_python_2_wrote_them(tmp_path):
    """Texts as bytes, an array's numbers as a latin-1 string, the old module's name."""
    data = np.array([1.5, -2.0], "float32").tobytes()
    content = (
        b"\x80\x02}q\x00(U\x02W1q\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04"
        b"U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x02\x85q\x08cnumpy\ndtype\nq\tU\x02f4q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03"
        b"U\x01<q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89U"
        + bytes([len(data)])
        + data
        + b"q\x0ftq\x10bu."
    )
    assert pickle.loads(content, encoding="latin1")["W1"].tolist() == [1.5, -2.0]
    path = tmp_path / "w.pkl"
    path.write_bytes(content)
    assert read_pickled_arrays(path)["W1"].tolist() == [1.5, -2.0]


class Evil:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_in_a_file_is_run(tmp_path, protocol):
    import os

    trace = tmp_path / "ran"
    for call in (
        Evil(os.system, f"touch {trace}"),
        Evil(exec, f"open({str(trace)!r}, 'w')"),
        Evil(open, str(trace), "w"),
    ):
        for content in (call, {"W1": call}, {"W1": np.ones(2), "x": [call]}):
            path = tmp_path / "evil.pkl"
            path.write_bytes(pickle.dumps(content, protocol))
            with pytest.raises(DataError, match=r"refused"):
                read_pickled_arrays(path)
            assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"W1": 3}, "'W1' is int: wanted an array of numbers"),
        ([np.ones(2)], "refused|wanted a dict"),
        ({1: np.ones(2)}, "a key is 1: wanted a text"),
        ({"W1": np.array(["text"])}, "dtype 'U4'"),
        ({"W1": np.array([object()])}, "refused|dtype"),
        ({"W1": np.ones(2, "float16")}, "dtype 'f2': wanted one of b1, i1"),
        ({"W1": {"deep": np.ones(2)}}, "'W1' is dict: wanted an array"),
        ({"W1": np.float32(1)}, "is none of NumPy's arrays: refused"),
    ],
)
def test_other_contents(tmp_path, content, message):
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=message):
        read_pickled_arrays(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_damage_gives_one_kind_of_error(tmp_path, data, protocol):
    """Cut, changed or random bytes: a DataError, or arrays where the damage hit numbers only."""
    content = bytearray(pickle.dumps({"W1": np.ones((2, 3), "float32"), "b1": np.zeros(3)}, protocol))
    kind = data.draw(st.sampled_from(["cut", "changed", "random"]))
    if kind == "cut":
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    elif kind == "changed":
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    else:
        content = bytearray(data.draw(st.binary(max_size=200)))
    path = tmp_path / "w.pkl"
    path.write_bytes(content)
    try:
        found = read_pickled_arrays(path)
    except DataError as error:
        found, message = {}, str(error)
    else:
        message = str(path)
    assert str(path) in message
    assert all(isinstance(x, np.ndarray) for x in found.values())


def test_large_files_and_missing_ones(tmp_path):
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps(weights()))
    with pytest.raises(DataError, match=r"max_bytes"):
        read_pickled_arrays(path, max_bytes=100)
    with pytest.raises(FileNotFoundError):
        read_pickled_arrays(tmp_path / "none")


def test_a_claim_of_huge_arrays_takes_no_memory(tmp_path):
    file = io.BytesIO()
    pickle.dump({"W1": np.ones(3)}, file, protocol=2)
    content = file.getvalue().replace(b"K\x03\x85", b"J" + struct.pack("<i", 2**30) + b"\x85")
    path = tmp_path / "w.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"of shape \(1073741824,\) needs 8589934592 bytes, not 24"):
        read_pickled_arrays(path)
    path.write_bytes(zlib.compress(content))
    with pytest.raises(DataError):
        read_pickled_arrays(path)
