"""The error function beside SciPy's."""

import numpy as np
import pytest
from activation_checks import check_derivatives, check_values
from helpers import assert_close
from scipy import special

from anynet import functions

FUNCTIONS = {
    "erf": special.erf,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("shape", [(6,), (3, 4)])
def test_values(implementation, backend, name, dtype, scale, shape):
    check_values(backend, getattr(functions, name), FUNCTIONS[name], dtype, scale, shape)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_derivatives(implementation, backend, name):
    check_derivatives(backend, getattr(functions, name))


def test_erf_in_half_precision(implementation, backend):
    if not hasattr(backend.xp, "float16"):
        pytest.skip(reason=f"{backend.name} has no float16")
    points = np.array([-3.25, -0.5, 0.0, 1.5, 3.25], "float16")
    x = backend.asarray(points)
    assert_close(
        functions.erf(x),
        special.erf(points.astype("float64")),
        like=x,
        rtol=1e-3,
    )
