"""Accumulation of gradients."""

import copy
import math
import pickle
import warnings

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet import layers, losses, optimizers, tree
from anynet.errors import ArgumentError, ArgumentTypeError, ShapeError
from anynet.optimizers import schedules
from anynet.training import training_step


def network(backend):
    return layers.Sequential(
        layers.Linear(4, 5),
        layers.Tanh(),
        layers.Linear(5, 3),
        seed=0,
        backend=backend,
    )


def rows(backend, count, seed=0):
    x = normal(backend, count, 4, seed=seed)
    return x, backend.asarray(np.arange(count) % 3)


def parameters(net):
    return [host(x) for _, x in tree.leaves(net)]


@pytest.mark.parametrize(
    ("steps", "compiled"),
    [(1, False), (3, False), (2, True), (3, True)],
)
def test_parts_of_a_batch_update_as_the_whole_batch(backend, steps, compiled):
    whole, split = network(backend), network(backend)
    step = training_step(losses.cross_entropy)
    part = anynet.compile(step) if compiled else step
    first = optimizers.Adam(schedules.Cosine(0.1, 5))
    second = optimizers.Accumulation(optimizers.Adam(schedules.Cosine(0.1, 5)), steps)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(4):
            x, t = rows(backend, 6, seed=i)
            step(whole, first, x, t)
            for j in range(steps):
                some = slice(j * 6 // steps, (j + 1) * 6 // steps)
                part(split, second, x[some, ...], t[some])
    assert first.updates == second.updates == 4
    for ours, theirs in zip(parameters(split), parameters(whole), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    if compiled:
        assert len(part.programs) == 2


def test_fifty_steps_agree_with_pytorch(backend):
    """With missing gradients in some calls, and in whole windows."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    start = {name: rng.normal(size=3) for name in ("a", "b", "c")}
    net = {name: backend.asarray(x) for name, x in start.items()}
    peers = {name: torch.asarray(x.copy()).requires_grad_() for name, x in start.items()}
    ours = optimizers.Accumulation(optimizers.AdamW(0.05, weight_decay=0.1), steps=4)
    theirs = torch.optim.AdamW(peers.values(), lr=0.05, weight_decay=0.1)
    for i in range(50):
        present = {"a": True, "b": i % 3 != 0, "c": i // 4 % 3 == 1}
        grads = {name: rng.normal(size=3) if present[name] else None for name in start}
        ours.update(net, {k: None if g is None else backend.asarray(g) for k, g in grads.items()})
        for name, g in grads.items():
            if g is not None:
                total = 0.0 if peers[name].grad is None else peers[name].grad
                peers[name].grad = total + torch.asarray(g) / 4
        if i % 4 == 3:
            theirs.step()
            theirs.zero_grad()
    for name, x in peers.items():
        assert_close(net[name], x.detach().numpy(), like=backend.asarray(start[name]), rtol=1e-5)


def test_a_compiled_step_of_several_parts(backend):
    """One compiled step makes two calls, and every third call updates."""
    make = lambda: optimizers.Accumulation(optimizers.Momentum(0.1), steps=3)

    def both(net, optimizer, first, second):
        optimizer.update(net, [first])
        optimizer.update(net, [second])

    nets = [[normal(backend, 3)] for _ in range(2)]
    eager, compiled, step = make(), make(), anynet.compile(both)
    for i in range(12):
        first, second = normal(backend, 3, seed=i), normal(backend, 3, seed=50 + i)
        both(nets[0], eager, first, second)
        step(nets[1], compiled, first, second)
        assert_close(nets[1][0], host(nets[0][0]), like=nets[0][0], rtol=1e-6)
    assert eager.updates == compiled.updates == 8
    assert len(step.programs) == 3


def test_frozen_and_tied_parameters(backend):
    net = network(backend)
    net[2] = net[2]
    net.layers[0].freeze()
    before = [host(net[0].weight), host(net[2].weight)]
    step = anynet.compile(training_step(losses.cross_entropy))
    optimizer = optimizers.Accumulation(optimizers.AdamW(0.1), 2)
    for i in range(4):
        step(net, optimizer, *rows(backend, 4, seed=i))
    np.testing.assert_array_equal(host(net[0].weight), before[0])
    assert not np.allclose(host(net[2].weight), before[1])

    tied = layers.Sequential(layers.Linear(3, 3), layers.Linear(3, 3), seed=0, backend=backend)
    tied[1].weight = tied[0].weight
    loss = anynet.value_and_grad(lambda net, x: (net(x) ** 2).mean())
    for i in range(4):
        _, grads = loss(tied, normal(backend, 4, 3, seed=i))
        optimizer = optimizer if i else optimizers.Accumulation(optimizers.SGD(0.1), 2)
        optimizer.update(tied, grads)
    assert tied[1].weight is tied[0].weight
    assert len(optimizer.sums) == 3


def test_sums_of_narrow_gradients_are_in_float32(backend):
    if not hasattr(backend.xp, "float16"):
        pytest.skip(f"{backend} has no float16")
    narrow = lambda *values: backend.xp.astype(backend.asarray(values), backend.xp.float16)
    net, optimizer = {"w": narrow(0.0)}, optimizers.Accumulation(optimizers.SGD(1.0), 2)
    for _ in range(2):
        optimizer.update(net, {"w": narrow(60000.0)})
    assert host(net["w"])[0] == -60000.0
    assert net["w"].dtype == backend.xp.float16


def test_nan_does_not_reach_the_next_update(backend):
    net = {"w": backend.asarray([1.0])}
    optimizer = optimizers.Accumulation(optimizers.SGD(1.0), 2)
    for value in (math.nan, 1.0):
        optimizer.update(net, {"w": backend.asarray([value])})
    assert np.isnan(host(net["w"]))
    net["w"] = backend.asarray([1.0])
    for value in (1.0, 1.0):
        optimizer.update(net, {"w": backend.asarray([value])})
    assert host(net["w"]) == 0.0


def test_a_gradient_that_is_written_into_later(backend):
    gradient = np.ones(2)
    net, optimizer = {"w": np.zeros(2)}, optimizers.Accumulation(optimizers.SGD(1.0), 2)
    optimizer.update(net, {"w": gradient})
    gradient[:] = 100.0
    optimizer.update(net, {"w": np.ones(2)})
    np.testing.assert_array_equal(net["w"], [-1.0, -1.0])


def test_it_resumes_in_the_middle(backend):
    make = lambda: optimizers.Accumulation(optimizers.Adam(0.1), steps=3)
    nets = [{"w": backend.asarray([1.0, 2.0]), "unused": backend.asarray([0.0])} for _ in range(2)]
    grads = [{"w": normal(backend, 2, seed=i), "unused": None} for i in range(8)]
    whole, first, second = make(), make(), make()
    for g in grads:
        whole.update(nets[0], g)
    for g in grads[:4]:
        first.update(nets[1], g)
    state = first.state_dict()
    assert (state["remaining"], state["stale"]) == (2, [])
    second.load_state_dict(state)
    for other in (copy.deepcopy(second), pickle.loads(pickle.dumps(second))):
        assert other.state_dict()["remaining"] == 2
    for g in grads[4:]:
        second.update(nets[1], g)
    np.testing.assert_array_equal(host(nets[1]["w"]), host(nets[0]["w"]))
    wrong = {"remaining": 4, "stale": ["b"], "sums": {"w": 1.0}}
    for name, value in wrong.items():
        before = second.state_dict()
        with pytest.raises(ArgumentError, match="Accumulation"):
            second.load_state_dict({**before, name: value})
        assert second.state_dict()["remaining"] == before["remaining"]
    with pytest.raises(ArgumentError, match="lacks 'remaining'"):
        second.load_state_dict({"optimizer": {}, "sums": {}, "steps": 3, "stale": []})


@pytest.mark.parametrize("is_compiled", [False, True])
def test_new_steps_count_from_the_next_update(backend, is_compiled):
    """Each update has the mean of the gradients that make it."""
    net = {"w": backend.asarray([0.0])}
    optimizer = optimizers.Accumulation(optimizers.SGD(1.0), steps=4)
    optimizer.steps = 3
    update = lambda net, optimizer, g: optimizer.update(net, {"w": g})
    update = anynet.compile(update) if is_compiled else update
    values = []
    for i in range(9):
        if i == 2:
            optimizer.steps = 2
        update(net, optimizer, backend.asarray([1.0]))
        values.append(-float(net["w"][0]))
    assert values == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0]


def test_state_has_the_number_of_steps():
    net, g = {"w": np.zeros(1)}, {"w": np.ones(1)}
    first, second = [optimizers.Accumulation(optimizers.SGD(1.0), steps=n) for n in (4, 2)]
    for _ in range(3):
        first.update(net, g)
    second.load_state_dict(first.state_dict())
    for expected in (-1.0, -1.0, -2.0):
        second.update(net, g)
        assert net["w"][0] == expected


def test_a_failing_update_changes_nothing(backend):
    net = {"w": backend.asarray([1.0]), "v": backend.asarray([1.0])}
    optimizer = optimizers.Accumulation(optimizers.SGD(schedules.Cosine(0.1, 1)), 2)
    good = {"w": backend.asarray([1.0]), "v": backend.asarray([1.0])}
    optimizer.update(net, good)
    with pytest.raises(ShapeError, match=r"the gradient of w has shape \(2,\)"):
        optimizer.update(net, {**good, "w": backend.asarray([1.0, 1.0])})
    with pytest.raises(ArgumentError, match="the trees differ"):
        optimizer.update(net, {"w": good["w"]})
    with pytest.raises(ArgumentError, match="an optimizer belongs to one network"):
        optimizer.update({"u": net["w"]}, {"u": good["w"]})
    for _ in range(4):
        optimizer.update(net, good)
    before = net["w"], optimizer.sums["w"]
    with pytest.raises(ArgumentError, match="ends with step 1"):
        optimizer.update(net, good)
    assert (net["w"], optimizer.sums["w"]) == before


def test_settings():
    optimizer = optimizers.Accumulation(optimizers.SGD(0.1), 4)
    assert repr(optimizer) == f"Accumulation({optimizer.optimizer!r}, steps=4)"
    for steps in (0, -1):
        with pytest.raises(ArgumentError, match="wanted 1 or more"):
            optimizers.Accumulation(optimizers.SGD(0.1), steps)
    with pytest.raises(ArgumentTypeError, match="wanted a whole number"):
        optimizer.steps = 2.5
    with pytest.raises(ArgumentTypeError, match="steps"):
        optimizers.Accumulation(optimizers.SGD(0.1))
    optimizers.Accumulation(optimizers.SGD(0.1), 2).update({}, {})


def test_fit_with_loops_on_the_device(backend):
    """The steps that a device repeats choose between two programs, too."""
    x, t = rows(backend, 24)
    results = []
    for compile in (False, True):
        net, optimizer = network(backend), optimizers.Accumulation(optimizers.Adam(0.05), 3)
        anynet.fit(
            net,
            (x, t),
            optimizer=optimizer,
            epochs=3,
            batch_size=3,
            compile=compile,
            metric=None,
            progress=False,
        )
        assert optimizer.updates == 8
        results.append(parameters(net))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "inside",
    [
        lambda: optimizers.Adam(0.1),
        lambda: optimizers.AdaGrad(0.1, initial_accumulator_value=0.5),
        lambda: optimizers.Muon(0.1),
        lambda: optimizers.Groups(("w", optimizers.Momentum(0.1)), optimizers.NAdam(0.1)),
        lambda: optimizers.ExponentialAverage(optimizers.RMSprop(0.1), 0.5),
    ],
)
def test_updates_that_mixed_precision_skips(inside):
    """A skipped call leaves all states as they are, also before the first update."""
    gradients = [np.inf, 1.0, np.inf, 2.0, 3.0, np.inf, 4.0, 5.0, 6.0]
    states = []
    for compiled in (False, True):
        net = {"w": np.ones((2, 3), "float32"), "v": np.ones(3, "float32")}
        optimizer = optimizers.Accumulation(inside(), 2)
        policy = anynet.MixedPrecision("float16", initial_scale=4.0)

        def step(net, optimizer, policy, g):
            policy.update(optimizer, net, {"w": net["w"] * g, "v": net["v"] * g})

        step = anynet.compile(step) if compiled else step
        for value in gradients:
            with np.errstate(invalid="ignore"):
                step(net, optimizer, policy, np.full((), value, "float32"))
        assert optimizer.updates == 3
        states.append(dict(tree.leaves([net, optimizer])))
    assert states[0].keys() == states[1].keys()
    for path, x in states[0].items():
        np.testing.assert_allclose(states[1][path], x, rtol=1e-6, err_msg=path)
