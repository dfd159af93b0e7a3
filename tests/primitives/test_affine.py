"""Affine maps, with and without bias, and their gradients."""

import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import primitives
from anynet.array import array_namespace


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 4, 3), (0, 3)])
def test_affine(implementation, backend, dtype, shape):
    x, w, b = (
        normal(backend, *s, seed=i, dtype=dtype) for i, s in enumerate([shape, (3, 2), (2,)])
    )
    rtol = 1e-5 if dtype == "float32" else 1e-12
    assert_close(
        primitives.affine(x, w, b),
        host(x) @ host(w) + host(b),
        like=x,
        rtol=rtol,
        atol=1e-6,
    )
    assert_close(
        primitives.affine(x, w, None),
        host(x) @ host(w),
        like=x,
        rtol=rtol,
        atol=1e-6,
    )
    if len(shape) > 1:
        gx, gw, gb = anynet.grad(
            lambda *p: array_namespace(p[0]).sum(primitives.affine(*p) ** 2),
            (0, 1, 2),
        )(x, w, b)
        y = 2 * (host(x) @ host(w) + host(b))
        assert_close(gx, y @ host(w).T, like=x, rtol=rtol, atol=1e-4)
        assert_close(
            gw,
            host(x).reshape(-1, 3).T @ y.reshape(-1, 2),
            like=w,
            rtol=rtol,
            atol=1e-4,
        )
        assert_close(gb, y.reshape(-1, 2).sum(axis=0), like=b, rtol=rtol, atol=1e-4)
