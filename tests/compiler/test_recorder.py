"""Calls of user functions are recorded, and their errors pass through."""

import queue
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from compiled_steps import batch, plain_net, same, total
from helpers import assert_close, host, normal

import anynet
from anynet import layers, losses, optimizers
from anynet.array import array_namespace
from anynet.compiler import CompiledStep
from anynet.compiler.recorder import Recorder
from anynet.compiler.target import CompilerTarget, target_of
from anynet.errors import CompilationError


class Engine:
    """Doubles an array and counts its calls in a place that a step does not reach."""

    def __init__(self):
        self.calls = queue.SimpleQueue()
        self.fails_at = None

    def __call__(self, x):
        self.calls.put(1)
        if self.calls.qsize() == self.fails_at:
            raise ConnectionError("the other side is gone")
        return np.asarray(x) * 2


def engine_and_step(f):
    engine = Engine()
    # The step reaches the engine through a bound method of compiled code only.
    box = queue.SimpleQueue()
    box.put(engine)

    def work(x):
        engine = box.get()
        box.put(engine)
        return engine(x)

    own = anynet.custom_vjp(work, lambda g, out, x: g)
    return engine, CompiledStep(lambda *args: f(own, *args))


def test_user_function_that_fails_in_a_replay_is_called_once():
    engine, step = engine_and_step(lambda own, x: own(x) + 1)
    x = np.ones(3)
    for _ in range(3):
        step(x)
    assert (engine.calls.qsize(), len(step.programs)) == (3, 1)
    engine.fails_at = 4
    with pytest.raises(ConnectionError, match="the other side is gone"):
        step(x)
    assert engine.calls.qsize() == 4


def test_user_function_is_not_called_again_if_a_later_call_fails():
    engine, step = engine_and_step(lambda own, x, rows: array_namespace(x).take(own(x), rows))
    x = np.ones(3)
    for _ in range(3):
        step(x, np.asarray([0, 2]))
    assert (engine.calls.qsize(), len(step.programs)) == (3, 1)
    with pytest.raises(IndexError):
        step(x, np.asarray([0, 3]))
    assert engine.calls.qsize() == 4


def test_user_function_that_fails_while_recorded_is_called_once():
    engine, step = engine_and_step(lambda own, x: own(x) + 1)
    engine.fails_at = 1
    with pytest.raises(ConnectionError, match="the other side is gone"):
        step(np.ones(3))
    assert engine.calls.qsize() == 1
    assert step.programs == []


def test_instructions_of_code_that_cannot_be_inlined_are_dropped(monkeypatch):
    monkeypatch.setattr(CompilerTarget, "calls_python", lambda self, function, arguments: False)
    seen = []

    def half(x):
        y = x + 1
        seen.append(len(recorder.instructions))
        return y * float(y[0])

    own = anynet.custom_vjp(half, lambda g, out, x: g)
    recorder = Recorder(np.ones(2))
    x = recorder.variable(np.ones(2)) * 2
    before = list(recorder.instructions)
    with pytest.raises(CompilationError, match=r"custom_vjp\(half\) is code that .* cannot call"):
        own(x)
    assert seen == [2]
    assert recorder.instructions == before


def test_errors_of_inlined_code_are_causes_and_it_is_called_once(monkeypatch):
    monkeypatch.setattr(CompilerTarget, "calls_python", lambda self, function, arguments: False)
    calls = []

    def fail(x):
        calls.append(x)
        raise ZeroDivisionError("an error of the user's code")

    own = anynet.custom_vjp(fail, lambda g, out, x: g)
    recorder = Recorder(np.ones(2))
    with pytest.raises(CompilationError, match="an error of the user's code") as caught:
        own(recorder.variable(np.ones(2)))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert len(calls) == 1


def test_compiled_function_has_a_derivative(backend):
    cube = anynet.compile(lambda x: total(x**3))
    x = normal(backend, 4)
    cube(x)
    assert_close(anynet.grad(cube)(x), 3 * host(x) ** 2)
    assert_close(anynet.compile(anynet.grad(cube))(x), 3 * host(x) ** 2)


def test_arrays_as_indices_are_recorded(backend):
    picked = anynet.compile(anynet.grad(lambda x, i: total(x[i, 0] ** 2)))
    x = normal(backend, 4, 2)
    for places in ([0, 2, 2], [3, 1, 0]):
        wanted = np.zeros((4, 2))
        np.add.at(wanted[:, 0], places, 2 * host(x)[places, 0])
        assert_close(picked(x, backend.asarray(np.array(places))), wanted)
    assert len(picked.programs) == 1


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (
            lambda x: x if float(total(x)) > 0 else -x,
            r"float\(\) of Traced.*is unknown while a step is recorded",
        ),
        (
            lambda x: x if total(x) > 0 else -x,
            r"bool\(\) of Traced.*where\(\) for a choice",
        ),
        (
            lambda x: x[x > 0],
            "getitem_at: the number of resulting elements depends on the values",
        ),
        (
            lambda x: array_namespace(x).unique_values(x),
            "unique_values: the number of resulting elements depends",
        ),
        (
            lambda x: array_namespace(x).nonzero(x)[0],
            "nonzero: the number of resulting elements depends",
        ),
    ],
)
def test_control_flow_that_depends_on_values_raises(backend, f, message):
    with pytest.raises(CompilationError, match=message):
        anynet.compile(f)(normal(backend, 3))


def test_arrays_kept_from_a_recording():
    """Arrays in a place that the step reaches are plain. Elsewhere they raise."""
    kept = []
    step = anynet.compile(lambda x: kept.append(x) or x + 1)
    step(np.ones(2))
    np.testing.assert_array_equal(kept[0] + 1, [2, 2])
    step(np.full(2, 2.0))
    np.testing.assert_array_equal(kept, [[1, 1], [2, 2]])
    keep = kept.append
    anynet.compile(lambda x: keep(x) or x + 1)(np.ones(2))
    np.testing.assert_array_equal(kept[2], [1, 1])
    hidden = queue.SimpleQueue()
    anynet.compile(lambda x: hidden.put(x) or x + 1)(np.ones(2))
    with pytest.raises(CompilationError, match="add: an array of a compiled step was kept"):
        hidden.get() + 1


def test_threads_call_one_compiled_step():
    """The replays would write into the same buffers."""
    compiled = anynet.compile(lambda x, w: total((x @ w) * (x @ w)))
    rng = np.random.default_rng(0)
    w = rng.normal(size=(200, 300))
    given = [rng.normal(size=(100, 200)) for _ in range(8)]
    wanted = [compiled(x, w) for x in given]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            found = list(pool.map(lambda x: compiled(x, w), given))
            np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_custom_derivatives_are_recorded(backend):
    """A replay updates buffers inside, and calls a function of plain arrays again."""
    x, t = batch(backend)
    twice = anynet.custom_vjp(lambda x: x * 2, lambda g, out, x: g * 2)
    # JAX compiles all that a replay calls, and has no plain arrays then; a GPU repeats what it was
    # asked for by itself.
    outside = lambda x: backend.asarray(np.sin(host(x)))
    sine = (
        outside
        if target_of(backend).calls_python(outside, [x])
        else lambda x: array_namespace(x).sin(x)
    )
    plain = anynet.custom_vjp(lambda x: sine(x), lambda g, out, x: g)

    def loss(net, x, t):
        first, norm, last = net.layers
        return losses.cross_entropy(plain(last(twice(anynet.autodiff.remat(norm)(first(x))))), t)

    def train(net, optimizer, x, t):
        value, grads = anynet.value_and_grad(loss)(net, x, t)
        optimizer.update(net, grads)
        return value

    make = lambda: layers.Sequential(
        layers.Linear(3, 4),
        layers.BatchNorm(4),
        layers.Linear(4, 2),
        seed=0,
        backend=backend,
    )
    nets, descent, compiled = (
        (make(), make()),
        optimizers.SGD(),
        anynet.compile(train),
    )
    for _ in range(4):
        same(
            backend,
            compiled(nets[1], descent, x, t),
            train(nets[0], descent, x, t),
        )
    same(
        backend,
        nets[1]["layers.1.running_mean"],
        nets[0]["layers.1.running_mean"],
    )
    assert len(compiled.programs) == 1


def test_threads_record_one_step_together():
    """Another step that uses the network meanwhile raises."""
    net, x = plain_net("numpy"), np.ones((2, 3), "f4")
    wanted = net(x)
    compiled = anynet.compile(lambda x: net(x))
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(compiled, [x] * 20):
            np.testing.assert_array_equal(found, wanted)
        other = anynet.compile(lambda x: pool.submit(net, x).result())
        with pytest.raises(
            CompilationError,
            match="another thread is recording a compiled step",
        ):
            other(x)
    assert len(compiled.programs) == 1


def test_arrays_kept_by_a_user_function_are_not_overwritten():
    """Its results are not overwritten either."""
    # What it holds is not seen from outside.
    kept = queue.SimpleQueue()

    def keep(x):
        kept.put((x, x.copy()))
        return x[...]

    own = anynet.custom_vjp(keep, lambda g, out, x: g)
    compiled = anynet.compile(lambda x: total(own(own(x * 2 + 1) * 3 + 1) * 4 + 1))
    for i in range(4):
        x = np.full((50, 50), float(i))
        np.testing.assert_array_equal(compiled(x), np.sum(((x * 2 + 1) * 3 + 1) * 4 + 1))
    assert len(compiled.programs) == 1
    assert kept.qsize() >= 8
    while not kept.empty():
        np.testing.assert_array_equal(*kept.get())


def test_user_function_that_raises_is_not_called_again():
    # What they hold is not seen from outside.
    calls, fails = queue.SimpleQueue(), queue.SimpleQueue()

    def work(x):
        calls.put(1)
        if fails.qsize():
            raise ConnectionError("the other side is gone")
        return np.asarray(x) * 2

    own = anynet.custom_vjp(work, lambda g, out, x: g)
    compiled, x = anynet.compile(lambda x: total(own(x) * 3)), np.ones(3)
    for _ in range(2):
        compiled(x)
    assert len(compiled.programs) == 1
    before = calls.qsize()
    fails.put(1)
    with pytest.raises(ConnectionError, match="the other side is gone"):
        compiled(x)
    assert calls.qsize() == before + 1


def test_function_in_remat_is_part_of_the_step():
    inside = anynet.autodiff.remat(lambda x: x * float(total(x)))
    step = anynet.compile(lambda x: inside(x) + 1)
    with pytest.raises(CompilationError, match="is unknown while a step is recorded"):
        step(np.ones(3))


def test_compiled_step_inside_a_compiled_step(backend):
    net, x = plain_net(backend), batch(backend)[0]
    inner = anynet.compile(lambda x: net(x))
    outer = anynet.compile(lambda x: inner(x) * 2)
    for _ in range(3):
        assert_close(inner(x), host(net(x)), rtol=1e-5)
        assert_close(outer(x), 2 * host(net(x)), rtol=1e-5)
        net["layers.0.weight"] = net["layers.0.weight"] + 1
    assert len(inner.programs) == len(outer.programs) == 1


def test_loop_is_recorded_by_a_step_and_differentiated(backend):
    inner = anynet.compile(lambda s, x: s * x + 1.0)
    s, entries = normal(backend, 3), normal(backend, 4, 3, seed=1)
    wanted = host(s) * host(entries) + 1.0
    for _ in range(2):
        assert_close(inner.for_each(entries, s), wanted, rtol=1e-5)
    outer = anynet.compile(lambda s, entries: inner.for_each(entries, s) * 2.0)
    for _ in range(3):
        assert_close(outer(s, entries), 2 * wanted, rtol=1e-5)
    gradient = anynet.grad(lambda s: total(inner.for_each(entries, s)))(s)
    assert_close(gradient, host(entries).sum(0), rtol=1e-5)
