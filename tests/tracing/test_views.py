"""Writes into arrays that share memory: traced arrays change as the library's, or raise."""

import contextlib
import operator

import numpy as np
import pytest
from helpers import assert_close, host, normal
from hypothesis import example, given, settings
from hypothesis import strategies as st

import anynet
from anynet.array import array_namespace
from anynet.backend import get_backend
from anynet.errors import CompilationError, DifferentiationError, ShapeError
from anynet.tracing import views
from anynet.tracing.standard import STANDARD
from anynet.tracing.trace import wrap
from anynet.tracing.views import FUNCTIONS, returns_view


def total(x):
    return array_namespace(x).sum(x)


def by_a_slice(x):
    y = x * 2
    t = y[2:]
    t += 1.0
    return total(y * y)


def by_a_slice_of_a_slice(x):
    y = x * 2
    t = y[1:][1:4]
    t[...] = t * x[0]
    return total(y * y * y)


def into_overlapping_slices(x):
    y = x * 2
    a, b = y[:4], y[2:]
    a *= x[0]
    b -= x[1]
    a *= b * 1.0
    return total(y * y) + total(a * b)


def into_the_base(x):
    y = x * 2
    t = y[::2]
    y *= x
    y[2] = x[5]
    return total(t * t)


def into_another_name(x):
    y = x * 2
    z = y
    z += x
    return total(y * y)


def by_an_added_axis(x):
    y = x * 2
    t = y[None, 1:3, None]
    t *= x[0]
    return total(y * y)


def by_functions(x):
    xp = array_namespace(x)
    y = xp.permute_dims(xp.stack([x, x * 2]), (1, 0))
    t = xp.expand_dims(xp.matrix_transpose(y), axis=1)
    t += x
    u = xp.squeeze(xp.moveaxis(t, 2, 0), axis=2)
    u *= x[0]
    return total(y * y * y)


def by_iteration(x):
    xp = array_namespace(x)
    y = xp.stack([x, x * 2])
    for i in range(2):
        row = y[i, ...]
        row *= x[0]
    for row in xp.unstack(y):
        row += x
    return total(y * y)


def by_what_no_one_else_has(x):
    """The complex array, whose real part this is, no longer exists."""
    xp = array_namespace(x)
    y = xp.real(x * (2.0 + 1.0j))
    t = y[2:]
    t += 1.0
    return total(y * y)


def after_a_copy(x):
    xp = array_namespace(x)
    y = x * 2
    t = xp.asarray(y[2:], copy=True)
    t += 1.0
    return total(y * t[0])


def into_a_constant(x):
    xp = array_namespace(x)
    y = xp.zeros_like(x)
    t = y[1:3]
    t += x[:2]
    t /= x[3]
    return total(y * y)


WRITES = [
    *(
        by_a_slice,
        by_a_slice_of_a_slice,
        into_overlapping_slices,
        into_the_base,
        into_another_name,
        by_an_added_axis,
    ),
    *(
        by_functions,
        by_iteration,
        by_what_no_one_else_has,
        after_a_copy,
        into_a_constant,
    ),
]


@pytest.mark.parametrize("f", WRITES, ids=lambda f: f.__name__)
def test_writes_show_in_views_as_in_the_library(backend, f):
    if backend.name == "jax":
        pytest.skip("its arrays never change: test_library_without_views")
    x = normal(backend, 6)
    value, gradient = anynet.value_and_grad(f)(x)
    assert_close(value, host(f(x)))
    assert_close(
        gradient,
        host(anynet.numerical.numerical_gradient(f, x)),
        rtol=1e-6,
        atol=1e-8,
    )
    compiled = anynet.compile(f)
    for _ in range(2):
        assert_close(compiled(x), host(value))
    if "into_" not in f.__name__:
        # x is the caller's.
        assert_close(x, host(normal(backend, 6)))
    nested = lambda x: total(anynet.grad(f)(x) * x)
    along = lambda x: total(anynet.grad(f)(x)) * 1.0
    assert_close(
        anynet.grad(along)(x),
        host(anynet.numerical.numerical_gradient(along, x)),
        rtol=1e-5,
        atol=1e-6,
    )
    assert_close(nested(x), host(total(gradient * x)))


def test_library_without_views():
    pytest.importorskip("jax", reason="needs JAX")
    backend = get_backend("jax")
    x = normal(backend, 6)
    for f in (by_a_slice, into_another_name):
        assert_close(anynet.value_and_grad(f)(x)[0], host(f(x)))
        assert_close(anynet.compile(f)(x), host(f(x)))


def test_arrays_of_the_caller_are_not_modified(backend):
    x = normal(backend, 3)
    before = host(x).copy()

    def f(x):
        x[...] = x * x
        return total(x)

    assert_close(anynet.grad(f)(x), 2 * before)
    assert_close(x, before)


def test_writes_with_unknown_aliasing_raise(backend):
    x = normal(backend, 6)
    if not returns_view(wrap(x), "reshape"):
        pytest.skip("has no views")

    def f(x):
        xp = array_namespace(x)
        wide = xp.broadcast_to(x * 2, (2, 6))
        wide[0, 0] = 1.0
        return total(wide)

    def g(x):
        xp = array_namespace(x)
        y = x * 2
        wide = xp.broadcast_to(y, (2, 6))
        wide += 1.0
        return total(y)

    assert_close(anynet.value_and_grad(f)(x)[0], host(total(x) * 4 - x[0] * 2 + 1))
    with pytest.raises(
        DifferentiationError,
        match=r"cannot write into Traced.*broadcast_to.*copy=True",
    ):
        anynet.grad(g)(x)
    with pytest.raises(
        CompilationError,
        match=r"cannot write into Traced.*broadcast_to.*copy=True",
    ):
        anynet.compile(g)(x)


def test_in_place_results_keep_shape_and_dtype(backend):
    xp = backend.xp
    x = normal(backend, 3)
    for wrong in (
        lambda y: operator.iadd(y, 1.5),
        lambda y: operator.itruediv(y, 2),
    ):
        integers = lambda x, wrong=wrong: (
            total(x) + total(wrong(array_namespace(x).asarray([1, 2, 3])))
        )
        if not hasattr(type(x), "__iadd__"):
            anynet.grad(integers)(x)
            continue
        with pytest.raises((TypeError, RuntimeError)):
            wrong(backend.asarray([1, 2, 3]))
        with pytest.raises((TypeError, RuntimeError)):
            anynet.grad(integers)(x)

    def wider(x):
        y = array_namespace(x).astype(x, xp.float32)
        y += array_namespace(x).asarray(1.0, dtype=xp.float32, device=x.device)
        assert y.dtype == xp.float32
        return total(y)

    anynet.grad(wider)(x)
    if hasattr(type(x), "__iadd__"):

        def longer(x):
            y = x * 2
            y += array_namespace(x).ones((2, 3), dtype=x.dtype, device=x.device)
            return total(y)

        with pytest.raises(ShapeError, match=r"has shape \(3,\) and the result \(2, 3\)"):
            anynet.grad(longer)(x)


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_rows_are_views_and_numpy_elements_are_not(library):
    pytest.importorskip(library, reason=f"needs {library}")

    def f(x):
        y = array_namespace(x).stack([x, x * 2])
        for row in y:
            row *= x[0]
            for element in row:
                element += 1.0
            last = row[::-1] if library == "numpy" else row[:2]
            last += x[1]
        return total(y * y)

    x = normal(get_backend(library), 3)
    assert_close(anynet.value_and_grad(f)(x)[0], host(f(x)))
    assert_close(
        anynet.numerical.numerical_gradient(f, x),
        host(anynet.grad(f)(x)),
        rtol=1e-6,
    )


def test_numpy_scalars_are_not_changed_in_place():
    backend = get_backend("numpy")
    x = normal(backend, 3)

    def f(x):
        first = x[0]
        sum_ = first
        sum_ += x[1]
        zero = x[0, ...]
        zero += x[2]
        return first * sum_ * x[0]

    a, b, c = host(x)
    assert_close(anynet.value_and_grad(f)(x)[0], a * (a + b) * (a + c))
    assert_close(
        anynet.numerical.numerical_gradient(f, x),
        host(anynet.grad(f)(x)),
        rtol=1e-6,
    )


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_writes_at_indices_that_are_arguments(library):
    """In a compiled step the indices may differ the next time."""
    pytest.importorskip(library, reason=f"needs {library}")
    backend = get_backend(library)

    def f(x, places, mask):
        y = x * 2
        y[places] = x[1:]
        y[mask] = 0.0
        return total(y * y)

    x = normal(backend, 4)
    compiled = anynet.compile(anynet.value_and_grad(f))
    for places, mask in (
        ([0, 0, 2], [True, False, False, False]),
        ([3, 1, 0], [False, False, True, False]),
    ):
        places, mask = (
            backend.asarray(np.array(places)),
            backend.asarray(np.array(mask)),
        )
        value, gradient = anynet.value_and_grad(f)(x, places, mask)
        for _ in range(2):
            assert_close(compiled(x, places, mask)[0], host(value))
            assert_close(compiled(x, places, mask)[1], host(gradient))


def test_views_of_a_library_without_in_place_operators(monkeypatch):
    """Such a library writes into arrays by `x[key] = value` alone."""
    strict = pytest.importorskip("array_api_strict", reason="needs array_api_strict")
    array = strict._array_object.Array
    for name in ("__iadd__", "__imul__"):
        monkeypatch.delattr(array, name)
    monkeypatch.setattr(views, "_known", {})

    def f(x):
        y = x * 2
        part = y[1:]
        part[...] = part * x[0]
        y += 1.0
        return total(y * y) + total(part)

    x = normal(get_backend("array_api_strict"), 4)
    value, gradient = anynet.value_and_grad(f)(x)
    assert float(value) == pytest.approx(float(f(x)), rel=1e-12)
    assert_close(gradient, host(anynet.numerical_gradient(f, x)), rtol=1e-6)


def test_error_of_the_library_is_raised(monkeypatch):
    """The probe of a library raises whatever the library raises."""
    strict = pytest.importorskip("array_api_strict", reason="needs array_api_strict")

    def fail(self, key, value):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(strict._array_object.Array, "__setitem__", fail)
    monkeypatch.setattr(views, "_known", {})
    x = normal(get_backend("array_api_strict"), 4)
    with pytest.raises(RuntimeError, match="out of memory"):
        anynet.grad(lambda x: total((x * 2)[1:]))(x)


# Programs that make views and write into them.
SLICES = [
    slice(None),
    slice(1, None),
    slice(None, None, 2),
    slice(0, 1),
    0,
    -1,
]


def step(xp, arrays, code):
    """Apply the operation of a code to one of the arrays, if its shape allows it."""
    kind, which, a, b = code
    x = arrays[which % len(arrays)]
    if kind == 0 and x.ndim and 0 not in x.shape:
        parts = [SLICES[a % 6], SLICES[b % 6]][: x.ndim]
        arrays.append(x[(*parts, ...)])
    elif kind == 1:
        arrays.append(xp.permute_dims(x, tuple(range(x.ndim))[::-1]))
    elif kind == 2:
        shapes = [
            (-1,),
            (*x.shape, 1),
            (*x.shape[:-1], x.shape[-1] // 2, 2) if x.ndim and not x.shape[-1] % 2 else (-1,),
        ]
        arrays.append(xp.reshape(x, shapes[a % 3]))
    elif kind == 3:
        arrays.append(xp.flip(x))
    elif kind == 4:
        arrays.append(xp.expand_dims(x, axis=a % (x.ndim + 1)))
    elif kind == 5:
        arrays[which % len(arrays)] += 1.0 + a
    elif kind == 6:
        other = arrays[a % len(arrays)]
        if other.shape == x.shape:
            arrays[which % len(arrays)] *= xp.asarray(other, copy=True)
    elif kind == 7 and x.ndim and x.shape[0]:
        # The standard has no slice that starts outside its axis.
        x[(SLICES[a % 3], ...)] = b + 0.5
    elif kind == 8 and len(arrays) > 1:
        del arrays[which % len(arrays)]
    elif kind == 9:
        arrays.append(x * 0.5)


def run(x, codes):
    xp = array_namespace(x)
    arrays = [xp.reshape(x * 1.0, (3, 4))]
    for code in codes:
        step(xp, arrays, code)
    loss = total(x)
    for i, y in enumerate(arrays):
        places = xp.cumulative_sum(xp.ones_like(y), axis=-1) if y.ndim else 1.0
        loss = loss + (1.0 + 0.1 * i) * (total(y) + total(y * places))
    return loss


CODES = st.lists(
    st.tuples(st.integers(0, 9), *[st.integers(0, 20)] * 3),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("library", ["numpy", "torch", "array_api_strict"])
@settings(deadline=None, max_examples=50)
@given(codes=CODES)
@example(codes=[(0, 0, 3, 0), (0, 1, 1, 0), (7, 2, 1, 0)])
def test_programs_of_views_and_writes(library, codes):
    pytest.importorskip(library, reason=f"needs {library}")
    backend = get_backend(library)
    x = backend.xp.astype(backend.xp.arange(12), backend.xp.float64) / 7
    plain = float(run(x, codes))
    reshapes = any(code[0] == 2 for code in codes)
    with contextlib.suppress(DifferentiationError) if reshapes else contextlib.nullcontext():
        assert float(anynet.value_and_grad(run)(x, codes)[0]) == pytest.approx(plain, rel=1e-12)


def test_functions_table_lists_every_view(backend):
    """The table has every function that returns a view or its argument, for arrays of each kind."""
    xp = backend.xp
    # The last two are decompositions. A diff of order 0 is its argument.
    known = {
        *FUNCTIONS,
        "linalg.matrix_transpose",
        "broadcast_arrays",
        "diff",
    }
    arrays = [
        normal(backend, 3, 3),
        xp.reshape(xp.arange(9), (3, 3)),
        normal(backend, 3, 3) + 1j,
    ]
    for name in STANDARD:
        for array in arrays:
            for args in ((), ((3, 3),), ((0, 1),), (0,), (array.dtype,)):
                x = xp.asarray(array, copy=True)
                try:
                    function = xp
                    for part in name.split("."):
                        function = getattr(function, part)
                    out = function(x, *args)
                    out = out if isinstance(out, tuple | list) else (out,)
                    for y in out:
                        y[...] = xp.zeros_like(y)
                except Exception:
                    continue
                if bool(xp.any(x != array)):
                    assert name in known, (name, args)


KEYS = {
    "integer": 1,
    "integer of NumPy": np.int64(1),
    "integers of NumPy": (np.int64(1), np.int64(0)),
    "an integer of each": (1, np.int64(2)),
    "integer and slice": (np.int64(1), slice(1, None)),
    "slice and integer": (slice(None), np.int64(1)),
    "integers and ellipsis": (np.int64(1), np.int64(0), ...),
    "array": np.array([1, 0]),
    "array and integer": (np.array([1, 0]), np.int64(2)),
    "array and slice": (np.array([0]), slice(0, 2)),
    "array of no axes": (np.array(1), ...),
    "mask": np.array([True, False]),
    "new axis": (None, np.int64(1)),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_indexing_returns_views_as_in_the_library(library, key):
    pytest.importorskip(library, reason=f"needs {library}")
    backend = get_backend(library)
    x = normal(backend, 2, 3)
    parts = [
        backend.asarray(k) if isinstance(k, np.ndarray) else k
        for k in (key if type(key) is tuple else (key,))
    ]

    def f(x):
        y = x * 2
        part = y[tuple(parts)]
        part *= x[0, 1]
        return total(y * y * y) + total(part)

    value, gradient = anynet.value_and_grad(f)(x)
    assert_close(value, host(f(x)))
    assert_close(
        gradient,
        host(anynet.numerical.numerical_gradient(f, x)),
        rtol=1e-6,
        atol=1e-8,
    )


@pytest.mark.parametrize(
    ("to", "of"),
    [
        (slice(2), slice(1, 3)),
        (slice(1, 3), slice(2)),
        (1, 0),
        ((0, ...), (2, ...)),
        ((slice(1), ...), slice(1, 2)),
    ],
)
@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_writing_one_part_into_another(library, to, of):
    pytest.importorskip(library, reason=f"needs {library}")
    backend = get_backend(library)
    x = normal(backend, 3, 2)

    def f(x):
        y = array_namespace(x).concat([x, x * x])
        y[to] = y[of] * 1 if library == "torch" else y[of]
        return total(y * y * y)

    a = host(x)
    y = np.concatenate([a, a * a])
    y[to] = y[of].copy()
    value, gradient = anynet.value_and_grad(f)(x)
    assert_close(value, np.sum(y**3))
    assert_close(
        gradient,
        host(anynet.numerical.numerical_gradient(f, x)),
        rtol=1e-6,
        atol=1e-8,
    )
