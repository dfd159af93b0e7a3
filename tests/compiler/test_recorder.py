"""What is recorded of a user's own code, and what happens when it fails."""

import queue

import numpy as np
import pytest

import anynet
from anynet.array import array_namespace
from anynet.compiler import CompiledStep
from anynet.compiler.recorder import Recorder
from anynet.compiler.target import CompilerTarget
from anynet.errors import CompilationError


class Engine:
    """Doubles an array, and counts its calls where a step does not see it."""

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


def test_users_code_that_fails_in_the_third_replay_is_called_once_in_it():
    engine, step = engine_and_step(lambda own, x: own(x) + 1)
    x = np.ones(3)
    for _ in range(3):
        step(x)
    assert (engine.calls.qsize(), len(step.programs)) == (3, 1)
    engine.fails_at = 4
    with pytest.raises(ConnectionError, match="the other side is gone"):
        step(x)
    assert engine.calls.qsize() == 4


def test_users_code_is_not_called_again_when_a_later_call_of_a_replay_fails():
    engine, step = engine_and_step(lambda own, x, rows: array_namespace(x).take(own(x), rows))
    x = np.ones(3)
    for _ in range(3):
        step(x, np.asarray([0, 2]))
    assert (engine.calls.qsize(), len(step.programs)) == (3, 1)
    with pytest.raises(IndexError):
        step(x, np.asarray([0, 3]))
    assert engine.calls.qsize() == 4


def test_users_code_that_fails_while_it_is_recorded_is_called_once():
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
