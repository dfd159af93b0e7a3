"""A small array library over NumPy that lacks parts of the Array API standard.

Its arrays have no ``.device``, its functions take no ``device=``, ``copy=`` or ``stable=``, and it
has no ``from_dlpack``.
"""

import operator
import sys
from types import ModuleType

import array_api_compat.numpy as xp
import numpy as np


class Array:
    """An array."""

    def __init__(self, data):
        self.data = np.asarray(data)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.data, dtype, copy=copy)

    def __array_namespace__(self, *, api_version=None):
        return sys.modules[__name__]

    def __getitem__(self, key):
        return Array(self.data[_plain(key)])

    def __setitem__(self, key, value):
        self.data[_plain(key)] = _plain(value)


def _plain(value):
    if isinstance(value, tuple | list):
        return type(value)(map(_plain, value))
    return value.data if isinstance(value, Array) else value


def _array(value):
    if hasattr(value, "_fields"):
        return type(value)(*map(_array, value))
    if isinstance(value, tuple | list):
        return type(value)(map(_array, value))
    return Array(value) if isinstance(value, np.ndarray | np.generic) else value


class Functions:
    """The functions, dtypes and constants of a module of NumPy."""

    def __init__(self, module):
        self.module = module

    def __getattr__(self, name):
        part = getattr(self.module, name)
        if isinstance(part, ModuleType):
            return Functions(part)
        if isinstance(part, type) or not callable(part):
            return part

        def function(*args, **settings):
            if missing := settings.keys() & {"device", "copy", "stable"}:
                raise TypeError(f"{name} takes no {missing.pop()}")
            named = {key: _plain(value) for key, value in settings.items()}
            return _array(part(*map(_plain, args), **named))

        return function


def __getattr__(name):
    if name == "from_dlpack":
        raise AttributeError(name)
    return getattr(Functions(xp), name)


def _operator(name, reflected=False):
    function = getattr(operator, f"__{name}__")

    def method(*operands):
        if not all(isinstance(x, Array | bool | int | float | complex) for x in operands):
            return NotImplemented
        values = map(_plain, reversed(operands) if reflected else operands)
        return _array(function(*values))

    return method


def _in_place(name):
    function = getattr(operator, f"__i{name}__")

    def method(x, other):
        x.data = function(x.data, _plain(other))
        return x

    return method


_BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
for _name in [*_BINARY, *"eq ne lt le gt ge neg pos abs invert".split()]:
    setattr(Array, f"__{_name}__", _operator(_name))
for _name in _BINARY:
    setattr(Array, f"__r{_name}__", _operator(_name, reflected=True))
    setattr(Array, f"__i{_name}__", _in_place(_name))
for _name in "shape dtype ndim size T mT".split():
    setattr(Array, _name, property(lambda x, name=_name: _array(getattr(x.data, name))))
for _function in (bool, int, float, complex, operator.index):
    setattr(Array, f"__{_function.__name__}__", lambda x, f=_function: f(x.data))
