"""Mixed precision: dtypes of values, gradients and losses, loss scaling, and skipped steps."""

import copy

import numpy as np
import pytest
from dtypes import known
from helpers import host

import anynet
from anynet import functions, layers, losses, optimizers, tree
from anynet.array import array_namespace, dtype_name
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    DifferentiationError,
    DTypeError,
    NonFiniteError,
    PathError,
)
from anynet.training import training_step

BOTH = pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
COMPILED = pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])

# Gradients that overflow are what a loss scale is for. NumPy warns of them.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def skip_without(backend, dtype):
    if not known(backend, [dtype]):
        pytest.skip(reason=f"{backend.name} has no {dtype}")


@pytest.fixture(autouse=True)
def _a_sample_on_jax(request):
    """Skip most parameters on JAX, which compiles each call of each dtype."""
    callspec = getattr(request.node, "callspec", None)
    if callspec is None or callspec.params.get("backend") != "jax":
        return
    others = {"float16", "eager", "first step", "clipping", "averages", "schedule", "huber"}
    if others.intersection(callspec.id.split("-")):
        pytest.skip(reason="JAX compiles for too long; a sample of the parameters is tested")


def asarray(backend, values, dtype="float32"):
    return backend.asarray(np.asarray(values, dtype))


def data(backend, rows=32):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 8))
    return asarray(backend, x), asarray(backend, rng.integers(0, 4, rows), "int64")


def network(backend, *, dropout=0.0):
    return layers.Sequential(
        layers.Linear(8, 32),
        layers.BatchNorm(32),
        layers.ReLU(),
        layers.Dropout(dropout),
        layers.Linear(32, 4),
        seed=0,
        backend=backend,
    )


def arrays_of(*trees):
    return [host(x).copy() for _, x in tree.leaves(trees)]


def loss_of(net, x, t):
    return losses.cross_entropy(net(x), t)


class Probe(layers.Module):
    """A layer that stores the dtype of its input."""

    def __init__(self, append):
        self.append = append

    def forward(self, x):
        self.append(dtype_name(x.dtype))
        return x


@BOTH
@COMPILED
def test_value_gradients_and_buffers_are_float32(backend, dtype, compiled):
    skip_without(backend, dtype)
    net, (x, t) = network(backend), data(backend)
    step = anynet.value_and_grad(loss_of, precision=anynet.MixedPrecision(dtype))
    if compiled:
        step = anynet.compile(step)
    value, grads = step(net, x, t)
    for array in (value, *(x for _, x in tree.leaves(grads)), *(x for _, x in tree.leaves(net))):
        assert dtype_name(array.dtype) in ("float32", "uint32", "int32")


@BOTH
def test_gradients_are_near_those_of_float32(backend, dtype):
    skip_without(backend, dtype)
    net, (x, t) = network(backend), data(backend)
    other = copy.deepcopy(net)
    expected, exact = anynet.value_and_grad(loss_of)(net, x, t)
    policy = anynet.MixedPrecision(dtype)
    value, grads = anynet.value_and_grad(loss_of, precision=policy)(other, x, t)
    eps = 2.0**-7 if dtype == "bfloat16" else 2.0**-10
    assert abs(float(value) - float(expected)) < eps
    assert float(value) != float(expected)
    # The bias before a batch norm has a gradient of rounding errors only.
    scale = max(np.abs(g).max() for g in arrays_of(exact))
    for a, b in zip(arrays_of(grads), arrays_of(exact), strict=True):
        assert np.linalg.norm(a - b) < 4 * eps * max(np.linalg.norm(b), scale)
    # The statistics are sums in float32 of rounded values.
    for name in ("running_mean", "running_variance"):
        a, b = (host(getattr(x[1], name)) for x in (other, net))
        np.testing.assert_allclose(a, b, rtol=2 * eps, atol=2 * eps)


@BOTH
def test_activations_are_narrow_and_sums_are_wide(backend, dtype):
    skip_without(backend, dtype)
    dtypes = []
    probe = Probe(dtypes.append)
    net = layers.Sequential(
        *(probe, layers.Linear(8, 32), probe, layers.BatchNorm(32), layers.ReLU(), probe),
        *(layers.Linear(32, 32), layers.LayerNorm(32), probe, layers.Linear(32, 4), probe),
        seed=0,
        backend=backend,
    )
    x, t = data(backend)
    seen = {}

    def loss(net, x, t):
        y = net(x)
        xp = array_namespace(y)
        for name in ("sum", "mean", "exp", "std"):
            seen[name] = dtype_name(getattr(xp, name)(y).dtype)
        seen["softmax"] = dtype_name(functions.softmax(y).dtype)
        seen["sum of two"] = dtype_name((y + y).dtype)
        seen["with float32"] = dtype_name((y + xp.ones_like(x[:, :4])).dtype)
        return losses.cross_entropy(y, t)

    anynet.value_and_grad(loss, precision=anynet.MixedPrecision(dtype))(net, x, t)
    assert dtypes == ["float32", dtype, dtype, "float32", dtype]
    wide = ("sum", "mean", "exp", "std", "softmax", "with float32")
    assert seen == {**dict.fromkeys(wide, "float32"), "sum of two": dtype}


@BOTH
@pytest.mark.parametrize(
    "loss",
    [
        losses.mean_squared_error,
        losses.huber,
        losses.binary_cross_entropy_with_logits,
        losses.sum_of_squares,
    ],
)
def test_losses_are_those_of_the_rounded_outputs_in_float32(backend, loss, dtype):
    skip_without(backend, dtype)
    net, (x, _) = network(backend), data(backend)
    t = asarray(backend, np.random.default_rng(1).uniform(size=(32, 4)))
    outputs = []

    def with_outputs(net, x, t):
        y = net(x)
        outputs.append(y)
        return loss(y, t), y

    policy = anynet.MixedPrecision(dtype, loss_scale=8.0)
    step = anynet.value_and_grad(with_outputs, has_aux=True, precision=policy)
    (value, y), _ = step(net, x, t)
    assert dtype_name(y.dtype) == "float32"
    np.testing.assert_allclose(float(value), float(loss(y, t)), rtol=1e-6)


@COMPILED
@pytest.mark.parametrize("first", [False, True], ids=["later step", "first step"])
def test_step_with_infinite_gradients_changes_nothing(backend, compiled, first):
    skip_without(backend, "float16")
    net, (x, t) = network(backend, dropout=0.2), data(backend)
    bad = asarray(backend, np.where(np.arange(8) == 3, 1e30, host(x)))
    policy = anynet.MixedPrecision("float16", initial_scale=1024.0)
    optimizer = optimizers.Adam(0.01)
    step = training_step(losses.cross_entropy, precision=policy)
    if compiled:
        step = anynet.compile(step)
    if not first:
        step(net, optimizer, x, t)
        step(net, optimizer, x, t)
    before, updates = arrays_of(net, optimizer), optimizer.updates
    step(net, optimizer, bad, t)
    after = arrays_of(net, optimizer)
    assert optimizer.updates == updates
    assert (policy.scale, policy.skipped) == (512.0, 1)
    if first:
        # The slots are new, and zero.
        assert not any(x.any() for x in after[len(before) :])
    for a, b in zip(before, after, strict=not first):
        np.testing.assert_array_equal(a, b)
    # The run goes on as if the step had not been.
    other, fresh = network(backend, dropout=0.2), optimizers.Adam(0.01)
    other_policy = anynet.MixedPrecision("float16", initial_scale=1024.0)
    plain = training_step(losses.cross_entropy, precision=other_policy)
    for _ in range(updates + 3):
        expected = plain(other, fresh, x, t)
    for _ in range(3):
        value = step(net, optimizer, x, t)
    assert fresh.updates == optimizer.updates
    np.testing.assert_allclose(float(value), float(expected), rtol=2e-3)


@COMPILED
@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.Accumulation(optimizers.Adam(0.01), 2),
        lambda: optimizers.Clipping(optimizers.NAdam(0.01), max_norm=1.0),
        lambda: optimizers.ExponentialAverage(optimizers.Momentum(0.1), decay=0.5),
        lambda: optimizers.SGD(optimizers.schedules.Exponential(0.1, gamma=0.5)),
    ],
    ids=["accumulation", "clipping", "averages", "schedule"],
)
def test_wrappers_and_schedules_skip_steps(backend, make, compiled):
    """A run with skipped steps is the run without them."""
    skip_without(backend, "float16")
    x, t = data(backend)
    bad = asarray(backend, np.where(np.arange(8) == 3, 1e30, host(x)))
    ends = []
    for skipped in ((), (0, 1, 3)):
        net = layers.Sequential(
            layers.Linear(8, 8), layers.Tanh(), layers.Linear(8, 4), seed=0, backend=backend
        )
        policy = anynet.MixedPrecision("float16", initial_scale=256.0)
        step, optimizer = training_step(losses.cross_entropy, precision=policy), make()
        if compiled:
            step = anynet.compile(step)
        for i in range(5):
            if i in skipped:
                step(net, optimizer, bad, t)
            step(net, optimizer, x, t)
        assert policy.skipped == len(skipped)
        ends.append((arrays_of(net, optimizer), optimizer.updates))
    (expected, count), (arrays, updates) = ends
    assert updates == count
    for a, b in zip(arrays, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5)


def test_scale_changes_without_another_recording(backend):
    skip_without(backend, "float16")
    net, (x, t) = network(backend), data(backend)
    policy = anynet.MixedPrecision("float16", initial_scale=2.0, growth_interval=2)
    step = anynet.compile(training_step(losses.cross_entropy, precision=policy))
    optimizer = optimizers.SGD(0.1)
    scales = []
    for _ in range(8):
        step(net, optimizer, x, t)
        scales.append(policy.scale)
    assert scales == [2.0, 4.0, 4.0, 8.0, 8.0, 16.0, 16.0, 32.0]
    assert len(step.programs) == 1


def test_scale_follows_that_of_torch():
    torch = pytest.importorskip("torch")
    skip_without(anynet.get_backend("torch"), "float16")
    finite = [True, True, True, False, True, False, False, True, True, True, True, True, True]
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
    policy = anynet.MixedPrecision("float16", initial_scale=1024.0, growth_interval=3)
    parameter = torch.ones(2, requires_grad=True)
    sgd = torch.optim.SGD([parameter], 0.1)
    net, optimizer = {"w": torch.ones(2)}, optimizers.SGD(0.1)
    slope = anynet.value_and_grad(lambda net, x: (net["w"] * x).sum(), precision=policy)
    for is_finite in finite:
        x = torch.tensor([1.0, 2.0 if is_finite else np.inf])
        sgd.zero_grad()
        scaler.scale((parameter * x).sum()).backward()
        scaler.step(sgd)
        scaler.update()
        policy.update(optimizer, net, slope(net, x)[1])
        assert policy.scale == scaler.get_scale()
        np.testing.assert_allclose(net["w"].numpy(), parameter.detach().numpy(), rtol=1e-6)
    assert optimizer.updates == sum(finite)


def test_small_gradients_survive_in_float16(backend):
    skip_without(backend, "float16")
    net = {"w": asarray(backend, np.ones((4, 4)))}
    x = asarray(backend, np.full((2, 4), 1e-4))

    def loss(net, x):
        xp = array_namespace(net["w"])
        return xp.sum(xp.matmul(x, net["w"])) * 1e-5

    exact = host(anynet.grad(loss)(net, x)["w"])
    for scale, tolerance in (("dynamic", 1e-2), (1024.0, 0.3)):
        policy = anynet.MixedPrecision("float16", loss_scale=scale)
        grads = anynet.value_and_grad(loss, precision=policy)(net, x)[1]
        np.testing.assert_allclose(host(grads["w"]), exact, rtol=tolerance)
    policy = anynet.MixedPrecision("float16", loss_scale=None)
    assert not host(anynet.value_and_grad(loss, precision=policy)(net, x)[1]["w"]).any()


@BOTH
def test_gradients_of_a_shared_parameter_add_up_in_float32(backend, dtype):
    skip_without(backend, dtype)
    net = {"w": asarray(backend, np.ones((1, 1)))}
    x = asarray(backend, np.ones((1, 1)))

    def loss(net, x):
        # 1 + 2⁻¹² is 1 in both dtypes.
        xp = array_namespace(net["w"])
        small = xp.matmul(x * 2.0**-12, net["w"])
        return xp.sum(xp.matmul(x, net["w"])) + xp.sum(small)

    policy = anynet.MixedPrecision(dtype, loss_scale=None)
    grads = anynet.value_and_grad(loss, precision=policy)(net, x)[1]
    assert float(grads["w"][0, 0]) == 1 + 2.0**-12


@BOTH
def test_tied_and_frozen_parameters(backend, dtype):
    skip_without(backend, dtype)
    net = layers.Sequential(
        layers.Linear(8, 8), layers.Linear(8, 8), layers.Linear(8, 4), seed=0, backend=backend
    )
    net[1].weight = net[0].weight
    net[2].freeze()
    x, t = data(backend)
    exact = anynet.grad(loss_of)(net, x, t)
    policy = anynet.MixedPrecision(dtype)
    _, grads = anynet.value_and_grad(loss_of, precision=policy)(net, x, t)
    assert grads[0].weight is grads[1].weight
    assert grads[2].weight is None
    a, b = (host(x[0].weight) for x in (grads, exact))
    assert np.linalg.norm(a - b) < 0.05 * np.linalg.norm(b)
    before = host(net[0].weight).copy()
    policy.update(optimizers.SGD(0.1), net, grads)
    assert net[0].weight is net[1].weight
    assert (host(net[0].weight) != before).any()


@BOTH
def test_kept_paths_stay_float32(backend, dtype):
    skip_without(backend, dtype)
    dtypes = []
    probe = Probe(dtypes.append)
    net = layers.Sequential(
        layers.Linear(8, 8), probe, layers.Linear(8, 4), probe, seed=0, backend=backend
    )
    x, t = data(backend)
    policy = anynet.MixedPrecision(dtype, keep=["layers.2"])
    anynet.value_and_grad(loss_of, precision=policy)(net, x, t)
    assert dtypes == [dtype, "float32"]
    everything = anynet.MixedPrecision(dtype, keep=["layers.0", "layers.2.weight"])
    _, grads = anynet.value_and_grad(loss_of, precision=everything)(net, x, t)
    exact = anynet.grad(loss_of)(net, x, t)
    for a, b in zip(arrays_of(grads), arrays_of(exact), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@BOTH
def test_unknown_kept_path(backend, dtype):
    skip_without(backend, dtype)
    policy = anynet.MixedPrecision(dtype, keep=["layers.0", "head"])
    with pytest.raises(PathError, match="'head'"):
        anynet.value_and_grad(loss_of, precision=policy)(network(backend), *data(backend))


@BOTH
def test_token_ids_attention_and_recurrence(backend, dtype):
    skip_without(backend, dtype)
    tokens = asarray(backend, np.random.default_rng(0).integers(0, 10, (4, 6)), "int64")
    net = {
        "embedding": layers.Embedding(10, 8).initialize(0, backend),
        "attention": layers.MultiHeadAttention(8, 2).initialize(1, backend),
        "lstm": layers.LSTM(8, 8).initialize(2, backend),
    }

    def loss(net, tokens):
        y = net["attention"](net["embedding"](tokens))
        out = net["lstm"](y)
        out = out[0] if isinstance(out, tuple) else out
        return array_namespace(out).mean(out**2)

    policy = anynet.MixedPrecision(dtype)
    value, grads = anynet.value_and_grad(loss, precision=policy)(net, tokens)
    expected, exact = anynet.value_and_grad(loss)(net, tokens)
    assert abs(float(value) - float(expected)) < 0.05 * float(expected)
    gradients = [np.concatenate([x.ravel() for x in arrays_of(g)]) for g in (grads, exact)]
    difference = np.linalg.norm(gradients[0] - gradients[1])
    assert difference < 0.05 * np.linalg.norm(gradients[1])


@BOTH
def test_convolutions_and_pooling(backend, dtype):
    skip_without(backend, dtype)
    net = layers.Sequential(
        *(layers.Conv2d(1, 4, 3), layers.BatchNorm(4), layers.ReLU(), layers.MaxPool2d(2)),
        *(layers.Conv2d(4, 4, 3), layers.AvgPool2d(2), layers.Flatten(), layers.Linear(16, 4)),
        seed=0,
        backend=backend,
    )
    x = asarray(backend, np.random.default_rng(0).normal(size=(8, 1, 14, 14)))
    t = asarray(backend, np.arange(8) % 4, "int64")
    policy = anynet.MixedPrecision(dtype, loss_scale=128.0)
    value, grads = anynet.value_and_grad(loss_of, precision=policy)(copy.deepcopy(net), x, t)
    expected, exact = anynet.value_and_grad(loss_of)(net, x, t)
    assert abs(float(value) - float(expected)) < 0.02
    gradients = [np.concatenate([x.ravel() for x in arrays_of(g)]) for g in (grads, exact)]
    difference = np.linalg.norm(gradients[0] - gradients[1])
    assert difference < 0.1 * np.linalg.norm(gradients[1])


@BOTH
def test_function_that_is_computed_again(backend, dtype):
    """`remat` computes in mixed precision forward and again backward, and keeps paths."""
    skip_without(backend, dtype)
    dtypes = []
    probe = Probe(dtypes.append)
    net = layers.Sequential(
        *(layers.Linear(8, 8), probe, layers.BatchNorm(8), layers.Linear(8, 4), probe),
        seed=0,
        backend=backend,
    )
    x, t = data(backend)

    def again(net, x, t):
        return losses.cross_entropy(anynet.autodiff.remat(net)(x), t)

    policy = anynet.MixedPrecision(dtype, keep=["layers.3"], loss_scale=16.0)
    value, grads = anynet.value_and_grad(again, precision=policy)(copy.deepcopy(net), x, t)
    assert dtypes == 2 * [dtype, "float32"]
    expected, exact = anynet.value_and_grad(loss_of, precision=policy)(net, x, t)
    assert float(value) == pytest.approx(float(expected), rel=1e-6)
    for a, b in zip(arrays_of(grads), arrays_of(exact), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3)


@BOTH
def test_own_derivatives_take_float32(backend, dtype):
    skip_without(backend, dtype)
    dtypes = []

    def cube(x):
        dtypes.append(dtype_name(x.dtype))
        return x**3

    cube_of = anynet.custom_vjp(cube, lambda g, out, x: 3 * x**2 * g)
    net, (x, t) = layers.Linear(8, 4).initialize(0, backend), data(backend)
    policy = anynet.MixedPrecision(dtype, loss_scale=16.0)

    def loss(net, x, t):
        return losses.cross_entropy(cube_of(net(x)), t)

    _, grads = anynet.value_and_grad(loss, precision=policy)(net, x, t)
    assert dtypes == ["float32"]
    exact = anynet.grad(loss)(net, x, t)
    a, b = host(grads.weight), host(exact.weight)
    assert np.linalg.norm(a - b) < 0.05 * np.linalg.norm(b)


@BOTH
def test_penalty_of_a_gradient(backend, dtype):
    skip_without(backend, dtype)
    net, (x, _) = layers.Linear(8, 4).initialize(0, backend), data(backend)

    def penalty(net, x):
        xp = array_namespace(net.weight)
        slope = anynet.grad(lambda x: xp.sum(xp.tanh(net(x))))(x)
        return xp.mean(slope**2)

    policy = anynet.MixedPrecision(dtype, loss_scale=16.0)
    _, grads = anynet.value_and_grad(penalty, precision=policy)(net, x)
    exact = anynet.grad(penalty)(net, x)
    a, b = host(grads.weight), host(exact.weight)
    assert np.linalg.norm(a - b) < 0.05 * np.linalg.norm(b)


@BOTH
def test_inference_under_a_policy(backend, dtype):
    skip_without(backend, dtype)
    net, (x, _) = network(backend), data(backend)
    y = anynet.MixedPrecision(dtype).apply(net)(x)
    assert dtype_name(y.dtype) == "float32"
    eps = 2.0**-6 if dtype == "bfloat16" else 2.0**-9
    np.testing.assert_allclose(host(y), host(net(x)), atol=4 * eps)
    assert (host(y) != host(net(x))).any()


@BOTH
def test_float64_data_stay_float64(backend, dtype):
    skip_without(backend, dtype)
    if not known(backend, ["float64"]):
        pytest.skip(reason=f"{backend.name} has no float64")
    w = asarray(backend, np.full((2, 2), 1 / 3), "float64")
    product = anynet.MixedPrecision(dtype).apply(lambda w: array_namespace(w).matmul(w, w))(w)
    assert dtype_name(product.dtype) == "float64"
    np.testing.assert_allclose(host(product), 2 / 9, rtol=1e-15)


@pytest.mark.parametrize("wrong", ["float64", "float16", "complex64"])
def test_trained_arrays_of_other_dtypes(backend, wrong):
    skip_without(backend, "float16")
    skip_without(backend, wrong)
    w = backend.xp.astype(asarray(backend, np.ones((2, 2))), getattr(backend.xp, wrong))
    policy = anynet.MixedPrecision("float16")
    step = anynet.value_and_grad(
        lambda w: (
            array_namespace(w).real(array_namespace(w).sum(w))
            if wrong == "complex64"
            else array_namespace(w).sum(w)
        ),
        precision=policy,
    )
    with pytest.raises(DTypeError, match=f"trained arrays of {wrong}: wanted float32"):
        step(w)
    assert (policy.scale, policy.skipped) == (65536.0, 0)


@BOTH
def test_library_without_the_dtype(backend, dtype):
    if known(backend, [dtype]):
        pytest.skip(reason=f"{backend.name} has {dtype}")
    step = anynet.value_and_grad(loss_of, precision=anynet.MixedPrecision(dtype))
    with pytest.raises(DTypeError, match=f"has no {dtype}: use .*another array library"):
        step(network(backend), *data(backend))


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"dtype": "float8"}, "wanted 'bfloat16' or 'float16'"),
        ({"loss_scale": 0.0}, "above 0"),
        ({"loss_scale": "static"}, "wanted 'dynamic'"),
        ({"keep": "layers"}, "a list of paths"),
        ({"growth_factor": 1.0}, "above 1"),
        ({"backoff_factor": 1.0}, "below 1"),
        ({"growth_interval": 0}, "growth_interval"),
        ({"initial_scale": float("inf")}, "initial_scale"),
    ],
)
def test_settings_out_of_range(settings, wanted):
    with pytest.raises(ArgumentError, match=wanted):
        anynet.MixedPrecision(**settings)


def test_settings_and_state():
    first = anynet.MixedPrecision("float16", keep=["head"], growth_interval=5)
    assert repr(first) == (
        "MixedPrecision('float16', loss_scale='dynamic', keep=('head',), initial_scale=65536.0, "
        "growth_factor=2.0, backoff_factor=0.5, growth_interval=5)"
    )
    assert repr(anynet.MixedPrecision()) == "MixedPrecision('bfloat16', loss_scale=None)"
    assert anynet.MixedPrecision().state_dict() == {}
    state = {"scale": 8.0, "finite_steps": 3, "skipped": 2}
    first.load_state_dict(state)
    assert first.state_dict() == state
    for wrong in ({}, {**state, "scale": float("nan")}, {**state, "skipped": -1}, None):
        with pytest.raises(ArgumentError):
            first.load_state_dict(wrong)
        assert first.state_dict() == state


def test_state_continues_the_scale(backend):
    skip_without(backend, "float16")
    x, t = data(backend)
    first = anynet.MixedPrecision("float16", initial_scale=4.0, growth_interval=3)
    step, optimizer = training_step(losses.cross_entropy, precision=first), optimizers.SGD(0.1)
    net = network(backend)
    for _ in range(4):
        step(net, optimizer, x, t)
    second = anynet.MixedPrecision("float16", initial_scale=4.0, growth_interval=3)
    second.load_state_dict(first.state_dict())
    other = training_step(losses.cross_entropy, precision=second)
    for _ in range(3):
        step(net, optimizer, x, t)
        other(net, optimizer, x, t)
    assert first.state_dict() == second.state_dict()
    assert first.scale == 16.0


@BOTH
def test_weighted_losses_are_float32(backend, dtype):
    skip_without(backend, dtype)
    net, (x, t) = layers.Linear(8, 4).initialize(0, backend), data(backend)
    weights = asarray(backend, np.arange(32))
    policy = anynet.MixedPrecision(dtype)
    y = host(policy.apply(net)(x))
    rows = np.log(np.exp(y).sum(axis=1)) - y[np.arange(32), host(t)]
    expected = (rows * host(weights)).sum() / host(weights).sum()
    step = training_step(losses.cross_entropy, precision=policy)
    value = step(net, optimizers.SGD(0.1), x, t, weights)
    assert float(value) == pytest.approx(expected, rel=1e-6)


@COMPILED
@BOTH
def test_fit_trains_in_mixed_precision(backend, dtype, compiled):
    skip_without(backend, dtype)
    net, (x, t) = network(backend, dropout=0.1), data(backend, 64)
    policy = anynet.MixedPrecision(dtype)
    history = anynet.fit(
        net,
        (x, t),
        optimizer=optimizers.Adam(0.02),
        epochs=25,
        batch_size=16,
        precision=policy,
        compile=compiled,
        progress=False,
    )
    assert history.epochs[-1].train_score > 0.8
    assert all(dtype_name(x.dtype) == "float32" for x in net.parameters().values())


def test_fit_raises_where_no_scale_helps(backend):
    skip_without(backend, "float16")
    net, (x, t) = network(backend), data(backend)

    def loss(net, x, t):
        # The value is finite and the gradient of √0 is not.
        xp = array_namespace(net[0].weight)
        return losses.cross_entropy(net(x), t) + xp.sum(xp.sqrt(net[0].weight * 0))

    policy = anynet.MixedPrecision("float16", initial_scale=2.0**-12)
    before = arrays_of(net.parameters())
    with pytest.raises(NonFiniteError, match="gradients were infinite or NaN"):
        anynet.fit(net, (x, t), loss=loss, batch_size=8, epochs=2, precision=policy, progress=False)
    for a, b in zip(before, arrays_of(net.parameters()), strict=True):
        np.testing.assert_array_equal(a, b)


def test_precision_that_is_no_policy(backend):
    with pytest.raises(ArgumentTypeError, match="MixedPrecision"):
        anynet.fit(network(backend), data(backend), precision="bfloat16", progress=False)
    with pytest.raises(ArgumentTypeError, match="MixedPrecision"):
        anynet.value_and_grad(loss_of, precision="bfloat16")


@BOTH
def test_vmap_inside_and_outside(backend, dtype):
    skip_without(backend, dtype)
    net, (x, t) = layers.Linear(8, 4).initialize(0, backend), data(backend, 6)
    policy = anynet.MixedPrecision(dtype, loss_scale=4.0)
    of_each = anynet.vmap(anynet.value_and_grad(loss_of, precision=policy), in_axes=(None, 0, 0))
    _, grads = of_each(net, x, t)
    assert dtype_name(grads.weight.dtype) == "float32"
    exact = anynet.vmap(anynet.grad(loss_of), in_axes=(None, 0, 0))(net, x, t)
    a, b = host(grads.weight), host(exact.weight)
    assert np.linalg.norm(a - b) < 0.03 * np.linalg.norm(b)

    def mean_of_each(net, x, t):
        rows = anynet.vmap(loss_of, in_axes=(None, 0, 0))(net, x, t)
        return array_namespace(rows).mean(rows)

    _, grads = anynet.value_and_grad(mean_of_each, precision=policy)(net, x, t)
    np.testing.assert_allclose(host(grads.weight), a.mean(axis=0), rtol=0.05, atol=0.02)


def test_dynamic_scale_under_vmap(backend):
    skip_without(backend, "float16")
    net, (x, t) = layers.Linear(8, 4).initialize(0, backend), data(backend, 6)
    policy = anynet.MixedPrecision("float16")
    of_each = anynet.vmap(anynet.value_and_grad(loss_of, precision=policy), in_axes=(None, 0, 0))
    with pytest.raises(DifferentiationError, match="dynamic loss scale"):
        of_each(net, x, t)
    assert policy.skipped == 0


@COMPILED
def test_losses_follow_autocast_of_torch(compiled):
    """Over 50 steps the losses differ less from those of autocast than autocast from float32."""
    torch = pytest.importorskip("torch")
    backend = anynet.get_backend("torch")
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(64, 16)), dtype=torch.float32)
    t = torch.tensor(rng.integers(0, 4, 64))

    def anynets(precision):
        net = layers.Sequential(
            layers.Linear(16, 64), layers.ReLU(), layers.Linear(64, 4), seed=0, backend=backend
        )
        step = training_step(losses.cross_entropy, precision=precision)
        step = anynet.compile(step) if compiled else step
        optimizer = optimizers.Adam(0.01)
        return np.asarray([float(step(net, optimizer, x, t)) for _ in range(50)])

    def torchs():
        source = layers.Sequential(
            layers.Linear(16, 64), layers.ReLU(), layers.Linear(64, 4), seed=0, backend=backend
        )
        net = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
        with torch.no_grad():
            for i in (0, 2):
                net[i].weight.copy_(source[i].weight.T)
                net[i].bias.copy_(source[i].bias)
        optimizer = torch.optim.Adam(net.parameters(), 0.01)
        values = []
        for _ in range(50):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(net(x), t)
            loss.backward()
            optimizer.step()
            values.append(loss.item())
        return np.asarray(values)

    ours, theirs = anynets(anynet.MixedPrecision("bfloat16")), torchs()
    exact = anynets(None)
    assert np.abs(ours / theirs - 1).max() < 2.0**-7
    assert np.abs(ours / exact - 1).max() < 2.0**-6


def test_second_fit_takes_another_policy(backend):
    """Programs are kept from one call to the next, and each policy keeps its own scale."""
    skip_without(backend, "float16")
    x, t = data(backend)
    settings = {"batch_size": 8, "epochs": 1, "compile": True, "progress": False}
    first = anynet.MixedPrecision("float16", initial_scale=2.0, growth_interval=2)
    second = anynet.MixedPrecision("float16", initial_scale=8.0, growth_interval=2)
    runs = []
    for policy in (first, second, None):
        net = network(backend)
        history = anynet.fit(net, (x, t), loss=loss_of_outputs, precision=policy, **settings)
        runs.append((history.losses, net))
    assert (first.scale, second.scale) == (8.0, 32.0)
    assert runs[0][0] == pytest.approx(runs[1][0], rel=1e-3)
    plain = anynet.fit(network(backend), (x, t), **{**settings, "compile": False})
    assert runs[2][0] == pytest.approx(plain.losses, rel=1e-6)


def loss_of_outputs(y, t):
    return losses.cross_entropy(y, t)
