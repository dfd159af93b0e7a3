"""Which objects are arrays."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

import anynet
from anynet.array import array_namespace, device, is_array
from anynet.errors import ArgumentTypeError

Floats = NDArray[np.float32]
Pair = tuple[int, int]


@pytest.mark.parametrize("annotation", [np.ndarray, Floats, Pair, np.float32], ids=str)
def test_types_are_not_arrays(annotation):
    assert not is_array(annotation)


def test_compiled_step_that_names_generic_types(backend):
    """A generic alias has the attributes of its class, so it looks like an array."""

    def f(x):
        assert Floats is not Pair
        return array_namespace(x).sum(x * x)

    value, gradient = anynet.compile(anynet.value_and_grad(f))(backend.asarray([3.0, 4.0]))
    assert float(value) == 25
    assert [float(gradient[i]) for i in range(2)] == [6, 8]


class Wrapper:
    """An array of a third party that wraps an array of any library."""

    def __init__(self, inner):
        self.inner = inner

    def __array_namespace__(self, *, api_version=None):
        return array_namespace(self.inner)

    @property
    def device(self):
        return device(self.inner)


def test_arrays_of_one_type_over_two_libraries():
    plain = np.ones(2)
    strict = anynet.get_backend("array_api_strict:device1").asarray([1.0])
    for inner in (plain, strict, plain):
        assert array_namespace(Wrapper(inner)) is array_namespace(inner)
        assert device(Wrapper(inner)) == device(inner)


def test_scalars_have_no_namespace():
    x = np.ones(2)
    assert array_namespace(1.5, x, None, True) is array_namespace(x)
    assert array_namespace(np.float64(1.5)) is array_namespace(x)
    for values in ((), (1.5,), (x, "text"), (x, Fraction(1, 2))):
        with pytest.raises(ArgumentTypeError, match="wanted an array"):
            array_namespace(*values)
