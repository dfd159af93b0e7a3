"""Gradients of NumPy's functions and methods on traced arrays of every library, by differences."""

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet.array import array_namespace
from anynet.errors import (
    ArgumentError,
    CompilationError,
    DifferentiationError,
    MixedArraysError,
)
from anynet.numerical import numerical_gradient
from anynet.tracing.trace import wrap


def total(x):
    """Return a sum in which every element has another weight."""
    xp = array_namespace(x)
    flat = xp.reshape(x, (-1,))
    return xp.sum(flat * xp.cumulative_sum(xp.ones_like(flat)))


# Functions of an array of shape (2, 3) of numbers between 0.2 and 1.
FUNCTIONS = {
    "sum": lambda x: np.sum(x),
    "sum axis": lambda x: np.sum(x, axis=0),
    "sum in order": lambda x: np.sum(x, 1),
    "sum keepdims": lambda x: np.sum(x, axis=1, keepdims=True),
    "sum of both axes": lambda x: np.sum(x, axis=(0, 1)),
    "mean": lambda x: np.mean(x, axis=-1),
    "max": lambda x: np.max(x, axis=-1, keepdims=True),
    "amax": lambda x: np.amax(x, 0),
    "min": lambda x: np.min(x),
    "amin": lambda x: np.amin(x, axis=1),
    "prod": lambda x: np.prod(x, axis=0),
    "std": lambda x: np.std(x, axis=1),
    "var with ddof": lambda x: np.var(x, axis=1, ddof=1),
    "ptp": lambda x: np.ptp(x, axis=1),
    "average": lambda x: np.average(x, axis=1, weights=[1.0, 2.0, 3.0]),
    "cumsum": lambda x: np.cumsum(x),
    "cumsum axis": lambda x: np.cumsum(x, axis=1),
    "cumprod": lambda x: np.cumprod(x, axis=0),
    "diff": lambda x: np.diff(x),
    "exp and log": lambda x: np.log(np.exp(x) + 1e-7),
    "arcsin": lambda x: np.arcsin(x),
    "arctan2": lambda x: np.arctan2(x, 0.5),
    "absolute": lambda x: np.absolute(-x),
    "power": lambda x: np.power(x, 3),
    "square": lambda x: np.square(x),
    "sqrt": lambda x: np.sqrt(x),
    "true_divide": lambda x: np.true_divide(1.0, x),
    "divide": lambda x: np.divide(x, 3.0),
    "maximum": lambda x: np.maximum(0.5, x),
    "minimum": lambda x: np.minimum(x, 0.5),
    "mod": lambda x: np.mod(x, 0.4),
    "divmod": lambda x: np.divmod(x, 0.4)[1],
    "sign": lambda x: np.sign(x) * x,
    "exp2": lambda x: np.exp2(x),
    "radians": lambda x: np.radians(np.degrees(x) ** 2),
    "round": lambda x: np.round(x, 1) * x,
    "clip": lambda x: np.clip(x, 0.3, 0.8),
    "clip by name": lambda x: np.clip(x, a_min=0.3, a_max=None),
    "where": lambda x: np.where(x > 0.5, x, x * x),
    "where nonzero": lambda x: x[np.where(x > 0.5)],
    "dot": lambda x: np.dot(x, np.transpose(x)),
    "dot of vectors": lambda x: np.dot(x[0, ...], x[1, ...]),
    "dot of a matrix and a vector": lambda x: np.dot(x, x[0, ...]),
    "dot of more axes": lambda x: np.dot(x[None, ...], np.stack([x.T, x.T * 2])),
    "dot of a number": lambda x: np.dot(x, 2.0),
    "inner": lambda x: np.inner(x, x * 2),
    "outer": lambda x: np.outer(x, x[0, ...]),
    "vdot": lambda x: np.vdot(x, x * 2),
    "matmul": lambda x: np.matmul(x, x.T),
    "tensordot": lambda x: np.tensordot(x, x, axes=([1], [1])),
    "transpose": lambda x: np.transpose(x[None, ...], (2, 0, 1)),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "reshape": lambda x: np.reshape(x, -1),
    "reshape to a list": lambda x: np.reshape(x, [3, 2]),
    "ravel": lambda x: np.ravel(x.T),
    "squeeze": lambda x: np.squeeze(x[None, ...]),
    "expand_dims": lambda x: np.expand_dims(x, (0, 2)),
    "concatenate": lambda x: np.concatenate([x, x * 2], axis=1),
    "concatenate flat": lambda x: np.concatenate((x, x[:1, :]), axis=None),
    "stack": lambda x: np.stack([x, x * 2], axis=1),
    "vstack": lambda x: np.vstack([x, x[0, ...]]),
    "hstack": lambda x: np.hstack([x, x * 2]),
    "hstack of vectors": lambda x: np.hstack([x[0, ...], x[1, ...]]),
    "column_stack": lambda x: np.column_stack([x[0, ...], x[1, ...]]),
    "split": lambda x: np.split(x, 3, axis=1)[1],
    "array_split": lambda x: np.array_split(x, 2, axis=1)[0],
    "flip": lambda x: np.flip(x, axis=1),
    "roll": lambda x: np.roll(x, 1, axis=1),
    "tile": lambda x: np.tile(x, (2, 2)),
    "tile once": lambda x: np.tile(x, 2),
    "repeat": lambda x: np.repeat(x, 2, axis=1),
    "take": lambda x: np.take(x, [2, 0, 0], axis=1),
    "take flat": lambda x: np.take(x, [[5, 0]]),
    "pad": lambda x: np.pad(x, [(1, 0), (0, 2)], "constant"),
    "pad by one number": lambda x: np.pad(x, 1),
    "sort": lambda x: np.sort(x),
    "sort flat": lambda x: np.sort(x, axis=None),
    "unique": lambda x: np.unique(x),
    "median by hand": lambda x: np.sort(x, axis=1)[:, 1],
    "where with a number": lambda x: np.where(x > 0.5, x, 0),
    "dot with a list": lambda x: np.dot(x, [1.0, 2.0, 3.0]),
    "diagonal of the first axes": lambda x: np.diagonal(np.stack([x, x * 2, x * 3])),
    "trace of the first axes": lambda x: np.trace(np.stack([x, x * 2, x * 3]), offset=1),
    "argmax": lambda x: x[0, int(np.argmax(anynet.stop_gradient(x[0, ...])))],
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 2, 3)),
    "meshgrid": lambda x: np.meshgrid(x[0, ...], x[1, ...])[0],
    "zeros_like": lambda x: np.zeros_like(x) + x,
    "ones_like": lambda x: np.ones_like(x) * x,
    "full_like": lambda x: np.full_like(x, 2.0) * x,
    "diag": lambda x: np.diag(x[0, ...], k=-1),
    "diag of a matrix": lambda x: np.diag(x),
    "trace": lambda x: np.trace(x),
    "triu": lambda x: np.triu(x, 1),
    "norm": lambda x: np.linalg.norm(x),
    "norm axis": lambda x: np.linalg.norm(x, ord=1, axis=1),
    "norm of a matrix": lambda x: np.linalg.norm(x, ord="nuc"),
    "det": lambda x: np.linalg.det(x @ x.T),
    "inv": lambda x: np.linalg.inv(x @ x.T),
    "solve": lambda x: np.linalg.solve(x @ x.T, x),
    "slogdet": lambda x: np.linalg.slogdet(x @ x.T)[1],
    "multi_dot": lambda x: np.linalg.multi_dot([x, x.T, x]),
    "fft": lambda x: np.abs(np.fft.fft(x)) ** 2,
    "fft2": lambda x: np.real(np.fft.fft2(x)),
    "irfft": lambda x: np.fft.irfft(np.fft.rfft(x, axis=1), n=3, axis=1),
    "add.reduce": lambda x: np.add.reduce(x),
    "maximum.reduce": lambda x: np.maximum.reduce(x, axis=1),
    "add.accumulate": lambda x: np.add.accumulate(x, axis=1),
    "multiply.outer": lambda x: np.multiply.outer(x, x[0, ...]),
    "a softmax": lambda x: (lambda e: e / np.sum(e, axis=-1, keepdims=True))(
        np.exp(x - np.max(x, -1, keepdims=True))
    ),
    "operators of an array": lambda x: 2.0 - x + np.float64(3.0) * x,
}
METHODS = {
    "sum": lambda x: x.sum(axis=0),
    "mean": lambda x: x.mean(1, keepdims=True),
    "max": lambda x: x.max(axis=1, keepdims=True),
    "min": lambda x: x.min(),
    "std": lambda x: x.std(axis=1),
    "var": lambda x: x.var(axis=1, ddof=1),
    "prod": lambda x: x.prod(axis=0),
    "cumsum": lambda x: x.cumsum(),
    "dot": lambda x: x.dot(x.T),
    "reshape": lambda x: x.reshape(-1),
    "reshape to lengths": lambda x: x.reshape(3, 2),
    "reshape to a tuple": lambda x: x.reshape((3, -1)),
    "flatten": lambda x: x.flatten(),
    "ravel": lambda x: x.ravel(),
    "transpose": lambda x: x.transpose(),
    "transpose of axes": lambda x: x[None, ...].transpose(1, 2, 0),
    "transpose of a tuple": lambda x: x[None, ...].transpose((1, 2, 0)),
    "T of three axes": lambda x: x[None, ...].T,
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "squeeze": lambda x: x[None, ...].squeeze(),
    "clip": lambda x: x.clip(0.3, 0.8),
    "copy": lambda x: x.copy() * 2,
    "repeat": lambda x: x.repeat(2, axis=1),
    "take": lambda x: x.take(np.asarray([0, 1]), axis=1),
    "argmax": lambda x: x * (x.argmax(axis=1, keepdims=True) + 1.0),
    "astype": lambda x: x.astype(float),
    "real": lambda x: x.real + x.imag,
}


def differences(f, x):
    """Return the gradient of f at a point, by central differences."""
    found = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-5
        found[i] = (f(x + step) - f(x - step)) / 2e-5
    return found


def sample(backend):
    return backend.asarray(np.random.default_rng(0).uniform(0.2, 1.0, (2, 3)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(backend, name):
    f = FUNCTIONS[name]
    x = sample(backend)
    assert_close(anynet.vjp(f, x)[0], f(host(x)), rtol=1e-12, atol=1e-15)
    loss = lambda x: total(f(x))
    assert_close(
        anynet.grad(loss)(x),
        differences(loss, host(x)),
        rtol=1e-7,
        atol=1e-8,
    )


@pytest.mark.parametrize("name", METHODS)
def test_method(name):
    f = METHODS[name]
    x = sample(anynet.get_backend("numpy"))
    assert_close(anynet.vjp(f, x)[0], f(x), rtol=1e-12)
    loss = lambda x: total(f(x))
    assert_close(anynet.grad(loss)(x), differences(loss, x), rtol=1e-7, atol=1e-8)


def test_methods_that_differ_between_libraries():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    x = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert float(anynet.vjp(lambda x: x.sum(0).mean(), x)[0]) == float(x.sum(0).mean())
    # PyTorch's divides by n - 1, and its max(0) is a pair.
    for f in (lambda x: x.std(), lambda x: x.max(0)):
        with pytest.raises(AttributeError, match="use a function of its namespace"):
            anynet.vjp(f, x)
    assert float(anynet.vjp(lambda x: np.std(x), x)[0]) == pytest.approx(np.std(x.numpy()))


@pytest.mark.parametrize(
    "f",
    [lambda x: np.sum(np.exp(x) * x), lambda x: np.max(x) * np.dot(x, x)],
)
def test_in_compiled_steps_and_hessians(backend, f):
    x = normal(backend, 4)
    compiled = anynet.compile(anynet.value_and_grad(f))
    for _ in range(2):
        value, gradient = compiled(x)
        assert_close(value, f(host(x)))
        assert_close(gradient, differences(f, host(x)), rtol=1e-7, atol=1e-8)
    assert_close(
        anynet.hessian(f)(x),
        anynet.jacobian(anynet.grad(f))(host(x)),
        rtol=1e-9,
    )


def test_numpy_arrays_beside_traced_arrays(backend):
    x, y = normal(backend, 3), np.array([1.0, 2.0, 3.0])
    functions = (
        lambda x: np.sum(y * x),
        lambda x: np.dot(y, x),
        lambda x: np.sum(np.multiply(x, y)),
    )
    for f in functions:
        if backend.name == "numpy":
            assert_close(anynet.grad(f)(x), y)
        else:
            with pytest.raises(MixedArraysError, match=r"get_backend\(x\)\.asarray\(y\)"):
                anynet.grad(f)(x)


def test_numpy_functions_without_counterpart_raise(backend):
    x = normal(backend, 3)
    for name, f in {
        "einsum": lambda x: np.einsum("i,i->", x, x),
        "interp": lambda x: np.sum(np.interp(x, x, x)),
        "heaviside": lambda x: np.sum(np.heaviside(x, 0.5)),
        "divide.reduce": lambda x: np.divide.reduce(x),
    }.items():
        with pytest.raises(DifferentiationError, match=rf"np\.{name} of Traced.*custom_vjp"):
            anynet.grad(f)(x)
        with pytest.raises(CompilationError, match=rf"np\.{name} of Traced"):
            anynet.compile(f)(x)
    for f in (
        lambda x: np.sum(x, where=np.array([True, False, True])),
        lambda x: np.sum(x, initial=2.0),
    ):
        with pytest.raises(
            ArgumentError,
            match=r"np\.sum of a traced array: .*(where|initial)",
        ):
            anynet.grad(f)(x)
    with pytest.raises(DifferentiationError, match=r"would cut it out of the derivative"):
        anynet.grad(lambda x: np.sum(x) + x.sum().tolist())(x)
    if backend.name == "numpy":
        plain = np.zeros(3)

        def into_plain(x):
            y = plain
            y += x
            return np.sum(y)

        with pytest.raises(
            DifferentiationError,
            match=r"np\.add of a traced array cannot be written into a plain array",
        ):
            anynet.grad(into_plain)(x)
        assert_close(plain, np.zeros(3))


def test_results_written_into_traced_arrays(backend):
    if not hasattr(type(normal(backend, 1)), "__iadd__"):
        pytest.skip("arrays never change")
    x = normal(backend, 3)

    def f(x):
        out = np.zeros_like(x)
        part = out[1:]
        np.multiply(x[1:], 2.0, out=part)
        np.add.at(
            out,
            np.array([0, 0, 2]) if backend.name == "numpy" else backend.asarray([0, 0, 2]),
            x,
        )
        return np.sum(out * out)

    a, b, c = host(x)
    assert_close(
        anynet.value_and_grad(f)(x)[0],
        (a + b) ** 2 + (2 * b) ** 2 + (3 * c) ** 2,
    )


@pytest.mark.parametrize(
    "key",
    [
        [0, 0, 1],
        ([0, 0, 1], [2, 2, 0]),
        (slice(None), [1, 1]),
        ([[0, 1], [0, 0]],),
        (1, slice(1, None)),
        -1,
    ],
    ids=str,
)
def test_add_at_repeated_indices(backend, key):
    """The result equals np.add.at of NumPy's arrays, for every kind of key."""
    if not hasattr(type(normal(backend, 1)), "__iadd__"):
        pytest.skip("arrays never change")
    if backend.name == "array_api_strict" and (
        key == -1 or (type(key) is tuple and slice(None) in key)
    ):
        pytest.skip("its keys name every axis, and have no slices beside arrays")
    x, values = (
        normal(backend, 2, 3),
        normal(backend, *np.zeros((2, 3))[key].shape, seed=1),
    )
    for function in (np.add, np.subtract):

        def f(values, function=function):
            out = np.zeros_like(values, shape=(2, 3)) + x
            function.at(out, key, values)
            return total(out**2)

        def plain(values, function=function):
            out = host(x).copy()
            function.at(out, key, values)
            return total(out**2)

        value, gradient = anynet.value_and_grad(f)(values)
        assert_close(value, plain(host(values)))
        assert_close(
            gradient,
            host(numerical_gradient(plain, host(values))),
            rtol=1e-5,
            atol=1e-8,
        )
    with pytest.raises(DifferentiationError, match=r"np\.multiply\.at of Traced\(tape"):
        anynet.grad(lambda x: np.multiply.at(np.ones_like(x), [0], x[:1, :]))(x)


def test_creation_with_like(backend):
    """With like=, NumPy creates arrays that traced arrays can be written into (NEP 35)."""
    x = normal(backend, 2, 3)

    def f(x):
        made = [
            np.array([x[0, 0], [x[1, 1], 2.0][0]], like=x),
            np.asarray([[x[0, 0], 1.0], [0.0, x[1, 2]]], like=x),
            np.ones(3, like=x) * x,
            np.full((2, 1), 2.0, like=x) * x,
            np.eye(2, like=x) @ np.eye(2, 3, 1, like=x) * x,
            np.arange(3.0, like=x) * x,
            np.zeros_like(x, shape=(4,)) + x[0, 0],
        ]
        if hasattr(type(x.plain), "__iadd__"):
            out = np.zeros((4, 3), float, like=x)
            out[1:3, ...] = x
            made.append(out)
        return sum(total(y) for y in made)

    x00, x11, x12 = (host(x)[i] for i in ((0, 0), (1, 1), (1, 2)))
    a = host(x)
    made = [
        np.array([x00, x11]),
        np.array([[x00, 1], [0, x12]]),
        a,
        2 * a,
        np.eye(2, 3, 1) * a,
        np.arange(3) * a,
    ]
    made.append(np.full(4, x00))
    if hasattr(type(x), "__iadd__"):
        made.append(np.pad(a, ((1, 1), (0, 0))))
    value, gradient = anynet.value_and_grad(f)(x)
    assert_close(value, sum(total(y) for y in made))
    assert gradient.shape == x.shape
    with pytest.raises(
        DifferentiationError,
        match=r"plain\[i\] = x need .* np\.zeros\(shape, like=x\)",
    ):
        anynet.grad(lambda x: total(np.array([x[0, 0], x[1, 1]])))(x)


def test_any_numpy_function_takes_constants(backend):
    x = normal(backend, 3)
    try:
        np.asarray(x)
    except RuntimeError:
        pytest.skip("NumPy cannot take arrays of this device")
    assert float(np.median(wrap(x))) == np.median(host(x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    x = x - np.max(x, axis=-1, keepdims=True)
    return np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True)


def cross_entropy_error(y, t):
    if y.ndim == 1:
        t = t.reshape(1, t.size)
        y = y.reshape(1, y.size)
    batch_size = y.shape[0]
    return -np.sum(np.log(y[np.arange(batch_size), t] + 1e-7)) / batch_size


def two_layers(params, x, t, activation=sigmoid):
    a1 = np.dot(x, params["W1"]) + params["b1"]
    z1 = activation(a1)
    a2 = np.dot(z1, params["W2"]) + params["b2"]
    return cross_entropy_error(softmax(a2), t)


def relu(x):
    mask = x <= 0
    out = x.copy()
    out[mask] = 0
    return out


@pytest.mark.parametrize("activation", [sigmoid, relu, lambda x: np.maximum(0, x)])
def test_network_written_with_numpy(activation):
    """A two-layer network in plain NumPy, against its numerical gradient and PyTorch."""
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    rng = np.random.default_rng(0)
    params = {
        "W1": rng.normal(size=(4, 5)),
        "b1": np.zeros(5),
        "W2": rng.normal(size=(5, 3)),
        "b2": np.zeros(3),
    }
    x, t = rng.normal(size=(6, 4)), np.array([0, 2, 1, 1, 0, 2])
    value, gradients = anynet.value_and_grad(two_layers)(params, x, t, activation)
    assert_close(value, two_layers(params, x, t, activation))
    numerical = numerical_gradient(lambda params: two_layers(params, x, t, activation), params)
    by_hand = differences(
        lambda w: two_layers({**params, "W1": w}, x, t, activation),
        params["W1"],
    )
    assert_close(gradients["W1"], by_hand, rtol=1e-6, atol=1e-9)
    theirs = {name: torch.tensor(p, requires_grad=True) for name, p in params.items()}
    hidden = torch.tensor(x) @ theirs["W1"] + theirs["b1"]
    hidden = torch.sigmoid(hidden) if activation is sigmoid else torch.relu(hidden)
    probabilities = torch.softmax(hidden @ theirs["W2"] + theirs["b2"], dim=-1)
    (-torch.log(probabilities[torch.arange(6), torch.tensor(t)] + 1e-7).mean()).backward()
    for name, g in gradients.items():
        assert_close(g, host(numerical[name]), rtol=1e-6, atol=1e-8)
        assert_close(g, theirs[name].grad.numpy(), rtol=1e-9)
    compiled = anynet.compile(
        lambda params, x, t: anynet.value_and_grad(two_layers)(params, x, t, activation)
    )
    for _ in range(2):
        assert_close(compiled(params, x, t)[1]["W1"], gradients["W1"], rtol=1e-12)
