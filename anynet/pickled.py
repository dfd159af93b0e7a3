"""Arrays out of a pickle, read without running it.

A pickle is a program: loading one the usual way can call any function there is. The book's trained weights come as a
pickle, a dict of NumPy arrays. This reader knows the few opcodes that describe such a dict, builds plain records of
the arrays, and stops at everything else; nothing is imported and nothing is called.
Source: Deep Learning from Scratch, chapter 3.6 (sample_weight.pkl); Python's module pickletools for the opcodes.
"""

import math
import os
import pickletools
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anynet.array import Array
from anynet.backend import Backend, get_backend
from anynet.errors import DataError

#: Larger files are not read unless the caller says so.
MAX_BYTES = 2**28

# Byte order and letter of a NumPy dtype to the format of a buffer; the sizes say what cannot be mistaken.
_FORMATS = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
    "f4": "f", "f8": "d",
}  # fmt: skip

_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_GLOBALS = {
    **{f"{module} _reconstruct": "reconstruct" for module in _MODULES},
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",
    "__builtin__ bytes": "bytes",
    "numpy.core.numeric _frombuffer": "frombuffer",
    "numpy._core.numeric _frombuffer": "frombuffer",
}

_INTEGERS = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"})
_TEXTS = frozenset({"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"})
_BYTES = frozenset({"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "BINSTRING", "SHORT_BINSTRING", "STRING"})
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})
_MARK = object()


@dataclass
class _Global:
    name: str


@dataclass
class _DType:
    letter: str
    order: str = "<"


@dataclass
class _Array:
    """An array as the pickle describes it; complete once it has its state."""

    shape: tuple[int, ...] = ()
    dtype: _DType | None = None
    fortran: bool = False
    data: bytes | None = None


def read_pickled_arrays(
    path: str | os.PathLike[str], backend: Backend | str | None = None, max_bytes: int = MAX_BYTES
) -> dict[str, Array]:
    """Return the arrays of a pickled dict {name: NumPy array}, on a backend, with the dtypes that they have there.

    Raises:
        DataError: anything but such a dict: another opcode or global, which is named, damage, numbers that do not
            fill the shape, or a file larger than ``max_bytes``. Nothing in the file is ever run.
        FileNotFoundError: there is no such file.

    """
    path = Path(path)
    if path.stat().st_size > max_bytes:
        raise DataError(f"{path} has {path.stat().st_size:,} bytes: the limit is max_bytes={max_bytes:,}")
    backend = get_backend(backend)
    try:
        found = _Reader().read(path.read_bytes())
        if not isinstance(found, dict) or not found:
            raise DataError(f"it holds a {type(found).__name__}: wanted a dict of arrays, such as {{'W1': …, 'b1': …}}")
        return {_text(name): _build(name, value, backend) for name, value in found.items()}
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"{path} is not a pickle of arrays, or a damaged one ({error})") from error


class _Reader:
    """A stack and a memo, as a pickle expects them."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def read(self, content: bytes) -> Any:
        argument: Any
        with warnings.catch_warnings():
            # Of escapes that are none, in damaged texts.
            warnings.simplefilter("ignore", DeprecationWarning)
            opcodes = list(pickletools.genops(content))
        for opcode, argument, position in opcodes:
            name = opcode.name
            if name in _INTEGERS or name in _TEXTS:
                self.stack.append(argument)
            elif name in _BYTES:
                self.stack.append(argument.encode("latin1") if isinstance(argument, str) else bytes(argument))
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            elif name in ("GLOBAL", "STACK_GLOBAL"):
                self._global(argument, position)
            elif hasattr(self, f"_op_{name.lower()}"):
                getattr(self, f"_op_{name.lower()}")(argument)
            elif name not in _IGNORED:
                raise DataError(
                    f"opcode {name} at byte {position} is not needed to describe arrays: refused; nothing was run"
                )
        (result,) = self.stack
        return result

    def _global(self, argument: str | None, position: int | None) -> None:
        if argument is None:
            name, module = self.stack.pop(), self.stack.pop()
            argument = f"{module} {name}"
        if argument not in _GLOBALS:
            raise DataError(
                f"the global {argument!r:.80} at byte {position} is none of NumPy's arrays: refused; nothing was run"
            )
        self.stack.append(_Global(_GLOBALS[argument]))

    def _marked(self) -> list[Any]:
        """Take what was put on the stack since the last mark."""
        place = max(i for i, value in enumerate(self.stack) if value is _MARK)
        values = self.stack[place + 1 :]
        del self.stack[place:]
        return values

    def _op_mark(self, _: None) -> None:
        self.stack.append(_MARK)

    def _op_empty_dict(self, _: None) -> None:
        self.stack.append({})

    def _op_dict(self, _: None) -> None:
        values = self._marked()
        self.stack.append(dict(zip(values[::2], values[1::2], strict=True)))

    def _op_setitem(self, _: None) -> None:
        value, name = self.stack.pop(), self.stack.pop()
        _dict(self.stack[-1])[_text(name)] = value

    def _op_setitems(self, _: None) -> None:
        values = self._marked()
        _dict(self.stack[-1]).update({_text(n): v for n, v in zip(values[::2], values[1::2], strict=True)})

    def _op_empty_tuple(self, _: None) -> None:
        self.stack.append(())

    def _op_tuple(self, _: None) -> None:
        self.stack.append(tuple(self._marked()))

    def _op_tuple1(self, _: None) -> None:
        self.stack[-1:] = [tuple(self.stack[-1:])]

    def _op_tuple2(self, _: None) -> None:
        self.stack[-2:] = [tuple(self.stack[-2:])]

    def _op_tuple3(self, _: None) -> None:
        self.stack[-3:] = [tuple(self.stack[-3:])]

    def _op_memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _op_put(self, place: int) -> None:
        self.memo[int(place)] = self.stack[-1]

    _op_binput = _op_long_binput = _op_put

    def _op_get(self, place: int) -> None:
        self.stack.append(self.memo[int(place)])

    _op_binget = _op_long_binget = _op_get

    def _op_reduce(self, _: None) -> None:
        """Describe what the call of one of the known globals would make."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Global):
            raise DataError("a call of something that is no global is refused; nothing was run")
        if function.name == "reconstruct":
            self.stack.append(_Array())
        elif function.name == "dtype":
            self.stack.append(_dtype(arguments[0]))
        elif function.name == "encode":
            text, encoding = arguments
            if encoding != "latin1":
                raise DataError(f"text in the encoding {encoding!r:.40}: wanted latin1, as NumPy writes it")
            self.stack.append(text.encode("latin1"))
        elif function.name == "bytes" and arguments == ():
            self.stack.append(b"")
        elif function.name == "frombuffer":
            data, dtype, shape, order = arguments
            self.stack.append(_Array(tuple(shape), dtype, order == "F", data))
        else:
            raise DataError(f"a call of {function.name} is not how NumPy writes arrays, and is refused")

    def _op_build(self, _: None) -> None:
        """Give a dtype its byte order, an array its shape, dtype and numbers."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _DType):
            target.order = state[1]
        elif isinstance(target, _Array):
            _, shape, target.dtype, target.fortran, data = state
            target.shape, target.data = tuple(shape), data
        else:
            raise DataError("the opcode BUILD on something that is no array is refused; nothing was run")


def _dict(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise DataError(f"items are set in a {type(value).__name__}: wanted a dict")
    return value


def _text(name: Any) -> str:
    if isinstance(name, bytes):
        return name.decode("latin1")
    if not isinstance(name, str):
        raise DataError(f"a key is {name!r:.40}: wanted a text, such as 'W1'")
    return name


def _dtype(name: Any) -> _DType:
    name = _text(name)
    letter = name.lstrip("<>|=")
    if letter not in _FORMATS:
        raise DataError(f"an array is of dtype {name!r:.40}: wanted one of {', '.join(_FORMATS)}")
    return _DType(letter, name[0] if name[0] in "<>" else "<")


def _build(name: str, value: Any, backend: Backend) -> Array:
    """Make the array that a record describes."""
    if not isinstance(value, _Array) or not isinstance(value.dtype, _DType) or not isinstance(value.data, bytes):
        kind = "an array without numbers" if isinstance(value, _Array) else type(value).__name__
        raise DataError(f"{name!r:.40} is {kind}: wanted an array of numbers")
    itemsize = int(value.dtype.letter[1])
    shape = value.shape
    if not all(type(length) is int and length >= 0 for length in shape):
        raise DataError(f"{name!r:.40} has shape {shape!r:.60}: wanted integers of 0 or more")
    if math.prod(shape) * itemsize != len(value.data):
        raise DataError(
            f"{name!r:.40} of shape {shape!r:.60} needs {math.prod(shape) * itemsize} bytes, not {len(value.data)}"
        )
    data = value.data
    if value.dtype.order == ">":
        data = b"".join(data[i : i + itemsize][::-1] for i in range(0, len(data), itemsize))
    if not data:
        kind = {"b": "bool", "i": "int", "u": "uint", "f": "float"}[value.dtype.letter[0]]
        dtype = getattr(backend.xp, kind if kind == "bool" else f"{kind}{8 * itemsize}")
        return backend.xp.zeros(shape, dtype=dtype, device=backend.device)
    stored = tuple(reversed(shape)) if value.fortran else shape
    x = backend.asarray(memoryview(data).cast(_FORMATS[value.dtype.letter], stored))  # type: ignore[call-overload]
    return backend.xp.permute_dims(x, tuple(range(len(shape)))[::-1]) if value.fortran else x
