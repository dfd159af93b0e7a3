"""Kernels take what they are made for: where one declines, the reference answers in its place, and tests pass.

Each kernel of the backend is called by itself, with the dtypes and shapes of ordinary training, and compared with the
reference or the library's own function.
"""

import operator

import numpy as np
import pytest
from examples_of_kernels import IMAGES, PAIRS, cases
from helpers import host

from anynet import primitives
from anynet.autodiff.backward import sum_to
from anynet.autodiff.rules.indexing import getitem, index_add, place, put, scatter_add
from anynet.autodiff.trace import STANDARD
from anynet.backend import get_backend, kernels_for

#: Primitives that are neither hot operations nor functions of the standard.
OTHERS = {step.name: step for step in (getitem, index_add, place, put, scatter_add, sum_to)}

#: What kernels decline on a CPU by design, as (kernel, number of the case): some are for GPUs only.
DECLINED = {"torch": {("sum_to", 0), ("sum_to", 1)}, "jax": {("conv2d_transposed", 3)}}


def on(backend, x):
    """Return an argument with its array on the backend."""
    return backend.asarray(x) if isinstance(x, np.ndarray) else x


def primitive_of(name):
    return getattr(primitives, name, None) or OTHERS.get(name) or STANDARD[name]


def reference_of(name, xp):
    """Return the reference, or the library's function of the standard."""
    return primitive_of(name).reference or operator.attrgetter(name)(xp)


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
            wanted = reference_of(name, get_backend("numpy").xp)(*plain, **settings)
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


DTYPES = """
    bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64 complex128
""".split()
#: Relative to the largest value.
ROUNDING = {"float16": 1e-2, "bfloat16": 5e-2, "float32": 1e-4, "complex64": 1e-4}
SMALL = 2000
#: Kernels that add, which booleans are not given to.
SUMS = ("index_add", "scatter_add")


def in_dtype(backend, x, name):
    """Return an array of numbers in a dtype; indices, labels and masks are as they are."""
    if not isinstance(x, np.ndarray) or x.dtype != np.float64:
        return on(backend, x)
    if "complex" in name:
        x = x * (1 + 0.5j)
    elif name == "bool":
        x = x > 0
    elif "float" not in name:
        x = np.round(4 * (np.abs(x) if name.startswith("u") else x)).astype("int64")
    return backend.xp.astype(backend.asarray(x), getattr(backend.xp, name))


def mixtures(args, known):
    """Return the names of dtypes for each argument: one for all, then another one for each number but the first."""
    numbers = [i for i, x in enumerate(args) if isinstance(x, np.ndarray) and x.dtype == np.float64]
    found = [[name] * len(args) for name in known] if numbers else [["float64"] * len(args)]
    for i in numbers[1:]:
        pairs = [("float64", "float32"), ("float32", "float64"), ("float32", "float16"), ("float64", "complex64")]
        for first, other in pairs:
            found.append([other if i == j else first for j in range(len(args))])
    return found


def outcome(function, args, settings):
    """Return the results, None where the library raises."""
    try:
        out = function(*args, **settings)
    except Exception:
        return None
    return out if out is NotImplemented or isinstance(out, tuple) else (out,)


def near(found, wanted, names):
    if found is None or [x.dtype for x in found] != [y.dtype for y in wanted]:
        return False
    tolerance = max(ROUNDING.get(name, 1e-9) for name in names)
    for x, y in zip(map(host, found), map(host, wanted), strict=True):
        largest = np.abs(y[np.isfinite(y)]).max(initial=1.0)
        if x.shape != y.shape or not np.allclose(x, y, rtol=0, atol=tolerance * largest, equal_nan=True):
            return False
    return True


def test_kernels_compute_what_the_references_do_in_every_dtype(backend):
    """Or they decline: in all dtypes of the library, also where arrays of two dtypes meet.

    What the reference raises for is no part of this: a kernel may do more.
    """
    xp, examples = backend.xp, cases("float64")
    # JAX compiles for every dtype and shape: a sample is tested.
    on_jax = backend.name == "jax"
    known = ["float16"] if on_jax else [name for name in DTYPES if hasattr(xp, name)]
    differing = []
    for name, kernel in kernels_for(xp).items():
        if on_jax and name not in ("conv2d", "erf", "index_add", "take"):
            continue
        step = primitive_of(name)
        reference = reference_of(name, xp)
        for i, (args, settings) in enumerate(examples[name][: 1 if on_jax else None]):
            if sum(x.size for x in args if isinstance(x, np.ndarray)) > SMALL:
                continue
            for names in mixtures(args, known)[: 2 if on_jax else None]:
                arrays = [in_dtype(backend, x, dtype) for x, dtype in zip(args, names, strict=True)]
                if name in SUMS and "bool" in names:
                    continue
                if step.kind is not None and not xp.isdtype(arrays[0].dtype, step.kind):
                    # Raises before it looks for a kernel.
                    continue
                if name == "spread_to_largest":
                    if names[0] != names[1]:
                        continue
                    arrays.append(primitives.max_pool2d(arrays[1], **settings))
                wanted = outcome(reference, arrays, settings)
                found = NotImplemented if wanted is None else outcome(kernel, arrays, settings)
                if found is not NotImplemented and not near(found, wanted, names):
                    differing.append((name, i, *dict.fromkeys(names)))
    assert differing == []
