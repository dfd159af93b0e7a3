"""Comparison of kernels with their references, in all dtypes."""

import operator
from itertools import islice

import numpy as np
from examples_of_kernels import cases
from helpers import host

from anynet import primitives
from anynet.optimizers import SGD, AdaGrad, Adam, AdamW, Momentum, RMSprop
from anynet.primitives.indexing import (
    getitem,
    index_add,
    place,
    put,
    scatter_add,
    sum_to,
)
from anynet.tracing.standard import STANDARD
from anynet.tracing.trace import Primitive

#: The hot operations, by the names under which kernels are registered.
PRIMITIVES = {
    name: value for name, value in vars(primitives).items() if isinstance(value, Primitive)
}

#: Optimizers with a kernel.
FUSED = (SGD, Momentum, AdaGrad, RMSprop, Adam, AdamW)

#: Primitives that are neither hot operations nor functions of the standard.
OTHERS = {step.name: step for step in (getitem, index_add, place, put, scatter_add, sum_to)}
OTHERS |= {kind._fused.name: kind._fused for kind in FUSED}

DTYPES = """
    bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64
    complex64 complex128
""".split()
#: Dtypes of the first argument and of another one.
PAIRS = [
    ("float64", "float32"),
    ("float32", "float64"),
    ("float32", "float16"),
    ("float64", "complex64"),
]
#: Tolerances relative to the largest value.
ROUNDING = {"float16": 1e-2, "bfloat16": 5e-2, "float32": 1e-4, "complex64": 1e-4}
#: The number of elements above which an example is too slow for all dtypes.
SMALL = 2000
#: Kernels that add, and do not take booleans.
SUMS = ("index_add", "scatter_add")


def on(backend, x):
    """Return an argument with its array on the backend."""
    return backend.asarray(x) if isinstance(x, np.ndarray) else x


def arguments(backend, name, args, settings):
    """Return the arguments of an example on the backend, complete."""
    return complete(name, [on(backend, x) for x in args], settings)


def complete(name, args, settings):
    """Return the arguments, and the results of the forward pass for a gradient that takes them."""
    if name != "max_pool2d_gradient":
        return args
    return [*args, *primitives.max_pool2d_with_residuals(args[1], **settings)]


def results_of(name, out):
    """Return a tuple of the results, without residuals, which a reference does not have."""
    if name == "max_pool2d_with_residuals":
        return out[:1]
    return out if isinstance(out, tuple) else (out,)


def primitive_of(name):
    return getattr(primitives, name, None) or OTHERS.get(name) or STANDARD[name]


def reference_of(name, xp):
    """Return the reference, or the library's function of the standard."""
    return primitive_of(name).reference or operator.attrgetter(name)(xp)


def in_dtype(backend, x, name):
    """Return real values in a dtype. Indices, labels and masks keep theirs."""
    if not is_real(x):
        return on(backend, x)
    if "complex" in name:
        x = x * (1 + 0.5j)
    elif name == "bool":
        x = x > 0
    elif "float" not in name:
        x = np.round(4 * (np.abs(x) if name.startswith("u") else x)).astype("int64")
    return backend.xp.astype(backend.asarray(x), getattr(backend.xp, name))


def is_real(x):
    """Return whether an argument is an array of real values, which tests cast to other dtypes."""
    return isinstance(x, np.ndarray) and x.dtype == np.float64


def mixtures(args, known):
    """Yield a name of a dtype for each argument: one name for all, then pairs of names."""
    real = [i for i, x in enumerate(args) if is_real(x)]
    for name in known if real else ["float64"]:
        yield [name] * len(args)
    for i in real[1:]:
        for first, other in PAIRS:
            yield [other if i == j else first for j in range(len(args))]


def outcome(name, function, args, settings):
    """Return a tuple of results, or None if the function raises."""
    try:
        out = function(*args, **settings)
    except Exception:
        return None
    return out if out is NotImplemented else results_of(name, out)


def near(results, expected, names):
    """Return whether the results have the expected dtypes, shapes and values."""
    if results is None or [x.dtype for x in results] != [y.dtype for y in expected]:
        return False
    tolerance = max(ROUNDING.get(name, 1e-9) for name in names)
    for x, y in zip(map(host, results), map(host, expected), strict=True):
        if x.shape != y.shape:
            return False
        largest = np.abs(y[np.isfinite(y)]).max(initial=1.0)
        if not np.allclose(x, y, rtol=0, atol=tolerance * largest, equal_nan=True):
            return False
    return True


def arrays_of(backend, name, args, settings, names):
    """Return the arguments in dtypes, or None if the kernel never gets such arguments."""
    xp = backend.xp
    if not all(hasattr(xp, dtype) for dtype in names) or (name in SUMS and "bool" in names):
        return None
    arrays = [in_dtype(backend, x, dtype) for x, dtype in zip(args, names, strict=True)]
    kind = primitive_of(name).kind
    if kind is not None and not xp.isdtype(arrays[0].dtype, kind):
        return None
    if name == "max_pool2d_gradient" and names[0] != names[1]:
        return None
    return complete(name, arrays, settings)


def differing(backend, kernels, known, most=None):
    """Return (name, index of the example, dtypes) for each kernel whose results differ from those
    of its reference.

    A kernel may decline, and may compute where the reference raises. `known` names the dtypes, and
    `most` limits the examples of a kernel.
    """
    examples = cases("float64")
    differences = []
    for name, kernel in kernels.items():
        reference = reference_of(name, backend.xp)
        for i, (args, settings) in enumerate(examples[name][:most]):
            if sum(x.size for x in args if isinstance(x, np.ndarray)) > SMALL:
                continue
            for names in islice(mixtures(args, known), None if most is None else 2 * most):
                arrays = arrays_of(backend, name, args, settings, names)
                expected = None if arrays is None else outcome(name, reference, arrays, settings)
                if expected is None:
                    continue
                results = outcome(name, kernel, arrays, settings)
                if results is not NotImplemented and not near(results, expected, names):
                    differences.append((name, i, *dict.fromkeys(names)))
    return differences
