"""Scalars that a compiled step computes again at each call."""

import copy
import pickle
import queue
import sys
from types import ModuleType

import numpy as np
import pytest
from helpers import host

import anynet
from anynet.compiler import DynamicValue, compile, dynamic_scalars
from anynet.errors import CompilationError


class Decay:
    """Divides by the number of its calls."""

    tree_node = True

    def __init__(self):
        self.calls = DynamicValue(1, "the number of calls")

    def __call__(self, x):
        (share,) = dynamic_scalars(lambda calls: (1 / calls,), self.calls, like=x)
        self.calls.advance(lambda calls: calls + 1, like=x)
        return x * share


def ones(backend):
    return backend.asarray(np.ones(3, np.float32))


def first(x):
    return float(host(x)[0])


def test_compiled_and_eager_scalars_agree(backend):
    eager, compiled = Decay(), Decay()
    step = compile(lambda decay, x: decay(x) + decay(x))
    x = ones(backend)
    for _ in range(4):
        expected = eager(x) + eager(x)
        np.testing.assert_allclose(host(step(compiled, x)), host(expected), rtol=1e-6)
        assert compiled.calls.value == eager.calls.value
    assert len(step.programs) == 1


def test_assigned_value_is_used_at_the_next_call(backend):
    scale, x = DynamicValue(2.0), ones(backend)
    step = compile(lambda x: x * dynamic_scalars(lambda s: (s,), scale, like=x)[0])
    for value in (2.0, 3.0, -1.0):
        scale.value = value
        assert first(step(x)) == value
    assert len(step.programs) == 1


def test_scalars_are_found_through_a_derivative(backend):
    decay, x = Decay(), ones(backend)

    @compile
    def slope(x):
        return anynet.grad(lambda x: x.__array_namespace__().sum(decay(x)))(x)

    assert [first(slope(x)) for _ in range(4)] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert decay.calls.value == 5


def test_failed_call_does_not_advance():
    """The step calls a function of the user, which raises at the third call."""
    x = np.ones(3)

    def run(wrap):
        # A compiled step does not see what a queue contains.
        decay, calls = Decay(), queue.SimpleQueue()

        def report(x):
            calls.put(None)
            if calls.qsize() == 3:
                raise ConnectionError("no answer")
            return x + 0

        report = anynet.custom_vjp(report, lambda g, out, x: g)
        step = wrap(lambda x: decay(report(x)))
        values = []
        for _ in range(5):
            try:
                values.append(first(step(x)))
            except ConnectionError:
                values.append(None)
        return values, decay.calls.value

    eager, compiled = run(lambda step: step), run(compile)
    assert compiled[0] == pytest.approx(eager[0])
    assert compiled[1] == eager[1] == 5


def test_replay_that_falls_back_advances_once(backend):
    decay, x = Decay(), ones(backend)
    step = compile(lambda x: decay(x))
    for _ in range(2):
        step(x)

    def fail(leaves, scalars):
        raise MemoryError("no room")

    step.programs[0]._run = fail
    with pytest.warns(UserWarning, match="no room"):
        assert first(step(x)) == pytest.approx(1 / 3)
    assert decay.calls.value == 4


def test_function_that_raises_does_not_advance(backend):
    def share(calls):
        if calls == 3:
            raise LookupError("no share")
        return (1 / calls,)

    calls = DynamicValue(1)

    @compile
    def step(x):
        calls.advance(lambda n: n + 1, like=x)
        return x * dynamic_scalars(share, calls, like=x)[0]

    assert first(step(ones(backend))) == 0.5
    for _ in range(2):
        with pytest.raises(LookupError, match="no share"):
            step(ones(backend))
    assert calls.value == 2


def test_value_that_the_step_reads_is_not_a_constant(backend):
    decay, x = Decay(), ones(backend)
    step = compile(lambda x: decay(x) * decay.calls.value)
    with pytest.warns(UserWarning, match=r"changes .* with every call \(the number of calls\)"):
        found = [first(step(x)) for _ in range(10)]
    assert found == pytest.approx([(n + 1) / n for n in range(1, 11)])


def test_value_created_in_the_step_starts_again_at_each_call(backend):
    x = ones(backend)

    @compile
    def step(x):
        decay = Decay()
        return decay(x) + decay(x)

    assert [first(step(x)) for _ in range(3)] == [1.5, 1.5, 1.5]


def test_unreachable_value_raises(monkeypatch):
    """The compiler does not read the code of installed packages. A constant would be wrong."""
    package = ModuleType("a_package")
    package.__dict__.update(scale=DynamicValue(2.0, "the scale"), scalars=dynamic_scalars)
    code = "def scaled(x): return x * scalars(lambda s: (s,), scale, like=x)[0]"
    exec(code, package.__dict__)
    monkeypatch.setitem(sys.modules, "a_package", package)
    monkeypatch.setattr("anynet.reach.is_library", lambda name: name == "a_package")
    step = compile(lambda x: package.scaled(x))
    with pytest.raises(CompilationError, match="depends on the scale, which the step does not"):
        step(np.ones(3))


def test_copies_have_the_content_and_the_name():
    value = DynamicValue(3, "the count")
    for other in (copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        other.value += 1
        assert (other.value, other.name, value.value) == (4, "the count", 3)
    assert repr(value) == "DynamicValue(3, 'the count')"


def is_third(calls):
    return calls % 3 == 2


class EveryThird:
    """Keeps a sum, and returns and clears it at every third call."""

    tree_node = True

    def __init__(self, backend):
        self.calls = DynamicValue(0, "the number of calls")
        self.sum = backend.asarray(np.zeros(3, np.float32))

    def __call__(self, x):
        total = self.sum + x
        is_last = self.calls.branch(is_third, like=x)
        self.sum = total * 0 if is_last else total
        self.calls.advance(lambda calls: calls + 1, like=x)
        return total if is_last else x * 0


def counting(backend, count):
    return [backend.asarray(np.full(3, i, np.float32)) for i in range(count)]


def test_each_branch_of_a_value_has_a_program(backend):
    eager, compiled, entries = EveryThird(backend), EveryThird(backend), counting(backend, 9)
    step = compile(lambda every, x: every(x))
    for x in entries:
        np.testing.assert_array_equal(host(step(compiled, x)), host(eager(x)))
        assert compiled.calls.value == eager.calls.value
        np.testing.assert_array_equal(host(compiled.sum), host(eager.sum))
    assert len(step.programs) == 2


def test_a_branch_outside_of_the_arguments(backend):
    every, eager = EveryThird(backend), EveryThird(backend)
    step = compile(lambda x: every(x))
    for x in counting(backend, 9):
        assert first(step(x)) == first(eager(x))
    assert len(step.programs) == 2
    every.calls.value = 2
    assert first(step(ones(backend))) == 1
    assert len(step.programs) == 2


def test_a_loop_over_branches_makes_the_same_calls(backend):
    every, eager, entries = EveryThird(backend), EveryThird(backend), counting(backend, 10)
    step = compile(lambda every, x: every(x))
    for _ in range(2):
        results = host(step.for_each(backend.xp.stack(entries), every))
        for x, result in zip(entries, results, strict=True):
            np.testing.assert_array_equal(result, host(eager(x)))
    assert len(step.programs) == 2


def test_a_failed_call_does_not_change_the_branch():
    every, calls = EveryThird(anynet.get_backend("numpy")), queue.SimpleQueue()

    def report(x):
        calls.put(None)
        if calls.qsize() == 3:
            raise OSError("full")
        return x + 0

    report = anynet.custom_vjp(report, lambda g, out, x: g)
    step = compile(lambda x: every(report(x)))
    x = np.ones(3, np.float32)
    assert [first(step(x)) for _ in range(2)] == [0, 0]
    with pytest.raises(OSError, match="full"):
        step(x)
    assert [first(step(x)) for _ in range(4)] == [3, 0, 0, 3]


def test_a_branch_that_a_step_does_not_reach_raises():
    values = queue.SimpleQueue()

    def hidden(x):
        value = values.get()
        values.put(value)
        return x if value.branch(is_third, like=x) else -x

    values.put(DynamicValue(0, "the hidden value"))
    with pytest.raises(CompilationError, match="a scalar depends on the hidden value"):
        compile(hidden)(np.ones(3))


def test_a_step_with_several_branches_takes_each_of_them(backend):
    """The results of later branches in a step depend on the value, too."""
    eager, compiled = EveryThird(backend), EveryThird(backend)
    step = compile(lambda every, x: (every(x), every(x)))
    for x in counting(backend, 9):
        expected = eager(x), eager(x)
        for result, out in zip(step(compiled, x), expected, strict=True):
            np.testing.assert_array_equal(host(result), host(out))
    assert len(step.programs) == 3


def test_a_branch_without_a_recorder_is_not_replayed():
    """A step that reads a branch without an array differs at the next call."""
    calls = DynamicValue(0, "the number of calls")
    step = compile(lambda x: -x if calls.branch(is_third, like=None) else x)
    for value in (0, 2, 1):
        calls.value = value
        assert first(step(np.ones(3))) == (-1 if value == 2 else 1)


def test_programs_with_branches_serve_another_object(backend):
    first_step = compile(lambda every, x: every(x))
    every = EveryThird(backend)
    for x in counting(backend, 4):
        first_step(every, x)
    other, eager = EveryThird(backend), EveryThird(backend)
    step = compile(first_step.step)
    step.programs = [*first_step.programs]
    for x in counting(backend, 9):
        np.testing.assert_array_equal(host(step(other, x)), host(eager(x)))
    assert len(step.programs) == 2
    assert every.calls.value == 4
