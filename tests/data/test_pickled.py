import io
import pickle
import pickletools
import struct
import zlib

import numpy as np
import pytest
from helpers import assert_close, host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anynet.data import pickled
from anynet.data.pickled import read_pickled_arrays
from anynet.errors import DataError


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
def test_reads_every_protocol(backend, tmp_path, protocol):
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps(weights(), protocol))
    found = read_pickled_arrays(path, backend)
    assert list(found) == list(weights())
    for name, expected in weights().items():
        assert_close(found[name], expected, rtol=0)
        assert host(found[name]).dtype == expected.dtype.newbyteorder("=")


@pytest.mark.parametrize("dtype", ["float16", ">f2", "complex64", ">c16", "uint16", ">u8"])
def test_reads_every_dtype(backend, tmp_path, dtype):
    x = np.arange(6).astype(dtype).reshape(2, 3)
    native = x.dtype.newbyteorder("=")
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps({"x": x, "f": np.asfortranarray(x)}))
    for found in read_pickled_arrays(path, backend).values():
        wanted = native.name if hasattr(backend.xp, native.name) else "float32"
        assert found.dtype == getattr(backend.xp, wanted)
        assert_close(found, x, rtol=0)


def test_reads_files_of_python_2(tmp_path):
    """Strings are bytes, the data of an array are a latin-1 string, and the module has its old
    name."""
    data = np.array([1.5, -2.0], "float32").tobytes()
    content = (
        b"\x80\x02}q\x00(U\x02W1q\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04"
        b"U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x02\x85q\x08cnumpy\ndtype\nq\tU\x02f4q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03"
        b"U\x01<q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89U"
        + bytes([len(data)])
        + data
        + b"q\x0ftq\x10bu."
    )
    assert pickle.loads(content, encoding="latin1")["W1"].tolist() == [
        1.5,
        -2.0,
    ]
    path = tmp_path / "w.pkl"
    path.write_bytes(content)
    assert read_pickled_arrays(path)["W1"].tolist() == [1.5, -2.0]


class Evil:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reading_does_not_execute_a_file(tmp_path, protocol):
    import os

    trace = tmp_path / "ran"
    for call in (
        Evil(os.system, f"touch {trace}"),
        Evil(exec, f"open({str(trace)!r}, 'w')"),
        Evil(open, str(trace), "w"),
    ):
        for content in (
            call,
            {"W1": call},
            {"W1": np.ones(2), "x": [call]},
        ):
            path = tmp_path / "evil.pkl"
            path.write_bytes(pickle.dumps(content, protocol))
            with pytest.raises(DataError, match="reading stopped"):
                read_pickled_arrays(path)
            assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"W1": 3}, "'W1' is int: wanted an array of numbers"),
        ([np.ones(2)], "reading stopped|wanted a dict"),
        ({1: np.ones(2)}, "a key is 1: wanted a text"),
        ({"W1": np.array(["text"])}, "dtype 'U4'"),
        ({"W1": np.array([object()])}, "reading stopped|dtype"),
        (
            {"W1": np.ones(2, "longdouble")},
            "dtype 'f16': wanted one of b1, i1",
        ),
        (
            {"W1": {"deep": np.ones(2)}},
            "the opcode EMPTY_DICT at byte 18 makes a second dict: wanted one",
        ),
        ({"W1": {}}, "makes a second dict"),
        (
            {"W1": [np.ones(2)]},
            "the opcode EMPTY_LIST at byte 18 is not needed to describe arrays: reading stopped",
        ),
        (
            {"W1": 2**100},
            "an integer of 13 bytes .*: no shape needs more than 8",
        ),
        (
            {"W" * 1001: np.ones(2)},
            "a key is str: wanted a text of up to 1000 characters",
        ),
        ({}, "it holds dict: wanted a dict of arrays"),
        ({"W1": np.float32(1)}, "is none of NumPy's arrays: reading stopped"),
    ],
)
def test_other_contents_raise(tmp_path, content, message):
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=message):
        read_pickled_arrays(path)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_damage_raises_a_data_error(tmp_path, data, protocol):
    """Cut, changed or random bytes raise a DataError. If only values changed, arrays come back."""
    content = bytearray(
        pickle.dumps({"W1": np.ones((2, 3), "float32"), "b1": np.zeros(3)}, protocol)
    )
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


def test_large_and_missing_files_raise(tmp_path):
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps(weights()))
    with pytest.raises(DataError, match=r"max_bytes"):
        read_pickled_arrays(path, max_bytes=100)
    with pytest.raises(FileNotFoundError):
        read_pickled_arrays(tmp_path / "none")


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (2**62, "a frame of .* before byte 11 reaches past the end"),
        (31, "a frame ends at byte 42, in the middle of something"),
    ],
)
def test_wrong_lengths_of_frames_raise(tmp_path, length, message):
    """The arrays do not depend on the length of a frame, but a wrong length means damage."""
    content = bytearray(pickle.dumps({"layers.0.weight": np.ones(3)}, 4))
    assert content[2:3] == pickle.FRAME
    content[3:11] = struct.pack("<Q", length)
    path = tmp_path / "w.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_pickled_arrays(path)


@pytest.mark.parametrize("protocol", [4, 5])
def test_reads_large_arrays_between_frames(tmp_path, protocol):
    arrays = {f"w{i}": np.full(10_000, i, "float64") for i in range(3)} | {"b": np.ones(2)}
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol))
    for name, x in read_pickled_arrays(path).items():
        np.testing.assert_array_equal(x, arrays[name])


def test_shape_of_a_huge_array_takes_no_memory(tmp_path):
    file = io.BytesIO()
    pickle.dump({"W1": np.ones(3)}, file, protocol=2)
    content = file.getvalue().replace(b"K\x03\x85", b"J" + struct.pack("<i", 2**30) + b"\x85")
    path = tmp_path / "w.pkl"
    path.write_bytes(content)
    with pytest.raises(
        DataError,
        match=r"of shape \(1073741824,\) needs 8589934592 bytes, not 24",
    ):
        read_pickled_arrays(path)
    path.write_bytes(zlib.compress(content))
    with pytest.raises(DataError):
        read_pickled_arrays(path)


def test_nested_tuples_raise_at_once(tmp_path):
    """Each tuple contains the last one twice. Their hash would take 2**40 steps."""
    path = tmp_path / "w.pkl"
    path.write_bytes(b"\x80\x02(" + b")" + b"q\x00h\x00\x86" * 40 + b"Nd.")
    with pytest.raises(
        DataError,
        match="the opcode TUPLE2 at byte 13 makes a tuple longer or deeper than any array",
    ):
        read_pickled_arrays(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_one_array_under_two_names_stays_one(backend, tmp_path, protocol):
    x = np.ones((2, 3))
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps({"a": x, "b": x, "c": np.ones((2, 3))}, protocol))
    found = read_pickled_arrays(path, backend)
    assert found["a"] is found["b"]
    assert found["a"] is not found["c"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_writable_and_share_no_memory(tmp_path, protocol):
    """Equal single bytes are one object in Python, and one entry of the pickle's memo."""
    path = tmp_path / "w.pkl"
    path.write_bytes(
        pickle.dumps(
            {
                "a": np.zeros(1, "u1"),
                "b": np.zeros(1, "u1"),
                "c": np.ones(3),
            },
            protocol,
        )
    )
    found = read_pickled_arrays(path)
    found["a"] += 1
    found["c"] += 1
    assert [x.tolist() for x in found.values()] == [[1], [0], [2, 2, 2]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            b"u.",
            b"u.more",
            "ends at byte .* does not end with one dict there",
        ),
        (b"U\x02W2", b"U\x02W1", "the name 'W1' occurs twice"),
        (
            b"U\x02W2",
            b"c_codecs\nencode\nX\x02\x00\x00\x00W1X\x06\x00\x00\x00latin1\x86R",
            "'W1' occurs twice",
        ),
        (
            b"\x01\x00",
            b"\x02\x00",
            "'W1' is of booleans, and holds bytes that are neither 0 nor 1",
        ),
        (b"U\x01|", b"U\x01<", "a dtype b1 has the byte order '<'"),
        (
            b"K\x02\x85",
            b"J\xff\xff\xff\xff\x85",
            "'W1' has a shape that is not of integers of 0 or more",
        ),
        (
            b"K\x02\x85",
            b"U\x01x\x85",
            "'W1' has a shape that is not of integers",
        ),
        (
            b"K\x02\x85",
            b"K\x03\x85",
            r"'W1' of shape \(3,\) needs 3 bytes, not 2",
        ),
        (
            b"(K\x01",
            b"(K\x02",
            "the state of array before byte .* is not how NumPy writes arrays",
        ),
        (
            b"h\x00",
            b"h\x07",
            "the memo is empty at 7, which is wanted before byte",
        ),
        (b"\x80\x02", b"\x80\x09", "its pickle protocol is 9"),
    ],
)
def test_invalid_descriptions_of_arrays_raise(tmp_path, old, new, message):
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\n"
        b"U\x02b1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x01\x00tb"
    )
    whole = b"\x80\x02}(U\x02W1" + array + b"q\x00U\x02W2h\x00u."
    path = tmp_path / "w.pkl"
    path.write_bytes(whole)
    assert [x.tolist() for x in read_pickled_arrays(path).values()] == [[True, False]] * 2
    path.write_bytes(whole.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_pickled_arrays(path)


def test_reads_a_name_of_the_largest_length(tmp_path):
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps({"n" * pickled.MAX_NAME: np.ones(2)}))
    assert list(read_pickled_arrays(path)) == ["n" * 1000]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reads_many_arrays(tmp_path, protocol):
    """A pickle of this many arrays has more than one batch of items on the stack."""
    arrays = {f"w{i}": np.full((1, 2), i, "float32") for i in range(2500)}
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol))
    assert [x.tolist() for x in read_pickled_arrays(path).values()] == [
        x.tolist() for x in arrays.values()
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"N" * 10_000 + b".",
            "the opcode NONE at byte 4096 piles up more values than any array needs",
        ),
        (b"N" * 4_096 + b".", "the file does not end with one dict there"),
        (
            b"\x80\x04N\x94\x94",
            "the opcode MEMOIZE at byte 4 keeps one value twice",
        ),
        (b"}" + b"(u" * 500 + b".", "it has more than 1,000 opcodes"),
        (
            b"(" * 9,
            "the opcode MARK at byte 8 is deeper than any array needs",
        ),
        (
            b"N\x86",
            "the opcode TUPLE2 at byte 1 finds too little on the stack",
        ),
        (b"(" + b"N" * 64 + b"t.", "it holds tuple: wanted a dict"),
        (
            b"(" + b"N" * 65 + b"t.",
            "the opcode TUPLE at byte 66 makes a tuple longer or deeper",
        ),
        (b"}S''\nI1\ns.", "'' is int: wanted an array of numbers"),
        (b"S'a\n.", "the text that ends at byte 4 is not in quotes"),
        (b"I1_0\n.", "the line that ends at byte 5 is no integer"),
        (b"\xff.", "the opcode 0xff at byte 0 is not needed"),
        (
            b"Np1\nr\xff\x00\x00\x00.",
            "255 before byte 9 is no place of the memo",
        ),
    ],
)
def test_exceeded_limits_raise(tmp_path, monkeypatch, content, message):
    if "opcodes" in message:
        monkeypatch.setattr(pickled, "MAX_OPCODES", 1000)
    path = tmp_path / "w.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_pickled_arrays(path)


def as_bytes(x):
    return x.to_bytes(x.bit_length() // 8 + 1, "little", signed=True)


def as_line(x):
    """Escape the characters that would end the line, as pickle does."""
    for character in "\\\0\n\r\x1a":
        x = x.replace(character, f"\\u{ord(character):04x}")
    return x.encode("raw-unicode-escape")


# How other opcodes write the values of an opcode. None where they cannot.
SPELLINGS = {
    "INT": ("BININT", lambda x: b"I%d\n" % x),
    "LONG": ("BININT", lambda x: b"L%dL\n" % x),
    "LONG without an L": ("BININT", lambda x: b"L%d\n" % x),
    "LONG1": (
        "BININT",
        lambda x: b"\x8a" + bytes([len(as_bytes(x))]) + as_bytes(x),
    ),
    "BININT": ("BININT", lambda x: b"J" + struct.pack("<i", x)),
    "BININT2": (
        "BININT",
        lambda x: b"M" + struct.pack("<H", x) if 0 <= x < 2**16 else None,
    ),
    "STRING": (
        "BINSTRING",
        lambda x: b"S" + repr(x.encode("latin1"))[1:].encode() + b"\n",
    ),
    "STRING in other quotes": (
        "BINSTRING",
        lambda x: b'S"' + repr(x.encode("latin1"))[2:-1].encode() + b'"\n',
    ),
    "BINSTRING": (
        "BINSTRING",
        lambda x: b"T" + struct.pack("<i", len(x)) + x.encode("latin1"),
    ),
    "SHORT_BINBYTES": (
        "BINSTRING",
        lambda x: b"C" + bytes([len(x)]) + x.encode("latin1"),
    ),
    "BINBYTES": (
        "BINSTRING",
        lambda x: b"B" + struct.pack("<I", len(x)) + x.encode("latin1"),
    ),
    "BINBYTES8": (
        "BINSTRING",
        lambda x: b"\x8e" + struct.pack("<Q", len(x)) + x.encode("latin1"),
    ),
    "PUT": ("BINPUT", lambda x: b"p%d\n" % x),
    "LONG_BINPUT": ("BINPUT", lambda x: b"r" + struct.pack("<I", x)),
    "GET": ("BINGET", lambda x: b"g%d\n" % x),
    "LONG_BINGET": ("BINGET", lambda x: b"j" + struct.pack("<I", x)),
    "UNICODE": ("BINUNICODE", lambda x: b"V" + as_line(x) + b"\n"),
    "SHORT_BINUNICODE": (
        "BINUNICODE",
        lambda x: (
            b"\x8c" + bytes([len(x.encode())]) + x.encode() if len(x.encode()) < 256 else None
        ),
    ),
    "BINUNICODE8": (
        "BINUNICODE",
        lambda x: b"\x8d" + struct.pack("<Q", len(x.encode())) + x.encode(),
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_reads_every_spelling(tmp_path, name):
    """Spellings of integers, strings and indices of the memo, in files of Python 2 and Python 3."""
    replaced, spell = SPELLINGS[name]
    data = np.array([[1.5, -2.0, 3.0]], ">f4")
    of_python_2 = (
        b"\x80\x02}q\x00(U\x02W1q\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04"
        b"U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x01K\x03\x86q\x08cnumpy\ndtype\nq\tU\x02f4q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03"
        b"U\x01>q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89U\x0c"
        + data.tobytes()
        + b"tq\x0fbu."
    )
    long = {
        "W1": np.arange(300, dtype="int16"),
        "b£": np.ones((2, 300)),
        "c": np.zeros((1, 0, 70000), "u1"),
    }
    originals = [of_python_2, pickle.dumps(long, 2)]
    contents = [respelled(content, replaced, spell) for content in originals]
    assert contents != originals
    path = tmp_path / "w.pkl"
    for content in contents:
        path.write_bytes(content)
        arrays = read_pickled_arrays(path)
        expected = pickle.loads(content, encoding="latin1")
        assert len(arrays) == len(expected)
        for key, x in expected.items():
            name = key if isinstance(key, str) else key.decode("latin1")
            assert_close(arrays[name], x, rtol=0)


def respelled(content, replaced, spell):
    """Return a pickle with each opcode of a name spelled by a function of its argument."""
    opcodes = [*pickletools.genops(content)]
    ends = [*(position for _, _, position in opcodes[1:]), len(content)]
    parts = []
    for (code, argument, position), end in zip(opcodes, ends, strict=True):
        name = code.name.removeprefix("SHORT_").removesuffix("1").removesuffix("2")
        spelled = spell(argument) if name == replaced else None
        parts.append(spelled or content[position:end])
    return b"".join(parts)


@pytest.mark.parametrize("line", [b"'", b"a", b"", b"'a", b"a'", b"'a\""])
def test_texts_without_quotes_raise(tmp_path, line):
    path = tmp_path / "w.pkl"
    path.write_bytes(b"S" + line + b"\n.")
    with pytest.raises(pickle.UnpicklingError, match="quoted"):
        pickle.loads(path.read_bytes())
    with pytest.raises(DataError, match="is not in quotes"):
        read_pickled_arrays(path)
