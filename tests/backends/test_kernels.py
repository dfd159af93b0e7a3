"""Every kernel accepts the ordinary arguments of training and agrees with its reference.

A kernel that declines leaves its call to the reference, so other tests would pass without it.
"""

import operator

import numpy as np
import pytest
from examples_of_kernels import IMAGES, PAIRS, cases
from helpers import host
from kernels_and_references import (
    DTYPES,
    arguments,
    complete,
    differing,
    reference_of,
    results_of,
)

from anynet.backend import get_backend, kernels_for
from anynet.compiler.target import target_of

#: What kernels decline on a CPU by design, as (kernel, number of the case): some are for GPUs only.
DECLINED = {
    "torch": {("sum_to", 0), ("sum_to", 1), ("max_pool2d_with_residuals", 0)},
    "jax": {("conv2d_input_gradient", 3)},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_accept_ordinary_arguments(backend, dtype):
    given, kernels = cases(dtype), kernels_for(backend.xp)
    assert kernels.keys() <= given.keys()
    declined, differing = set(), []
    for name, kernel in kernels.items():
        for i, (args, settings) in enumerate(given[name]):
            arrays = arguments(backend, name, args, settings)
            plain = complete(name, args, settings)
            found = kernel(*arrays, **settings)
            if found is NotImplemented:
                declined.add((name, i))
                continue
            # On NumPy, which is quicker than compiling each of its calls, and can write into
            # arrays.
            wanted = reference_of(name, get_backend("numpy").xp)(*plain, **settings)
            found, wanted = (results_of(name, x) for x in (found, wanted))
            differing += [
                (name, i) for x, y in zip(found, wanted, strict=True) if not alike(host(x), y)
            ]
    assert declined <= DECLINED.get(backend.name, set())
    assert differing == []


def alike(found, wanted):
    tolerance = 1e-4 if wanted.dtype == np.float32 else 1e-10
    return found.dtype == wanted.dtype and np.allclose(
        found, wanted, rtol=tolerance, atol=tolerance
    )


#: Cases for which a lowering returns NotImplemented, as (kernel, index of the case).
NO_LOWERING = {
    "numpy": {("relu", 1), ("relu", 3), ("matrix_transpose", 1)},
    "torch": {
        ("affine", 1),
        ("matmul", 2),
        ("max_pool2d", 1),
        ("max_pool2d_gradient", 1),
    },
    # It multiplies what is narrow as it is, and looks for no largest in pairs.
    "torch on a GPU": {
        (name, i) for name in ("max_pool2d", "max_pool2d_gradient") for i in range(2)
    },
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lowerings_agree_with_their_kernels(backend, dtype):
    """The cases of NO_LOWERING decline. A compiled step calls the kernel for them."""
    given, kernels = cases(dtype), kernels_for(backend.xp)
    declined, differing = set(), []
    for name, kernel in kernels.items():
        for i, (args, settings) in enumerate(
            given[name] if kernel in backend.kernels.lowerings else []
        ):
            arrays = arguments(backend, name, args, settings)
            wanted = kernel(*arrays, **settings)
            if wanted is NotImplemented:
                continue
            found = backend.kernels.lowerings[kernel](operator.call, *arrays, **settings)
            if found is NotImplemented:
                declined.add((name, i))
                continue
            found, wanted = (results_of(name, x) for x in (found, wanted))
            differing += [
                (name, i) for x, y in zip(found, wanted, strict=True) if not alike(host(x), host(y))
            ]
    on_gpu = backend.name == "torch" and target_of(backend).has_loop
    assert declined == NO_LOWERING.get("torch on a GPU" if on_gpu else backend.name, set())
    assert differing == []


F32, F64 = np.ones((4, 6), "float32"), np.ones((4, 6))
ADAMW = {"betas": (0.9, 0.999), "eps": 1e-8, "amsgrad": False}
MOMENTUM = {"momentum": 0.9, "dampening": 0.0, "nesterov": False, "weight_decay": 0.1}
IMAGE32, IMAGE64 = np.ones((1, 2, 4, 4), "float32"), np.ones((1, 2, 4, 4))

#: What NumPy's kernels leave to the references: arrays of two dtypes, scalars, empty arrays, other
#: dtypes.
LEFT = [
    ("relu", (np.ones(3, "int64"),), {}),
    ("relu_gradient", (F64, F32), {}),
    ("relu_gradient", (np.array(1.0), np.array(1.0)), {}),
    ("erf", (np.array(0.5),), {}),
    ("softmax_cross_entropy", (F32, np.ones(4)), {}),
    ("softmax_cross_entropy", (F32, F32), {}),
    ("softmax_cross_entropy", (F32[:0], np.ones(0, "int64")), {}),
    ("sgd_update", (0.5, F32, F64), {"weight_decay": 0.1}),
    ("sgd_update", (0.5, np.array(1.0), np.array(1.0)), {"weight_decay": 0.1}),
    ("momentum_update", (0.5, 1.0, F32, F64, F32), MOMENTUM),
    ("momentum_update", (0.5, 1.0, *[np.array(1.0)] * 3), MOMENTUM),
    ("momentum_update", (0.5, 0.7, F32, F32, F32), {**MOMENTUM, "dampening": 0.3}),
    ("adam_update", (0.1, 1.0, F32, F64, F32, F32), {**ADAMW, "weight_decay": 0.1}),
    ("adam_update", (0.1, 1.0, *[np.array(1.0)] * 4), {**ADAMW, "weight_decay": 0.1}),
    (
        "adam_update",
        (0.1, 1.0, *[F32] * 5),
        {**ADAMW, "weight_decay": 0.1, "amsgrad": True},
    ),
    ("adamw_update", (0.1, 1.0, 0.9, F32, F64, F32, F32), ADAMW),
    ("adamw_update", (0.1, 1.0, 0.9, *[F32] * 5), {**ADAMW, "amsgrad": True}),
    ("sum_to", (np.ones((2, 3, 4)), (4,)), {}),
    ("sum_to", (F32, (1, 6)), {}),
    ("sum_to", (np.ones((2, 3), "int64"), (3,)), {}),
    ("conv2d", (IMAGE32, IMAGE64, None), IMAGES),
    ("conv2d", (IMAGE32, IMAGE32, np.ones(1)), IMAGES),
    ("conv2d", (IMAGE32[:0], IMAGE32, None), IMAGES),
    ("conv2d_weight_gradient", (IMAGE32, IMAGE64, (2, 2)), IMAGES),
    ("conv2d_input_gradient", (IMAGE32, IMAGE64, (7, 7)), IMAGES),
    ("max_pool2d", (IMAGE32.astype("int64"),), PAIRS),
    (
        "max_pool2d_gradient",
        (IMAGE64[:, :, :2, :2], IMAGE32, IMAGE32[:, :, :2, :2]),
        PAIRS,
    ),
    ("standardize", (F32[:0], (0,), 1e-5), {}),
    ("standardize", (F32.astype("int64"), (0,), 1e-5), {}),
    ("standardize_gradient", (F64, F32, F32[:1], (0,), 1e-5), {}),
    ("batch_norm", (F32, np.ones(6), np.ones(6, "float32"), 1e-5), {}),
    (
        "batch_norm_gradient",
        (F64, F32, *[np.ones(6, "float32")] * 3, 1e-5),
        {},
    ),
]


@pytest.mark.parametrize(("name", "args", "settings"), LEFT)
def test_kernels_decline_other_arguments(name, args, settings):
    assert get_backend("numpy").kernels[name](*args, **settings) is NotImplemented


def test_kernels_agree_with_the_references_in_every_dtype(backend):
    """They may decline. Arguments of two dtypes are tested, too."""
    kernels = kernels_for(backend.xp)
    if backend.name == "jax":
        # JAX compiles for every dtype and shape: a sample is tested.
        kernels = {name: kernels[name] for name in ("conv2d", "erf", "index_add", "take")}
        assert differing(backend, kernels, ["float16"], 1) == []
    else:
        assert (
            differing(
                backend,
                kernels,
                [name for name in DTYPES if hasattr(backend.xp, name)],
            )
            == []
        )


def test_onnx_operators_accept_arrays_of_two_dtypes():
    pytest.importorskip("ndonnx", reason="needs ndonnx")
    backend = get_backend("ndonnx")
    kernels = {name: kernels_for(backend.xp)[name] for name in ("affine", "conv2d")}
    assert differing(backend, kernels, [], 1) == []
