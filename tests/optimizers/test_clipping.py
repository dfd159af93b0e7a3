"""Clipping beside PyTorch's."""

import math

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import layers, optimizers, tree
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    CompilationError,
    DTypeError,
    NonFiniteError,
)


def tensors(*arrays):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    parameters = [torch.zeros(x.shape, dtype=torch.asarray(x).dtype) for x in arrays]
    for parameter, x in zip(parameters, arrays, strict=True):
        parameter.grad = torch.asarray(x.copy())
    return torch.nn.utils, parameters


@pytest.mark.parametrize("max_norm", [0.5, 3.0, 1000.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_global_norm_agrees_with_pytorch(backend, max_norm, dtype):
    if not hasattr(backend.xp, dtype):
        pytest.skip(f"{backend} has no {dtype}")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in ((4, 3), (3,), (), (0, 2))]
    utils, parameters = tensors(*arrays)
    norm = utils.clip_grad_norm_(parameters, max_norm)
    a, b, c, d = map(backend.asarray, arrays)
    grads = {"a": a, "deep": [b, None, c], "empty": d}
    assert_close(optimizers.global_norm(grads), norm.numpy(), like=a, rtol=1e-5)
    clipped = optimizers.clip_by_global_norm(grads, max_norm)
    for x, parameter in zip(
        (clipped["a"], *clipped["deep"][::2], clipped["empty"]), parameters, strict=True
    ):
        assert_close(x, parameter.grad.numpy(), like=a, rtol=1e-5)
    assert clipped["deep"][1] is None
    np.testing.assert_array_equal(host(grads["a"]), arrays[0])


def test_value_agrees_with_pytorch(backend):
    x = np.asarray([-3.0, -0.5, 0.0, 0.7, 5.0, math.inf, math.nan], "float32")
    utils, parameters = tensors(x)
    utils.clip_grad_value_(parameters, 0.7)
    clipped = optimizers.clip_by_value({"x": backend.asarray(x), "none": None}, 0.7)
    np.testing.assert_array_equal(host(clipped["x"]), parameters[0].grad.numpy())
    assert clipped["none"] is None


def test_complex_gradients_count_by_their_modulus(backend):
    if not hasattr(backend.xp, "complex64"):
        pytest.skip(f"{backend} has no complex64")
    z = np.asarray([3 + 4j, 12j], "complex64")
    grads = {"z": backend.asarray(z), "x": backend.asarray(np.asarray([84.0], "float32"))}
    assert float(optimizers.global_norm(grads)) == pytest.approx(85.0)
    clipped = optimizers.clip_by_global_norm(grads, 8.5)
    assert_close(clipped["z"], z / 10, like=grads["z"], rtol=1e-5)
    with pytest.raises(DTypeError, match="complex"):
        optimizers.clip_by_value(grads, 1.0)


def test_norms_of_narrow_gradients_are_in_float32(backend):
    if not hasattr(backend.xp, "float16"):
        pytest.skip(f"{backend} has no float16")
    x = backend.xp.astype(backend.asarray(np.full(4, 1000.0, "float32")), backend.xp.float16)
    norm = optimizers.global_norm({"x": x})
    assert norm.dtype == backend.xp.float32
    assert float(norm) == 2000.0
    for clipped in (
        optimizers.clip_by_global_norm({"x": x}, 1.0)["x"],
        optimizers.clip_by_value({"x": x}, 0.5)["x"],
        optimizers.clip_by_value({"x": x * 0.0 + 0.5}, 1e6)["x"],
    ):
        assert clipped.dtype == x.dtype
        np.testing.assert_allclose(host(clipped).astype("float32"), 0.5, rtol=1e-3)


def test_tied_parameters_count_once(backend):
    net = layers.Sequential(layers.Linear(3, 3), layers.Linear(3, 3), seed=0, backend=backend)
    net[1].weight = net[0].weight
    x = normal(backend, 4, 3)
    _, grads = anynet.value_and_grad(lambda net, x: (net(x) ** 2).sum())(net, x)
    squares = [float((host(g) ** 2).sum()) for _, g in tree.leaves(grads)]
    assert len(squares) == 3
    assert float(optimizers.global_norm(grads)) == pytest.approx(math.sqrt(sum(squares)), rel=1e-5)
    clipped = optimizers.clip_by_global_norm(grads, 0.1)
    assert clipped[0].weight is clipped[1].weight
    assert float(optimizers.global_norm(clipped)) == pytest.approx(0.1, rel=1e-4)


def test_parameters_with_equal_gradients_count_each(backend):
    class Sum(layers.Module):
        def __init__(self):
            self.a = layers.parameter((4, 3), anynet.initializers.zeros)
            self.b = layers.parameter((4, 3), anynet.initializers.zeros)

        def forward(self, x):
            return x + (self.a + self.b)

    net, x = Sum().initialize(0, backend), normal(backend, 4, 3)
    _, grads = anynet.value_and_grad(lambda net, x: net(x).sum())(net, x)
    assert float(optimizers.global_norm(grads)) == pytest.approx(math.sqrt(24), rel=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_makes_nan(backend, value):
    grads = {"x": backend.asarray([1.0, value]), "y": backend.asarray([1.0])}
    clipped = optimizers.clip_by_global_norm(grads, 1.0)
    assert np.isnan(host(clipped["x"])).all()
    assert np.isnan(host(clipped["y"])).all()
    with pytest.raises(NonFiniteError, match=f"the norm of the gradients is {value}"):
        optimizers.clip_by_global_norm(grads, 1.0, error_if_nonfinite=True)


def test_gradients_of_zero_stay_zero(backend):
    clipped = optimizers.clip_by_global_norm({"x": backend.asarray([0.0, 0.0])}, 1.0)
    np.testing.assert_array_equal(host(clipped["x"]), [0.0, 0.0])


def test_no_gradients():
    for grads in ({}, {"x": None}):
        assert optimizers.global_norm(grads) == 0.0
        assert optimizers.clip_by_global_norm(grads, 1.0) == grads
        assert optimizers.clip_by_value(grads, 1.0) == grads
        optimizers.Clipping(optimizers.SGD(0.1), 1.0).update(grads, grads)


def test_error_if_nonfinite_does_not_compile(backend):
    step = anynet.compile(
        lambda x: optimizers.clip_by_global_norm([x], 1.0, error_if_nonfinite=True)
    )
    with pytest.raises(CompilationError, match=r"float\(\)"):
        step(backend.asarray([1.0]))


@pytest.mark.parametrize("bound", [0, -1.0, math.nan, math.inf])
def test_bounds_out_of_range_raise(bound):
    sgd, clipping = optimizers.SGD(0.1), optimizers.Clipping(optimizers.SGD(0.1), max_norm=1.0)
    for make in (
        lambda: optimizers.clip_by_global_norm({}, bound),
        lambda: optimizers.clip_by_value({}, bound),
        lambda: optimizers.Clipping(sgd, max_norm=bound),
        lambda: optimizers.Clipping(sgd, max_value=bound),
        lambda: setattr(clipping, "max_norm", bound),
    ):
        with pytest.raises(ArgumentError, match="wanted a finite number above 0"):
            make()


def test_clipping_without_a_bound_or_an_optimizer_raises():
    with pytest.raises(ArgumentError, match="Clipping has no bound"):
        optimizers.Clipping(optimizers.SGD(0.1))
    for wrong in (optimizers.SGD, 0.1, layers.Linear(2, 2), None, {"w": 1.0}):
        with pytest.raises(ArgumentTypeError, match="wanted an optimizer"):
            optimizers.Clipping(wrong, max_norm=1.0)
    with pytest.raises(ArgumentTypeError, match="did you mean 'max_norm'"):
        optimizers.Clipping(optimizers.SGD(0.1), maxnorm=1.0)
    with pytest.raises(AttributeError, match="did you mean 'max_norm'"):
        optimizers.Clipping(optimizers.SGD(0.1), max_norm=1.0).max_nrom = 2.0


def test_value_comes_before_norm(backend):
    grads = {"x": backend.asarray([10.0, 0.3, 0.4])}
    net = {"x": backend.asarray([0.0, 0.0, 0.0])}
    optimizers.Clipping(optimizers.SGD(1.0), max_norm=0.5, max_value=0.4).update(net, grads)
    x = np.asarray([0.4, 0.3, 0.4])
    np.testing.assert_allclose(host(net["x"]), -x * 0.5 / np.linalg.norm(x), rtol=1e-5)


def test_settings_and_attributes_of_the_optimizer_inside():
    inside = optimizers.Momentum(0.1)
    outer = optimizers.Clipping(optimizers.Clipping(inside, 1.0), max_value=2)
    assert repr(outer) == (
        f"Clipping(Clipping({inside!r}, max_norm=1.0, max_value=None), "
        "max_norm=None, max_value=2.0)"
    )
    outer.learning_rate = 0.5
    assert inside.learning_rate == outer.learning_rate == 0.5
    assert outer.updates == 0
    assert not hasattr(outer, "swap")
    outer.update({"x": np.ones(2)}, {"x": np.ones(2)})
    assert outer.updates == inside.updates == 1
    other = optimizers.Clipping(optimizers.Clipping(optimizers.Momentum(0.1), 1.0), max_value=2)
    other.load_state_dict(outer.state_dict())
    assert other.updates == 1
    with pytest.raises(ArgumentError, match="the state of Clipping"):
        other.load_state_dict(inside.state_dict())


@pytest.mark.parametrize("settings", [{"max_norm": 0.7}, {"max_value": 0.3}])
def test_fifty_steps_agree_with_pytorch(backend, settings):
    """With weight decay, a schedule, and gradients that are missing at some steps."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    start = {name: rng.normal(size=shape) for name, shape in {"a": (3, 2), "b": (3,)}.items()}
    start["late"] = rng.normal(size=2)
    net = {name: backend.asarray(x) for name, x in start.items()}
    peers = {name: torch.asarray(x.copy()).requires_grad_() for name, x in start.items()}
    rate = optimizers.schedules.Warmup(optimizers.schedules.Cosine(0.1, 45), 5)
    ours = optimizers.Clipping(optimizers.Momentum(rate, weight_decay=0.1), **settings)
    theirs = torch.optim.SGD(peers.values(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for i in range(50):
        present = {"a": True, "b": i % 3 != 0, "late": i > 20}
        grads = {name: rng.normal(size=x.shape) for name, x in start.items() if present[name]}
        ours.update(net, {k: backend.asarray(grads[k]) if k in grads else None for k in net})
        for name, x in peers.items():
            x.grad = torch.asarray(grads[name]) if name in grads else None
        if "max_norm" in settings:
            torch.nn.utils.clip_grad_norm_(peers.values(), 0.7)
        else:
            torch.nn.utils.clip_grad_value_(peers.values(), 0.3)
        theirs.param_groups[0]["lr"] = rate(i)
        theirs.step()
    for name, x in peers.items():
        expected = x.detach().numpy()
        error = np.linalg.norm(host(net[name]) - expected)
        assert error <= 1e-5 * np.linalg.norm(expected)
