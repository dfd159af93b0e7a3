"""The rest of the standard: linear algebra, Fourier transforms, sorting, indexing, products, complex numbers."""

import math

import numpy as np
import pytest
from derivatives import BINARY, REDUCTIONS, SHAPED, UNARY, agree, drawn, weighted
from helpers import host

import anynet
from anynet.array import array_namespace, device
from anynet.autodiff.trace import lift
from anynet.errors import NoRuleError


def symmetric(xp, x):
    return x + xp.matrix_transpose(x)


def positive(xp, x):
    """Return a symmetric positive definite matrix."""
    return xp.matmul(x, xp.matrix_transpose(x)) + 3 * xp.eye(x.shape[-1], dtype=x.dtype, device=device(x))


def fix(xp, v):
    """Return the columns of a matrix with the sign of their first element taken out: unique where vectors are not."""
    return v * xp.sign(v[..., :1, :])


SQUARE = {
    "linalg.inv": lambda xp, x: xp.linalg.inv(positive(xp, x)),
    "linalg.det": lambda xp, x: xp.linalg.det(x),
    "linalg.slogdet": lambda xp, x: xp.linalg.slogdet(x)[1],
    "linalg.cholesky": lambda xp, x: xp.linalg.cholesky(positive(xp, x)),
    "linalg.cholesky upper": lambda xp, x: xp.linalg.cholesky(positive(xp, x), upper=True),
    "linalg.eigvalsh": lambda xp, x: xp.linalg.eigvalsh(symmetric(xp, x)),
    "linalg.eigh values": lambda xp, x: xp.linalg.eigh(symmetric(xp, x))[0],
    "linalg.eigh vectors": lambda xp, x: fix(xp, xp.linalg.eigh(symmetric(xp, x))[1]),
    "linalg.solve": lambda xp, x: xp.linalg.solve(positive(xp, x), x),
    "linalg.matrix_power": lambda xp, x: xp.linalg.matrix_power(x, 5),
    "linalg.matrix_power 0": lambda xp, x: xp.linalg.matrix_power(x, 0) + x,
    "linalg.matrix_power -2": lambda xp, x: xp.linalg.matrix_power(positive(xp, x), -2),
    "linalg.trace": lambda xp, x: xp.linalg.trace(x * x, offset=1),
    "linalg.svd square": lambda xp, x: xp.linalg.svd(x)[1],
    "tril": lambda xp, x: xp.tril(x, k=-1),
    "triu": lambda xp, x: xp.triu(x, k=1),
}
WIDE = {
    "linalg.qr q": lambda xp, x: xp.linalg.qr(x.mT)[0] * 1.0,
    "linalg.qr r": lambda xp, x: xp.linalg.qr(x.mT)[1] ** 2,
    "linalg.qr wide": lambda xp, x: xp.linalg.qr(x)[1] ** 2,
    "linalg.svdvals": lambda xp, x: xp.linalg.svdvals(x),
    "linalg.svd u": lambda xp, x: fix(xp, xp.linalg.svd(x, full_matrices=False)[0]),
    "linalg.svd vh": lambda xp, x: fix(xp, xp.linalg.svd(x, full_matrices=False)[2].mT),
    "linalg.svd all": lambda xp, x: xp.matmul(
        xp.linalg.svd(x, full_matrices=False)[0], xp.linalg.svd(x, full_matrices=False)[2]
    ),
    "linalg.pinv": lambda xp, x: xp.linalg.pinv(x),
    "linalg.pinv tall": lambda xp, x: xp.linalg.pinv(x.mT),
    "linalg.diagonal": lambda xp, x: xp.linalg.diagonal(x, offset=-1),
    "linalg.matrix_norm": lambda xp, x: xp.linalg.matrix_norm(x),
    "linalg.matrix_norm nuc": lambda xp, x: xp.linalg.matrix_norm(x, ord="nuc", keepdims=True),
    "linalg.matrix_norm 1": lambda xp, x: xp.linalg.matrix_norm(x, ord=1),
    "linalg.matrix_norm -inf": lambda xp, x: xp.linalg.matrix_norm(x, ord=-math.inf),
    "linalg.matrix_norm 2": lambda xp, x: xp.linalg.matrix_norm(x, ord=2),
    "linalg.vector_norm": lambda xp, x: xp.linalg.vector_norm(x),
    "linalg.vector_norm 3": lambda xp, x: xp.linalg.vector_norm(x, axis=-1, ord=3),
    "linalg.vector_norm 1": lambda xp, x: xp.linalg.vector_norm(x, axis=0, ord=1, keepdims=True),
    "linalg.vector_norm inf": lambda xp, x: xp.linalg.vector_norm(x, axis=-1, ord=math.inf),
    "linalg.matmul": lambda xp, x: xp.linalg.matmul(x, xp.linalg.matrix_transpose(x)),
    "linalg.outer": lambda xp, x: xp.linalg.outer(x[0, ..., 0], x[0, ..., 1] ** 2),
    "linalg.cross": lambda xp, x: xp.linalg.cross(x[..., :3], x[..., 1:4] ** 2),
    "linalg.vecdot": lambda xp, x: xp.linalg.vecdot(x, x**2),
    "tensordot": lambda xp, x: xp.tensordot(x, x, axes=((0, 2), (0, 2))),
    "tensordot 1": lambda xp, x: xp.tensordot(x, x[0, ...].mT, axes=1),
    "tile": lambda xp, x: xp.tile(x, (2, 1, 3)),
    "repeat": lambda xp, x: xp.repeat(x, 2, axis=1),
    "repeat by array": lambda xp, x: xp.repeat(x, xp.asarray([1, 0, 2], device=device(x)), axis=1),
    "unstack": lambda xp, x: xp.unstack(x, axis=1)[1] * xp.unstack(x)[0][0, ...],
    "broadcast_arrays": lambda xp, x: xp.broadcast_arrays(x, x[0, ...] ** 2)[1],
    "meshgrid": lambda xp, x: xp.meshgrid(x[0, 0, :], x[1, 0, :] ** 2)[1],
    "meshgrid ij": lambda xp, x: xp.meshgrid(x[0, 0, :], x[1, 0, :] ** 2, indexing="ij")[0],
    "sort": lambda xp, x: xp.sort(x, axis=1),
    "sort descending": lambda xp, x: xp.sort(x, descending=True),
    "take": lambda xp, x: xp.take(x, xp.asarray([2, 0, 2], device=device(x)), axis=1),
    "take_along_axis": lambda xp, x: xp.take_along_axis(x, xp.argsort(x * x, axis=-1), axis=-1),
    "prod": lambda xp, x: xp.prod(x, axis=(0, 2)),
    "prod of all": lambda xp, x: xp.prod(1 + x * 0.1, keepdims=True),
    "cumulative_prod": lambda xp, x: xp.cumulative_prod(x, axis=1),
    "cumulative_prod initial": lambda xp, x: xp.cumulative_prod(x, axis=-1, include_initial=True),
    "diff": lambda xp, x: xp.diff(x, axis=1, n=2) if hasattr(xp, "diff") else x,
    "integer arrays": lambda xp, x: x[
        xp.asarray([0, 1, -1], device=device(x)), xp.asarray([1, 1, 2], device=device(x)), 2
    ],
    "mask": lambda xp, x: x[x > 0] ** 2,
    "slices": lambda xp, x: x[..., ::-1, None, 1::2] ** 2,
    "fft.fft": lambda xp, x: xp.abs(xp.fft.fft(xp.astype(x, xp.complex128), axis=1)),
    "fft.fft longer": lambda xp, x: xp.real(xp.fft.fft(xp.astype(x, xp.complex128), n=6) ** 2),
    "fft.ifft shorter": lambda xp, x: xp.imag(xp.fft.ifft(xp.astype(x, xp.complex128), n=3, norm="ortho") ** 2),
    "fft.fftn": lambda xp, x: xp.real(xp.fft.fftn(xp.astype(x, xp.complex128), axes=(0, 2)) ** 2),
    "fft.ifftn": lambda xp, x: xp.imag(xp.fft.ifftn(xp.astype(x, xp.complex128), s=(2, 5), axes=(1, 2)) ** 2),
    "fft.rfft": lambda xp, x: xp.abs(xp.fft.rfft(x)) ** 2,
    "fft.rfft odd": lambda xp, x: xp.imag(xp.fft.rfft(x, n=5, axis=1, norm="forward")),
    "fft.irfft": lambda xp, x: xp.fft.irfft(xp.fft.rfft(x) ** 2),
    "fft.irfft odd": lambda xp, x: xp.fft.irfft(xp.astype(x, xp.complex128), n=5, norm="ortho"),
    "fft.rfftn": lambda xp, x: xp.abs(xp.fft.rfftn(x)) ** 2,
    "fft.irfftn": lambda xp, x: xp.fft.irfftn(xp.fft.rfftn(x, axes=(1, 2)) ** 2, axes=(1, 2)),
    "fft.hfft": lambda xp, x: xp.fft.hfft(xp.astype(x, xp.complex128) * (1 + 2j)),
    "fft.ihfft": lambda xp, x: xp.real(xp.fft.ihfft(x) * (1 + 2j)),
    "fft.fftshift": lambda xp, x: xp.fft.fftshift(x),
    "fft.ifftshift": lambda xp, x: xp.fft.ifftshift(x, axes=(0, 2)),
    "real and imag": lambda xp, x: xp.real(xp.exp(x * 2j)) * xp.imag((x + 1j) ** 3),
    "conj": lambda xp, x: xp.real(xp.conj(x * (1 + 2j)) * (x + 3j)),
    "abs of complex": lambda xp, x: xp.abs(x + 2j),
}


@pytest.mark.parametrize("name", SQUARE)
def test_square_matrices(backend, name):
    agree(weighted(SQUARE[name]), backend.asarray(drawn((2, 3, 3), -1, 1, 11)))


@pytest.mark.parametrize("name", WIDE)
def test_wide_arrays(backend, name):
    if name.startswith("repeat by array") and backend.name == "jax":
        pytest.skip(reason="jax wants to know the length of the result in advance")
    agree(weighted(WIDE[name]), backend.asarray(drawn((2, 3, 4), -1, 1, 12)))


def test_products_with_zeros(backend):
    """What dividing the product by its factors would get wrong."""
    for zeros in ((), (1,), (0, 2)):
        x = np.array([2.0, -3.0, 0.5, 4.0])
        x[list(zeros)] = 0
        expected = [np.prod(np.delete(x, i)) for i in range(4)]
        found = anynet.grad(lambda x: array_namespace(x).prod(x))(backend.asarray(x))
        np.testing.assert_allclose(host(found), expected)
        cumulative = anynet.grad(lambda x: array_namespace(x).cumulative_prod(x)[-1])(backend.asarray(x))
        np.testing.assert_allclose(host(cumulative), expected)


def test_repeated_indices_add_up(backend):
    x = backend.asarray(np.arange(4.0))
    indices = backend.asarray(np.array([1, 3, 1, 1, -1]))
    for f in (
        lambda x: array_namespace(x).take(x, indices),
        lambda x: x[indices],
        lambda x: array_namespace(x).take_along_axis(x, indices, axis=0),
    ):
        found = anynet.grad(lambda x, f=f: array_namespace(x).sum(f(x) ** 2))(x)
        assert host(found).tolist() == [0, 6, 0, 12]


def test_norms_of_nothing_have_derivative_zero(backend):
    x = backend.asarray(np.zeros(3))
    assert host(anynet.grad(lambda x: array_namespace(x).linalg.vector_norm(x))(x)).tolist() == [0, 0, 0]


def test_equal_eigenvalues_give_no_infinities(backend):
    x = backend.asarray(np.eye(3))
    found = anynet.grad(lambda x: array_namespace(x).sum(array_namespace(x).linalg.eigh(x)[0]))(x)
    np.testing.assert_allclose(host(found), np.eye(3))


def test_writing_into_traced_arrays(backend):
    """The array becomes another one; what was given stays as it is."""

    def f(x):
        xp = array_namespace(x)
        y = x * 2
        y[0, :] = y[1, :] ** 2
        y[y > 100.0] = 0.0
        y[..., -1] = 5.0
        y += x
        return xp.sum(y * y)

    x = backend.asarray(drawn((3, 4), 0.5, 2, 5))
    before = host(x).copy()
    agree(f, x)
    z = backend.asarray(np.zeros(2))
    lifted = lift(z)
    lifted[0] = 1.0
    assert host(lifted.value).tolist() == [1, 0]
    assert host(z).tolist() == [0, 0]
    np.testing.assert_array_equal(host(x), before)


def test_the_gradient_of_a_complex_array_points_uphill(backend):
    """∂f/∂x + i ∂f/∂y, for functions that are holomorphic inside and for such that are not."""
    z = backend.asarray(drawn((3,), -1, 1, 1) + 1j * drawn((3,), -1, 1, 2))
    v = drawn((3,), -1, 1, 3) + 1j * drawn((3,), -1, 1, 4)
    for f in (
        lambda xp, z: xp.sum(xp.abs(z) ** 2),
        lambda xp, z: xp.sum(xp.real(xp.exp(z) * z)),
        lambda xp, z: xp.sum(xp.abs(xp.matmul(xp.reshape(z, (1, 3)), xp.reshape(xp.conj(z), (3, 1)) ** 2))),
        lambda xp, z: xp.sum(xp.imag(xp.sin(z) / (z + 3))) + xp.sum(xp.real(xp.sqrt(z + 4) * xp.tanh(z))),
        lambda xp, z: xp.sum(xp.abs(xp.fft.ifft(z * z, n=4))),
        lambda xp, z: xp.real(xp.prod(z) + xp.mean(z)),
    ):
        found = host(anynet.grad(lambda z, f=f: f(array_namespace(z), z))(z))
        xp, h = backend.xp, 1e-6
        above, below = (f(xp, z + s * h * backend.asarray(v)) for s in (1, -1))
        numerical = float(above - below) / (2 * h)
        assert np.sum(np.real(np.conj(found) * v)) == pytest.approx(numerical, rel=1e-7)


@pytest.mark.parametrize(
    "f",
    [
        lambda xp, x: xp.linalg.svd(x)[0],
        lambda xp, x: xp.linalg.qr(x.mT, mode="complete")[0],
        lambda xp, x: xp.abs(xp.linalg.eigh(xp.astype(x[:, :2], xp.complex128))[1]),
    ],
)
def test_decompositions_without_a_unique_derivative_say_so(backend, f):
    with pytest.raises(NoRuleError, match=r"(reduced|full_matrices=False|complex)"):
        anynet.grad(lambda x: array_namespace(x).sum(f(array_namespace(x), x)))(backend.asarray(drawn((2, 3), 1, 2, 1)))


ALL = {
    **{name: (lambda xp, x, name=name: getattr(xp, name)(x), (3, 4), limits) for name, limits in UNARY.items()},
    **{
        name: (lambda xp, x, name=name: getattr(xp, name)(x, xp.flip(x, axis=0) * 1.1), (3, 4), limits)
        for name, limits in BINARY.items()
        if name not in ("maximum", "minimum")
    },
    **{name: (lambda xp, x, name=name: getattr(xp, name)(x, axis=1), (3, 4), (-1, 1)) for name in REDUCTIONS},
    **{name: (f, (2, 3, 4), (-1, 1)) for name, f in SHAPED.items() if name not in ("slice", "clip by arrays")},
    **{name: (f, (3, 3), (-1, 1)) for name, f in SQUARE.items()},
    **{name: (f, (2, 3, 4), (-1, 1)) for name, f in WIDE.items()},
}
# What a peer lacks, or does otherwise.
LACKING = {
    "jax": {"unstack", "repeat by array", "mask", "linalg.qr wide", "linalg.svd square", "diff"},
    "torch": {"slices", "diff", "unstack", "linalg.qr wide"},
}


@pytest.mark.parametrize("peer", ["jax", "torch"])
def test_gradients_are_those_of_jax_and_of_torch(peer):
    """A hundred functions and more, to nine digits."""
    module = pytest.importorskip(peer, reason=f"needs {peer}")
    compared = 0
    for name, (function, shape, limits) in ALL.items():
        if name in LACKING[peer]:
            continue
        data = drawn(shape, *limits, 21)
        f = weighted(function)
        if peer == "jax":
            module.config.update("jax_enable_x64", True)
            theirs = np.asarray(module.grad(f)(module.numpy.asarray(data)))
        else:
            x = module.tensor(data, requires_grad=True)
            f(x).backward()
            theirs = x.grad.numpy()
        ours = host(anynet.grad(f)(anynet.get_backend("numpy").asarray(data)))
        scale = max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9 * scale, err_msg=name)
        compared += 1
    assert compared >= 100
