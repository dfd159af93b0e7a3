"""vmap equals a stacked loop, for the standard's functions, networks and nested transformations."""

import array_api_compat
import numpy as np
import pytest
from examples_of_layers import EXAMPLES, example
from helpers import assert_close, host, normal

import anynet
from anynet import functions, layers, losses, random, tree
from anynet.array import array_namespace as ns
from anynet.errors import (
    ArgumentError,
    DifferentiationError,
    NoRuleError,
    ShapeError,
)
from anynet.tracing.standard import STANDARD
from anynet.tracing.vectorize_rules import BATCHERS

_GENERATOR = np.random.default_rng(0)
A = _GENERATOR.normal(size=(3, 4, 5))
A4 = _GENERATOR.normal(size=(3, 4, 2, 5))
V = _GENERATOR.normal(size=(3, 5))
ROWS = _GENERATOR.integers(0, 4, size=(3, 2))
COLUMNS = _GENERATOR.integers(-5, 5, size=(3, 2))
SQUARE = np.einsum("pij,pkj->pik", A, A) + np.eye(4)


def total(x):
    return ns(x).sum(x)


def of_standard(name, *positional, **settings):
    """Return a function that calls a function of the standard by name."""

    def call(*arrays):
        function = ns(*arrays)
        for part in name.split("."):
            function = getattr(function, part)
        return function(*arrays, *positional, **settings)

    return call


AXIS_FUNCTIONS = """
    flip sort argsort cumulative_prod cumulative_sum argmax argmin sum std var prod max
""".split()
WHOLE_FUNCTIONS = """
    flip sort argsort argmax argmin sum mean std var prod max count_nonzero any all
""".split()
MATRIX_FUNCTIONS = """
    inv det cholesky pinv eigvalsh svdvals trace matrix_norm vector_norm diagonal
""".split()

#: Name: (function of one entry, in_axes, arrays).
CASES = {
    **{
        f"{name}, axis {axis}": (of_standard(name, axis=axis), 0, (A,))
        for axis in (0, -1)
        for name in AXIS_FUNCTIONS
    },
    **{name: (of_standard(name), 0, (A,)) for name in WHOLE_FUNCTIONS},
    "argmax, keepdims": (of_standard("argmax", keepdims=True), 0, (A,)),
    "cumulative_sum of a vector": (of_standard("cumulative_sum"), 0, (V,)),
    "roll": (of_standard("roll", 2), 0, (A,)),
    "roll, axes": (of_standard("roll", (1, 2), axis=(0, -1)), 0, (A,)),
    "repeat": (of_standard("repeat", 2), 0, (A,)),
    "repeat, axis": (of_standard("repeat", 2, axis=1), 0, (A,)),
    "tile": (of_standard("tile", (2, 1)), 0, (A,)),
    "diff": (of_standard("diff"), 0, (V,)),
    "clip": (of_standard("clip", -0.5, 0.5), 0, (V,)),
    "triu": (of_standard("triu"), 0, (A,)),
    "moveaxis": (of_standard("moveaxis", (0,), (-1,)), 0, (A4,)),
    "permute_dims": (of_standard("permute_dims", (2, -3, 1)), 0, (A4,)),
    "broadcast_to": (of_standard("broadcast_to", (2, 5)), 0, (V,)),
    "reshape": (of_standard("reshape", (2, -1)), 0, (A,)),
    "expand_dims": (of_standard("expand_dims", axis=-1), 0, (A,)),
    "squeeze": (lambda x: ns(x).squeeze(x[:1, ...], axis=-2), 0, (A,)),
    "meshgrid": (lambda v, w: ns(v).meshgrid(v, w)[0], 0, (V, V[:, :3])),
    "concat": (
        lambda x, y: ns(x).concat([x, y], axis=-2),
        (0, None),
        (A, A[0]),
    ),
    "concat, flattened": (
        lambda x, y: ns(x).concat([x, y], axis=None),
        (0, None),
        (A, A[0]),
    ),
    "stack": (
        lambda x, y: ns(x).stack([x, y], axis=-1),
        (None, 0),
        (A[0], A),
    ),
    "unstack": (lambda x: ns(x).unstack(x, axis=-1)[2], 0, (A,)),
    "where": (lambda x, y: ns(x).where(x > 0, x, y), (0, None), (A, V[0])),
    "put": (lambda x, v: _with_row(x, (1, ...), v), 0, (A, V)),
    "put in a constant": (
        lambda x, v: _with_row(x, (1, ...), v),
        (None, 0),
        (A[0], V),
    ),
    "put a constant": (
        lambda x, v: _with_row(x, (slice(None), 2), v),
        (0, None),
        (A, V[0, :4]),
    ),
    "take": (of_standard("take", axis=0), 0, (A, ROWS)),
    "take, axis": (of_standard("take", axis=-1), 0, (A, COLUMNS)),
    "take from a constant": (
        of_standard("take", axis=1),
        (None, 0),
        (A[0], COLUMNS),
    ),
    "take at constants": (
        of_standard("take", axis=-1),
        (0, None),
        (A, COLUMNS[0]),
    ),
    "take_along_axis": (
        of_standard("take_along_axis", axis=0),
        0,
        (A, np.argsort(A, axis=1)[:, :2]),
    ),
    "take_along_axis of a constant": (
        of_standard("take_along_axis"),
        (None, 0),
        (A[0], np.argsort(A)[:, :, :2]),
    ),
    "searchsorted": (
        of_standard("searchsorted"),
        (None, 0),
        (np.sort(V[0]), V),
    ),
    "x[i]": (lambda x, i: x[i], 0, (A, ROWS)),
    "x[i] for one i": (lambda x, i: x[i], 0, (A, ROWS[:, 0])),
    "x[i] for a matrix": (
        lambda x, i: x[i],
        0,
        (A, np.stack([ROWS, ROWS], axis=1)),
    ),
    "x[:, j]": (lambda x, j: x[:, j], 0, (A, COLUMNS)),
    "x[..., j]": (lambda x, j: x[..., j], 0, (A4, COLUMNS)),
    "x[i, j]": (lambda x, i, j: x[i, j], 0, (A, ROWS, COLUMNS)),
    "constant[i, j]": (
        lambda x, i, j: x[i, j],
        (None, 0, 0),
        (A[0], ROWS, COLUMNS),
    ),
    "x[2, j]": (lambda x, j: x[2, j], 0, (A, COLUMNS)),
    "x[:, 1, j]": (lambda x, j: x[:, 1, j], 0, (A4, COLUMNS)),
    "x[1, :, j]": (lambda x, j: x[1, :, j], 0, (A4, COLUMNS)),
    "x[i, :, j]": (lambda x, i, j: x[i, :, j], 0, (A4, ROWS, COLUMNS)),
    "x[i, :, j] at constants": (
        lambda x, i, j: x[i, :, j],
        (0, None, None),
        (A4, ROWS[0], COLUMNS[0]),
    ),
    "x[i, 1:, ::2]": (lambda x, i: x[i, 1:, ::2], 0, (A4, ROWS)),
    "x[None, ..., j, None]": (
        lambda x, j: x[None, ..., j, None],
        0,
        (A4, COLUMNS),
    ),
    "x[mask] at constants": (
        lambda x, mask: x[mask],
        (0, None),
        (A, A[0] > 0),
    ),
    "matmul": (of_standard("matmul"), 0, (A, np.swapaxes(A, 1, 2))),
    "matrix @ vector": (of_standard("matmul"), 0, (A, V)),
    "vector @ matrix": (of_standard("matmul"), 0, (V[:, :4], A)),
    "vector @ vector": (of_standard("matmul"), 0, (V, V + 1)),
    "vector @ constant": (of_standard("matmul"), (0, None), (V, V[0])),
    "constant matrix @ vector": (
        of_standard("matmul"),
        (None, 0),
        (A[0], V),
    ),
    "matrix @ constant vector": (
        of_standard("matmul"),
        (0, None),
        (A, V[0]),
    ),
    "stack of matrices @ matrix": (
        of_standard("matmul"),
        (None, 0),
        (A4[:, :, :, :4], A),
    ),
    "vecdot": (of_standard("vecdot"), 0, (A, V)),
    "vecdot with a constant": (of_standard("vecdot"), (0, None), (A, V[0])),
    "tensordot": (of_standard("tensordot", axes=1), 0, (A, V)),
    "solve for a vector": (
        of_standard("linalg.solve"),
        0,
        (SQUARE, A[:, :, 0]),
    ),
    "solve for a constant": (
        of_standard("linalg.solve"),
        (0, None),
        (SQUARE, A[0, :, 0]),
    ),
    "solve with a constant": (
        of_standard("linalg.solve"),
        (None, 0),
        (SQUARE[0], A),
    ),
    **{
        f"linalg.{name}": (of_standard(f"linalg.{name}"), 0, (SQUARE,)) for name in MATRIX_FUNCTIONS
    },
    "linalg.slogdet": (
        lambda x: ns(x).linalg.slogdet(x).logabsdet,
        0,
        (SQUARE,),
    ),
    "linalg.eigh": (
        lambda x: ns(x).linalg.eigh(x).eigenvalues,
        0,
        (SQUARE,),
    ),
    "linalg.eigvals": (
        lambda x: ns(x).sort(ns(x).real(ns(x).linalg.eigvals(x))),
        0,
        (SQUARE,),
    ),
    "isin": (of_standard("isin", invert=True), 0, (ROWS, COLUMNS)),
    "isin a constant": (of_standard("isin"), (0, None), (ROWS, COLUMNS[0])),
    "linalg.outer": (of_standard("linalg.outer"), 0, (V, V)),
    "linalg.cross": (
        of_standard("linalg.cross"),
        0,
        (A[:, 0, :3], A[:, 1, :3]),
    ),
    "fft": (
        lambda x: ns(x).abs(ns(x).fft.fft(ns(x).astype(x, ns(x).complex128), axis=0)),
        0,
        (A,),
    ),
    "fftn": (
        lambda x: ns(x).abs(ns(x).fft.fftn(ns(x).astype(x, ns(x).complex128))),
        0,
        (A,),
    ),
    "rfft": (lambda x: ns(x).abs(ns(x).fft.rfft(x)), 0, (A,)),
    "fftshift": (of_standard("fft.fftshift"), 0, (A,)),
    "softmax": (lambda x: functions.softmax(x, axis=0), 0, (A,)),
    "other axes": (lambda x, y: x + y, (0, 2), (A, np.moveaxis(A, 0, 2))),
    "a negative axis": (
        lambda x, y: x + y,
        (0, -1),
        (A, np.moveaxis(A, 0, 2)),
    ),
    "trees": (
        lambda p, x: {"a": p["a"] + x, "b": (p["b"], x)},
        ({"a": 0, "b": None}, 0),
        ({"a": V, "b": V[0]}, V),
    ),
    "sum, axes and keepdims": (
        of_standard("sum", axis=(0, -1), keepdims=True),
        0,
        (A4,),
    ),
    "argmin, axis and keepdims": (
        of_standard("argmin", axis=-2, keepdims=True),
        0,
        (A,),
    ),
    "sort, descending": (
        of_standard("sort", axis=0, descending=True),
        0,
        (A,),
    ),
    "flip, axes": (of_standard("flip", axis=(0, 2)), 0, (A4,)),
    "roll, axis": (of_standard("roll", -1, axis=-2), 0, (A,)),
    "repeat, last axis but one": (
        of_standard("repeat", 3, axis=-2),
        0,
        (A,),
    ),
    "tile with fewer repetitions": (of_standard("tile", (3,)), 0, (A,)),
    "diff, axis": (of_standard("diff", axis=0, n=2), 0, (A,)),
    "moveaxis, several": (
        of_standard("moveaxis", (0, -1), (1, 0)),
        0,
        (A4,),
    ),
    "broadcast_to more axes": (
        of_standard("broadcast_to", (3, 2, 5)),
        0,
        (V,),
    ),
    "reshape to one axis": (of_standard("reshape", (-1,)), 0, (A,)),
    "expand_dims, axis": (of_standard("expand_dims", axis=1), 0, (A,)),
    "squeeze, axis in order": (
        lambda x: ns(x).squeeze(x[:1, ...], 0),
        0,
        (A,),
    ),
    "squeeze, axes": (
        lambda x: ns(x).squeeze(x[:1, ..., :1], axis=(0, -1)),
        0,
        (A4,),
    ),
    "concat, first axis": (
        lambda x, y: ns(x).concat([y, x]),
        (0, None),
        (A, A[0]),
    ),
    "stack, first axis": (
        lambda x, y: ns(x).stack([x, y, x]),
        (0, None),
        (A, A[0]),
    ),
    "unstack, first axis": (lambda x: ns(x).unstack(x)[1], 0, (A,)),
    "unstack, another axis": (
        lambda x: ns(x).unstack(x, axis=-2)[0],
        0,
        (A4,),
    ),
    "searchsorted, right": (
        of_standard("searchsorted", side="right"),
        (None, 0),
        (np.sort(V[0]), np.sort(V)),
    ),
    "searchsorted of a matrix": (
        of_standard("searchsorted"),
        (None, 0),
        (np.sort(V[0]), A),
    ),
    "isin another set": (
        of_standard("isin"),
        (None, 0),
        (ROWS[0], COLUMNS),
    ),
    "isin of matrices": (
        of_standard("isin"),
        0,
        (np.stack([ROWS, ROWS + 1], axis=1), COLUMNS),
    ),
    "constant matrix @ matrix": (
        of_standard("matmul"),
        (None, 0),
        (A[0].T, A),
    ),
    "matrix @ constant matrix": (
        of_standard("matmul"),
        (0, None),
        (A, A[0].T),
    ),
    "matrix @ constant stack": (
        of_standard("matmul"),
        (0, None),
        (A, np.swapaxes(A4[0], 1, 2)[:, :5, :]),
    ),
    "constant vector @ matrix": (
        of_standard("matmul"),
        (None, 0),
        (V[0, :4], A),
    ),
    "vecdot, axis": (of_standard("vecdot", axis=-2), 0, (A, A[::-1])),
    "vecdot of more axes": (
        of_standard("vecdot"),
        (0, None),
        (A[:, :1, :], A[0]),
    ),
    "vecdot with more axes": (of_standard("vecdot"), (None, 0), (V[0], A)),
    "tensordot, axes": (
        of_standard("tensordot", axes=((1, 0), (0, 1))),
        (0, None),
        (A, A[1].T),
    ),
    "solve": (of_standard("linalg.solve"), 0, (SQUARE, A)),
    "linalg.trace, offset": (
        of_standard("linalg.trace", offset=1),
        0,
        (SQUARE,),
    ),
    "linalg.diagonal, offset": (
        of_standard("linalg.diagonal", offset=-1),
        0,
        (A,),
    ),
    "linalg.vector_norm, axis": (
        of_standard("linalg.vector_norm", axis=0, ord=1, keepdims=True),
        0,
        (A,),
    ),
    "linalg.matrix_norm, ord": (
        of_standard("linalg.matrix_norm", ord=1, keepdims=True),
        0,
        (A,),
    ),
    "linalg.matrix_power": (
        of_standard("linalg.matrix_power", 3),
        0,
        (SQUARE,),
    ),
    "rfft, axis": (
        lambda x: ns(x).abs(ns(x).fft.rfft(x, n=3, axis=-2, norm="ortho")),
        0,
        (A,),
    ),
    "fftshift, axes": (of_standard("fft.fftshift", axes=0), 0, (A,)),
    "softmax of the last axis": (lambda x: functions.softmax(x), 0, (A,)),
    "vmap": (
        lambda x, v: anynet.vmap(lambda row, v: total(row * row * v), (0, None))(x, v),
        0,
        (A, V),
    ),
}


def _with_row(x, key, row):
    x = ns(x).asarray(x, copy=True)
    x[key] = row
    return x


def _entry(in_axes, args, i):
    """Return the arguments of one entry."""
    if in_axes is None:
        return args
    if isinstance(in_axes, int):
        return tree.map(lambda x: np.take(x, i, axis=in_axes), args)
    if isinstance(args, dict):
        return {key: _entry(in_axes[key], arg, i) for key, arg in args.items()}
    return tuple(_entry(axis, arg, i) for axis, arg in zip(in_axes, args, strict=True))


def skip_most_on_jax(backend, names, name):
    """Skip most cases on JAX, which compiles each function first."""
    if backend.name == "jax" and list(names).index(name) % 8:
        pytest.skip("one in eight on JAX")


@pytest.mark.parametrize("name", CASES)
def test_vmap_equals_a_stacked_loop(backend, name):
    skip_most_on_jax(backend, CASES, name)
    f, in_axes, args = CASES[name]
    if name.startswith(("linalg.eigvals", "isin")) and not hasattr(backend.xp, "isin"):
        pytest.skip("the library's standard is older than 2025.12")
    entries = [f(*_entry(in_axes, args, i)) for i in range(3)]
    given = tree.map(backend.asarray, args)
    try:
        found = anynet.vmap(f, in_axes)(*given)
        second = anynet.vmap(f, in_axes, -1)(*given)
    except IndexError:
        # The standard has no keys with both arrays and slices.
        if backend.name == "array_api_strict" and name.startswith("x["):
            return
        raise
    wanted = [
        np.stack(leaves)
        for leaves in zip(*([x for _, x in tree.leaves(e)] for e in entries), strict=True)
    ]
    for x, y, expected in zip(tree.leaves(found), tree.leaves(second), wanted, strict=True):
        assert_close(x[1], expected, rtol=1e-8, atol=1e-12)
        assert_close(y[1], np.moveaxis(expected, 0, -1), rtol=1e-8, atol=1e-12)


def test_vmap_equals_jax():
    jax = pytest.importorskip("jax", reason="needs jax")
    jax.config.update("jax_enable_x64", True)
    # JAX counts negative axes of permute_dims wrongly, and has no writing into arrays.
    for name in (name for name in list(CASES)[::8] if not name.startswith(("permute", "put"))):
        f, in_axes, args = CASES[name]
        expected = jax.vmap(f, in_axes)(*jax.tree.map(jax.numpy.asarray, args))
        for (_, x), y in zip(
            tree.leaves(anynet.vmap(f, in_axes)(*args)),
            jax.tree.leaves(expected),
            strict=True,
        ):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12, err_msg=name)


def test_every_function_has_a_rule_or_reference():
    steps = [
        step for step in STANDARD.values() if step.reference is None and step.decomposition is None
    ]
    assert {step.name for step in steps} <= set(BATCHERS)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "BatchNorm"])
def test_gradients_of_every_example(backend, name):
    """The gradient of each example equals that of a batch of one, with the same random values."""
    skip_most_on_jax(backend, EXAMPLES, name)
    net, x = example(name, backend, batch=3)
    loss = lambda net, x: total(net(x[None, ...]) ** 2)
    f = anynet.grad(loss, 0 if net.parameters() else 1)
    # Of copies, for the keys of random layers change.
    found = anynet.vmap(f, (None, 0))(tree.map(lambda p: p, net), x)
    for i in range(3):
        one = f(tree.map(lambda p: p, net), x[i, ...])
        pairs = zip(
            tree.leaves(one, buffers=False),
            tree.leaves(found, buffers=False),
            strict=True,
        )
        for (_, expected), (_, of_all) in pairs:
            assert_close(of_all[i, ...], host(expected), rtol=1e-8, atol=1e-10)


def test_gradients_of_a_classifier_agree_with_torch(backend):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    net = layers.Sequential(
        layers.Linear(5, 6),
        layers.Tanh(),
        layers.Linear(6, 3),
        seed=0,
        backend=backend,
        dtype=backend.xp.float64,
    )
    x, t = normal(backend, 4, 5), backend.asarray(np.array([0, 2, 1, 1]))
    found = anynet.vmap(
        anynet.grad(lambda net, x, t: losses.cross_entropy(net(x), t)),
        (None, 0, 0),
    )(net, x, t)
    theirs = {path: torch.tensor(host(p)) for path, p in net.parameters().items()}

    def loss(p, x, t):
        hidden = torch.tanh(x @ p["layers.0.weight"] + p["layers.0.bias"])
        return torch.nn.functional.cross_entropy(
            hidden @ p["layers.2.weight"] + p["layers.2.bias"], t
        )

    expected = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(
        theirs, torch.tensor(host(x)), torch.tensor(host(t))
    )
    for path, g in found.parameters().items():
        assert_close(g, expected[path].numpy(), rtol=1e-9, atol=1e-12)


def test_nesting_with_gradients_in_either_order(backend):
    x, w = normal(backend, 4, 5), normal(backend, 5, seed=1)
    f = lambda x: total(ns(x).sin(x) * x)
    second = 2 * np.cos(host(x)) - host(x) * np.sin(host(x))
    assert_close(
        anynet.vmap(anynet.hessian(f))(x),
        second[:, :, None] * np.eye(5),
        atol=1e-12,
    )
    cubes = lambda w: total(anynet.vmap(lambda row, w: total(row * w) ** 3, (0, None))(x, w))
    assert_close(
        anynet.grad(cubes)(w),
        3 * (host(x) @ host(w)) ** 2 @ host(x),
        like=w,
        rtol=1e-8,
    )
    inner = lambda w: total(
        anynet.vmap(anynet.grad(lambda row, w: total(row * w) ** 2), (0, None))(x, w)
    )
    sums = host(x) @ host(w)
    expected = 2 * (sums.sum() + host(w).sum() * host(x).sum(axis=0))
    assert_close(anynet.grad(inner)(w), expected, rtol=1e-8)
    outer = anynet.vmap(anynet.vmap(lambda a, b: a * b, (None, 0)), (0, None))(w, w)
    assert_close(outer, np.outer(host(w), host(w)))
    step = anynet.compile(
        lambda x, w: anynet.vmap(lambda row, w: total(row * w) ** 2, (0, None))(x, w)
    )
    for y in (x, x + 1.0):
        assert_close(step(y, w), (host(y) @ host(w)) ** 2, like=w, rtol=1e-8)


def test_random_samples_of_every_key(backend):
    keys = random.split(random.key(3, backend), 3)
    draw = lambda key: (
        random.uniform(key, (4,)),
        random.permutation(key, 5),
    )
    for found, i in ((anynet.vmap(draw)(keys), i) for i in range(3)):
        for x, expected in zip(found, draw(keys[i, ...]), strict=True):
            assert host(x)[i].tolist() == host(expected).tolist()


def test_vmap_over_no_entries(backend):
    nothing = backend.asarray(np.zeros((0, 4)))
    assert anynet.vmap(lambda x: total(x**2))(nothing).shape == (0,)
    assert anynet.vmap(anynet.grad(lambda x: total(x**2)))(nothing).shape == (0, 4)


def test_results_without_an_entry_axis_are_broadcast(backend):
    x, w = normal(backend, 3, 2), normal(backend, 4, seed=1)
    found = anynet.vmap(lambda x, w: (x, w * 2, 5), (0, None), (0, None, None))(x, w)
    assert_close(found[1], 2 * host(w), like=w)
    assert found[2] == 5
    assert_close(
        anynet.vmap(lambda x, w: w, (0, None), 1)(x, w),
        np.repeat(host(w)[:, None], 3, axis=1),
        like=w,
    )
    scaled = anynet.vmap(lambda x, *, scale: scale * x)(x, scale=w[0])
    assert_close(scaled, host(w)[0] * host(x), like=x)


def test_wrong_axes_raise(backend):
    x, y = normal(backend, 3, 2), normal(backend, 4, 2)
    add = lambda x, y: x + y
    for in_axes, args, error, message in (
        (
            0,
            (x, y),
            ShapeError,
            r"different numbers of entries: 3 \(argument 0\), 4 \(argument 1\)",
        ),
        (
            (0, 2),
            (x, y),
            ShapeError,
            "argument 1 has 2 axes: it has no axis 2",
        ),
        (
            (0,),
            (x, y),
            ArgumentError,
            "in_axes has 1 parts: wanted one for each of 2 arguments",
        ),
        (
            (None, None),
            (x, y),
            ArgumentError,
            "in_axes is None for every array",
        ),
        ((True, 0), (x, y), ArgumentError, "in_axes has True for a"),
        (
            ({"a": 0}, 0),
            (x, y),
            ArgumentError,
            r"in_axes has \{'a': 0\} for a",
        ),
    ):
        with pytest.raises(error, match=message):
            anynet.vmap(add, in_axes)(*args)
    with pytest.raises(
        ArgumentError,
        match=r"out_axes is None for an array of shape \(2,\) that differs",
    ):
        anynet.vmap(add, 0, None)(x, x)
    with pytest.raises(ShapeError, match="the result has 2 axes: it has no axis 5"):
        anynet.vmap(add, 0, 5)(x, x)


def test_unsupported_functions_raise(backend):
    x = normal(backend, 3, 4)
    for f in (lambda x: x if x[0] > 0 else -x, lambda x: x * float(x[0])):
        with pytest.raises(
            DifferentiationError,
            match=r"would differ from point to point.*or call the function in a loop",
        ):
            anynet.vmap(f)(x)
    sets = [
        lambda x: ns(x).nonzero(x),
        lambda x: ns(x).unique_values(x),
        lambda x: x[x > 0],
    ]
    for f in [
        *sets,
        lambda x: ns(x).repeat(x, ns(x).astype(x > 0, ns(x).int64)),
    ]:
        with pytest.raises(
            NoRuleError,
            match="the values of its argument decide how many elements",
        ):
            anynet.vmap(f)(x)


def test_running_statistics(backend):
    """A mapped network has statistics for each entry. One network for all entries raises."""
    net = layers.Sequential(
        layers.BatchNorm(2),
        seed=0,
        backend=backend,
        dtype=backend.xp.float64,
    )
    x = normal(backend, 3, 5, 2)
    loss = anynet.grad(lambda net, x: total(net(x) ** 3))
    with pytest.raises(
        DifferentiationError,
        match=r"a buffer of shape .* would differ between the 3 entries",
    ):
        anynet.vmap(loss, (None, 0))(net, x)
    several = tree.map(lambda p: backend.xp.stack([p, p, p]), net)
    anynet.vmap(loss)(several, x)
    for i in range(3):
        one = tree.map(lambda p: p, net)
        loss(one, x[i, ...])
        for (_, found), (_, expected) in zip(tree.leaves(several), tree.leaves(one), strict=True):
            assert_close(found[i, ...], host(expected), rtol=1e-9)


def test_custom_derivatives(backend):
    """Outer tapes use the custom rule, which differs from the derivative of the function."""
    x, w = normal(backend, 3, 4), normal(backend, 4, seed=1)
    product = anynet.custom_vjp(
        lambda a, b: {"out": a * b},
        lambda g, out, a, b: (2 * g["out"] * b, 3 * g["out"] * a),
    )

    def loss(x, w):
        return total(anynet.vmap(lambda row: product(row, w)["out"])(x))

    of_x, of_w = anynet.grad(loss, argnums=(0, 1))(x, w)
    assert_close(of_x, np.broadcast_to(2 * host(w), (3, 4)))
    assert_close(of_w, 3 * host(x).sum(axis=0))
    compiled = anynet.compile(anynet.grad(loss))(x, w)
    assert_close(compiled, host(of_x))
    twice = anynet.grad(
        lambda x: total(anynet.vmap(anynet.vmap(lambda a: product(a, a)["out"]))(x))
    )(x)
    assert_close(twice, 5 * host(x))
    second = anynet.grad(lambda x: total(anynet.grad(loss)(x, x[0, ...])))(x)
    assert_close(second[1:, :], np.zeros((2, 4)))
    assert_close(second[0, :], np.full(4, 6.0))

    def sign(a):
        return backend.asarray(np.sign(host(a)))

    straight = anynet.custom_vjp(sign, lambda g, out, a: g)
    assert_close(
        anynet.grad(lambda x: total(anynet.vmap(straight)(x) * x))(x),
        np.abs(host(x)) / host(x) + host(x),
    )


def test_users_code_under_vmap_is_called_at_each_point(backend):
    """Plain arrays reach f and its pullback, and an error of theirs is raised as it is, once."""
    seen = []

    def square(a):
        seen.append(type(a))
        return a * a

    def pullback(g, out, a):
        seen.append(type(a))
        return 2 * g * a

    x = normal(backend, 3, 4)
    own = anynet.custom_vjp(square, pullback)
    assert_close(anynet.vmap(own)(x), host(x) ** 2)
    assert seen == [type(x)] * 3
    seen.clear()
    assert_close(anynet.vmap(anynet.grad(lambda row: total(own(row))))(x), 2 * host(x))
    assert seen == [type(x)] * 6

    calls = []

    def fail(*args):
        calls.append(args)
        raise ZeroDivisionError("an error of the user's code")

    with pytest.raises(ZeroDivisionError, match="an error of the user's code"):
        anynet.vmap(anynet.custom_vjp(fail, pullback))(x)
    assert len(calls) == 1
    calls.clear()
    wrong = anynet.custom_vjp(square, fail)
    with pytest.raises(ZeroDivisionError, match="an error of the user's code"):
        anynet.vmap(anynet.grad(lambda row: total(wrong(row))))(x)
    assert len(calls) == 1


def test_vectorized_users_code_is_called_once_for_all_points(backend):
    calls = []

    def square(a):
        calls.append("f")
        return a * a

    def pullback(g, out, a):
        calls.append("pullback")
        return 2 * g * a

    x = normal(backend, 3, 4)
    own = anynet.custom_vjp(square, pullback, vectorized=True)
    gradients = anynet.vmap(anynet.grad(lambda row: total(own(row))))(x)
    assert_close(gradients, 2 * host(x))
    assert calls == ["f", "pullback"]
    calls.clear()
    gradient = anynet.grad(lambda x: total(anynet.vmap(own)(x)))(x)
    assert_close(gradient, 2 * host(x))
    assert calls == ["f", "pullback"]

    def fail(*args):
        calls.append("fail")
        raise ZeroDivisionError("an error of the user's code")

    calls.clear()
    wrong = anynet.custom_vjp(square, fail, vectorized=True)
    with pytest.raises(ZeroDivisionError, match="an error of the user's code"):
        anynet.vmap(anynet.grad(lambda row: total(wrong(row))))(x)
    assert calls == ["f", "fail"]


def test_network_with_a_custom_derivative(backend):
    net = layers.Linear(4, 2).initialize(0, backend, dtype=backend.xp.float64)
    f = anynet.custom_vjp(lambda net, x: net(x), lambda g, out, net, x: (None, x))
    x = normal(backend, 3, 4)
    assert_close(anynet.vmap(anynet.grad(lambda x: total(f(net, x))))(x), host(x))
    with pytest.raises(
        NoRuleError,
        match="let it take arrays, or differentiate inside vmap",
    ):
        anynet.grad(lambda x: total(anynet.vmap(lambda row: f(net, row))(x)))(x)


@pytest.mark.parametrize(
    "name",
    [
        "elu",
        "hard_sigmoid",
        "leaky_relu",
        "relu",
        "selu",
        "silu",
        "softplus",
    ],
)
def test_derivatives_at_kinks(backend, name):
    """An outer tape uses the rule, as it does without vmap, and not the decomposition."""
    f = getattr(functions, name)
    x, w = (
        backend.asarray([[0.0, 1.0, -1.0], [3.0, -3.0, 0.0]]),
        backend.asarray([1.0, 2.0, 3.0]),
    )
    first = [anynet.grad(lambda x, f=f: total(f(x) * w)) for f in (anynet.vmap(f), f)]
    assert_close(first[0](x), host(first[1](x)), rtol=1e-6)
    second = [anynet.grad(lambda x, slope=slope: total(slope(x) * w))(x) for slope in first]
    assert_close(second[0], host(second[1]), rtol=1e-6, atol=1e-7)


def test_numpy_scalars_in_place():
    """A scalar stays a scalar under an in-place operator, and an array stays an array."""

    def f(x):
        total = ns(x).sum(x)
        before = total
        total += x[0]
        return before * total

    x = np.array([1.0, 2.0, 4.0])
    assert f(x) == 7.0 * 8.0
    assert float(anynet.value_and_grad(f)(x)[0]) == 56.0
    np.testing.assert_allclose(anynet.numerical_gradient(f, x), [22.0, 15.0, 15.0], rtol=1e-8)
    with pytest.raises(NoRuleError, match="add in place of no axes"):
        anynet.vmap(f)(np.stack([x, x]))


def test_gradients_of_mapped_functions_with_custom_rules(backend):
    """The gradients of broadcast arguments are summed, also for several results."""
    both = anynet.custom_vjp(
        lambda x, y: (x * y, x + y),
        lambda g, out, x, y: (g[0] * y + g[1], g[0] * x + g[1]),
    )

    def own(x, y):
        first, second = both(x, y)
        return first * second

    def plain(x, y):
        return x * y * (x + y)

    x, y = normal(backend, 4, 2, 3), normal(backend, 4, 3, seed=1)
    for in_axes, point in (
        (0, y),
        ((0, None), y[0, ...]),
        ((0, None), y[0, 0]),
    ):
        found, wanted = (
            anynet.grad(
                lambda x, y, f=f, in_axes=in_axes: ns(x).sum(anynet.vmap(f, in_axes)(x, y) ** 2),
                (0, 1),
            )(x, point)
            for f in (own, plain)
        )
        for g, h in zip(found, wanted, strict=True):
            assert_close(g, host(h), rtol=1e-12)


def test_vecdot_along_the_first_axis():
    """NumPy accepts this axis. The standard does not."""
    x, y = A, A[::-1].copy()
    for in_axes, other in ((0, y), ((0, None), y[0])):
        found = anynet.vmap(lambda x, y: np.vecdot(x, y, axis=0), in_axes)(x, other)
        np.testing.assert_allclose(found, np.sum(x * other, axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        anynet.vmap(lambda x, y: np.vecdot(x, y, axis=0), (None, 0))(V[0], V),
        V @ V[0],
    )


def test_indices_out_of_range(backend):
    x, j = backend.asarray(A), backend.asarray(COLUMNS)
    for i in (4, -5):
        with pytest.raises(
            IndexError,
            match=f"index {i} is out of range for an axis of length 4",
        ):
            anynet.vmap(lambda x, j, i=i: x[i, j])(x, j)
    for axis in (2, -3):
        with pytest.raises(
            IndexError,
            match=f"axis {axis} is out of range: the array has 2 axes",
        ):
            anynet.vmap(lambda x, axis=axis: ns(x).sum(x, axis=axis))(x)


def test_constant_result_inside_a_derivative_is_traced(backend):
    """Code that compares namespaces, as SciPy's does, accepts it beside traced arrays."""
    w, k = normal(backend, 3), normal(backend, 4, seed=1)

    def loss(w, k, out_axis):
        constant = anynet.vmap(lambda w, k: k, (0, None), out_axis)(w, k)
        xp = array_api_compat.array_namespace(constant, w)
        return total(xp.multiply(xp.reshape(w, (3, 1)), constant))

    for out_axis in (None, 0):
        found = anynet.grad(loss)(w, k, out_axis)
        assert_close(found, np.full(3, np.sum(host(k))), like=w)


def test_indices_with_a_slice_between_them(backend):
    """The index arrays have one and two axes, and are the same for every entry."""
    x = normal(backend, 4, 3, 5, 2)
    i, j = (backend.asarray(np.asarray(given)) for given in ([0, 2], [[0, 1], [1, 0], [1, 1]]))
    for read, key in (
        (lambda x: x[i, :, j], np.s_[:]),
        (lambda x: x[i, 1:3, j], np.s_[1:3]),
    ):
        try:
            one = read(x[0, ...])
        except IndexError:
            pytest.skip("the library has no such key")
        found = anynet.vmap(read)(x)
        wanted = np.stack([point[host(i), key, host(j)] for point in host(x)])
        assert tuple(found.shape[1:]) == tuple(one.shape)
        assert_close(found, wanted)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gradients_of_take_at_many_points(backend, axis):
    x, weights = normal(backend, 4, 3, 5), normal(backend, 3, 5, seed=1)
    indices = backend.asarray(np.asarray([2, 0, 2]))

    def loss(x, weights):
        xp = ns(x)
        return total(xp.take(x, indices, axis=axis) * xp.take(weights, indices, axis=axis))

    found = anynet.vmap(anynet.grad(loss), (0, None))(x, weights)
    count = np.zeros(5 if axis else 3)
    np.add.at(count, [2, 0, 2], 1)
    assert_close(
        found,
        np.stack([host(weights) * (count if axis else count[:, None])] * 4),
    )
