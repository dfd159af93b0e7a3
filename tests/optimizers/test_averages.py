"""Averages of the weights."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from helpers import host, normal

import anynet
from anynet import layers, losses, optimizers, tree
from anynet.errors import ArgumentError, ArgumentTypeError, StateError
from anynet.training import training_step

MAKE = {
    "exponential": lambda inside: optimizers.ExponentialAverage(inside, decay=0.9),
    "stochastic": lambda inside: optimizers.StochasticAverage(inside, start=4, every=3),
}


def network(backend, seed=0):
    return layers.Sequential(
        layers.Linear(4, 6),
        layers.BatchNorm(6),
        layers.ReLU(),
        layers.Dropout(0.2),
        layers.Linear(6, 3),
        seed=seed,
        backend=backend,
    )


def rows(backend, count=6, seed=0):
    return normal(backend, count, 4, seed=seed), backend.asarray(np.arange(count) % 3)


def assert_near(x, tensor, rtol=1e-5):
    """Compare an array of NumPy with one of PyTorch, relative by norm."""
    expected = tensor.detach().numpy()
    assert np.linalg.norm(x - expected) <= rtol * np.linalg.norm(expected)


def values(net):
    return {path: host(x) for path, x in tree.leaves(net)}


def of_pytorch(kind, model):
    """Return PyTorch's averaged model, and whether an update counts."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    if kind == "exponential":
        average = torch.optim.swa_utils.get_ema_avg_fn(0.9)
        averaged = torch.optim.swa_utils.AveragedModel(model, avg_fn=average, use_buffers=True)
        return averaged, lambda updates: True
    averaged = torch.optim.swa_utils.AveragedModel(model, use_buffers=True)
    return averaged, lambda updates: updates > 4 and (updates - 4) % 3 == 0


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("kind", MAKE)
def test_fifty_steps_agree_with_pytorch(backend, kind, compiled):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    start, buffer = rng.normal(size=(4, 3)), rng.normal(size=2)

    class Peer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.asarray(start.copy()))
            self.register_buffer("running", torch.asarray(buffer.copy()))

    class Ours(layers.Module):
        BUFFERS = ("running",)

        def __init__(self):
            self.weight = backend.asarray(start)
            self.running = backend.asarray(buffer)

    peer, net = Peer(), Ours()
    averaged, counts = of_pytorch(kind, peer)
    theirs = torch.optim.AdamW(peer.parameters(), lr=0.1)
    optimizer = MAKE[kind](optimizers.AdamW(0.1))

    def step(net, optimizer, gradient, running):
        net.running = running
        grads = tree.map(lambda x: None, net)
        grads.weight = gradient
        optimizer.update(net, grads)

    step = anynet.compile(step) if compiled else step
    for i in range(50):
        gradient, running = rng.normal(size=(4, 3)), rng.normal(size=2)
        step(net, optimizer, backend.asarray(gradient), backend.asarray(running))
        peer.weight.grad = torch.asarray(gradient)
        peer.running = torch.asarray(running)
        theirs.step()
        if counts(i + 1):
            averaged.update_parameters(peer)
    before = values(net)
    optimizer.swap(net)
    for path in ("weight", "running"):
        assert_near(host(getattr(net, path)), getattr(averaged.module, path))
    optimizer.swap(net)
    for path, x in values(net).items():
        np.testing.assert_array_equal(x, before[path])
    if compiled:
        assert len(step.programs) <= 2


@pytest.mark.parametrize("kind", MAKE)
def test_swap_exchanges_floating_arrays(backend, kind):
    net, optimizer = network(backend), MAKE[kind](optimizers.SGD(0.1))
    step = training_step(losses.cross_entropy)
    for i in range(8):
        step(net, optimizer, *rows(backend, seed=i))
    x, _ = rows(backend)
    trained, before = net(x), values(net)
    averages = {path: host(average) for path, average in optimizer.averages.items()}
    assert not optimizer.swapped
    optimizer.swap(net)
    assert optimizer.swapped
    after = values(net)
    assert before.keys() - averages.keys() == {"layers.3.key"}
    for path, value in after.items():
        np.testing.assert_array_equal(value, averages.get(path, before[path]))
    assert not np.allclose(host(net(x)), host(trained))
    with pytest.raises(StateError, match=r"call swap\(net\)"):
        step(net, optimizer, *rows(backend))
    optimizer.swap(net)
    assert not optimizer.swapped
    np.testing.assert_array_equal(host(net(x)), host(trained))
    step(net, optimizer, *rows(backend))


def test_swap_before_there_is_an_average_changes_nothing(backend):
    for kind in MAKE:
        net, optimizer = network(backend), MAKE[kind](optimizers.SGD(0.1))
        before = values(net)
        for _ in range(2):
            optimizer.swap(net)
            assert not optimizer.swapped
        for path, x in values(net).items():
            np.testing.assert_array_equal(x, before[path])
    training_step(losses.cross_entropy)(net, optimizer, *rows(backend))
    before = values(net)
    optimizer.swap(net)
    assert not optimizer.swapped
    np.testing.assert_array_equal(host(net[0].weight), before["layers.0.weight"])


def test_tied_and_frozen_parameters(backend):
    net = layers.Sequential(*(layers.Linear(3, 3) for _ in range(3)), seed=0, backend=backend)
    net[1].weight = net[0].weight
    net[2].freeze()
    frozen = host(net[2].weight)
    optimizer = optimizers.ExponentialAverage(optimizers.Momentum(0.1), 0.5)
    loss = anynet.value_and_grad(lambda net, x: (net(x) ** 2).mean())
    for i in range(4):
        _, grads = loss(net, normal(backend, 4, 3, seed=i))
        optimizer.update(net, grads)
    assert [*optimizer.averages] == [path for path, _ in tree.leaves(net)]
    weight = net[0].weight
    optimizer.swap(net)
    assert net[0].weight is net[1].weight
    assert net[0].weight is not weight
    np.testing.assert_array_equal(host(net[2].weight), frozen)
    optimizer.swap(net)
    assert net[0].weight is net[1].weight is weight


def test_averages_of_narrow_arrays_are_in_float32(backend):
    if not hasattr(backend.xp, "float16"):
        pytest.skip(f"{backend} has no float16")
    xp = backend.xp
    net = {"w": xp.astype(backend.asarray([1.0, 2.0]), xp.float16)}
    optimizer = optimizers.ExponentialAverage(optimizers.SGD(1e-2), 0.999)
    for _ in range(3):
        optimizer.update(net, {"w": xp.ones_like(net["w"])})
    average = optimizer.averages["w"]
    assert average.dtype == xp.float32
    for _ in range(2):
        optimizer.swap(net)
        assert net["w"].dtype == xp.float16
    optimizer.swap(net)
    optimizer.swap(net)
    assert optimizer.averages["w"] is average


def test_complex_weights(backend):
    if not hasattr(backend.xp, "complex64"):
        pytest.skip(f"{backend} has no complex64")
    net = {"w": backend.asarray(np.asarray([1 + 2j], "complex64"))}
    optimizer = optimizers.StochasticAverage(optimizers.SGD(1.0))
    for _ in range(2):
        optimizer.update(net, {"w": backend.asarray(np.asarray([1j], "complex64"))})
    optimizer.swap(net)
    np.testing.assert_allclose(host(net["w"]), [1 + 0.5j])


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("kind", MAKE)
def test_it_resumes_from_its_state(backend, kind, swapped):
    make = lambda: MAKE[kind](optimizers.Momentum(0.1))
    net, first, second = {"w": normal(backend, 3)}, make(), make()
    for i in range(8):
        first.update(net, {"w": normal(backend, 3, seed=i)})
    if swapped:
        first.swap(net)
    other = copy.deepcopy(net)
    second.load_state_dict(first.state_dict())
    assert second.swapped == swapped
    for copied in (copy.deepcopy(second), pickle.loads(pickle.dumps(second))):
        assert copied.swapped == swapped
    for trained, optimizer in ((net, first), (other, second)):
        if swapped:
            optimizer.swap(trained)
        for i in range(8, 16):
            optimizer.update(trained, {"w": normal(backend, 3, seed=i)})
        optimizer.swap(trained)
    np.testing.assert_array_equal(host(net["w"]), host(other["w"]))


@pytest.mark.parametrize("kind", MAKE)
def test_states_of_others_raise_and_change_nothing(kind):
    optimizer, net = MAKE[kind](optimizers.SGD(0.1)), {"w": np.ones(3)}
    for _ in range(8):
        optimizer.update(net, {"w": np.ones(3)})
    state = optimizer.state_dict()
    wrong = [
        {**state, "averages": {"w": 1.0}},
        {**state, "weights": {"v": np.ones(3)}},
        {**state, "weights": {"w": np.ones(4)}},
        {**state, "optimizer": {}},
        {name: value for name, value in state.items() if name != "averages"},
    ]
    counts = state.keys() & {"count", "remaining", "averaged"}
    wrong += [{**state, name: -1} for name in counts]
    for other in wrong:
        with pytest.raises(ArgumentError):
            optimizer.load_state_dict(other)
    assert str(optimizer.state_dict()) == str(state)


def test_another_network_raises(backend):
    for kind in MAKE:
        optimizer, net = MAKE[kind](optimizers.SGD(0.1)), {"w": normal(backend, 3)}
        for _ in range(8):
            optimizer.update(net, {"w": normal(backend, 3)})
        for other in ({"v": net["w"]}, {"w": normal(backend, 4)}, {**net, "v": net["w"]}, {}):
            with pytest.raises(ArgumentError, match="an optimizer belongs to one network"):
                optimizer.swap(other)
        other = {"w": normal(backend, 4)}
        with pytest.raises(ArgumentError, match="an optimizer belongs to one network"):
            optimizer.update(other, {"w": normal(backend, 4)})
        assert optimizer.updates == 8


def test_settings():
    sgd = optimizers.SGD(0.1)
    assert repr(optimizers.ExponentialAverage(sgd)) == f"ExponentialAverage({sgd!r}, decay=0.999)"
    assert repr(optimizers.StochasticAverage(sgd, 10, every=5)) == (
        f"StochasticAverage({sgd!r}, start=10, every=5)"
    )
    for make in (
        lambda: optimizers.ExponentialAverage(sgd, 1.0),
        lambda: optimizers.ExponentialAverage(sgd, -0.1),
        lambda: optimizers.StochasticAverage(sgd, -1),
        lambda: optimizers.StochasticAverage(sgd, 0, 0),
    ):
        with pytest.raises(ArgumentError, match="wanted"):
            make()
    with pytest.raises(ArgumentTypeError, match="wanted a whole number"):
        optimizers.StochasticAverage(sgd, 2.5)
    for kind in MAKE:
        MAKE[kind](sgd).update({}, {})


NESTED = {
    "clipping outside": lambda inside: optimizers.Clipping(
        optimizers.Accumulation(optimizers.ExponentialAverage(inside, 0.9), 2), max_norm=0.5
    ),
    "clipping inside": lambda inside: optimizers.ExponentialAverage(
        optimizers.Accumulation(optimizers.Clipping(inside, max_norm=0.5), 2), 0.9
    ),
    "averages in the middle": lambda inside: optimizers.Accumulation(
        optimizers.StochasticAverage(optimizers.Clipping(inside, max_value=0.05), every=2), 2
    ),
    "averages of averages": lambda inside: optimizers.StochasticAverage(
        optimizers.ExponentialAverage(optimizers.Accumulation(inside, 3), 0.9), every=2
    ),
}


@pytest.mark.parametrize("name", NESTED)
def test_nested_optimizers_agree_with_pytorch_and_compiled(backend, name):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 2))
    gradients = [rng.normal(size=(3, 2)) for _ in range(50)]
    averages = []
    for compiled in (False, True):
        net = {"w": backend.asarray(start)}
        optimizer = NESTED[name](optimizers.AdamW(0.05))
        step = lambda net, optimizer, g: optimizer.update(net, {"w": g})
        step = anynet.compile(step) if compiled else step
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for g in gradients:
                step(net, optimizer, backend.asarray(g))
        last = host(net["w"])
        optimizer.swap(net)
        assert optimizer.swapped
        averages.append(host(net["w"]))
        with pytest.raises(StateError):
            optimizer.update(net, {"w": backend.asarray(start)})

    peer = torch.nn.ParameterDict({"w": torch.nn.Parameter(torch.asarray(start.copy()))})
    theirs = torch.optim.AdamW(peer.parameters(), lr=0.05)
    swa = torch.optim.swa_utils
    averaged = swa.AveragedModel(peer, avg_fn=swa.get_ema_avg_fn(0.9))
    outer = swa.AveragedModel(averaged.module if name == "averages of averages" else peer)
    clip = torch.nn.utils
    every = 3 if name == "averages of averages" else 2
    total, updates = None, 0
    for i, g in enumerate(gradients):
        peer["w"].grad = torch.asarray(g.copy())
        if name == "clipping outside":
            clip.clip_grad_norm_(peer.parameters(), 0.5)
        total = peer["w"].grad / every if total is None else total + peer["w"].grad / every
        is_update = i % every == every - 1
        if is_update:
            peer["w"].grad, total = total, None
            if name == "clipping inside":
                clip.clip_grad_norm_(peer.parameters(), 0.5)
            if name == "averages in the middle":
                clip.clip_grad_value_(peer.parameters(), 0.05)
            theirs.step()
            updates += 1
        if name in ("clipping inside", "averages of averages") or is_update:
            averaged.update_parameters(peer)
        if name == "averages in the middle" and is_update and updates % 2 == 0:
            outer.update_parameters(peer)
        if name == "averages of averages" and i % 2 == 1:
            outer.update_parameters(peer)
    expected = averaged if name.startswith("clipping") else outer
    assert_near(last, peer["w"])
    for average in averages:
        assert_near(average, expected.module["w"])


def nested():
    return optimizers.Clipping(
        optimizers.StochasticAverage(
            optimizers.Accumulation(optimizers.ExponentialAverage(optimizers.Adam(0.01), 0.9), 2),
            start=5,
            every=3,
        ),
        max_norm=1.0,
    )


@pytest.mark.parametrize("compile", [False, True])
def test_nested_optimizers_go_on_from_a_checkpoint(backend, compile, tmp_path):
    class Failure(Exception):
        pass

    def fail(run):
        if run.updates == 7:
            raise Failure

    def train(**settings):
        net, optimizer = network(backend), nested()
        anynet.fit(
            net,
            rows(backend, 20),
            optimizer=optimizer,
            epochs=3,
            batch_size=4,
            compile=compile,
            progress=False,
            **settings,
        )
        return values(net), values(optimizer)

    whole = train()
    path = tmp_path / "run.safetensors"
    with pytest.raises(Failure):
        train(
            checkpoint=path,
            checkpoint_every=1,
            callbacks=[anynet.callbacks.LambdaCallback(on_step_end=fail)],
        )
    resumed = train(checkpoint=path, checkpoint_every=1)
    for ours, theirs in zip(resumed, whole, strict=True):
        assert ours.keys() == theirs.keys()
        for name, x in ours.items():
            np.testing.assert_allclose(x, theirs[name], rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_wrappers_around_and_inside_of_groups(backend, compiled):
    """Groups of accumulating optimizers, and groups inside, make the same updates."""
    pair = lambda wrap: (("a", wrap(optimizers.Adam(0.1))), wrap(optimizers.SGD(0.1)))
    make = [
        lambda: optimizers.Accumulation(optimizers.Groups(*pair(lambda x: x)), 2),
        lambda: optimizers.Groups(*pair(lambda x: optimizers.Accumulation(x, 2))),
    ]
    nets = []
    for new in make:
        net, optimizer = {"a": normal(backend, 3), "b": normal(backend, 2)}, new()
        step = lambda net, optimizer, a, b: optimizer.update(net, {"a": a, "b": b})
        step = anynet.compile(step) if compiled else step
        for i in range(8):
            step(net, optimizer, normal(backend, 3, seed=i), normal(backend, 2, seed=i))
        assert optimizer.updates == 4
        other = new()
        other.load_state_dict(optimizer.state_dict())
        assert other.updates == 4
        nets.append(values(net))
    for name, x in nets[0].items():
        np.testing.assert_allclose(nets[1][name], x, rtol=1e-6)


@pytest.mark.parametrize("gradient", [None, 1.0])
def test_parameters_that_pytorch_records(gradient):
    """The averages of PyTorch's own parameters have no history."""
    torch = pytest.importorskip("torch", reason="has parameters of PyTorch")
    net = {"w": torch.nn.Parameter(torch.ones(3))}
    grads = {"w": None if gradient is None else torch.full((3,), gradient)}
    optimizer = optimizers.ExponentialAverage(optimizers.Accumulation(optimizers.SGD(0.1), 1))
    for _ in range(3):
        optimizer.update(net, grads)
    assert not optimizer.averages["w"].requires_grad
    before = net["w"]
    optimizer.swap(net)
    assert not net["w"].requires_grad
    optimizer.swap(net)
    assert net["w"] is before
