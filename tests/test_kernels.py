"""Kernels take what they are made for: where one declines, the reference answers in its place, and tests pass.

Each kernel of the backend is called by itself, with the dtypes and shapes of ordinary training, and compared with the
reference or the library's own function.
"""

import operator

import numpy as np
import pytest
from helpers import host

from anynet import primitives
from anynet.autodiff.backward import sum_to
from anynet.autodiff.rules.indexing import index_add, place, put, scatter_add
from anynet.backend import get_backend, kernels_for

REFERENCES = {function.name: function.reference for function in (index_add, place, put, scatter_add, sum_to)}
REFERENCES["getitem"] = operator.getitem

#: What kernels decline on a CPU by design, as (kernel, number of the case): some are for GPUs only.
DECLINED = {"torch": {("sum_to", 0), ("sum_to", 1)}, "jax": {("conv2d_transposed", 3)}}

IMAGES = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
UNEVEN = {"stride": (1, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 1), "groups": 2}
#: More padding than a kernel of 2 × 2 reaches over.
WIDE = {"stride": (1, 1), "padding": ((2, 2), (2, 1)), "dilation": (1, 1), "groups": 1}
STRIDED = {"stride": (2, 1), "padding": ((1, 1), (0, 0)), "dilation": (1, 2), "groups": 1}
PAIRS = {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0))}
OVERLAPPING = {"kernel": (3, 2), "stride": (2, 1), "padding": ((1, 1), (0, 0))}


def cases(dtype):
    """Return what each kernel is made for: lists of positional and keyword arguments, in NumPy's arrays."""
    generator = np.random.default_rng(0)

    def f(*shape):
        return generator.normal(size=shape).astype(dtype)

    def positive(*shape):
        return generator.uniform(0.1, 1, size=shape).astype(dtype)

    def integers(*shape, below=4):
        return generator.integers(0, below, shape)

    x, large = f(4, 6), f(300, 260)
    words = generator.integers(-(2**31), 2**31, (3, 10_000)).astype("int32")
    booleans = generator.random((2, 3, 6)) < 0.5
    booleans[..., 0] = True
    images, wide = f(3, 4, 7, 8), f(2, 1, 9, 9)
    variance = positive(1, 6)
    updates = [(positive(3, 2), positive(300, 260)) for _ in range(4)]

    def in_turn(kinds):
        return [array for kind in updates[:kinds] for array in kind]

    pairs = [((f(4, 6), f(4, 6)), {}), ((f(4, 1), f(6)), {}), ((f(), f()), {})]
    whole = [((integers(4, 6), integers(4, 6)), {})]
    compared = pairs + whole
    one = [((x,), {}), ((large,), {}), ((f(2, 3, 4),), {}), ((large.T,), {})]
    with_number = [*pairs, ((f(4, 6), 0.5), {})]
    return {
        **dict.fromkeys(("atan2", "copysign", "hypot", "logaddexp", "nextafter", "remainder"), pairs),
        **dict.fromkeys(("floor_divide", "maximum", "minimum"), pairs),
        **dict.fromkeys(("equal", "greater", "greater_equal", "less", "less_equal", "not_equal"), compared),
        **dict.fromkeys(("add", "divide", "multiply", "subtract"), with_number),
        "pow": [((positive(4, 6), positive(4, 6)), {}), ((positive(4, 6), 0.5), {})],
        **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), whole),
        **dict.fromkeys(("elu", "erf", "gelu", "leaky_relu", "mish", "relu", "selu", "sigmoid", "softplus"), one),
        **dict.fromkeys(("sign", "softmax", "log_softmax"), one),
        "relu_gradient": [((f(4, 6), positive(4, 6) - 0.5), {}), ((f(300, 260), large), {})],
        "matmul": [((f(4, 6), f(6, 3)), {}), ((f(2, 4, 6), f(6, 3)), {}), ((f(2000, 50), f(50, 3)), {})],
        "matrix_transpose": [((x,), {}), ((f(2, 3, 4),), {})],
        "affine": [((f(4, 6), f(6, 3), f(3)), {}), ((f(2000, 50), f(50, 3), f(3)), {})],
        "adam_update": [((0.1, 1.5, decay, 0.9, 0.999, 1e-8, *in_turn(4)), {}) for decay in (1.0, 0.99)],
        "momentum_update": [((0.5, 0.9, nesterov, *in_turn(3)), {}) for nesterov in (False, True)],
        "sgd_update": [((0.5, *in_turn(2)), {})],
        "softmax_cross_entropy": [
            ((x, labels.astype(kind)), {})
            for labels in (integers(4, below=6),)
            for kind in ("uint8", "int16", "int32", "int64")
        ],
        "masked_softmax": [((f(2, 3, 6), booleans), {}), ((f(2, 2, 3, 6), booleans[0]), {})],
        "threefry": [((words[0, :2], words[1], words[2]), {}), ((words[0, :2], words[1, :1], words[2, :1]), {})],
        "standardize": [((x, (1,), 1e-5), {}), ((images, (0, 2, 3), 1e-5), {}), ((f(2, 3, 5), (1, 2), 1e-5), {})],
        "standardize_gradient": [((f(4, 6), x, variance, (0,), 1e-5), {})],
        "batch_norm": [((images, f(4), f(4), 1e-5), {}), ((x, f(6), f(6), 1e-5), {})],
        "batch_norm_gradient": [((f(3, 4, 7, 8), images, f(4), f(4), positive(4), 1e-5), {})],
        "conv2d": [
            ((images, f(5, 4, 3, 3), f(5)), IMAGES),
            ((images, f(6, 2, 2, 3), None), UNEVEN),
            ((images, f(9, 4, 3, 2), f(9)), STRIDED),
            ((wide, f(8, 1, 5, 5), f(8)), IMAGES),
        ],
        "conv2d_weight": [((f(3, 5, 5, 6), images, (3, 3)), IMAGES), ((f(3, 6, 7, 9), images, (2, 3)), UNEVEN)],
        "conv2d_transposed": [
            ((f(3, 5, 5, 6), f(5, 4, 3, 3), (7, 8)), IMAGES),
            ((f(3, 6, 7, 9), f(6, 2, 2, 3), (7, 8)), UNEVEN),
            ((f(3, 5, 6, 6), f(5, 4, 2, 3), (7, 8)), IMAGES),
            ((f(3, 5, 10, 10), f(5, 4, 2, 2), (7, 8)), WIDE),
        ],
        "max_pool2d": [((images,), PAIRS), ((images,), OVERLAPPING)],
        "avg_pool2d": [((images,), PAIRS), ((images,), OVERLAPPING)],
        "spread_to_largest": [((f(3, 4, 3, 4), images), PAIRS), ((f(3, 4, 4, 7), images), OVERLAPPING)],
        "index_add": [((f(2, 5, 3), integers(5), 1, 4), {})],
        "scatter_add": [((f(2, 5, 3), integers(2, 5, 3), 1, 4), {}), ((f(2, 5), integers(2, 5), -1, 4), {})],
        "sum_to": [((x, (6,)), {}), ((large, (260,)), {})],
        "getitem": [((x, (slice(None, None, -1), 2)), {}), ((x, (..., slice(1, 4))), {})],
        "place": [((f(4), (slice(None), 2), (4, 6)), {}), ((f(2, 6), slice(1, 3), (4, 6)), {})],
        "put": [((x, (slice(None), 2), f(4)), {})],
        "take": [((x, integers(3)), {"axis": 0}), ((x, integers(5)), {"axis": -1})],
        "take_along_axis": [((x, integers(4, 3)), {"axis": 1}), ((x, integers(2, 6).astype("int32")), {"axis": 0})],
        "where": [((f(4, 6) > 0, f(4, 6), f(4, 6)), {})],
        "embedding": [((f(5, 3), integers(2, 3)), {})],
    }  # fmt: skip


def on(backend, x):
    """Return an argument with its array on the backend."""
    return backend.asarray(x) if isinstance(x, np.ndarray) else x


def reference_of(name):
    """Return the reference, or NumPy's function of the standard."""
    if name in REFERENCES:
        return REFERENCES[name]
    primitive = getattr(primitives, name, None)
    return getattr(get_backend("numpy").xp, name) if primitive is None else primitive.reference


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_take_what_they_are_made_for(backend, dtype):
    given, kernels = cases(dtype), kernels_for(backend.xp)
    assert kernels.keys() <= given.keys()
    declined, differing = set(), []
    for name, kernel in kernels.items():
        for i, (args, settings) in enumerate(given[name]):
            arrays, plain = [on(backend, x) for x in args], list(args)
            if name == "spread_to_largest":
                # The kernel of the way back may use what that of the way forward has kept.
                arrays.append(kernels["max_pool2d"](arrays[1], **settings))
                plain.append(primitives.max_pool2d.reference(plain[1], **settings))
            found = kernel(*arrays, **settings)
            if found is NotImplemented:
                declined.add((name, i))
                continue
            # On NumPy, which is quicker than compiling each of its calls, and can write into arrays.
            wanted = reference_of(name)(*plain, **settings)
            found, wanted = (x if isinstance(x, tuple) else (x,) for x in (found, wanted))
            differing += [(name, i) for x, y in zip(found, wanted, strict=True) if not alike(host(x), y)]
    assert declined <= DECLINED.get(backend.name, set())
    assert differing == []


def alike(found, wanted):
    tolerance = 1e-4 if wanted.dtype == np.float32 else 1e-10
    return found.dtype == wanted.dtype and np.allclose(found, wanted, rtol=tolerance, atol=tolerance)


#: What a kernel's own calls are not for, as (kernel, number of the case): the compiled step calls the kernel there.
NO_PARTS = {
    "numpy": {("relu", 1), ("relu", 3), ("matrix_transpose", 1)},
    "torch": {("affine", 1), ("matmul", 2), ("max_pool2d", 1), ("spread_to_largest", 1)},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parts_of_kernels_take_what_they_are_made_for(backend, dtype):
    """What a compiled step makes of a kernel computes what the kernel does, and does not decline either."""
    given, kernels = cases(dtype), kernels_for(backend.xp)
    declined, differing = set(), []
    for name, kernel in kernels.items():
        for i, (args, settings) in enumerate(given[name] if kernel in backend.parts else []):
            arrays = [on(backend, x) for x in args]
            if name == "spread_to_largest":
                arrays.append(kernels["max_pool2d"](arrays[1], **settings))
            wanted = kernel(*arrays, **settings)
            if wanted is NotImplemented:
                continue
            found = backend.parts[kernel](operator.call, *arrays, **settings)
            if found is NotImplemented:
                declined.add((name, i))
                continue
            found, wanted = (x if isinstance(x, tuple) else (x,) for x in (found, wanted))
            differing += [(name, i) for x, y in zip(found, wanted, strict=True) if not alike(host(x), host(y))]
    assert declined == NO_PARTS.get(backend.name, set())
    assert differing == []


F32, F64 = np.ones((4, 6), "float32"), np.ones((4, 6))
IMAGE32, IMAGE64 = np.ones((1, 2, 4, 4), "float32"), np.ones((1, 2, 4, 4))

#: What NumPy's kernels leave to the references: arrays of two dtypes, scalars, empty arrays, other dtypes.
LEFT = [
    ("relu", (np.ones(3, "int64"),), {}),
    ("relu_gradient", (F64, F32), {}),
    ("relu_gradient", (np.array(1.0), np.array(1.0)), {}),
    ("erf", (np.array(0.5),), {}),
    ("softmax_cross_entropy", (F32, np.ones(4)), {}),
    ("softmax_cross_entropy", (F32, F32), {}),
    ("softmax_cross_entropy", (F32[:0], np.ones(0, "int64")), {}),
    ("sgd_update", (0.5, F32, F64), {}),
    ("sgd_update", (0.5, np.array(1.0), np.array(1.0)), {}),
    ("momentum_update", (0.5, 0.9, False, F32, F64, F32), {}),
    ("momentum_update", (0.5, 0.9, False, *[np.array(1.0)] * 3), {}),
    ("adam_update", (0.1, 1.0, 1.0, 0.9, 0.999, 1e-8, F32, F64, F32, F32), {}),
    ("adam_update", (0.1, 1.0, 1.0, 0.9, 0.999, 1e-8, *[np.array(1.0)] * 4), {}),
    ("sum_to", (np.ones((2, 3, 4)), (4,)), {}),
    ("sum_to", (F32, (1, 6)), {}),
    ("sum_to", (np.ones((2, 3), "int64"), (3,)), {}),
    ("conv2d", (IMAGE32, IMAGE64, None), IMAGES),
    ("conv2d", (IMAGE32, IMAGE32, np.ones(1)), IMAGES),
    ("conv2d", (IMAGE32[:0], IMAGE32, None), IMAGES),
    ("conv2d_weight", (IMAGE32, IMAGE64, (2, 2)), IMAGES),
    ("conv2d_transposed", (IMAGE32, IMAGE64, (7, 7)), IMAGES),
    ("max_pool2d", (IMAGE32.astype("int64"),), PAIRS),
    ("spread_to_largest", (IMAGE64[:, :, :2, :2], IMAGE32, IMAGE32[:, :, :2, :2]), PAIRS),
    ("standardize", (F32[:0], (0,), 1e-5), {}),
    ("standardize", (F32.astype("int64"), (0,), 1e-5), {}),
    ("standardize_gradient", (F64, F32, F32[:1], (0,), 1e-5), {}),
    ("batch_norm", (F32, np.ones(6), np.ones(6, "float32"), 1e-5), {}),
    ("batch_norm_gradient", (F64, F32, *[np.ones(6, "float32")] * 3, 1e-5), {}),
]


@pytest.mark.parametrize(("name", "args", "settings"), LEFT)
def test_kernels_leave_what_they_are_not_made_for(name, args, settings):
    assert get_backend("numpy").kernels[name](*args, **settings) is NotImplemented
