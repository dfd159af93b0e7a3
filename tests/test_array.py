"""Which objects are arrays."""

import numpy as np
import pytest
from numpy.typing import NDArray

import anynet
from anynet.array import array_namespace, is_array

Floats = NDArray[np.float32]
Pair = tuple[int, int]


@pytest.mark.parametrize("annotation", [np.ndarray, Floats, Pair, np.float32], ids=str)
def test_types_are_not_arrays(annotation):
    assert not is_array(annotation)


def test_compiled_step_that_names_generic_types(backend):
    """The alias passes on the attributes of its class, so it looks like an array."""

    def f(x):
        assert Floats is not Pair
        return array_namespace(x).sum(x * x)

    value, gradient = anynet.compile(anynet.value_and_grad(f))(backend.asarray([3.0, 4.0]))
    assert float(value) == 25
    assert [float(gradient[i]) for i in range(2)] == [6, 8]
