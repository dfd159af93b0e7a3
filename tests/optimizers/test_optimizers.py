import copy
import math
import re
from functools import partial

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import layers, optimizers, tree
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    ShapeError,
)
from anynet.optimizers import schedules


def test_sgd_updates_a_nested_tree(backend):
    tree = {
        "w": normal(backend, 3, 2),
        "deep": [normal(backend, 2, seed=1)],
        "fixed": normal(backend, 2),
    }
    before = {
        "w": host(tree["w"]).copy(),
        "deep": host(tree["deep"][0]).copy(),
    }
    old, fixed = tree["w"], tree["fixed"]
    grads = {
        "w": normal(backend, 3, 2, seed=2),
        "deep": [normal(backend, 2, seed=3)],
        "fixed": None,
    }
    optimizers.SGD(0.5).update(tree, grads)
    assert_close(tree["w"], before["w"] - 0.5 * host(grads["w"]), like=old)
    assert_close(tree["deep"][0], before["deep"] - 0.5 * host(grads["deep"][0]))
    assert tree["fixed"] is fixed
    np.testing.assert_array_equal(host(old), before["w"])


STATEFUL = {
    "momentum": (
        lambda rate: optimizers.Momentum(rate, 0.8),
        "SGD",
        {"momentum": 0.8},
    ),
    "nesterov": (
        lambda rate: optimizers.Momentum(rate, 0.8, nesterov=True),
        "SGD",
        {"momentum": 0.8, "nesterov": True},
    ),
    "adam": (
        lambda rate: optimizers.Adam(rate, betas=(0.8, 0.95)),
        "Adam",
        {"betas": (0.8, 0.95)},
    ),
    "adamw": (
        lambda rate: optimizers.AdamW(rate, weight_decay=0.1),
        "AdamW",
        {"weight_decay": 0.1},
    ),
}


@pytest.mark.parametrize("name", STATEFUL)
def test_twenty_updates_agree_with_pytorch(backend, name):
    """With a schedule, and parameters that have a gradient never, not in the first steps, or now
    and then."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    make, theirs, settings = STATEFUL[name]
    rng = np.random.default_rng(0)
    start = {"w": rng.normal(size=(4, 3)), "b": rng.normal(size=3)}
    start |= {"late": rng.normal(size=2), "at times": rng.normal(size=2)}
    has_gradient = {
        "late": lambda i: i > 5,
        "at times": lambda i: i % 4 in (0, 3),
    }
    net = {part: backend.asarray(x) for part, x in start.items()}
    net["steps"] = counts = backend.asarray(np.array([1, 2]))
    peers = {part: torch.asarray(x.copy()).requires_grad_() for part, x in start.items()}
    rate = schedules.Cosine(0.1, 25)
    ours, peer = (
        make(rate),
        getattr(torch.optim, theirs)(peers.values(), lr=0.1, **settings),
    )
    for i in range(20):
        gradients = {
            part: rng.normal(size=x.shape) + x
            for part, x in start.items()
            if has_gradient.get(part, lambda i: True)(i)
        }
        grads = {
            part: backend.asarray(gradients[part]) if part in gradients else None for part in net
        }
        ours.update(net, grads)
        peer.param_groups[0]["lr"] = rate(i)
        for part, x in peers.items():
            x.grad = torch.asarray(gradients[part]) if part in gradients else None
        peer.step()
    for part, x in peers.items():
        assert_close(
            net[part],
            x.detach().numpy(),
            like=backend.asarray(start[part]),
            rtol=1e-6,
        )
    assert net["steps"] is counts


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_update_without_a_gradient_does_not_count(backend, name):
    """A missing gradient changes nothing of its parameter, and does not count as one of its
    updates."""
    rate, beta1, beta2, epsilon = 0.1, 0.9, 0.999, 1e-8
    decay = rate * 0.01 if name == "adamw" else 0.0
    optimizer = optimizers.AdamW(rate) if name == "adamw" else optimizers.Adam(rate)
    net = {"a": normal(backend, 2), "b": normal(backend, 2, seed=1)}
    b, mean, square, t = host(net["b"]), 0.0, 0.0, 0
    for i, missing in enumerate([False, True, False, True, True, False]):
        gradient = None if missing else host(normal(backend, 2, seed=i + 2))
        grads = {
            "a": normal(backend, 2, seed=9),
            "b": None if missing else backend.asarray(gradient),
        }
        optimizer.update(net, grads)
        if not missing:
            t += 1
            mean = beta1 * mean + (1 - beta1) * gradient
            square = beta2 * square + (1 - beta2) * gradient**2
            step = (mean / (1 - beta1**t)) / (np.sqrt(square / (1 - beta2**t)) + epsilon)
            b = b - decay * b - rate * step
        assert_close(net["b"], b, like=net["a"], rtol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        optimizers.SGD,
        optimizers.Momentum,
        optimizers.Adam,
        optimizers.AdamW,
    ],
)
def test_wider_gradients_leave_the_dtype_of_parameters(backend, make):
    """Gradients of float64, as of a loss that is computed so, move float32 parameters as those of
    float32 would."""
    start = [
        normal(backend, 3, 2, dtype="float32"),
        normal(backend, 300, 40, dtype="float32"),
    ]
    wide, narrow = list(start), list(start)
    ours, same = make(0.1), make(0.1)
    for i in range(3):
        grads = [normal(backend, *x.shape, seed=i + 1, dtype="float32") for x in start]
        ours.update(wide, [backend.xp.astype(g, backend.xp.float64) for g in grads])
        same.update(narrow, grads)
    for x, expected, before in zip(wide, narrow, start, strict=True):
        assert_close(x, host(expected), like=before, rtol=1e-4, atol=1e-6)
    assert all(x.dtype == backend.xp.float32 for _, x in tree.leaves(getattr(ours, "state", {})))


@pytest.mark.parametrize("name", STATEFUL)
def test_state_is_a_tree_and_updates_write_into_no_array(backend, name):
    make, _, _ = STATEFUL[name]
    net = layers.Sequential(
        layers.Linear(3, 2),
        layers.Tanh(),
        layers.Linear(2, 1),
        seed=0,
        backend=backend,
    )
    optimizer = make(0.1)
    grads = tree.map(lambda x: x + 1, net)
    optimizer.update(net, grads)
    assert list(optimizer.state) == list(net.parameters())
    seen = [x for part in (net, grads, optimizer.state) for _, x in tree.leaves(part)]
    before = [host(x).copy() for x in seen]
    optimizer.update(net, grads)
    for x, numbers_before in zip(seen, before, strict=True):
        np.testing.assert_array_equal(host(x), numbers_before)
    paths = [path for path, _ in tree.leaves(optimizer.state)]
    assert paths[0] in ("layers.0.weight.velocity", "layers.0.weight.mean")
    assert all(x.dtype == backend.xp.float32 for _, x in tree.leaves(optimizer.state))


def test_adamw_trains_a_network(backend):
    rng = np.random.default_rng(0)
    x = backend.asarray(rng.normal(size=(40, 3)).astype("float32"))
    t = backend.asarray((host(x).sum(axis=1) > 0).astype("int64"))
    net = layers.Sequential(
        layers.Linear(3, 8),
        layers.GELU(),
        layers.Linear(8, 2),
        seed=0,
        backend=backend,
    )
    history = anynet.fit(
        net,
        (x, t),
        optimizer=optimizers.AdamW(0.05),
        epochs=10,
        batch_size=20,
        progress=False,
    )
    assert history.losses[-1] < 0.5 * history.losses[0]


def test_second_network_raises():
    optimizer = optimizers.Adam()
    make = lambda *shapes: {f"p{i}": np.ones(shape) for i, shape in enumerate(shapes)}
    optimizer.update(make((2, 3)), make((2, 3)))
    with pytest.raises(
        ShapeError,
        match=r"p0 is of shape \(3,\), its state of \(2, 3\): an optimizer belongs to one",
    ):
        optimizer.update(make((3,)), make((3,)))
    with pytest.raises(
        ArgumentError,
        match="there is state for 1 parameters, the network has 2, or others: an opt",
    ):
        optimizer.update(make((2, 3), (2,)), make((2, 3), (2,)))


def test_repr_shows_settings():
    assert repr(optimizers.Momentum()) == (
        "Momentum(0.001, momentum=0.9, dampening=0.0, nesterov=False, weight_decay=0.0)"
    )
    assert repr(optimizers.Adam()) == (
        "Adam(0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False)"
    )
    assert repr(optimizers.AdamW(0.1)).endswith("weight_decay=0.01, amsgrad=False)")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: optimizers.Momentum(momentum=1.0),
            "momentum is 1.0: wanted a number of 0 or more and below 1",
        ),
        (
            lambda: optimizers.Adam(betas=(-0.1, 0.9)),
            r"betas\[0\] is -0.1: wanted a number of 0 or more and below 1",
        ),
        (
            lambda: optimizers.Adam(betas=(0.9, 1)),
            r"betas\[1\] is 1: wanted a number of 0 or more and below 1",
        ),
        (
            lambda: optimizers.Adam(eps=-1e-8),
            "eps is -1e-08: wanted a finite number of 0 or more",
        ),
        (
            lambda: optimizers.AdamW(weight_decay=math.nan),
            "weight_decay is nan: wanted a finite number of 0 or more",
        ),
    ],
)
def test_settings_out_of_range_raise(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_each_update_calls_the_schedule_once(backend):
    asked = []

    def halving(step):
        asked.append(step)
        return 0.5**step

    point, gradient = [normal(backend, 1)], [backend.asarray(np.ones(1))]
    start = host(point[0]).copy()
    optimizer = optimizers.SGD(halving)
    for _ in range(3):
        optimizer.update(point, gradient)
    assert asked == [0, 1, 2]
    assert_close(point[0], start - 1.75)
    assert "halving" in repr(optimizer)


def test_cosine_falls_to_zero():
    rate = schedules.Cosine(0.2, 10)
    assert rate(0) == pytest.approx(0.2)
    assert rate(5) == pytest.approx(0.1)
    assert rate(10) == pytest.approx(0.0)
    assert all(rate(i) > rate(i + 1) for i in range(10))


@pytest.mark.parametrize("rate", [0, -0.1, math.nan, math.inf])
def test_learning_rate_out_of_range_raises(rate):
    for make in (
        optimizers.SGD,
        optimizers.Momentum,
        optimizers.Adam,
        optimizers.AdamW,
        lambda rate: schedules.Cosine(rate, 10),
    ):
        with pytest.raises(
            ValueError,
            match=r"learning_rate is .*: wanted a finite number above 0",
        ):
            make(rate)


def test_schedule_without_steps_raises():
    with pytest.raises(ValueError, match="steps is 0: wanted 1 or more"):
        schedules.Cosine(0.1, 0)


@pytest.mark.parametrize("name", ["Momentum", "Adam", "AdamW"])
def test_failed_update_changes_nothing(name):
    ones = {"a": np.ones(2), "b": np.ones(2), "c": np.ones(2)}
    optimizer, params = getattr(optimizers, name)(), dict(ones)
    optimizer.update(params, ones)
    optimizer.update(params, {**ones, "b": None})
    before = [
        dict(params),
        {path: dict(state) for path, state in optimizer.state.items()},
        optimizer.updates,
    ]
    with pytest.raises(ValueError, match=r"broadcast|shape"):
        optimizer.update(params, {"a": None, "b": np.ones(2), "c": np.ones(3)})
    assert [params, optimizer.state, optimizer.updates] == before


@pytest.mark.parametrize("rate", [0, -0.1, math.nan, math.inf, "0.1", None, [0.1]])
def test_assigned_learning_rate_out_of_range_raises(rate):
    optimizer = optimizers.SGD(0.1)
    with pytest.raises(
        ArgumentError,
        match=r"learning_rate is .*: wanted a (finite )?number",
    ):
        optimizer.learning_rate = rate
    assert optimizer.learning_rate == 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        optimizers.SGD,
        schedules.Cosine,
        layers.Sequential(layers.Linear(2, 1)),
    ],
)
def test_learning_rate_of_another_type_raises(wrong):
    with pytest.raises(
        ArgumentTypeError,
        match=r"learning_rate is a \w+: wanted a number above 0, or a schedule",
    ):
        optimizers.Adam(wrong)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (optimizers.SGD, {"weight_decay": 0.5}),
        (optimizers.Momentum, {"momentum": 0.5, "nesterov": True}),
        (optimizers.Adam, {"betas": (0.5, 0.9), "eps": 0.1, "weight_decay": 0.5, "amsgrad": True}),
        (optimizers.AdamW, {"weight_decay": 0.5}),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_assigned_settings_take_effect_at_the_next_update(backend, make, settings, compiled):
    """As for an optimizer that is made with them, and given the state of the first."""

    def step(net, optimizer, grads):
        optimizer.update(net, grads)

    step = anynet.compile(step) if compiled else step
    for name, value in {"learning_rate": 0.05, **settings}.items():
        net, grads = (
            {"w": normal(backend, 4)},
            {"w": normal(backend, 4, seed=1)},
        )
        changed = make(0.1)
        for _ in range(3):
            step(net, changed, grads)
        made = make(**({"learning_rate": 0.1} | {name: value}))
        vars(made).update(
            {kept: copy.deepcopy(x) for kept, x in vars(changed).items() if kept == "state"}
        )
        for _ in range(3):
            made._updates.value += 1
        peer = tree.map(lambda x: x, net)
        setattr(changed, name, value)
        assert getattr(changed, name) == value
        for _ in range(3):
            step(net, changed, grads)
            made.update(peer, grads)
        assert_close(net["w"], host(peer["w"]))


def test_compiled_step_can_assign_the_learning_rate(backend):
    def run(step):
        net, optimizer = (
            {"w": backend.asarray(np.ones(2, np.float32))},
            optimizers.SGD(0.5),
        )
        for _ in range(4):
            step(
                net,
                optimizer,
                {"w": backend.asarray(np.ones(2, np.float32))},
            )
        return host(net["w"])

    def sets(net, optimizer, grads):
        optimizer.update(net, grads)
        optimizer.learning_rate = 0.25

    def halves(net, optimizer, grads):
        optimizer.update(net, grads)
        optimizer.learning_rate = 0.5 * optimizer.learning_rate

    for step in (sets, halves):
        assert run(anynet.compile(step)).tolist() == run(step).tolist()


@pytest.mark.parametrize("value", [math.nan, -0.1, None, "0.1"])
def test_schedule_with_an_invalid_rate_raises(value):
    optimizer = optimizers.SGD(lambda step: value)
    point = [np.ones(2)]
    with pytest.raises(ArgumentError, match=r"schedule gives .*for step 0"):
        optimizer.update(point, [np.ones(2)])
    assert optimizer.updates == 0
    assert point[0].tolist() == [1, 1]


@pytest.mark.parametrize("wrong", [None, 3, (np.float32(1.0), None)])
def test_gradients_of_another_type_raise(wrong):
    net = layers.Sequential(layers.Linear(2, 1), seed=0, backend="numpy")
    with pytest.raises(
        ArgumentError,
        match="the trees differ: the first is a Sequential in one and a",
    ):
        optimizers.SGD(0.1).update(net, wrong)


@pytest.mark.parametrize(
    "dtypes",
    [
        ("float32", "float64"),
        ("float32", "float16"),
        ("float16", "float64"),
        ("complex64", "float32"),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        optimizers.SGD,
        optimizers.Momentum,
        partial(optimizers.Adam, eps=1e-3),
    ],
)
def test_mixed_dtypes_are_updated_like_each_alone(backend, make, dtypes):
    if not all(hasattr(backend.xp, dtype) for dtype in dtypes):
        pytest.skip(reason="the library has no such dtype")

    def array(value, dtype):
        x = backend.asarray(np.full((3,), value * (1 + 0.5j) if "complex" in dtype else value))
        return backend.xp.astype(x, getattr(backend.xp, dtype))

    together = {dtype: array(1.0, dtype) for dtype in dtypes}
    alone = [{dtype: array(1.0, dtype)} for dtype in dtypes]
    optimizer, others = make(0.1), [make(0.1) for _ in dtypes]
    if isinstance(optimizer, optimizers.Adam) and "complex64" in dtypes:
        with pytest.raises(DTypeError, match="SGD and Momentum train complex parameters"):
            optimizer.update(together, {dtype: array(2.0, dtype) for dtype in dtypes})
        return
    for value in (2.0, -0.5):
        optimizer.update(together, {dtype: array(value, dtype) for dtype in dtypes})
        for other, parameters in zip(others, alone, strict=True):
            other.update(
                parameters,
                {dtype: array(value, dtype) for dtype in parameters},
            )
    for parameters in alone:
        for dtype, wanted in parameters.items():
            assert together[dtype].dtype == wanted.dtype == getattr(backend.xp, dtype)
            np.testing.assert_allclose(host(together[dtype]), host(wanted), rtol=2e-3)


@pytest.mark.parametrize("make", [optimizers.SGD, optimizers.Momentum, optimizers.Adam])
@pytest.mark.parametrize("shape", [(1,), (), (3, 2), (3,), (1, 2, 3)], ids=str)
def test_gradient_of_another_shape_raises(backend, make, shape):
    """It is not broadcast, which would change the parameters by something else than their
    gradient."""
    point = {"w": normal(backend, 2, 3)}
    before = host(point["w"]).copy()
    optimizer = make(0.1)
    with pytest.raises(
        ShapeError,
        match=rf"the gradient of w has shape {re.escape(str(shape))}: wanted .*\(2, 3\)",
    ):
        optimizer.update(point, {"w": normal(backend, *shape)})
    assert host(point["w"]).tolist() == before.tolist()
    assert optimizer.updates == 0


def test_dict_of_parameters_in_place_of_the_network_raises(backend):
    """A new dict, whose update would leave the network as it is."""
    net = layers.Sequential(layers.Linear(2, 1), seed=0, backend=backend)
    with pytest.raises(
        ArgumentError,
        match=r"a dict in one and a Sequential in another: give the network in place of",
    ):
        optimizers.SGD(0.1).update(net.parameters(), net.map(lambda x: x))
