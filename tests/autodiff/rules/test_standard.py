"""Derivatives of the standard's functions at zeros, repeated indices and writes, and in peers."""

import numpy as np
import pytest
from derivatives import CASES, agree, drawn, weighted
from helpers import host

import anynet
from anynet.array import array_namespace
from anynet.errors import NoRuleError
from anynet.tracing.trace import wrap


def test_products_with_zeros(backend):
    """A rule that divides the product by its factors would be wrong here."""
    for zeros in ((), (1,), (0, 2)):
        x = np.array([2.0, -3.0, 0.5, 4.0])
        x[list(zeros)] = 0
        expected = [np.prod(np.delete(x, i)) for i in range(4)]
        found = anynet.grad(lambda x: array_namespace(x).prod(x))(backend.asarray(x))
        np.testing.assert_allclose(host(found), expected)
        cumulative = anynet.grad(lambda x: array_namespace(x).cumulative_prod(x)[-1])(
            backend.asarray(x)
        )
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


@pytest.mark.parametrize(
    "dtype",
    [
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
    ],
)
def test_indices_of_every_dtype(backend, dtype):
    """The axis is longer than int8 and uint8 can index. Negative indices count from its end."""
    signed = dtype.startswith("int")
    at = np.array([0, 5, 100, 5, -1 if signed else 127])
    x, weights = np.arange(600.0).reshape(300, 2), np.arange(1.0, 6)
    right = np.zeros(300)
    np.add.at(right, at, weights)
    indices, w = backend.asarray(at.astype(dtype)), backend.asarray(weights)

    def rows(x):
        return array_namespace(x).take(x, indices, axis=0)[:, 0]

    def elements(x):
        xp = array_namespace(x)
        return xp.take_along_axis(x[:, 0], indices, axis=0)

    for f in (rows, elements):
        value, found = anynet.value_and_grad(lambda x, f=f: array_namespace(x).vecdot(f(x), w))(
            backend.asarray(x)
        )
        assert float(value) == x[at, 0] @ weights
        np.testing.assert_array_equal(host(found)[:, 0], right)


def test_repeated_writes_pass_one_cotangent(backend):
    if backend.name == "array_api_strict":
        pytest.skip("writes at no arrays of indices")
    x = backend.asarray(np.arange(1.0, 5.0))
    for places in ([0, 0, 2], [3, 1, 0]):
        indices = backend.asarray(np.array(places))

        def f(x, indices=indices):
            y = x * 2
            y[indices] = x[1:]
            return array_namespace(x).sum(y * y)

        value, found = anynet.value_and_grad(f)(x)
        y, expected = 2 * np.arange(1.0, 5.0), np.zeros(4)
        wrote = dict(zip(places, range(1, 4), strict=True))
        for place, i in wrote.items():
            y[place] = host(x)[i]
        for place in range(4):
            expected[wrote.get(place, place)] += 2 * y[place] * (1 if place in wrote else 2)
        assert float(value) == (y * y).sum()
        np.testing.assert_allclose(host(found), expected)


def test_equal_eigenvalues_give_no_infinities(backend):
    x = backend.asarray(np.eye(3))
    found = anynet.grad(lambda x: array_namespace(x).sum(array_namespace(x).linalg.eigh(x)[0]))(x)
    np.testing.assert_allclose(host(found), np.eye(3))


def test_writing_into_traced_arrays(backend):
    """The traced array changes, and the caller's array does not."""

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
    agree(lambda point: f(point[0]), [x])
    z = backend.asarray(np.zeros(2))
    wrapped = wrap(z)
    wrapped[0] = 1.0
    assert host(wrapped.value).tolist() == [1, 0]
    assert host(z).tolist() == [0, 0]
    np.testing.assert_array_equal(host(x), before)


def test_singular_values_of_zero(backend):
    """U Vᴴ depends on the vectors of a zero singular value. The projector on others does not."""

    def f(x):
        xp = array_namespace(x)
        u, s, vh = xp.linalg.svd(xp.matmul(x.mT, x), full_matrices=False)
        return xp.sum(xp.matmul(u[:, :2] * s[:2], vh[:2, :]) ** 3)

    x = backend.asarray(drawn((2, 3), 1, 2, 9))
    direct = lambda x: array_namespace(x).sum(array_namespace(x).matmul(x.mT, x) ** 3)
    np.testing.assert_allclose(host(anynet.grad(f)(x)), host(anynet.grad(direct)(x)), rtol=1e-9)


@pytest.mark.parametrize(
    "f",
    [
        lambda xp, x: xp.linalg.svd(x)[0],
        lambda xp, x: xp.linalg.qr(x.mT, mode="complete")[0],
    ],
)
def test_decompositions_without_a_unique_derivative_raise(backend, f):
    with pytest.raises(NoRuleError, match=r"(reduced|full_matrices=False)"):
        anynet.grad(lambda x: array_namespace(x).sum(f(array_namespace(x), x)))(
            backend.asarray(drawn((2, 3), 1, 2, 1))
        )


# What a peer lacks, or does otherwise; neither follows values through the set functions.
_SETS = {"unique_all", "unique_counts", "unique_inverse", "unique_values"}
LACKING = {
    "jax": _SETS
    | {"linalg.eig", "linalg.eig vectors"}
    | {
        "unstack",
        "repeat by array",
        "mask",
        "mask of rows",
        "linalg.svd values",
        "diff",
        "sign of complex",
    },
    "torch": _SETS | {"slices", "diff", "diff appended", "unstack"},
}


@pytest.mark.parametrize("peer", ["jax", "torch"])
def test_gradients_equal_jax_and_torch(peer):
    """A hundred functions and more, to nine digits."""
    module = pytest.importorskip(peer, reason=f"needs {peer}")
    compared = 0
    for name, case in CASES.items():
        if name in LACKING[peer]:
            continue
        f, point = (
            weighted(case.function),
            case.point(case.shapes.example, seed=21),
        )
        if peer == "jax":
            module.config.update("jax_enable_x64", True)
            theirs = list(
                map(
                    np.asarray,
                    module.grad(f)([module.numpy.asarray(x) for x in point]),
                )
            )
        else:
            leaves = [module.tensor(x, requires_grad=True) for x in point]
            f(leaves).backward()
            theirs = [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in leaves]
        ours = anynet.grad(f)([anynet.get_backend("numpy").asarray(x) for x in point])
        for our, their in zip(ours, theirs, strict=True):
            scale = max(1.0, float(np.abs(their).max()))
            np.testing.assert_allclose(host(our), their, rtol=1e-9, atol=1e-9 * scale, err_msg=name)
        compared += 1
    assert compared >= 100
