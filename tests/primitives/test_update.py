"""Updates of optimizers."""

import numpy as np
import pytest
from helpers import assert_close, host, numbers

import anynet
from anynet import primitives
from anynet.array import array_namespace


def test_updates_leave_their_arguments_alone(implementation, backend):
    p, g = numbers(backend, 3, 2), numbers(backend, 3, 2, seed=1)
    before = host(p).copy(), host(g).copy()
    assert_close(
        primitives.sgd_update(0.5, p, g)[0],
        before[0] - 0.5 * before[1],
        like=p,
    )
    np.testing.assert_array_equal(host(p), before[0])
    np.testing.assert_array_equal(host(g), before[1])


@pytest.mark.parametrize("shape", [(3, 2), (300, 300)])
def test_two_updates_in_one_compiled_step(backend, shape):
    """The second one may be written over its argument."""
    p, g = numbers(backend, *shape, dtype="float32"), numbers(backend, *shape, dtype="float32")

    def descend(p, g):
        for _ in range(2):
            (p,) = primitives.sgd_update(0.25, p, g)
        return array_namespace(p).sum(p, axis=0)

    compiled = anynet.compile(descend)
    for _ in range(2):
        assert_close(compiled(p, g), host(descend(p, g)), rtol=1e-4, atol=1e-4)


UPDATES = {
    "sgd_update": (2, (0.5,)),
    "momentum_update": (3, (0.5, 0.9, False)),
    "momentum_update by Nesterov": (3, (0.5, 0.9, True)),
    "adam_update": (4, (0.1, 1.5, 1.0, 0.9, 0.999, 1e-8)),
    "adam_update decaying": (4, (0.1, 1.5, 0.99, 0.9, 0.999, 1e-8)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UPDATES)
def test_kernels_of_updates(backend, name, dtype):
    """As the references do, for arrays of no axes, larger than a kernel's blocks, transposed;
    read-only ones.

    Two parameters at once."""
    count, settings = UPDATES[name]
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    update = getattr(primitives, name.partition(" ")[0])
    for shape in [(), (3, 2), (0, 3), (300, 250)]:
        given = [
            np.random.default_rng(seed).uniform(0.1, 1, size=shape).astype(dtype)
            for seed in range(2 * count)
        ]
        for transposed in (False, True):
            arrays = [backend.asarray(x.T if transposed else x) for x in given]
            if backend.name == "numpy":
                for x in arrays:
                    x.setflags(write=False)
            found, expected = (
                update(*settings, *arrays),
                update.reference(*settings, *arrays),
            )
            for x, wanted in zip(found, expected, strict=True):
                assert_close(
                    x,
                    host(wanted),
                    like=arrays[0],
                    rtol=tolerance,
                    atol=tolerance,
                )
            for x, before in zip(arrays, given, strict=True):
                np.testing.assert_array_equal(host(x), before.T if transposed else before)
