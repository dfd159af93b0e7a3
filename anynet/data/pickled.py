"""Arrays out of a pickle, read without running it.

A pickle is a program: Python's own loader can call any function that the file names. The trained
weights of the book are a pickle of a dict of NumPy arrays. This reader executes only the opcodes
that describe such a dict, builds plain records of the arrays, and raises for all others. It imports
and calls nothing that the file names. The records are flat and never larger than the file, so time
and memory are linear in the length of the file.

Sources: Deep Learning from Scratch, chapter 3.6 (sample_weight.pkl). Python's module pickletools
for the opcodes.
"""

import codecs
import math
import os
import pickle
import pickletools
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from anynet.array import Array
from anynet.backend import Backend, get_backend
from anynet.data.host import on_backend
from anynet.errors import DataError
from anynet.files import read_whole

__all__ = ["read_pickled_arrays"]

#: The default limit on the size of a file.
MAX_BYTES = 2**28

#: An array takes about 40 opcodes. A file with more than this is not a dict of arrays.
MAX_OPCODES = 2**20

#: Python pickles a dict by a thousand items at a time.
MAX_STACK = 2**12

MAX_AXES = 64
MAX_NAME = 1000

# Kinds and sizes of NumPy's dtypes, and their names in the standard.
_DTYPES = {
    "b1": "bool",
    "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64",
    "u1": "uint8", "u2": "uint16", "u4": "uint32", "u8": "uint64",
    "f2": "float16", "f4": "float32", "f8": "float64",
    "c8": "complex64", "c16": "complex128",
}  # fmt: skip


class _Global(Enum):
    """The functions and classes in pickles of NumPy's arrays, by their names only."""

    RECONSTRUCT = auto()
    FROMBUFFER = auto()
    NDARRAY = auto()
    DTYPE = auto()
    ENCODE = auto()
    BYTES = auto()


_GLOBALS = {
    "numpy.core.multiarray _reconstruct": _Global.RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": _Global.RECONSTRUCT,
    "numpy.core.numeric _frombuffer": _Global.FROMBUFFER,
    "numpy._core.numeric _frombuffer": _Global.FROMBUFFER,
    "numpy ndarray": _Global.NDARRAY,
    "numpy dtype": _Global.DTYPE,
    "_codecs encode": _Global.ENCODE,
    "__builtin__ bytes": _Global.BYTES,
}


@dataclass(slots=True)
class _DType:
    code: str
    order: str = "<"


@dataclass(slots=True)
class _Array:
    """An array as the pickle describes it. It is complete when it has data."""

    shape: tuple[int, ...] = ()
    dtype: _DType | None = None
    fortran: bool = False
    data: memoryview | None = None


class _Nested(tuple[Any, ...]):
    """A tuple of tuples. No array needs a deeper one."""

    __slots__ = ()


def read_pickled_arrays(
    path: str | os.PathLike[str],
    backend: Backend | str | None = None,
    max_bytes: int = MAX_BYTES,
) -> dict[str, Array]:
    """Return the arrays of a pickled dict {name: NumPy array}, with its dtypes, on a backend.

    One array with two names in the pickle is one array with two names in the result. No code in the
    file runs.

    Args:
        path: the file.
        backend: where the arrays go, see `anynet.get_backend`.
        max_bytes: the largest size of the file.

    Raises:
        DataError: the file contains another opcode or global (the message names it) or another
            object, is damaged or larger than ``max_bytes``, or the data do not fill the shape.
        FileNotFoundError: the file does not exist.

    >>> import os, pickle, tempfile
    >>> import numpy as np
    >>> from anynet.data.pickled import read_pickled_arrays
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.pkl")
    >>> with open(path, "wb") as file:
    ...     pickle.dump({"W1": np.ones((1, 2), "float32")}, file)
    >>> read_pickled_arrays(path, "numpy")
    {'W1': array([[1., 1.]], dtype=float32)}

    """
    path = Path(path).expanduser()
    backend = get_backend(backend)
    content = read_whole(path, max_bytes)
    try:
        with warnings.catch_warnings():
            # About invalid escapes in damaged texts.
            warnings.simplefilter("ignore", DeprecationWarning)
            reader = _Reader(content)
            return reader.arrays(reader.read(), backend)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (ValueError, IndexError) as error:
        raise DataError(f"{path} is not a pickle of arrays, or a damaged one ({error})") from error


class _Reader:
    """A stack and a memo, as a pickle expects them."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0
        self.frame_end = 0
        self.stack: list[Any] = []
        # Marks push the current stack here.
        self.outer: list[list[Any]] = []
        self.memo: list[Any] = []
        self.has_dict = False
        # A memo can repeat data. All repetitions together may not be larger than the file.
        self.budget = 2 * len(content)

    def read(self) -> Any:
        """Execute the opcodes up to the end and return the value that is left on the stack."""
        for _ in range(MAX_OPCODES):
            code = bytes(self.take(1))
            if code == pickle.STOP:
                break
            run = _OPCODES.get(code)
            if run is None:
                raise DataError(
                    f"{self.opcode()} is not needed to describe arrays: reading stopped, and "
                    "nothing was run"
                )
            run(self)
        else:
            raise DataError(
                f"it has more than {MAX_OPCODES:,} opcodes: no dict of arrays needs more"
            )
        if self.outer or len(self.stack) != 1 or self.position != len(self.content):
            raise DataError(
                f"the pickle ends at byte {self.position}, and the file does not end with one dict "
                "there"
            )
        return self.stack[0]

    def opcode(self) -> str:
        """Name the opcode that was read last."""
        code = self.content[self.position - 1]
        known = pickletools.code2op.get(chr(code))  # type: ignore[attr-defined]
        return f"the opcode {known.name if known else f'{code:#04x}'} at byte {self.position - 1}"

    def take(self, length: int) -> memoryview:
        """Return the next bytes of the file."""
        start = self.position
        self.move(start + length)
        return memoryview(self.content)[start : self.position]

    def move(self, end: int) -> None:
        """Move to a byte of the same frame."""
        if end > len(self.content):
            raise DataError(
                f"it ends at byte {len(self.content)}, where {end - len(self.content):,} more are "
                "due"
            )
        if self.position < self.frame_end < end:
            raise DataError(f"a frame ends at byte {self.frame_end}, in the middle of something")
        self.position = end

    def frame(self, length: int) -> None:
        """Begin a frame, which no opcode crosses."""
        start, end = self.position, self.position + length
        if start < self.frame_end or end > len(self.content):
            raise DataError(
                f"a frame of {length:,} bytes before byte {start} reaches past the end of the file "
                "or of its frame"
            )
        self.frame_end = end

    def sized(self, width: int) -> memoryview:
        """Return bytes that come after their length."""
        return self.take(self.integer(width))

    def integer(self, width: int, *, signed: bool = False) -> int:
        """Return the next bytes as an integer."""
        if width > 8:
            raise DataError(
                f"an integer of {width} bytes ends at byte {self.position}: no shape needs more "
                "than 8"
            )
        return int.from_bytes(self.take(width), "little", signed=signed)

    def line(self, longest: int = 200) -> bytes:
        """Return the bytes up to the next end of line."""
        start = self.position
        end = self.content.find(b"\n", start, start + longest)
        if end < 0:
            raise DataError(
                f"the line that begins at byte {start} has no end within {longest:,} bytes"
            )
        self.move(end + 1)
        return self.content[start:end]

    def decimal(self) -> int:
        """Return the line as an integer."""
        line = self.line()
        if not re.fullmatch(rb"-?[0-9]{1,19}L?", line):
            raise DataError(
                f"the line that ends at byte {self.position} is no integer of up to 19 digits"
            )
        return int(line.rstrip(b"L"))

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)
        if len(self.stack) > MAX_STACK:
            raise DataError(
                f"{self.opcode()} piles up more values than any array needs: reading stopped, "
                "and nothing was run"
            )

    def push_string(self) -> None:
        """Put the bytes of a quoted line of Python 2 on the stack."""
        line = self.line(len(self.content))
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
            raise DataError(f"the text that ends at byte {self.position} is not in quotes")
        self.push(memoryview(codecs.escape_decode(line[1:-1])[0]))

    def push_global(self, module: Any, name: Any) -> None:
        """Put the record of a known global on the stack."""
        full = f"{_text(module)} {_text(name)}"
        if full not in _GLOBALS:
            raise DataError(
                f"the global {full[:80]!r} before byte {self.position} is none of NumPy's arrays: "
                "reading stopped, and nothing was run"
            )
        self.push(_GLOBALS[full])

    def stack_global(self) -> None:
        """Take the global's name from the stack."""
        name, module = self.stack.pop(), self.stack.pop()
        self.push_global(module, name)

    def mark(self) -> None:
        """Begin a new stack. The description of an array nests three marks."""
        if len(self.outer) == 8:
            raise DataError(
                f"{self.opcode()} is deeper than any array needs: reading stopped, and nothing was "
                "run"
            )
        self.outer.append(self.stack)
        self.stack = []

    def marked(self) -> list[Any]:
        """Take the values since the last mark from the stack."""
        values, self.stack = self.stack, self.outer.pop()
        return values

    def last(self, count: int) -> list[Any]:
        """Take this many values from the stack."""
        if len(self.stack) < count:
            raise DataError(f"{self.opcode()} finds too little on the stack")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def push_tuple(self, values: list[Any]) -> None:
        """Put a tuple on the stack, of as many values and as deep as arrays need."""
        kinds = {type(value) for value in values}
        if len(values) > MAX_AXES or _Nested in kinds:
            raise DataError(
                f"{self.opcode()} makes a tuple longer or deeper than any array needs: reading "
                "stopped"
            )
        self.push(_Nested(values) if tuple in kinds else tuple(values))

    def push_dict(self, items: list[Any]) -> None:
        """Put the only dict, that of the arrays, on the stack."""
        if self.has_dict:
            raise DataError(
                f"{self.opcode()} makes a second dict: wanted one dict of arrays, such as "
                f"{{'W1': …}}"
            )
        self.has_dict = True
        self.push({})
        self.set_items(items)

    def set_items(self, items: list[Any]) -> None:
        """Put names and values into the dict."""
        target = self.stack[-1]
        if type(target) is not dict:
            raise DataError(f"items are set in a {_kind(target)}: wanted a dict")
        for name, value in zip(items[::2], items[1::2], strict=True):
            text = _text(name)
            if text in target:
                raise DataError(f"the name {text[:40]!r} occurs twice")
            target[text] = value

    def memoize(self) -> None:
        """Keep the top of the stack in the next place of the memo, once."""
        if self.memo and self.memo[-1] is self.stack[-1]:
            raise DataError(
                f"{self.opcode()} keeps one value twice: reading stopped, and nothing was run"
            )
        self.memo.append(self.stack[-1])

    def put(self, place: int) -> None:
        """Keep the top of the stack in the memo."""
        # A file has numbered no more places than it has bytes.
        if place > self.position:
            raise DataError(f"{place} before byte {self.position} is no place of the memo")
        self.memo += [_Reader] * (place + 1 - len(self.memo))
        self.memo[place] = self.stack[-1]

    def get(self, place: int) -> None:
        """Put a value of the memo on the stack."""
        value = self.memo[place] if 0 <= place < len(self.memo) else _Reader
        if value is _Reader:
            raise DataError(
                f"the memo is empty at {place}, which is wanted before byte {self.position}"
            )
        self.push(value)

    def reduce(self) -> None:
        """Push a record of the result that a call of a known global would have."""
        arguments, function = self.stack.pop(), self.stack.pop()
        match function, arguments:
            case _Global.RECONSTRUCT, (_Global.NDARRAY, (0,), b"b" | "b"):
                self.push(_Array())
            case _Global.FROMBUFFER, (
                memoryview() as data,
                _DType() as dtype,
                tuple() as shape,
                "C" | "F" as order,
            ):
                self.push(_Array(shape, dtype, order == "F", data))
            case _Global.DTYPE, (name, 0, 1):
                self.push(_dtype(_text(name)))
            case _Global.ENCODE, (str() as text, "latin1"):
                self.spend(len(text))
                self.push(memoryview(text.encode("latin1")))
            case _Global.BYTES, ():
                self.push(memoryview(b""))
            case _:
                raise DataError(
                    f"a call of {_kind(function)} before byte {self.position} is not how NumPy "
                    "writes arrays: reading stopped, and nothing was run"
                )

    def build(self) -> None:
        """Give a dtype its byte order, an array its shape, dtype and data."""
        state = self.stack.pop()
        match self.stack[-1], state:
            case _DType() as dtype, (3, order, None, None, None, -1, -1, 0):
                dtype.order = _text(order)
                if dtype.order not in (("|",) if dtype.code[1:] == "1" else ("<", ">")):
                    raise DataError(f"a dtype {dtype.code} has the byte order {dtype.order[:40]!r}")
            case _Array(data=None) as made, (
                1,
                tuple() as shape,
                _DType() as dtype,
                0 | 1 as order,
                memoryview() as data,
            ):
                made.shape, made.dtype, made.fortran, made.data = (
                    shape,
                    dtype,
                    bool(order),
                    data,
                )
            case target, _:
                raise DataError(
                    f"the state of {_kind(target)} before byte {self.position} is not how NumPy "
                    "writes arrays: reading stopped, and nothing was run"
                )

    def spend(self, count: int) -> None:
        """Count repeated bytes, and raise if they become more than the file has."""
        self.budget -= count
        if self.budget < 0:
            raise DataError("it describes more data than it holds, by repeating some of it")

    def arrays(self, found: Any, backend: Backend) -> dict[str, Array]:
        """Make the arrays that the records of a dict describe, each once."""
        if type(found) is not dict or not found:
            raise DataError(
                f"it holds {_kind(found)}: wanted a dict of arrays, such as {{'W1': …, 'b1': …}}"
            )
        made: dict[int, Array] = {}
        for name, record in found.items():
            if id(record) not in made:
                made[id(record)] = self.make(name, record, backend)
        return {name: made[id(record)] for name, record in found.items()}

    def make(
        self,
        name: str,
        record: Any,
        backend: Backend,
    ) -> Array:
        """Make the array that a record describes."""
        match record:
            case _Array(shape, _DType(code, order), fortran, memoryview() as data):
                pass
            case _:
                kind = "an array without values" if isinstance(record, _Array) else _kind(record)
                raise DataError(f"{name[:40]!r} is {kind}: wanted an array of numbers")
        if not all(type(length) is int and length >= 0 for length in shape):
            raise DataError(f"{name[:40]!r} has a shape that is not of integers of 0 or more")
        length = math.prod(shape) * int(code[1:])
        if length != len(data):
            raise DataError(f"{name[:40]!r} of shape {shape} needs {length} bytes, not {len(data)}")
        self.spend(length)
        if not length and math.prod(n or 1 for n in shape) >= 2**31:
            raise DataError(f"{name[:40]!r} is empty, and of shape {shape}")
        if code == "b1" and bytes(data).strip(b"\0\1"):
            raise DataError(
                f"{name[:40]!r} is of booleans, and holds bytes that are neither 0 nor 1"
            )
        host: Any = get_backend("numpy").xp
        flat = host.frombuffer(data, dtype=order + code)
        x = flat.reshape(shape, order="F" if fortran else "C")
        # A copy: it is writable and keeps no other part of the file in memory.
        return on_backend(x.astype(x.dtype.newbyteorder("=")), _DTYPES[code], backend)


_OPCODES: dict[bytes, Callable[[_Reader], None]] = {
    pickle.PROTO: lambda r: _check_protocol(r.integer(1)),
    pickle.FRAME: lambda r: r.frame(r.integer(8)),
    pickle.NONE: lambda r: r.push(None),
    pickle.NEWTRUE: lambda r: r.push(True),
    pickle.NEWFALSE: lambda r: r.push(False),
    pickle.INT: lambda r: r.push(r.decimal()),
    pickle.LONG: lambda r: r.push(r.decimal()),
    pickle.BININT: lambda r: r.push(r.integer(4, signed=True)),
    pickle.BININT1: lambda r: r.push(r.integer(1)),
    pickle.BININT2: lambda r: r.push(r.integer(2)),
    pickle.LONG1: lambda r: r.push(r.integer(r.integer(1), signed=True)),
    pickle.UNICODE: lambda r: r.push(str(r.line(len(r.content)), "raw-unicode-escape")),
    pickle.BINUNICODE: lambda r: r.push(str(r.sized(4), "utf-8")),
    pickle.BINUNICODE8: lambda r: r.push(str(r.sized(8), "utf-8")),
    pickle.SHORT_BINUNICODE: lambda r: r.push(str(r.sized(1), "utf-8")),
    pickle.STRING: _Reader.push_string,
    pickle.BINSTRING: lambda r: r.push(r.sized(4)),
    pickle.SHORT_BINSTRING: lambda r: r.push(r.sized(1)),
    pickle.BINBYTES: lambda r: r.push(r.sized(4)),
    pickle.BINBYTES8: lambda r: r.push(r.sized(8)),
    pickle.SHORT_BINBYTES: lambda r: r.push(r.sized(1)),
    pickle.BYTEARRAY8: lambda r: r.push(r.sized(8)),
    pickle.GLOBAL: lambda r: r.push_global(r.line(), r.line()),
    pickle.STACK_GLOBAL: _Reader.stack_global,
    pickle.MARK: _Reader.mark,
    pickle.EMPTY_DICT: lambda r: r.push_dict([]),
    pickle.DICT: lambda r: r.push_dict(r.marked()),
    pickle.SETITEM: lambda r: r.set_items(r.last(2)),
    pickle.SETITEMS: lambda r: r.set_items(r.marked()),
    pickle.EMPTY_TUPLE: lambda r: r.push_tuple([]),
    pickle.TUPLE: lambda r: r.push_tuple(r.marked()),
    pickle.TUPLE1: lambda r: r.push_tuple(r.last(1)),
    pickle.TUPLE2: lambda r: r.push_tuple(r.last(2)),
    pickle.TUPLE3: lambda r: r.push_tuple(r.last(3)),
    pickle.MEMOIZE: _Reader.memoize,
    pickle.PUT: lambda r: r.put(r.decimal()),
    pickle.BINPUT: lambda r: r.put(r.integer(1)),
    pickle.LONG_BINPUT: lambda r: r.put(r.integer(4)),
    pickle.GET: lambda r: r.get(r.decimal()),
    pickle.BINGET: lambda r: r.get(r.integer(1)),
    pickle.LONG_BINGET: lambda r: r.get(r.integer(4)),
    pickle.REDUCE: _Reader.reduce,
    pickle.BUILD: _Reader.build,
}


def _check_protocol(protocol: int) -> None:
    if protocol > pickle.HIGHEST_PROTOCOL:
        raise DataError(
            f"its pickle protocol is {protocol}: wanted at most {pickle.HIGHEST_PROTOCOL}"
        )


def _kind(value: Any) -> str:
    """Return the kind of a value in a word, without its contents."""
    if isinstance(value, _Global):
        return value.name.lower()
    names = {
        _Array: "array",
        _DType: "dtype",
        memoryview: "bytes",
        _Nested: "tuple",
    }
    return names.get(type(value), type(value).__name__)


def _text(name: Any) -> str:
    if isinstance(name, str | memoryview | bytes) and len(name) <= MAX_NAME:
        return name if isinstance(name, str) else str(name, "latin1")
    shown = repr(name) if isinstance(name, int) else _kind(name)
    raise DataError(f"a key is {shown}: wanted a text of up to {MAX_NAME} characters, such as 'W1'")


def _dtype(name: str) -> _DType:
    code = name.lstrip("<>|=")
    if code not in _DTYPES:
        raise DataError(
            f"an array is of dtype {name[:40]!r}: wanted one of {', '.join(_DTYPES)}; convert it "
            "before it is pickled"
        )
    return _DType(code, name[0] if name[0] in "<>" else "<")
