"""Replays and loops: results, errors and interrupts."""

import contextlib
import functools
import itertools

import numpy as np
import pytest
from compiled_steps import (
    OPTIMIZERS,
    batch,
    both_ways,
    interrupt_at,
    plain_net,
    same_bits,
    small,
    swapped,
    total,
)
from helpers import assert_close, checks_labels, host, normal
from pretended_graphs import Pretended

import anynet
from anynet import layers, losses, optimizers
from anynet.array import array_namespace
from anynet.backend import get_backend
from anynet.compiler import compiled_step
from anynet.data import Loader
from anynet.data.rows import take_rows
from anynet.errors import (
    ArgumentError,
    DataError,
    ShapeError,
)
from anynet.optimizers import schedules
from anynet.training import on_rows, training_step


def test_compiled_step_raises_the_errors_of_the_step(backend):
    net = layers.Sequential(
        layers.Embedding(5, 2),
        layers.Flatten(),
        layers.Linear(4, 3),
        seed=0,
        backend=backend,
    )
    step = anynet.compile(training_step(losses.cross_entropy))
    x, t = (
        backend.asarray(np.array([[0, 4]])),
        backend.asarray(np.array([2])),
    )
    step(net, optimizers.SGD(0.1), x, t)
    if checks_labels(backend):
        with pytest.raises(DataError, match="label 3 is no class"):
            step(net, optimizers.SGD(0.1), x, t + 1)
        with pytest.raises(
            DataError,
            match=r"layers\.0: index 5 is outside the table of 5 rows",
        ):
            step(net, optimizers.SGD(0.1), x + 1, t)
    with pytest.raises(ShapeError, match=r"layers\.2: input of shape \(1, 6\) does not fit"):
        step(
            net,
            optimizers.SGD(0.1),
            backend.asarray(np.array([[0, 4, 1]])),
            t,
        )


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_loop_agrees_with_single_steps(backend, name):
    """Each step has its own learning rate. A loop continues where the previous one ended."""
    x, t = batch(backend, 60)
    rows = backend.asarray(np.random.default_rng(0).permutation(60).reshape(10, 6))
    train = training_step(losses.cross_entropy)
    step = anynet.compile(on_rows(train))
    net, optimizer, other, other_optimizer = (
        small(backend),
        OPTIMIZERS[name](),
        small(backend),
        OPTIMIZERS[name](),
    )
    wanted = [train(other, other_optimizer, *take_rows((x, t), rows[i, ...])) for i in range(10)]
    found = [
        loss
        for start, stop in ((0, 3), (3, 4), (4, 20))
        for loss in host(step.for_each(rows, net, optimizer, x, t, start=start, stop=stop)).tolist()
    ]
    assert found == pytest.approx([float(x) for x in wanted], rel=1e-4)
    assert optimizer.updates == 10
    same_bits(backend, (net, optimizer), (other, other_optimizer))


def test_loop_stacks_the_results(backend):
    pair = anynet.compile(lambda net, x: (net(x), {"rows": x}))
    net, x = small(backend), backend.asarray(np.ones((4, 5, 3), "float32"))
    y, rest = pair.for_each(x, net)
    assert y.shape == (4, 5, 2)
    assert rest["rows"].shape == x.shape
    infer = anynet.compile(net)
    assert_close(infer.for_each(x), host(y), rtol=1e-5)
    with pytest.raises(ArgumentError, match="no entry from 4 to 4; there are 4"):
        pair.for_each(x, net, start=4)


@pytest.mark.parametrize("rows", [64, 70, 5])
def test_epoch_in_loops_has_the_losses_of_single_steps(backend, rows):
    """The last batch is shorter, and the rows are in order or shuffled."""
    x, t = batch(backend, rows)
    for shuffle in (True, False):
        histories = []
        for compile in (False, True):
            loader = Loader(x, t, 8, shuffle=shuffle)
            histories.append(
                anynet.fit(
                    small(backend),
                    loader,
                    optimizer=optimizers.Momentum(0.1),
                    epochs=2,
                    compile=compile,
                    progress=False,
                )
            )
        plain, compiled = histories
        assert compiled.losses == pytest.approx(plain.losses, rel=1e-3)
        assert compiled.epochs[-1].train_score == pytest.approx(plain.epochs[-1].train_score)


def test_call_that_raises_does_not_count_as_an_update(backend):
    x, t = batch(backend)
    calls = [(x, t), (x, t), (x, t), (x, t)]
    if checks_labels(backend):
        calls.insert(0, (x, t + 2))
        calls.insert(3, (x, t + 2))
    both_ways(backend, training_step(losses.cross_entropy), calls)


def test_update_before_an_error_stays(backend):
    """The step raises while it is recorded, as it would without a compiler."""
    train = training_step(losses.cross_entropy)
    raises = [True, False, True, False, False, False]

    def step(net, optimizer, x, t, fails):
        value = train(net, optimizer, x, t)
        if fails:
            raise KeyError
        return value

    runs = both_ways(backend, step, [(*batch(backend), fails) for fails in raises])
    assert runs[1][2].updates == 6


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_schedule_that_raises_is_called_once(backend, fails_at):
    asked = []

    def schedule(step):
        asked.append(step)
        if len(asked) == fails_at + 1:
            raise RuntimeError("no rate as yet")
        return 0.1

    hidden = schedule.__call__
    nets = plain_net(backend), plain_net(backend)
    step = anynet.compile(training_step(losses.cross_entropy))
    optimizer, (x, t) = (
        optimizers.SGD(lambda step: hidden(step)),
        batch(backend),
    )
    for i in range(4):
        with (
            pytest.raises(RuntimeError, match="no rate as yet")
            if i == fails_at
            else contextlib.nullcontext()
        ):
            step(nets[0], optimizer, x, t)
    assert optimizer.updates == 3
    assert asked == sorted([0, 1, 2, fails_at])
    other = optimizers.SGD(0.1)
    for _ in range(3):
        training_step(losses.cross_entropy)(nets[1], other, x, t)
    same_bits(backend, *nets)


def test_failed_replay_counts_one_update(backend):
    step = training_step(losses.cross_entropy)
    compiled, (x, t) = anynet.compile(step), batch(backend)
    net, optimizer = plain_net(backend), optimizers.Adam(0.1)
    for _ in range(3):
        compiled(net, optimizer, x, t)
    program = compiled.programs[0]
    run = program._run

    def fail(leaves, scalars):
        run(leaves, scalars)
        raise MemoryError("no room for it")

    program._run = fail
    with pytest.warns(
        UserWarning,
        match=r"failed, and did not when not compiled: MemoryError\('no room for it'\)",
    ):
        compiled(net, optimizer, x, t)
    program._run = run
    compiled(net, optimizer, x, t)
    other, other_optimizer = plain_net(backend), optimizers.Adam(0.1)
    for _ in range(5):
        step(other, other_optimizer, x, t)
    assert optimizer.updates == other_optimizer.updates == 5
    same_bits(backend, (net, optimizer), (other, other_optimizer))


def test_interrupted_replay_is_done_or_not():
    compiled, (x, t) = (
        anynet.compile(training_step(losses.cross_entropy)),
        batch(get_backend("numpy")),
    )
    net, optimizer = plain_net("numpy"), optimizers.SGD(0.1)
    for _ in range(2):
        compiled(net, optimizer, x, t)
    before = net.parameters()

    def interrupt(leaves, scalars):
        raise KeyboardInterrupt

    compiled.programs[0]._run = interrupt
    with pytest.raises(KeyboardInterrupt):
        compiled(net, optimizer, x, t)
    assert optimizer.updates == 2
    assert all(net[path] is x for path, x in before.items())


def test_update_that_raises_does_not_count():
    net, optimizer = plain_net("numpy"), optimizers.Adam(0.1)
    grads = net.map(lambda x: x[:1])
    with pytest.raises((ValueError, ArgumentError)):
        optimizer.update(net, grads)
    assert optimizer.updates == 0


def test_loop_updates_reached_networks_and_optimizers(backend):
    x, t = batch(backend, 24)
    rows = backend.asarray(np.arange(24).reshape(6, 4))
    train, runs = training_step(losses.cross_entropy), []
    for _ in range(2):
        net, optimizer = (
            plain_net(backend),
            optimizers.Momentum(schedules.Cosine(0.1, 9)),
        )
        runs.append(
            (
                functools.partial(
                    lambda net, optimizer, rows: train(net, optimizer, *take_rows((x, t), rows)),
                    net,
                    optimizer,
                ),
                net,
                optimizer,
            )
        )
    (step, net, optimizer), (plain, other, _) = runs
    compiled = anynet.compile(step)
    wanted = [float(plain(rows[i, ...])) for i in range(6)]
    found = host(compiled.for_each(rows)).tolist()
    assert found == pytest.approx(wanted, rel=1e-4)
    assert optimizer.updates == 6
    same_bits(backend, net, other)


def mix(a, b):
    return 0.9 * a + 0.1 * b


def delayed(s, x):
    s["new"], s["old"] = s["new"] + x, s["new"]
    return s["new"] * 1.0


def averaged(s, x):
    s["new"], s["old"] = s["new"] + x, mix(s["old"], s["new"])
    return s["old"]


def looked_ahead(s, x):
    """Move the slow state towards the fast one, which continues from there."""
    s["old"], s["new"] = mix(s["old"], s["new"]), s["old"] + x
    return s["new"]


def spread(s, x):
    s["new"], s["old"] = (
        s["old"] + x,
        array_namespace(x).broadcast_to(s["new"][:1], (3,)),
    )
    return s["old"]


def handed_on(s, x):
    s["new"], s["old"] = x, s["new"]
    return s["old"]


@pytest.mark.parametrize("step", [delayed, swapped, averaged, looked_ahead, spread, handed_on])
def test_loop_moves_state_between_arrays(backend, step):
    """Target networks, averages and lookahead move new state to the old one's arrays."""
    entries = normal(backend, 6, 3)
    states = [
        {
            "new": normal(backend, 3, seed=1),
            "old": normal(backend, 3, seed=2),
        }
        for _ in range(2)
    ]
    wanted = [host(step(states[0], entries[i, ...])) for i in range(6)]
    compiled = anynet.compile(step)
    found = [
        host(compiled.for_each(entries, states[1], start=i, stop=j)) for i, j in ((0, 4), (4, 6))
    ]
    np.testing.assert_allclose(np.concatenate(found), np.stack(wanted), rtol=1e-5)
    for name in states[0]:
        assert_close(states[1][name], host(states[0][name]), rtol=1e-5)


@pytest.mark.parametrize("which", range(4))
def test_loop_writes_into_the_arrays_of_the_user(backend, which):
    """The results are those of each step."""
    if backend.name == "jax":
        pytest.skip(reason="JAX's arrays cannot be written into")

    def added(s, x):
        s["sum"] += x
        return s["sum"]

    def replaced(s, x):
        s["sum"] += x
        s["sum"] = s["sum"] * 2.0
        return s["sum"]

    def entry(s, x):
        x *= 2.0
        s["sum"] = s["sum"] + x
        return total(x)

    def shared(s, x):
        s["sum"] += x
        return s["part"] * 1.0

    step, found = (added, replaced, entry, shared)[which], []
    for wrap in (lambda f: f, anynet.compile):
        base = normal(backend, 6)
        state = (
            {"sum": base[:3], "part": base[2:]}
            if which == 3 and backend.name == "torch"
            else {"sum": base[:3]}
        )
        if which == 3 and len(state) == 1:
            state["part"] = normal(backend, 3, seed=4)
        entries, f = normal(backend, 5, 3, seed=1), wrap(step)
        if isinstance(f, compiled_step.CompiledStep):
            if which == 3 and backend.name == "torch":
                # Recorded with arrays that share no memory.
                f(
                    dict(state, part=normal(backend, 4, seed=4)),
                    entries[0, ...] * 0.0,
                )
            results = host(f.for_each(entries, state))
        else:
            results = np.stack([np.array(host(f(state, entries[i, ...]))) for i in range(5)])
        found.append([results, host(base), host(state["sum"]), host(entries)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


class Schedule:
    """A rate of 0.1. The calls with these indices raise an error."""

    def __init__(self, *fails, error=RuntimeError):
        self.calls, self.fails, self.error = 0, fails, error

    def __call__(self, step):
        self.calls += 1
        if self.calls - 1 in self.fails:
            raise self.error("no rate as yet")
        return 0.1


@pytest.mark.parametrize(
    ("fails", "error"),
    [
        ((0,), RuntimeError),
        ((2,), RuntimeError),
        ((2, 3, 6), RuntimeError),
        ((1,), StopIteration),
        ((4,), KeyboardInterrupt),
    ],
)
def test_call_after_a_loop_whose_schedule_raises_trains(backend, fails, error):
    """The failed loop counts no update and holds no lock."""
    x, t = batch(backend, 60)
    rows = backend.asarray(np.arange(60).reshape(10, 6))
    train = training_step(losses.cross_entropy)
    step, net, optimizer = (
        anynet.compile(on_rows(train)),
        plain_net(backend),
        optimizers.Momentum(Schedule(*fails, error=error)),
    )
    start = 0
    while start < 10:
        stop = min(10, start + 4)
        try:
            step.for_each(rows, net, optimizer, x, t, start=start, stop=stop)
        except error:
            assert 0 <= optimizer.updates - start < stop - start
        start = optimizer.updates
    assert not any(program._lock.locked() for program in step.programs)
    other, other_optimizer = plain_net(backend), optimizers.Momentum(0.1)
    for i in range(10):
        train(other, other_optimizer, *take_rows((x, t), rows[i, ...]))
    same_bits(backend, net, other)


def interrupted_everywhere(backend, call, steps):
    """Interrupt steps at every moment. All of the steps are done and counted, or none is."""
    x, t = batch(backend, 12)
    rows = backend.asarray(np.arange(12).reshape(4, 3))
    step = on_rows(training_step(losses.cross_entropy))
    (net, optimizer), (other, like) = (
        (plain_net(backend), optimizers.Momentum(0.1)) for _ in range(2)
    )
    compiled, interrupts = anynet.compile(step), 0
    for i in range(2):
        compiled(net, optimizer, x, t, rows[i, ...])
        step(other, like, x, t, rows[i, ...])
    # The second time with what the first has made.
    for _ in range(2):
        for number in itertools.count():
            before, interrupted = optimizer.updates, False
            try:
                with interrupt_at(number):
                    call(compiled, rows, net, optimizer, x, t)
            except KeyboardInterrupt:
                interrupted = True
            assert optimizer.updates in (before, before + steps)
            for i in range(optimizer.updates - before):
                step(other, like, x, t, rows[2 + i, ...])
            same_bits(backend, (net, optimizer.state), (other, like.state))
            assert not any(program._lock.locked() for program in compiled.programs)
            if not interrupted:
                break
            interrupts += 1
    return interrupts


def test_replay_interrupted_anywhere_is_done_or_not():
    one = lambda step, rows, *given: step(*given, rows[2, ...])
    assert interrupted_everywhere(get_backend("numpy"), one, 1) > 20


def test_loop_interrupted_anywhere_is_done_or_not(monkeypatch):
    """The device is emulated, and its scalars leave the operands unchanged."""
    numpy = type(get_backend("numpy"))
    monkeypatch.setattr(Pretended, "scalar_dtype", lambda self, arrays: np.dtype("float32"))

    class Target(numpy.target):
        driver = Pretended()

    monkeypatch.setattr(numpy, "target", Target)
    two = lambda step, rows, *given: step.for_each(rows, *given, start=2)
    assert interrupted_everywhere(get_backend("numpy"), two, 2) > 100


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_learning_rate_has_the_precision_of_the_parameters(backend, dtype):
    """A rate of 0.1 is not rounded to float32 first."""
    x = normal(backend, 3, seed=1)
    if str(x.dtype).rpartition(".")[2] != "float64":
        pytest.skip(reason="the library has no float64 by its settings")
    g = backend.xp.astype(x, getattr(backend.xp, dtype))
    parameters, optimizer = (
        {"w": g * 2.0},
        optimizers.SGD(lambda step: 0.1 / (step + 3)),
    )

    def step(parameters, optimizer, g):
        optimizer.update(parameters, {"w": g})

    compiled, wanted = anynet.compile(step), host(g) * 2.0
    for i in range(4):
        compiled(parameters, optimizer, g)
        wanted = wanted - 0.1 / (i + 3) * host(g)
        assert_close(parameters["w"], wanted, rtol=1e-13)
