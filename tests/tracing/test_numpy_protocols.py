"""The values of NumPy's functions on traced arrays, with every parameter, against NumPy."""

import inspect

import numpy as np
import pytest
from helpers import host

import anynet
from anynet.array import is_array
from anynet.errors import ArgumentError, DifferentiationError
from anynet.tracing.trace import unwrap, wrap

# v has shape (4,), x (3, 4), t (2, 3, 4); c is complex, n are integers, s has no axes.
VALUES = {
    "transpose": lambda x, t: [
        np.transpose(t),
        np.transpose(t, (2, 0, 1)),
        np.transpose(t, (-1, 0, 1)),
    ],
    "swapaxes": lambda t: [
        np.swapaxes(t, 0, 2),
        np.swapaxes(t, 1, -1),
        np.swapaxes(t, -1, -2),
    ],
    "moveaxis": lambda t: [
        np.moveaxis(t, 0, -1),
        np.moveaxis(t, (0, 1), (1, 2)),
    ],
    "reshape": lambda x: [
        np.reshape(x, (4, 3)),
        np.reshape(x, -1),
        np.reshape(x, [2, -1]),
    ],
    "ravel": lambda x, t: [
        np.ravel(x),
        np.ravel(np.transpose(x)),
        np.ravel(t),
    ],
    "squeeze": lambda x: [
        np.squeeze(x[None, :, None, :]),
        np.squeeze(x[None, :, None, :], axis=2),
        np.squeeze(x),
    ],
    "squeeze of two axes": lambda x: np.squeeze(x[None, :, None, :], axis=(0, 2)),
    "expand_dims": lambda x: [
        np.expand_dims(x, 1),
        np.expand_dims(x, -1),
        np.expand_dims(x, (0, -1, 2)),
    ],
    "expand_dims by a list": lambda v: np.expand_dims(v, [2, 0]),
    "atleast_1d": lambda s, v, x: [
        np.atleast_1d(s),
        np.atleast_1d(v),
        np.atleast_1d(x),
    ],
    "atleast_2d": lambda s, v, x, t: [
        np.atleast_2d(s),
        np.atleast_2d(v),
        np.atleast_2d(x),
        np.atleast_2d(t),
    ],
    "concatenate": lambda x, v: [
        np.concatenate([x, x[:1, :]]),
        np.concatenate((x, x[:, 1:]), -1),
    ],
    "concatenate flat": lambda x, v: [
        np.concatenate([x, v], axis=None),
        np.concatenate([v, [1.0, 2.0]]),
    ],
    "stack": lambda x: [
        np.stack([x, x + 1]),
        np.stack([x, x + 1], -1),
        np.stack((x, x), axis=1),
    ],
    "vstack": lambda x, v: [
        np.vstack([v, x]),
        np.vstack((x, x)),
        np.vstack([v, v]),
    ],
    "hstack": lambda s, x, v, t: [
        np.hstack([v, v]),
        np.hstack([s, v]),
        np.hstack([x, x]),
        np.hstack([t, t]),
    ],
    "column_stack": lambda x: [
        np.column_stack([x[:, 0], x]),
        np.column_stack((x[:, 0], x[:, 1])),
    ],
    "array_split": lambda x, v: [
        np.array_split(v, 3),
        np.array_split(x, 3, axis=-1),
        np.array_split(v, 6),
    ],
    "array_split at": lambda x: [
        np.array_split(x, [1, 3], axis=1),
        np.array_split(x, (2,)),
        np.array_split(x, []),
    ],
    "split": lambda x: [
        np.split(x, 3),
        np.split(x, 2, axis=1),
        np.split(x, [1]),
        np.split(x, [1, 2], -1),
    ],
    "tile": lambda x, v: [
        np.tile(v, 3),
        np.tile(x, (2, 1)),
        np.tile(v, [2, 2]),
        np.tile(x, 2),
    ],
    "repeat": lambda x: [
        np.repeat(x, 2),
        np.repeat(x, 3, axis=0),
        np.repeat(x, 2, -1),
    ],
    "take": lambda x: [
        np.take(x, [5, 0, -1]),
        np.take(x, [[0, 2], [1, 1]], axis=-1),
        np.take(x, [2, 0], 0),
    ],
    "take one": lambda x, t: [
        np.take(x, 1, axis=0),
        np.take(x, 3),
        np.take(t, [[1], [0]], axis=1),
    ],
    "pad": lambda x, v: [
        np.pad(x, 1),
        np.pad(x, (1, 2)),
        np.pad(x, [(1, 2)]),
        np.pad(v, (0, 3)),
    ],
    "pad each axis": lambda x, t: [
        np.pad(x, [(1, 2), (0, 3)]),
        np.pad(t, [(0, 1), (2, 0), (1, 1)]),
    ],
    "pad alike": lambda x: [
        np.pad(x, [1, 2]),
        np.pad(x, [(1,), (2,)]),
        np.pad(x, [2]),
    ],
    "pad with": lambda x, n: [
        np.pad(x, 1, constant_values=2.5),
        np.pad(n, (0, 1), "constant", constant_values=7),
    ],
    "where": lambda x, n: [
        np.where(x > 0, x, -1.0),
        np.where(n, x, 0.0),
        np.where(n > 1),
        np.where(x > 0, 1.0, x),
    ],
    "clip": lambda x: [
        np.clip(x, -0.5, 0.5),
        np.clip(x, None, 0.1),
        np.clip(x, 0.1, None),
        np.clip(x, a_max=0.0, a_min=-1.0),
    ],
    "clip by other names": lambda x: [
        np.clip(x, min=-0.5, max=0.5),
        np.clip(x, min=0.2),
        np.clip(x, max=0.2),
    ],
    "round": lambda x: [
        np.round(10 * x),
        np.round(x, 1),
        np.round(x, decimals=2),
        np.round(1000 * x, -2),
    ],
    "sort": lambda x: [
        np.sort(x),
        np.sort(x, axis=0),
        np.sort(x, None),
        np.sort(x, -2),
    ],
    "argsort": lambda x: [
        np.argsort(x),
        np.argsort(x, axis=0),
        np.argsort(x, None),
        np.argsort(x, -2),
    ],
    "argmax": lambda x: [
        np.argmax(x),
        np.argmax(x, 1),
        np.argmin(x, axis=0),
        np.argmax(x, axis=1, keepdims=True),
    ],
    "count_nonzero": lambda n: [
        np.count_nonzero(n),
        np.count_nonzero(n, 0),
        np.count_nonzero(n, axis=1, keepdims=True),
    ],
    "nonzero": lambda n: np.nonzero(n),
    "diagonal": lambda x, t: [
        np.diagonal(x),
        np.diagonal(x, 1),
        np.diagonal(x, -1),
        np.diagonal(t),
        np.diagonal(t, 1, 0, 2),
    ],
    "trace": lambda x, t: [
        np.trace(x),
        np.trace(x, 2),
        np.trace(t),
        np.trace(t, 1, 1, 2),
        np.trace(t, axis1=-1, axis2=0),
    ],
    "diag": lambda v, x: [
        np.diag(v),
        np.diag(v, 2),
        np.diag(v, k=-1),
        np.diag(x),
        np.diag(x, 1),
        np.diag(x, k=-2),
    ],
    "dot": lambda s, v, x, t: [
        np.dot(s, x),
        np.dot(x, 2.0),
        np.dot(v, v),
        np.dot(x, v),
        np.dot(v, x.T),
        np.dot(t, v),
    ],
    "dot of more axes": lambda x, t: [
        np.dot(t, x.T),
        np.dot(x, t.mT),
        np.dot(t, np.swapaxes(t, 1, 2)),
    ],
    "dot of lists": lambda x, v: [
        np.dot(x, [1.0, 2.0, 3.0, 4.0]),
        np.dot([1.0, 2.0, 3.0], x),
        np.dot([2.0, 1.0, 0.0, 1.0], v),
    ],
    "inner": lambda s, v, x, t: [
        np.inner(s, v),
        np.inner(v, v),
        np.inner(x, v),
        np.inner(t, x),
        np.inner(v, [1.0, 2.0, 3.0, 4.0]),
    ],
    "tensordot": lambda x, t: [
        np.tensordot(t, t, 3),
        np.tensordot(t, x),
        np.tensordot(t, x, ([1, 2], [0, 1])),
    ],
    "tensordot of one axis": lambda x, t: [
        np.tensordot(x, t, (0, 1)),
        np.tensordot(x, t, ([1], [-1])),
        np.tensordot(x, x.T, 1),
    ],
    "outer": lambda v, x: [
        np.outer(v, v),
        np.outer(x, v),
        np.outer(v, [1.0, 2.0]),
    ],
    "vdot": lambda v, x, c: [
        np.vdot(v, v),
        np.vdot(x, x + 1),
        np.vdot(c, c + 1j),
        np.vdot(c, 2 * c),
    ],
    "average": lambda x, v: [
        np.average(x),
        np.average(x, 0),
        np.average(x, axis=1, weights=[1.0, 2.0, 3.0, 4.0]),
    ],
    "average by weights": lambda x, v: [
        np.average(v, weights=[1.0, 0.0, 0.0, 3.0]),
        np.average(x, -2, [1.0, 2.0, 0.0]),
    ],
    "average of all": lambda x, n: [
        np.average(x, weights=x * x),
        np.average(x, axis=1, weights=x * x),
    ],
    "sums": lambda x: [
        np.cumsum(x),
        np.cumsum(x, 0),
        np.cumsum(x, axis=-1),
        np.cumprod(x),
        np.cumprod(x, 1),
    ],
    "sums of integers": lambda n: [
        np.cumsum(n),
        np.cumsum(n, dtype=float),
        np.sum(n, dtype=float),
        np.cumprod(n, 0, dtype=float),
    ],
    "ptp": lambda x: [
        np.ptp(x),
        np.ptp(x, 0),
        np.ptp(x, axis=1, keepdims=True),
        np.ptp(x, axis=(0, 1)),
    ],
    "unique": lambda n, x: [np.unique(n), np.unique(x)],
    "norm": lambda v, x, t: [
        np.linalg.norm(v),
        np.linalg.norm(x),
        np.linalg.norm(t),
        np.linalg.norm(v, 1),
        np.linalg.norm(v, np.inf),
    ],
    "norm of a matrix": lambda x: [
        np.linalg.norm(x, ord) for ord in (1, -1, 2, -2, np.inf, -np.inf, "fro", "nuc")
    ],
    "norm along an axis": lambda x: [
        np.linalg.norm(x, axis=0),
        np.linalg.norm(x, 1, 1),
        np.linalg.norm(x, 3, (1,), True),
    ],
    "norm along axes": lambda t: [
        np.linalg.norm(t, axis=(0, 2)),
        np.linalg.norm(t, 1, (0, 2)),
        np.linalg.norm(t, "nuc", (2, 1), True),
    ],
    "norm that keeps axes": lambda x: [
        np.linalg.norm(x, keepdims=True),
        np.linalg.norm(x, 1, keepdims=True),
    ],
    "multi_dot": lambda v, x: [
        np.linalg.multi_dot([x, x.T, x]),
        np.linalg.multi_dot([v, x.T, x, v]),
    ],
    "linalg": lambda x: [
        np.linalg.matrix_power(x @ x.T, 3),
        np.linalg.pinv(x),
        *np.linalg.svd(x),
    ],
    "svd": lambda x, t: [
        np.linalg.svd(x, False),
        np.linalg.svd(x, compute_uv=False),
        np.linalg.svd(t, True, False),
    ],
    "fft2": lambda x, t: [
        np.fft.fft2(x),
        np.fft.fft2(t, (2, 4), (0, 2)),
        np.fft.fft2(x, norm="ortho"),
    ],
    "ifft2": lambda c, t: [
        np.fft.ifft2(c),
        np.fft.ifft2(t, (2, 4), (0, 2)),
        np.fft.ifft2(c, norm="forward"),
    ],
    "fft": lambda x, c: [
        np.fft.fft(x, 5),
        np.fft.fft(c, axis=0),
        np.fft.ifft(x, norm="ortho"),
        np.fft.hfft(x, 6),
    ],
    "fft of real": lambda x, c: [
        np.fft.rfft(x, 3),
        np.fft.irfft(c),
        np.fft.irfft(c, 5, 0),
        np.fft.ihfft(x, norm="forward"),
    ],
    "fftn": lambda t, c: [
        np.fft.fftn(t),
        np.fft.ifftn(c, (2, 2), (0, 1)),
        np.fft.rfftn(t, axes=(0, 1)),
        np.fft.irfftn(c, norm="ortho"),
    ],
    "fftshift": lambda x: [
        np.fft.fftshift(x),
        np.fft.fftshift(x, 0),
        np.fft.ifftshift(x, axes=(1,)),
    ],
    "divmod": lambda x: np.divmod(x, 0.3),
    "powers": lambda x, n: [
        np.exp2(x),
        np.power(x, 2),
        np.deg2rad(x),
        np.rad2deg(x),
        np.degrees(x),
        np.radians(x),
    ],
    "like": lambda x, n: [
        np.zeros_like(x),
        np.ones_like(n),
        np.full_like(x, 3),
        np.zeros_like(x, shape=2),
        np.ones_like(n, dtype=float),
    ],
    "like of other shapes": lambda x, n: [
        np.full_like(n, 3, shape=[2, 2]),
        np.zeros_like(n, dtype=float, shape=(1, 2)),
        np.empty_like(x, shape=2) * 0,
    ],
    "kinds": lambda s, x, c, n: [
        np.iscomplexobj(c),
        np.iscomplexobj(x),
        np.isrealobj(c),
        np.isrealobj(n),
        np.ndim(x),
        np.ndim(s),
    ],
    "sizes": lambda s, x: [
        np.shape(x),
        np.shape(s),
        np.size(x),
        np.size(x, 0),
        np.size(x, -1),
        np.size(s),
    ],
    "reductions": lambda x: [
        np.sum(x, 1),
        np.prod(x, axis=0),
        np.max(x, 0),
        np.amax(x, axis=1),
        np.min(x),
        np.amin(x, 0),
    ],
    "reductions that keep axes": lambda x: [
        np.sum(x, keepdims=True),
        np.mean(x, 0, keepdims=True),
        np.max(x, axis=1, keepdims=True),
    ],
    "spread": lambda x: [
        np.std(x),
        np.var(x, 0),
        np.std(x, 1, ddof=1),
        np.var(x, ddof=1, keepdims=True),
        np.std(x, correction=1),
    ],
    "booleans": lambda x: [
        np.all(x > 0),
        np.any(x > 0, 0),
        np.all(x > -9, axis=1, keepdims=True),
        np.any(x > 9),
    ],
    "shifts": lambda x: [
        np.roll(x, 1),
        np.roll(x, 2, 0),
        np.roll(x, (1, 2), (0, 1)),
        np.flip(x),
        np.flip(x, 1),
        np.flip(x, (0, 1)),
    ],
    "triangles": lambda x: [
        np.tril(x),
        np.tril(x, 1),
        np.triu(x, k=-1),
        np.triu(x),
    ],
    "diff": lambda x: [
        np.diff(x),
        np.diff(x, 2),
        np.diff(x, axis=0),
        np.diff(x, 1, -1, prepend=x[:, :1]),
        np.diff(x, append=x),
    ],
    "searchsorted": lambda v, x: [
        np.searchsorted(np.sort(v), v),
        np.searchsorted(np.sort(v), np.sort(v), side="right"),
    ],
    "take_along_axis": lambda x: np.take_along_axis(x, np.argsort(x, axis=1), axis=1),
    "bits": lambda n: [
        np.invert(n),
        np.left_shift(n, 2),
        np.right_shift(n, 1),
        np.bitwise_and(n, 3),
    ],
    "others of other names": lambda x, n: [
        np.rint(3 * x),
        np.fabs(x),
        np.absolute(x),
        np.conjugate(x),
        np.isin(n, [1, 2]),
    ],
}

#: Calls that would need another function, or order, than the standard has.
REFUSED = {
    "order": lambda x: np.reshape(x, (4, 3), order="F"),
    "unequal parts": lambda x: np.split(x, 2),
    "mode": lambda x: np.pad(x, 1, mode="edge"),
    "values": lambda x: np.pad(x, 1, constant_values=(1, 2)),
    "a mask": lambda x: np.exp(x, where=x > 0, out=np.zeros_like(x)),
    "norm of three axes": lambda x: np.linalg.norm(x[None, ...], 1),
}


def arguments(function, convert):
    generator = np.random.default_rng(1)
    x, t = generator.normal(size=(3, 4)), generator.normal(size=(2, 3, 4))
    known = {
        "s": np.asarray(0.75),
        "v": generator.normal(size=4),
        "x": x,
        "t": t,
        "c": generator.normal(size=(3, 4)) + 1j * x,
        "n": generator.integers(0, 4, (3, 4)),
    }
    code = function.__code__
    return [convert(known[name]) for name in code.co_varnames[: code.co_argcount]]


def flat(result):
    """Return the arrays and numbers of a result, in order."""
    if isinstance(result, list | tuple):
        return [y for x in result for y in flat(x)]
    return [np.asarray(host(unwrap(result)) if is_array(result) else result)]


if "min" not in inspect.signature(np.clip).parameters:
    # NumPy 2.0 has the first two names alone.
    del VALUES["clip by other names"]


@pytest.mark.parametrize("name", VALUES)
def test_values_equal_numpy(backend, name):
    f = VALUES[name]

    found = flat(f(*arguments(f, lambda x: wrap(backend.asarray(x)))))
    wanted = flat(f(*arguments(f, np.asarray)))
    assert len(found) == len(wanted)
    for i, (x, y) in enumerate(zip(found, wanted, strict=True)):
        assert x.shape == y.shape, i
        if backend.name == "numpy":
            assert x.dtype == y.dtype, i
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-13, err_msg=f"part {i}")


@pytest.mark.parametrize("name", REFUSED)
def test_unsupported_arguments_raise(name):
    f = REFUSED[name]
    with pytest.raises(ArgumentError):
        f(*arguments(f, wrap))


@pytest.mark.parametrize("dtype", [None, bool, int, float, complex, "float32", "int32", "bool"])
def test_dtypes_of_new_arrays(backend, dtype):
    """They are the same as NumPy's, or the library's dtypes of the same name."""
    x = wrap(backend.asarray(np.ones(2, "float32")))
    for name, arguments in (
        ("zeros", (3,)),
        ("ones", ((2, 1),)),
        ("full", (2, True)),
        ("eye", (2,)),
        ("identity", (2,)),
        ("arange", (3,)),
        ("asarray", ([0, 1],)),
        ("array", ([[0, 1]],)),
        ("empty", (0,)),
    ):
        if (name, dtype) in (
            ("arange", bool),
            ("arange", "bool"),
            ("full", None),
        ):
            continue
        found = getattr(np, name)(*arguments, dtype=dtype, like=x)
        wanted = getattr(np, name)(*arguments, dtype=dtype)
        assert found.shape == wanted.shape
        assert_same_numbers(found, wanted)
        if dtype not in (None, float):
            # NumPy's own default is the widest, other libraries' is not.
            assert found.dtype == getattr(backend.xp, wanted.dtype.name), name
    assert np.zeros(2, "int32", like=x).dtype == backend.xp.int32
    if backend.name == "numpy":
        assert np.zeros(2, dtype=x.dtype, like=x).dtype == x.dtype


def assert_same_numbers(found, wanted):
    np.testing.assert_array_equal(np.asarray(host(unwrap(found))), wanted)


def test_default_settings_are_ignored(backend):
    """Code may pass NumPy's defaults explicitly."""
    x = np.random.default_rng(0).normal(size=(2, 4))
    given = wrap(backend.asarray(x))
    for f in (
        lambda x: np.abs(np.fft.fft(x, None, -1, None)),
        lambda x: np.abs(np.fft.fft(x, n=None, norm=None)),
        lambda x: np.fft.hfft(x, norm=None),
        lambda x: np.abs(np.fft.ihfft(x, None, norm=None)),
        lambda x: np.abs(np.fft.fftn(x, s=None, axes=None, norm=None)),
        lambda x: np.sum(x, axis=None, dtype=None, out=None),
        lambda x: np.add(x, 1, where=True, casting="same_kind"),
        lambda x: np.sort(x, axis=-1, kind=None, order=None),
        lambda x: np.sort(x, kind="mergesort"),
        lambda x: np.argsort(x, kind="stable"),
    ):
        np.testing.assert_allclose(np.asarray(host(unwrap(f(given)))), f(x), rtol=1e-12)
        np.testing.assert_allclose(host(anynet.vjp(f, unwrap(given))[0]), f(x), rtol=1e-12)


@pytest.mark.parametrize("name", ["add", "subtract"])
def test_traced_values_into_plain_arrays_raise(name):
    def f(x):
        out = np.zeros(3)
        getattr(np, name).at(out, [0, 1], x)
        return np.sum(x)

    with pytest.raises(DifferentiationError, match=name):
        anynet.grad(f)(np.ones(2))


def test_numpy_scalar_types_as_dtypes():
    for dtype in (np.float32, "float32", np.dtype("float32")):
        value, gradient = anynet.value_and_grad(lambda x, dtype=dtype: x.astype(dtype).sum())(
            np.asarray([0.5, 2.0])
        )
        assert (value, value.dtype) == (2.5, np.float32)
        assert gradient.tolist() == [1.0, 1.0]
        assert gradient.dtype == np.float64
