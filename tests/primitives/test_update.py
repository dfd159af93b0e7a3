"""The update of all parameters in one call: kernels beside the update of each parameter."""

import numpy as np
import pytest
from helpers import assert_close, host, normal
from kernels_and_references import primitive_of

import anynet
from anynet.array import array_namespace
from anynet.errors import ArgumentError, ShapeError
from anynet.primitives.update import apply_to_each

ADAMW = {"betas": (0.9, 0.999), "eps": 1e-8, "amsgrad": False}
ADAM = {**ADAMW, "weight_decay": 0.0}
MOMENTUM = {"momentum": 0.9, "dampening": 0.0, "nesterov": False, "weight_decay": 0.0}

RMSPROP = {
    "alpha": 0.9,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "momentum": 0.0,
    "centered": False,
}

#: Arrays of a parameter, scalars and settings.
UPDATES = {
    "sgd_update": (2, (0.5,), {"weight_decay": 0.0}),
    "sgd_update with decay": (2, (0.5,), {"weight_decay": 0.1}),
    "momentum_update": (3, (0.5, 1.0), MOMENTUM),
    "momentum_update with decay": (3, (0.5, 1.0), {**MOMENTUM, "weight_decay": 0.1}),
    "momentum_update with dampening": (3, (0.5, 0.7), {**MOMENTUM, "dampening": 0.3}),
    "momentum_update by Nesterov": (3, (0.5, 1.0), {**MOMENTUM, "nesterov": True}),
    "momentum_update by Nesterov with decay": (
        3,
        (0.5, 1.0),
        {**MOMENTUM, "nesterov": True, "weight_decay": 0.1},
    ),
    "adam_update": (4, (0.1, 1.5), ADAM),
    "adam_update with decay": (4, (0.1, 1.5), {**ADAM, "weight_decay": 0.1}),
    "adam_update with amsgrad": (5, (0.1, 1.5), {**ADAM, "amsgrad": True}),
    "adagrad_update": (3, (0.1,), {"weight_decay": 0.0, "eps": 1e-10}),
    "adagrad_update with decay": (3, (0.1,), {"weight_decay": 0.1, "eps": 1e-3}),
    "rmsprop_update": (3, (0.1,), RMSPROP),
    "rmsprop_update with decay": (3, (0.1,), {**RMSPROP, "weight_decay": 0.1}),
    "rmsprop_update with momentum": (4, (0.1,), {**RMSPROP, "momentum": 0.9}),
    "rmsprop_update with all": (5, (0.1,), {**RMSPROP, "momentum": 0.9, "centered": True}),
    "adamw_update": (4, (0.1, 1.5, 1.0), ADAMW),
    "adamw_update with decay": (4, (0.1, 1.5, 0.99), ADAMW),
    "adamw_update with amsgrad": (5, (0.1, 1.5, 0.99), {**ADAMW, "amsgrad": True}),
}


def test_update_writes_into_no_argument(backend):
    p, g = normal(backend, 3, 2), normal(backend, 3, 2, seed=1)
    before = host(p).copy(), host(g).copy()
    (new,) = primitive_of("sgd_update")(0.5, p, g, weight_decay=0.0)
    assert_close(new, before[0] - 0.5 * before[1], like=p)
    np.testing.assert_array_equal(host(p), before[0])
    np.testing.assert_array_equal(host(g), before[1])


@pytest.mark.parametrize("shape", [(3, 2), (300, 300)], ids=str)
def test_two_updates_in_one_compiled_step(backend, shape):
    """The second one may be written over its argument."""
    p, g = normal(backend, *shape, dtype="float32"), normal(backend, *shape, dtype="float32")

    def descend(p, g):
        for _ in range(2):
            (p,) = primitive_of("sgd_update")(0.25, p, g, weight_decay=0.1)
        return array_namespace(p).sum(p, axis=0)

    compiled = anynet.compile(descend)
    for _ in range(2):
        assert_close(compiled(p, g), host(descend(p, g)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (3, 2), (0, 3), (300, 250)], ids=str)
@pytest.mark.parametrize("name", UPDATES)
def test_kernels_agree_with_the_reference_for_two_parameters(backend, name, shape, dtype):
    """Also transposed arrays, arrays larger than a block, and read-only ones."""
    count, scalars, settings = UPDATES[name]
    update = primitive_of(name.partition(" ")[0])
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    values = [
        np.random.default_rng(seed).uniform(0.1, 1, size=shape).astype(dtype)
        for seed in range(2 * count)
    ]
    for transposed in (False, True):
        given = [x.T if transposed else x for x in values]
        arrays = [backend.asarray(x) for x in given]
        if backend.name == "numpy":
            for x in arrays:
                x.setflags(write=False)
        results = update(*scalars, *arrays, **settings)
        expected = update.reference(*scalars, *arrays, **settings)
        for x, y in zip(results, expected, strict=True):
            assert_close(x, host(y), like=arrays[0], rtol=tolerance, atol=tolerance)
        for x, before in zip(arrays, given, strict=True):
            np.testing.assert_array_equal(host(x), before)


def test_update_with_other_slots_or_shapes_raises(backend):
    p, g = normal(backend, 3), normal(backend, 3, seed=1)

    def forgets(parameter, gradient, slots, scalars):
        return parameter, ()

    def grows(parameter, gradient, slots, scalars):
        return parameter[None, :], slots

    with pytest.raises(ArgumentError, match="forgets returned 0 slots: wanted 1"):
        apply_to_each(forgets, 1, (0.1,), (p, g, p))
    with pytest.raises(ShapeError, match=r"grows returned .* shape \(1, 3\): wanted \(3,\)"):
        apply_to_each(grows, 0, (0.1,), (p, g))
