"""The changes that a step makes are recorded, and nothing is left traced."""

import contextlib
import copy
import itertools

import numpy as np
import pytest
from compiled_steps import (
    Trainer,
    batch,
    both_ways,
    interrupt_at,
    plain_net,
    same,
    same_bits,
    small,
    total,
)
from helpers import assert_close, host, normal

import anynet
from anynet import layers, losses, optimizers, tree
from anynet.backend import get_backend
from anynet.errors import (
    CompilationError,
)
from anynet.optimizers import schedules
from anynet.tracing.trace import Traced
from anynet.training import training_step


def test_arrays_of_the_user_are_not_overwritten(backend):
    net, optimizer, (x, t) = (
        small(backend),
        optimizers.Adam(0.1),
        batch(backend),
    )
    step = anynet.compile(training_step(losses.cross_entropy))
    seen = []
    for _ in range(5):
        arrays = [
            step(net, optimizer, x, t),
            *net.parameters().values(),
            *net.buffers().values(),
        ]
        arrays += [x for _, x in tree.leaves(optimizer)]
        seen.append((arrays, [host(x).copy() for x in arrays]))
    for arrays, before in seen:
        for x, was in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(host(x), was)
    if backend.name == "numpy":
        kept = [x for arrays, _ in seen for x in arrays if x.ndim]
        assert not any(
            np.shares_memory(x, y) for i, x in enumerate(kept) for y in kept[:i] if x is not y
        )


def test_array_in_two_places_is_updated_in_each():
    """Training separates the two, with or without a compiler."""
    step = training_step(losses.mean_squared_error)
    compiled, x = (
        anynet.compile(step),
        np.random.default_rng(0).normal(size=(5, 3)),
    )
    nets = []
    for train in (step, compiled):
        net = layers.Sequential(layers.Linear(3, 3), layers.Tanh(), layers.Linear(3, 3), seed=0)
        net.layers[2].weight = net.layers[0].weight
        optimizer = optimizers.SGD()
        for _ in range(4):
            train(net, optimizer, x, x)
        nets.append(net)
    same_bits(get_backend("numpy"), *nets)


def test_results_are_trees(backend):
    net, (x, t) = small(backend).freeze("layers.0"), batch(backend)
    both = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))
    compiled = anynet.compile(both)
    copy = small(backend).freeze("layers.0")
    for _ in range(3):
        (loss, grads), (other, wanted) = (
            compiled(net, x, t),
            both(copy, x, t),
        )
        same(backend, loss, other)
        assert list(grads.parameters()) == list(wanted.parameters())
        for path, g in wanted.parameters().items():
            same(backend, grads[path], g)
    for path, buffer in copy.buffers().items():
        same(backend, net[path], buffer)
    assert anynet.compile(lambda x: (x, [1, x + 1, None]))(x)[1][0] == 1


def test_nothing_is_left_traced(backend):
    """Also where the step raises, while it is recorded or later."""
    trainer, (x, t) = Trainer(backend), batch(backend)
    fail = [True]

    def step(x, t):
        value = trainer.step(x, t)
        trainer.pair = (value, [value])
        if fail[0]:
            raise KeyError("as it happens")
        return value

    compiled = anynet.compile(step)
    for updates in (1, 2):
        with pytest.raises(KeyError, match="as it happens"):
            compiled(x, t)
        assert trainer.optimizer.updates == updates
        left = [
            *tree.leaves((trainer.net, trainer.optimizer)),
            *tree.leaves(trainer.pair),
        ]
        assert [path for path, x in left if type(x) is Traced] == []
    other = Trainer(backend)
    for _ in range(2):
        other.step(x, t)
    same_bits(
        backend,
        (trainer.net, trainer.optimizer),
        (other.net, other.optimizer),
    )
    fail[0] = False
    for _ in range(4):
        same(backend, compiled(x, t), other.step(x, t))
    same(backend, trainer.pair[1][0], trainer.pair[0])
    same_bits(
        backend,
        (trainer.net, trainer.optimizer),
        (other.net, other.optimizer),
    )


class Recurrent(layers.Module):
    """State in a tuple and in a list. Each call replaces both."""

    def __init__(self, backend):
        self.state = (normal(backend, 3), [normal(backend, 3, seed=1)])


def test_step_replaces_containers(backend):
    def step(net, x):
        h, (c,) = net.state
        net.state = (c, [h + x])
        return h

    compiled, x = anynet.compile(step), normal(backend, 3, seed=2)
    net, other = Recurrent(backend), Recurrent(backend)
    seen = []
    for _ in range(5):
        same(backend, compiled(net, x), step(other, x))
        seen.append((net.state, net.state[1], host(net.state[1][0]).copy()))
    assert len(compiled.programs) == 1
    for (_, rest), held, values in seen:
        assert rest is held
        np.testing.assert_array_equal(host(rest[0]), values)
    assert_close(net.state[0], host(other.state[0]), rtol=1e-6)


class Descent:
    """A user's optimizer, which may keep arrays and scalars."""

    def __init__(self, keep=None):
        self.kept, self.keep = {}, keep

    def update(self, net, grads):
        for i, (holder, name, parameter, gradient) in enumerate(tree.pairs(net, grads)):
            if gradient is not None:
                held = self.kept.get(i, 0.0) * 0.5 + gradient
                holder[name] = parameter - 0.1 * held
                if self.keep == "array":
                    self.kept[i] = held
        if self.keep == "number":
            self.kept["updates"] = self.kept.get("updates", 0) + 1


@pytest.mark.parametrize("keep", [None, "array", "number"])
def test_user_optimizers_train_in_compiled_steps(keep):
    x, t = batch(anynet.get_backend("numpy"), 20)
    histories, descents = [], []
    for compiled in (False, True):
        descents.append(Descent(keep))
        warns = pytest.warns(
            UserWarning,
            match="changes what it reaches with every call.*'updates'",
        )
        with warns if keep == "number" and compiled else contextlib.nullcontext():
            histories.append(
                anynet.fit(
                    small("numpy"),
                    (x, t),
                    epochs=4,
                    batch_size=5,
                    optimizer=descents[-1],
                    compile=compiled,
                    progress=False,
                )
            )
    assert histories[0].losses == histories[1].losses
    assert descents[0].kept.get("updates") == descents[1].kept.get("updates")


def test_step_that_appends_to_a_list(backend):
    compiled, x = (
        anynet.compile(lambda rows: sum(rows)),
        normal(backend, 3),
    )
    rows = [x]
    for i in range(3):
        assert_close(compiled(rows), host(x) * (i + 1), rtol=1e-6)
        rows.append(x)

    def step(rows, x):
        rows.append(x + 1)
        return rows[-1]

    kept, growing = [], anynet.compile(step)
    with pytest.warns(
        UserWarning,
        match="changes what it reaches with every call.*keep counts and lists outside",
    ):
        found = [growing(kept, x + i) for i in range(10)]
    assert len(found) == len(kept)
    for i, row in enumerate(kept):
        assert_close(row, host(x) + i + 1, rtol=1e-6)


def test_random_values_and_iterators_are_not_constants():
    generator, like = np.random.default_rng(0), np.random.default_rng(0)
    numbers = (i * 1.0 for i in range(100))
    compiled = anynet.compile(lambda x: x + generator.normal(size=3) + next(numbers))
    with pytest.warns(UserWarning, match="changes what it reaches with every call"):
        found = [compiled(np.zeros(3)) for _ in range(12)]
    np.testing.assert_array_equal(found, [like.normal(size=3) + i for i in range(12)])


def test_several_updates_in_a_step(backend):
    """Each update has its own learning rate and count. The step creates one optimizer itself."""
    both = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))
    rates = schedules.Cosine(0.1, 20)
    second = {}

    def step(net, optimizer, x, t):
        once = optimizers.Momentum(0.05)
        for each in (optimizer, optimizer, second[id(optimizer)], once):
            value, grads = both(net, x, t)
            each.update(net, grads)
        return value

    def make():
        optimizer = optimizers.Momentum(rates)
        second[id(optimizer)] = optimizers.SGD(rates)
        return optimizer

    (_, _, first), _ = both_ways(backend, step, [batch(backend)] * 4, make)
    assert first.updates == 8
    assert second[id(first)].updates == 4


@pytest.mark.parametrize(
    "factor",
    [
        lambda optimizer: min(1.0, optimizer.updates / 3),
        lambda optimizer: optimizer.learning_rate(optimizer.updates),
        lambda optimizer: float(copy.deepcopy(optimizer).updates),
    ],
)
def test_count_of_updates_is_not_a_constant(factor):
    """A step that reads the count is recorded again at each call."""
    backend = get_backend("numpy")
    (x, t), runs = batch(backend), []
    for wrap in (lambda f: f, anynet.compile):
        net, optimizer = (
            plain_net(backend),
            optimizers.SGD(schedules.Cosine(0.1, 20)),
        )

        def step(x, t, net=net, optimizer=optimizer):
            value, grads = anynet.value_and_grad(
                lambda net: losses.cross_entropy(net(x), t) * factor(optimizer)
            )(net)  # fmt: skip
            optimizer.update(net, grads)
            return value

        runs.append((wrap(step), net))
    (plain, net), (compiled, other) = runs
    with pytest.warns(
        UserWarning,
        match=r"changes what it reaches with every call \(the (number of updates|learning rate)",
    ):
        found = [compiled(x, t) for _ in range(10)]
    np.testing.assert_array_equal(found, [plain(x, t) for _ in range(10)])
    same_bits(backend, net, other)


def test_step_trains_a_copy_of_a_network(backend):
    """The inner steps of meta-learning train a new copy at each call."""
    x, t = batch(backend)

    def step(net, optimizer):
        inner = copy.deepcopy(net)
        for _ in range(2):
            optimizers.SGD(0.1).update(
                inner,
                anynet.grad(lambda net: losses.cross_entropy(net(x), t))(inner),
            )
        value, grads = anynet.value_and_grad(lambda net: losses.cross_entropy(net(x), t))(inner)
        optimizer.update(net, grads)
        return value

    both_ways(backend, step, [()] * 4)


def test_network_is_an_argument_and_reached_from_outside(backend):
    (x, t), runs = batch(backend), []
    for compiled in (False, True):
        net, optimizer = plain_net(backend), optimizers.Momentum(0.1)

        def step(given, net=net, optimizer=optimizer):
            value, grads = anynet.value_and_grad(lambda net: losses.cross_entropy(net(x), t))(given)
            optimizer.update(given, grads)
            return value + total(net(x))

        f = anynet.compile(step) if compiled else step
        runs.append(([host(f(net)) for _ in range(4)], net))
    np.testing.assert_allclose(runs[0][0], runs[1][0], rtol=1e-5)
    same_bits(backend, runs[0][1], runs[1][1])


def writing(backend):
    """Return steps that write into an argument, a view of it, and the arrays of a dict."""
    held = {
        "sum": normal(backend, 3),
        "count": [normal(backend, 3, seed=1)],
    }

    def whole(x, y):
        x += y
        return total(x)

    def element(x, y):
        x[0] = y[1]
        return total(x)

    def view(x, y):
        tail = x[1:]
        tail *= 2.0
        return total(x * y)

    def outside(x, y):
        held["sum"] -= 0.1 * x
        held["count"][0][...] = y
        return total(held["sum"] + held["count"][0])

    return held, (whole, element, view, outside)


@pytest.mark.parametrize("which", range(4))
def test_step_writes_into_the_arrays_of_the_user(backend, which):
    if backend.name == "jax":
        pytest.skip(reason="JAX's arrays cannot be written into")
    (held, steps), (other, like) = writing(backend), writing(backend)
    step, plain = anynet.compile(steps[which]), like[which]
    first, x, y = (
        normal(backend, 3),
        normal(backend, 3),
        normal(backend, 3, seed=5),
    )
    arrays = held["sum"], held["count"][0]
    for _ in range(4):
        assert_close(step(x, y), host(plain(first, y)), rtol=1e-6)
        assert_close(x, host(first), rtol=1e-6)
        assert_close(arrays[0], host(other["sum"]), rtol=1e-6)
        assert_close(arrays[1], host(other["count"][0]), rtol=1e-6)
    assert arrays[0] is held["sum"]
    assert arrays[1] is held["count"][0]
    assert len(step.programs) == 1


def test_write_into_shared_memory_raises_or_is_replayed(backend):
    """A later call with such arrays is recorded again."""
    if backend.name not in ("numpy", "torch"):
        pytest.skip(reason="arrays of this library share no memory, or do not say so")
    base, first, second = (backend.asarray(np.ones(n)) for n in (4, 3, 3))
    tail = base[1:]

    def step(x, y):
        x += 1.0
        return total(x) + total(y)

    compiled = anynet.compile(step)
    for x, y in (
        (first, second),
        (first, second),
        (tail, second),
        (first, tail),
        (tail, tail),
        (tail, base[:3]),
    ):
        before = float(total(x))
        found = float(compiled(x, y))
        assert float(total(x)) == before + 3
        assert found == float(total(x)) + float(total(y))
    assert len(compiled.programs) == 1
    with pytest.raises(CompilationError, match="shares memory with another one"):
        anynet.compile(lambda: step(tail, base))()
    # A view of what the step does not use.
    alone = anynet.compile(lambda: step(tail, second))
    for _ in range(3):
        before = float(total(base))
        alone()
        assert float(total(base)) == before + 3


@pytest.mark.parametrize("inside", ["a dict", "a tuple"])
def test_step_that_keeps_a_view_of_a_written_array_raises(backend, inside):
    """A later write would change only one of the two."""
    if backend.name not in ("numpy", "torch"):
        pytest.skip(reason="slices of this library are no views")

    def step(s, x):
        part = s["sum"][1:]
        s["sum"] += x
        s["part"] = part if inside == "a dict" else (part,)

    compiled, x = anynet.compile(step), normal(backend, 3)
    part = normal(backend, 2)
    with pytest.raises(
        CompilationError,
        match=r"keeps a view of an array that it writes into.*keep a copy",
    ):
        compiled(
            {
                "sum": normal(backend, 3),
                "part": part if inside == "a dict" else (part,),
            },
            x,
        )


def test_step_that_keeps_and_writes_into_an_argument_raises(backend):
    """The next call would have to change the array of the user."""
    if backend.name not in ("numpy", "torch"):
        pytest.skip(reason="arrays of this library cannot be written into, or are no views")

    def now(s, x):
        s["kept"] = x
        x += 1.0

    def later(s, x):
        s["kept"] *= 0.5
        s["kept"] = x

    def a_view(s, x):
        s["kept"][1:] *= 0.5
        s["kept"] = x[:]

    for step in (now, later, a_view):
        with pytest.raises(
            CompilationError,
            match=r"keeps an array that it is given|keeps a view of an array",
        ):
            anynet.compile(step)({"kept": normal(backend, 3)}, normal(backend, 3))


def test_recording_interrupted_anywhere_leaves_no_traced_array():
    """The step is done as a whole or not at all."""
    backend = get_backend("numpy")
    step, (x, t) = training_step(losses.cross_entropy), batch(backend)
    (net, optimizer), (other, like) = (
        (plain_net(backend), optimizers.Momentum(0.1)) for _ in range(2)
    )
    for each, of in ((net, optimizer), (other, like)):
        step(each, of, x, t)
    for number in itertools.count(step=4):
        before, interrupted = optimizer.updates, False
        try:
            with interrupt_at(number):
                anynet.compile(step)(net, optimizer, x, t)
        except KeyboardInterrupt:
            interrupted = True
        assert optimizer.updates in (before, before + 1)
        if optimizer.updates > before:
            step(other, like, x, t)
        same_bits(backend, (net, optimizer.state), (other, like.state))
        if not interrupted:
            break
    assert number > 20
    assert not [x for _, x in tree.leaves((net, optimizer)) if type(x) is Traced]
