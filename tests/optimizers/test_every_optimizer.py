"""What holds for every optimizer: odd parameters, states, settings and dtypes."""

import copy
import inspect

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import layers, losses, optimizers
from anynet.errors import ArgumentError, ArgumentTypeError, DTypeError
from anynet.optimizers import Optimizer, schedules

#: An optimizer with settings other than the defaults.
EVERY = {
    "SGD": {"weight_decay": 0.1},
    "Momentum": {"momentum": 0.8, "dampening": 0.2, "weight_decay": 0.1},
    "AdaGrad": {
        "lr_decay": 0.1,
        "weight_decay": 0.1,
        "initial_accumulator_value": 0.5,
        "eps": 1e-3,
    },
    "RMSprop": {
        "alpha": 0.9,
        "eps": 1e-3,
        "weight_decay": 0.1,
        "momentum": 0.8,
        "centered": True,
    },
    "Adam": {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "amsgrad": True},
    "AdamW": {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "amsgrad": True},
    "NAdam": {
        "betas": (0.8, 0.9),
        "eps": 1e-3,
        "weight_decay": 0.1,
        "momentum_decay": 0.1,
        "decoupled_weight_decay": True,
    },
    "Adamax": {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1},
    "Lion": {"betas": (0.8, 0.9), "weight_decay": 0.1},
    "LAMB": {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1},
    "Muon": {
        "weight_decay": 0.2,
        "momentum": 0.8,
        "nesterov": False,
        "ns_coefficients": (2.0, -1.5, 0.5),
        "eps": 1e-3,
        "ns_steps": 3,
        "adjust_lr_fn": "match_rms_adamw",
    },
}
COMPLEX = ("SGD", "Momentum")


def make(name, rate=0.1, **settings):
    return getattr(optimizers, name)(rate, **settings)


def step(net, optimizer, grads):
    optimizer.update(net, grads)


def test_every_optimizer_is_here():
    own = {
        name
        for name, value in vars(optimizers).items()
        if inspect.isclass(value) and issubclass(value, Optimizer) and value is not Optimizer
    }
    assert own == {*EVERY}
    for name, settings in EVERY.items():
        names = {*inspect.signature(getattr(optimizers, name)).parameters}
        assert names - {"learning_rate", "rest"} >= {*settings}


@pytest.mark.parametrize("name", EVERY)
def test_text_shows_every_setting(name):
    settings = EVERY[name]
    text = repr(make(name, schedules.Cosine(0.1, 9), **settings))
    assert text.startswith(f"{name}(Cosine(learning_rate=0.1, steps=9, min_lr=0.0), ")
    for setting, value in settings.items():
        assert f"{setting}={value!r}" in text
    if "momentum" in settings:
        assert "momentum=0.5" in repr(make(name, momentum=np.float32(0.5)))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", EVERY)
def test_assigned_settings_take_effect(backend, name, compiled):
    """As for an optimizer that is made with them and loads the state of the first."""
    if backend.name == "jax" and compiled:
        pytest.skip(reason="JAX takes long to compile each setting")
    update = anynet.compile(step) if compiled else step
    grads = {"w": normal(backend, 4, 3, seed=1), "b": normal(backend, 3, seed=2)}
    for setting, value in EVERY[name].items():
        if (name, setting) in (("Momentum", "dampening"), ("AdaGrad", "initial_accumulator_value")):
            # They have an effect at the first gradient only, or not at it.
            continue
        net = {"w": normal(backend, 4, 3), "b": normal(backend, 3)}
        changed = make(name)
        for _ in range(2):
            update(net, changed, grads)
        other = {path: x + 0 for path, x in net.items()}
        made = make(name, **{setting: value})
        for kept in ("state", "_updates"):
            vars(made)[kept] = copy.copy(vars(changed)[kept])
            if name == "Muon":
                vars(made._adamw)[kept] = copy.deepcopy(vars(changed._adamw)[kept])
        made.state = {path: dict(state) for path, state in changed.state.items()}
        setattr(changed, setting, value)
        assert getattr(changed, setting) == value
        for _ in range(2):
            update(net, changed, grads)
            made.update(other, grads)
        for path, x in net.items():
            assert_close(x, host(other[path]), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", EVERY)
def test_state_in_another_order_goes_on(backend, name, compiled):
    """A file may sort the paths."""
    update = anynet.compile(step) if compiled else step
    net = {"w": normal(backend, 4, 3), "b": normal(backend, 3), "a": normal(backend, 3)}
    grads = {path: normal(backend, *x.shape, seed=1) for path, x in net.items()}
    first, second = make(name, **EVERY[name]), make(name, **EVERY[name])
    update(net, first, {**grads, "a": None})
    for _ in range(2):
        update(net, first, grads)
    state = first.state_dict()
    state["state"] = {path: state["state"][path] for path in sorted(state["state"])}
    second.load_state_dict(state)
    other = {path: x + 0 for path, x in net.items()}
    for _ in range(2):
        update(net, first, grads)
        update(other, second, grads)
    for path, x in net.items():
        assert_close(other[path], host(x), like=x)


@pytest.mark.parametrize("name", EVERY)
def test_zero_gradients_empty_parameters_and_scalars(backend, name):
    shapes = {"empty": (0, 3), "none": (3, 0), "scalar": (), "zero": (3, 2), "row": (1, 3)}
    net = {path: normal(backend, *shape) for path, shape in shapes.items()}
    optimizer = make(name, 1e-3, **EVERY[name])
    for _ in range(3):
        grads = {path: 0 * x for path, x in net.items()}
        optimizer.update(net, grads)
    for path, x in net.items():
        assert x.shape == shapes[path]
        assert np.all(np.isfinite(host(x)))
        assert_close(x, host(normal(backend, *shapes[path])), atol=0.03)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", EVERY)
def test_narrow_parameters_have_a_state_in_float32(backend, name, dtype):
    """The steps are those of a float32 parameter with the same values, rounded once."""
    xp = backend.xp
    if not hasattr(xp, dtype):
        pytest.skip(reason=f"{backend.name} has no {dtype}")

    def narrow(seed):
        x = normal(backend, 4, 3, seed=seed, dtype="float32")
        return xp.astype(x, getattr(xp, dtype))

    net, grads = {"w": narrow(0)}, {"w": narrow(1)}
    wide = {"w": xp.astype(net["w"], xp.float32)}
    optimizer, other = make(name, **EVERY[name]), make(name, **EVERY[name])
    optimizer.update(net, grads)
    other.update(wide, {"w": xp.astype(grads["w"], xp.float32)})
    assert net["w"].dtype == getattr(xp, dtype)
    for slot, x in optimizer.state.get("w", {}).items():
        assert slot == "missed" or x.dtype == xp.float32
    rounded = xp.astype(xp.astype(wide["w"], net["w"].dtype), xp.float32)
    tolerance = 1e-2 if dtype == "bfloat16" else 2e-3
    assert_close(xp.astype(net["w"], xp.float32), host(rounded), rtol=tolerance)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", EVERY)
def test_complex_parameters_are_right_or_raise(backend, name, compiled):
    """PyTorch updates a complex parameter as its real and imaginary parts."""
    if not hasattr(backend.xp, "complex128"):
        pytest.skip(reason="the library has no complex numbers")
    update = anynet.compile(step) if compiled else step
    values = [np.random.default_rng(i).normal(size=(2, 3, 2)) for i in range(2)]
    net = {"w": backend.asarray(values[0][0] + 1j * values[0][1])}
    grads = {"w": backend.asarray(values[1][0] + 1j * values[1][1])}
    optimizer = make(name, **EVERY[name])
    if name not in COMPLEX:
        with pytest.raises(DTypeError, match=f"{name}: a parameter of complex.*: wanted real"):
            update(net, optimizer, grads)
        assert optimizer.updates == 0
        return
    parts = {"w": backend.asarray(values[0])}
    other = make(name, **EVERY[name])
    for _ in range(3):
        update(net, optimizer, grads)
        other.update(parts, {"w": backend.asarray(values[1])})
    real, imaginary = host(parts["w"])
    assert_close(net["w"], real + 1j * imaginary, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_tied_and_frozen_parameters(backend, name):
    def network():
        net = layers.Sequential(*[layers.Linear(3, 3) for _ in range(3)], seed=0, backend=backend)
        net[1].weight = net[0].weight
        return net.freeze("layers.2")

    net, fixed = network(), host(network()[2].weight)
    x = normal(backend, 4, 3, dtype="float32")
    grads = anynet.grad(lambda net: losses.mean_squared_error(net(x), x))(net)
    optimizer = make(name, **EVERY[name])
    single = make(name, **EVERY[name])
    alone = {"w": net[0].weight}
    for _ in range(2):
        optimizer.update(net, grads)
        single.update(alone, {"w": grads[0].weight})
    assert net[1].weight is net[0].weight
    assert_close(net[0].weight, host(alone["w"]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(host(net[2].weight), fixed)


@pytest.mark.parametrize("name", EVERY)
def test_settings_out_of_range_raise(name):
    wrong = {
        "betas": [(0.9, 1.0), (-0.1, 0.9), (0.9,), 0.9, "ab", None, (0.9, "a"), (np.nan, 0.9)],
        "momentum": [1.0, -0.1, "a", np.inf, np.nan],
        "alpha": [1.0, -0.1, None],
        "dampening": [1.0, -0.5],
        "eps": [-1e-8, np.nan, np.inf, "a", [1e-8]],
        "weight_decay": [-0.1, np.inf, None],
        "momentum_decay": [-0.1],
        "lr_decay": [-0.1, np.nan],
        "initial_accumulator_value": [-0.1, np.inf],
        "nesterov": ["no", 2],
        "centered": ["no", None],
        "amsgrad": [0.5],
        "decoupled_weight_decay": ["yes"],
        "ns_coefficients": [(1.0, 2.0), 3.0, (1.0, 2.0, "a")],
        "ns_steps": [0, 1.5, True],
        "adjust_lr_fn": ["other", 3],
    }
    for setting in EVERY[name]:
        optimizer = make(name)
        before = repr(optimizer)
        for value in wrong[setting]:
            with pytest.raises((ArgumentError, ArgumentTypeError), match=setting):
                make(name, **{setting: value})
            with pytest.raises((ArgumentError, ArgumentTypeError), match=setting):
                setattr(optimizer, setting, value)
        assert repr(optimizer) == before


@pytest.mark.parametrize("compiled", [False, True])
def test_scalars_of_a_library_are_plain_numbers(backend, compiled):
    """A float64 scalar of NumPy's would make float32 arrays wider."""
    update = anynet.compile(step) if compiled else step
    nets = []
    for rate in (
        np.float64(0.1),
        0.1,
        lambda step: np.float64(0.1),
        backend.asarray(np.array(0.1)),
    ):
        net = {"w": normal(backend, 3, dtype="float32")}
        optimizer = optimizers.NAdam(rate, eps=np.float64(1e-8), betas=(np.float64(0.9), 0.999))
        for _ in range(2):
            update(net, optimizer, {"w": normal(backend, 3, dtype="float32", seed=1)})
        assert "np." not in repr(optimizer)
        nets.append(net)
    for net in nets:
        assert_close(net["w"], host(nets[0]["w"]), like=nets[0]["w"], rtol=1e-6)


def test_nesterov_with_dampening_raises(backend):
    with pytest.raises(ArgumentError, match=r"nesterov is True and dampening is 0\.2: wanted"):
        optimizers.Momentum(nesterov=True, dampening=0.2)
    optimizer, net = optimizers.Momentum(0.1, nesterov=True), {"w": normal(backend, 2)}
    optimizer.dampening = 0.2
    with pytest.raises(ArgumentError, match="nesterov is True and dampening"):
        optimizer.update(net, {"w": normal(backend, 2)})
    assert optimizer.updates == 0


def test_initial_slot_of_a_subclass(backend):
    class Bounded(Optimizer):
        """Begins with a slot of ones, and one without axes."""

        SLOTS = ("ones", "count")

        def initial_slot(self, name, parameter):
            slot = super().initial_slot(name, parameter)
            return slot + 1 if name == "ones" else anynet.array.array_namespace(slot).sum(slot)

        def apply(self, parameter, gradient, slots, scalars):
            ones, count = slots
            return parameter - scalars[0] * ones * gradient, (2 * ones, count + 1)

    for update in (step, anynet.compile(step)):
        net, optimizer = {"w": normal(backend, 3)}, Bounded(0.5)
        for _ in range(3):
            update(net, optimizer, {"w": normal(backend, 3)})
        assert_close(net["w"], (1 - 0.5 * 7) * host(normal(backend, 3)), rtol=1e-5)
        assert float(host(optimizer.state["w"]["count"])) == 3
