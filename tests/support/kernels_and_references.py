"""Kernels beside their references, in dtypes of every kind."""

import operator

import numpy as np
from examples_of_kernels import cases
from helpers import host

from anynet import primitives
from anynet.backend import kernels_for
from anynet.optimizers import SGD, Adam, Momentum
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

#: Primitives that are neither hot operations nor functions of the standard.
OTHERS = {step.name: step for step in (getitem, index_add, place, put, scatter_add, sum_to)}
OTHERS |= {kind._fused.name: kind._fused for kind in (SGD, Momentum, Adam)}

DTYPES = """
    bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64
    complex64 complex128
""".split()
#: Relative to the largest value.
ROUNDING = {
    "float16": 1e-2,
    "bfloat16": 5e-2,
    "float32": 1e-4,
    "complex64": 1e-4,
}
SMALL = 2000
#: Kernels that add, which booleans are not given to.
SUMS = ("index_add", "scatter_add")


def on(backend, x):
    """Return an argument with its array on the backend."""
    return backend.asarray(x) if isinstance(x, np.ndarray) else x


def arguments(backend, name, args, settings):
    """Return the arguments of an example on the backend, complete.

    The gradient of max_pool2d takes the result of the backend's kernel, which may carry data for
    it."""
    args = [on(backend, x) for x in args]
    if name == "max_pool2d_gradient":
        args.append(kernels_for(backend.xp)["max_pool2d"](args[1], **settings))
    return args


def primitive_of(name):
    return getattr(primitives, name, None) or OTHERS.get(name) or STANDARD[name]


def reference_of(name, xp):
    """Return the reference, or the library's function of the standard."""
    return primitive_of(name).reference or operator.attrgetter(name)(xp)


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
    """Return the names of dtypes for each argument: one for all, then another one for each number
    but the first."""
    numbers = [i for i, x in enumerate(args) if isinstance(x, np.ndarray) and x.dtype == np.float64]
    found = [[name] * len(args) for name in known] if numbers else [["float64"] * len(args)]
    for i in numbers[1:]:
        pairs = [
            ("float64", "float32"),
            ("float32", "float64"),
            ("float32", "float16"),
            ("float64", "complex64"),
        ]
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
        if x.shape != y.shape or not np.allclose(
            x, y, rtol=0, atol=tolerance * largest, equal_nan=True
        ):
            return False
    return True


def differing(backend, kernels, known, most=None):
    """Return the names of kernels that neither decline nor compute what the references do, and the
    dtypes.

    Known dtypes are tried, and arrays of two dtypes together. What the reference raises for is no
    part of this: a kernel may do more."""
    xp, examples = backend.xp, cases("float64")
    found = []
    for name, kernel in kernels.items():
        step = primitive_of(name)
        reference = reference_of(name, xp)
        for i, (args, settings) in enumerate(examples[name][:most]):
            if sum(x.size for x in args if isinstance(x, np.ndarray)) > SMALL:
                continue
            for names in mixtures(args, known)[: None if most is None else 2 * most]:
                if not all(hasattr(xp, dtype) for dtype in names):
                    continue
                arrays = [in_dtype(backend, x, dtype) for x, dtype in zip(args, names, strict=True)]
                if name in SUMS and "bool" in names:
                    continue
                if step.kind is not None and not xp.isdtype(arrays[0].dtype, step.kind):
                    # Raises before it looks for a kernel.
                    continue
                if name == "max_pool2d_gradient":
                    if names[0] != names[1]:
                        continue
                    arrays.append(primitives.max_pool2d(arrays[1], **settings))
                wanted = outcome(reference, arrays, settings)
                out = NotImplemented if wanted is None else outcome(kernel, arrays, settings)
                if out is not NotImplemented and not near(out, wanted, names):
                    found.append((name, i, *dict.fromkeys(names)))
    return found
