import math

import numpy as np
import pytest
from helpers import assert_close, host, normal
from hypothesis import given, settings
from hypothesis import strategies as st

import anynet
from anynet import functions, losses, numerical
from anynet.array import array_namespace
from anynet.errors import DifferentiationError
from anynet.primitives import affine


def total(x):
    return array_namespace(x).sum(x)


def test_differences_of_scalars_and_arrays(backend):
    assert numerical.forward_difference(lambda x: x**2, 3.0) == pytest.approx(6, rel=1e-5)
    assert numerical.central_difference(math.sin, 0.5) == pytest.approx(math.cos(0.5), rel=1e-8)
    x = normal(backend, 4)
    assert_close(
        numerical.central_difference(lambda x: x**3, x),
        3 * host(x) ** 2,
        like=x,
        rtol=1e-6,
    )
    # The forward difference of x² is off by the step itself, the central one by rounding alone.
    assert numerical.forward_difference(lambda x: x**2, 1.0, 0.1) == pytest.approx(2.1)
    assert numerical.central_difference(lambda x: x**2, 1.0, 0.1) == pytest.approx(2.0)


def test_partial_derivatives_of_the_book(backend):
    """f(x0, x1) = x0² + x1² at (3, 4), chapter 4.3.3."""
    x = backend.asarray(np.array([3.0, 4.0]))
    f = lambda x: total(x**2)
    assert_close(numerical.partial_derivative(f, x, 0), 6, rtol=1e-8)
    assert_close(numerical.partial_derivative(f, x, -1), 8, rtol=1e-8)
    assert_close(numerical.numerical_gradient(f, x), [6, 8], like=x, rtol=1e-8)
    grid = normal(backend, 2, 3)
    assert_close(
        numerical.partial_derivative(f, grid, (1, 2)),
        2 * host(grid)[1, 2],
        rtol=1e-6,
    )
    with pytest.raises(
        IndexError,
        match=r"index \(1, 3\) is outside an array of shape \(2, 3\), in axis 1",
    ):
        numerical.partial_derivative(f, grid, (1, 3))


def test_gradient_descent_returns_its_path(backend):
    """The book's example of chapter 4.4.1: from (-3, 4) to the origin."""
    start = backend.asarray(np.array([-3.0, 4.0]))
    path = numerical.gradient_descent(lambda x: total(x**2), start, learning_rate=0.1, steps=100)
    assert path.shape == (101, 2)
    assert_close(path[0, ...], host(start))
    np.testing.assert_allclose(host(path), [host(start) * 0.8**i for i in range(101)], atol=1e-7)
    analytic = numerical.gradient_descent(
        lambda x: total(x**2),
        start,
        steps=5,
        gradient=lambda f, x: anynet.grad(f)(x),
    )
    np.testing.assert_allclose(host(analytic), host(path)[:6], atol=1e-7)
    for settings_, message in (
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"steps": -1}, "steps is -1"),
    ):
        with pytest.raises(ValueError, match=message):
            numerical.gradient_descent(lambda x: total(x**2), start, **settings_)


def network(x, t):
    def loss(p):
        h = functions.relu(affine(x, p["w1"], p["b1"]))
        return losses.cross_entropy(affine(h, p["w2"], p["b2"]), t)

    return loss


def test_network_within_any_memory_limit(backend):
    x, t = normal(backend, 6, 5), backend.asarray([0, 1, 2, 0, 1, 2])
    tree = {
        "w1": normal(backend, 5, 7, seed=1),
        "b1": normal(backend, 7, seed=2),
        "w2": normal(backend, 7, 3, seed=3),
        "b2": normal(backend, 3, seed=4),
        "steps": backend.asarray([1, 2]),
        "name": "net",
    }
    loss = network(x, t)
    exact = anynet.grad(loss)(tree)
    # One element at a time, a part of a row, some rows, everything.
    for memory in (1, 5 * 7 * 8 * 3, 5 * 7 * 8 * 14, 2**26):
        found = numerical.numerical_gradient(loss, tree, memory=memory)
        assert found["steps"] is None
        assert found["name"] == "net"
        for name in ("w1", "b1", "w2", "b2"):
            assert_close(
                found[name],
                host(exact[name]),
                like=tree[name],
                rtol=1e-6,
                atol=1e-9,
            )


def test_step_depends_on_the_dtype(backend):
    x = normal(backend, 5, dtype="float32")
    found = numerical.numerical_gradient(lambda x: total(array_namespace(x).sin(x)), x)
    assert_close(found, np.cos(host(x)), like=x, rtol=2e-3, atol=1e-3)
    far = backend.asarray(np.array([1e8]))
    assert_close(
        numerical.numerical_gradient(lambda x: total(x**2), far),
        [2e8],
        rtol=1e-6,
    )


def _doubled(xp, x):
    """Write twice the first row over the second one."""
    y = xp.asarray(x, copy=True)
    y[1, ...] = 2 * y[0, ...]
    return y


FUNCTIONS = {
    "product of all": lambda xp, x: xp.prod(x),
    "softmax": lambda xp, x: total(functions.softmax(x) ** 2),
    "log_softmax over rows": lambda xp, x: total(functions.log_softmax(x, axis=0) ** 2),
    "sigmoid": lambda xp, x: total(functions.sigmoid(x)),
    "mean of rows": lambda xp, x: total(xp.mean(x, axis=0) ** 3),
    "largest": lambda xp, x: xp.max(x),
    "transposed twice": lambda xp, x: total((x.T @ x) ** 2),
    "product with itself": lambda xp, x: total(xp.matmul(x, xp.matrix_transpose(x)) ** 2),
    "reshaped": lambda xp, x: total(xp.reshape(x, (-1, 2))[:, 1] ** 3),
    "indexed": lambda xp, x: total(x[1, ...] ** 3) + total(x[:, -1]),
    "stacked": lambda xp, x: total(xp.stack([x, x * x], axis=1) ** 2),
    "joined": lambda xp, x: total(xp.concat([x, xp.ones_like(x)], axis=0) ** 2 * 3),
    "repeated": lambda xp, x: total(xp.broadcast_to(xp.expand_dims(x, axis=0), (3, *x.shape)) ** 2),
    "squeezed": lambda xp, x: total(xp.squeeze(x[:1, ...], axis=0) ** 2),
    "chosen": lambda xp, x: total(xp.where(x > 0, x**2, -x)),
    "permuted": lambda xp, x: total(xp.permute_dims(x, (1, 0))[0, ...] ** 2),
    "cumulative": lambda xp, x: total(xp.cumulative_sum(x, axis=1) ** 2),
    "of a vector": lambda xp, x: total(xp.matmul(x, x[0, ...]) ** 2),
    "constant": lambda xp, x: total(xp.zeros_like(x)) + 3.0,
    "flipped": lambda xp, x: total(xp.flip(x)[0, ...] ** 3),
    "sorted": lambda xp, x: total(xp.sort(x, axis=0)[1, ...] ** 3),
    "of the largest place": lambda xp, x: total(x**2) * xp.astype(xp.argmax(x), x.dtype),
    "written into": lambda xp, x: total(_doubled(xp, x) ** 2),
    "half a network": lambda xp, x: total(
        functions.relu(affine(xp.matrix_transpose(x), x, None)) ** 2
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_many_points_together_equal_single_points(backend, name):
    """A function may write into its argument or reshape it.

    Its differences equal a plain loop's.
    """
    if name == "written into" and backend.name == "jax":
        pytest.skip("arrays of JAX never change")
    f = lambda x: FUNCTIONS[name](array_namespace(x), x)
    x = normal(backend, 4, 6)
    step = 1e-5
    expected = np.empty(24)
    for i in range(24):
        ends = []
        for sign in (1, -1):
            moved = host(x).copy()
            moved.reshape(-1)[i] += sign * step
            ends.append(float(host(f(backend.asarray(moved)))))
        expected[i] = (ends[0] - ends[1]) / (2 * step)
    assert_close(
        numerical.numerical_gradient(f, x),
        expected.reshape(4, 6),
        like=x,
        rtol=1e-4,
        atol=1e-7,
    )


sizes = st.integers(1, 6)


@settings(max_examples=40, deadline=None)
@given(
    rows=sizes,
    inner=sizes,
    columns=sizes,
    memory=st.integers(1, 4000),
    seed=st.integers(0, 99),
)
def test_products_of_any_size_in_any_memory(rows, inner, columns, memory, seed):
    backend = anynet.get_backend("numpy")
    x, w = (
        normal(backend, rows, inner, seed=seed),
        normal(backend, inner, columns, seed=seed + 1),
    )
    f = lambda w: total(array_namespace(x, w).matmul(x, w) ** 2)
    found = numerical.numerical_gradient(f, w, memory=memory)
    np.testing.assert_allclose(found, 2 * x.T @ (x @ w), rtol=1e-5, atol=1e-7)


def test_empty_arrays_and_arrays_of_no_axes(backend):
    nothing = backend.asarray(np.zeros((0, 3)))
    assert numerical.numerical_gradient(total, nothing).shape == (0, 3)
    scalar = backend.asarray(np.array(2.0))
    assert_close(
        numerical.numerical_gradient(lambda x: x**3, scalar),
        12,
        like=scalar,
        rtol=1e-8,
    )


def chosen_by_a_value(x):
    return total(x**2) if x[0] > 0 else 3 * total(x)


def written_into(x):
    x[0] = 5 * x[1]
    return total(x**2)


def of_the_math_module(x):
    return math.hypot(float(x[0]), float(x[1]))


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (chosen_by_a_value, [6, 8]),
        (written_into, [0, 208]),
        (of_the_math_module, [0.6, 0.8]),
    ],
)
def test_functions_that_need_plain_arrays(backend, f, expected):
    """They are evaluated for one element after the other, on arrays of the library."""
    if f is written_into and backend.name == "jax":
        pytest.skip("arrays of JAX never change")
    x = backend.asarray(np.array([3.0, 4.0]))
    assert_close(
        numerical.numerical_gradient(f, x),
        expected,
        like=x,
        rtol=1e-7,
        atol=1e-7,
    )
    assert host(x).tolist() == [3, 4]
    # The other arrays of a tree are copies too.
    beside = {"x": x, "y": backend.asarray(np.array([1.0, 2.0]))}
    found = numerical.numerical_gradient(lambda p: f(p["y"]) * f(p["x"]), beside)
    assert_close(
        found["x"],
        np.asarray(expected) * float(f(backend.asarray(np.array([1.0, 2.0])))),
        rtol=1e-7,
        atol=1e-6,
    )
    assert host(beside["y"]).tolist() == [1, 2]


def test_functions_that_check_the_type_of_their_argument(backend):
    """The result is that of the function of plain arrays."""
    kind = type(normal(backend, 1))
    x = backend.asarray(np.array([3.0, 4.0]))
    square = lambda x: array_namespace(x).sum(x**2)
    asks = [
        lambda x: square(x) if isinstance(x, kind) else 0 * square(x),
        lambda x: 0 * square(x) if hasattr(x, "trace") and not isinstance(x, kind) else square(x),
    ]
    for f in asks:
        assert_close(numerical.numerical_gradient(f, x), [6, 8], rtol=1e-7)


def test_numpy_functions_and_methods():
    x = np.array([3.0, 4.0])
    for f in (
        lambda x: np.sum(x**2),
        lambda x: (x**2).sum(),
        lambda x: np.dot(x, x),
        lambda x: float(x @ x),
    ):
        np.testing.assert_allclose(numerical.numerical_gradient(f, x), [6, 8], rtol=1e-8)


def test_error_of_the_function_is_raised(backend):
    def broken(x):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        numerical.numerical_gradient(broken, backend.asarray(np.ones(2)))
    assert caught.value.__context__ is None


def test_integer_points(backend):
    x = backend.asarray(np.array([3, 4]))
    for f in (lambda x: total(x**2), chosen_by_a_value):
        assert_close(numerical.numerical_gradient(f, x), [6, 8], rtol=1e-8)
    assert_close(
        numerical.partial_derivative(lambda x: total(x**2), x, 1),
        8,
        rtol=1e-8,
    )
    assert host(numerical.gradient_descent(lambda x: total(x**2), x, steps=2))[
        :, 0
    ] == pytest.approx([3, 2.4, 1.92])
    tree = {"x": backend.asarray(np.array([3.0])), "n": x}
    assert numerical.numerical_gradient(lambda p: total(p["x"] ** 2), tree)["n"] is None
    assert anynet.check_gradients(lambda x: total(x**3), x)


@pytest.mark.parametrize("argument", [3.0, [3.0, 4.0], np.array([True]), {"n": np.array([1])}])
def test_arguments_without_floating_arrays_raise(argument):
    with pytest.raises(
        DifferentiationError,
        match="nothing to differentiate with respect to",
    ):
        numerical.numerical_gradient(lambda x: 1.0, argument)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(backend, dtype):
    if not hasattr(backend.xp, dtype):
        pytest.skip(f"{backend.name} has no {dtype}")
    x = backend.xp.astype(backend.asarray(np.array([3.0, 4.0])), getattr(backend.xp, dtype))
    for f in (lambda x: total(x * x), chosen_by_a_value):
        found = numerical.numerical_gradient(f, x)
        assert found.dtype == x.dtype
        assert [float(found[i]) for i in (0, 1)] == pytest.approx([6, 8], rel=0.03)


def test_unknown_dtypes_raise():
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="needs ml_dtypes")
    with pytest.raises(
        DifferentiationError,
        match="a dtype that numpy has no functions for: cast it first",
    ):
        numerical.numerical_gradient(total, np.ones(2, ml_dtypes.bfloat16))


def test_torch_arrays_need_no_gradient():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    x = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    for f in (
        lambda x: total(x**2),
        lambda x: total(x**2).item(),
        chosen_by_a_value,
    ):
        found = numerical.numerical_gradient(f, x)
        assert not found.requires_grad
        assert_close(found, [6, 8], rtol=1e-7)


def test_complex_points(backend):
    z = backend.asarray(np.array([1 + 2j, 3 - 1j]))
    f = lambda z: total(array_namespace(z).abs(z) ** 4)
    assert_close(
        numerical.numerical_gradient(f, z),
        host(anynet.grad(f)(z)),
        like=z,
        rtol=1e-7,
    )
    with pytest.raises(
        DifferentiationError,
        match=r"returned a value of .*complex128: take its abs\(\)",
    ):
        numerical.numerical_gradient(total, z)


def test_products_of_sequences(backend):
    """(N, L, F) @ W, and with a vector."""
    x, weight, v = (
        normal(backend, 2, 4, 3),
        normal(backend, 3, 5),
        normal(backend, 3, seed=1),
    )
    for w in (weight, v):
        f = lambda w: total(array_namespace(x, w).matmul(x, w) ** 2)
        expected = 2 * np.einsum("nlf,nl...->f...", host(x), host(x) @ host(w))
        for memory in (1, 3 * 5 * 8 * 4, 2**26):
            assert_close(
                numerical.numerical_gradient(f, w, memory=memory),
                expected,
                like=w,
                rtol=1e-6,
                atol=1e-8,
            )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_many_points_take_few_calls(name):
    """The function is called twice for all points, and once with a plain array."""
    calls = []
    f = lambda x: (calls.append(1), FUNCTIONS[name](array_namespace(x), x))[1]
    numerical.numerical_gradient(f, normal(anynet.get_backend("numpy"), 4, 6))
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("f", "given_"),
    [
        (lambda x: x, r"shape \(2,\)"),
        (lambda x: None, "None"),
        (lambda x: x[:1] * 2, r"shape \(1,\)"),
    ],
)
def test_functions_that_return_no_scalar_raise(backend, f, given_):
    with pytest.raises(
        DifferentiationError,
        match=rf"returns a scalar.* this one returned {given_}: reduce it",
    ):
        numerical.numerical_gradient(f, backend.asarray(np.ones(2)))


def test_errors_of_the_function_are_raised_once(backend):
    calls = []

    def fail(x):
        calls.append(x)
        raise ValueError("an error of the user's code")

    with pytest.raises(ValueError, match="an error of the user's code"):
        anynet.numerical_gradient(fail, normal(backend, 3))
    assert len(calls) == 1
