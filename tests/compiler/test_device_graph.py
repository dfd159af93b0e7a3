"""Graphs and loops on an emulated device."""

import contextlib
import gc
import weakref

import numpy as np
import pytest
from pretended_graphs import Pretended

from anynet.compiler.device_graph import Carry, Graph, Loop


class Refusing(Pretended):
    def capture(self, function):
        raise RuntimeError("not while capturing")


def step(p, x, rate, shift):
    return [p - rate * x + shift, x.sum()]


CARRIED = [Carry(0, 0)]
REFUSED = "replaying its calls one by one: .*not while capturing"


def test_results_are_new_arrays():
    driver = Pretended()
    graph = Graph(step, CARRIED, driver)
    generator = np.random.default_rng(0)
    seen = []
    for i in range(6):
        p, x = generator.normal(size=(2, 3))
        found = graph([p, x], [0.1 * i, 1.0])
        for one, wanted in zip(found, step(p, x, 0.1 * i, 1.0), strict=True):
            np.testing.assert_allclose(one, wanted, rtol=1e-14)
        seen += [(x, np.array(x)) for x in found]
    assert all((x == before).all() for x, before in seen)
    assert (driver.captured, driver.launched) == (1, 5)


def test_repeated_arguments_are_not_copied():
    driver = Pretended()
    graph = Graph(step, CARRIED, driver)
    x = np.ones(3)
    for i in range(4):
        # What is written into it is seen.
        x[...] = i
        found = graph([np.zeros(3), x], [1.0, 0.0])
        np.testing.assert_array_equal(found[0], [-i] * 3)
    assert driver.captured == 1
    # One array to capture with, and by three launches one in and two out.
    assert driver.copied == 1 + 3 * 3
    for i in range(4):
        found = graph([np.zeros(3), np.full(3, i)], [1.0, 0.0])
        np.testing.assert_array_equal(found[0], [-i] * 3)
    assert driver.captured == 2
    np.testing.assert_array_equal(x, [3] * 3)


def test_graph_keeps_no_reference_to_parameters():
    graph = Graph(step, CARRIED, Pretended())
    x, p = np.ones(3), np.zeros(3)
    known = []
    for _ in range(4):
        known.append(weakref.ref(p))
        p, _ = graph([p, x], [1.0, 0.0])
    gc.collect()
    assert [reference() is None for reference in known] == [True] * 4


def test_function_that_cannot_be_captured_runs_call_by_call():
    graph = Graph(step, CARRIED, Refusing())
    p, x = np.ones((2, 3))
    for i in range(4):
        with pytest.warns(UserWarning, match=REFUSED) if i == 1 else contextlib.nullcontext():
            found = graph([p, x], [1.0, 0.5])
        np.testing.assert_array_equal(found[0], [0.5] * 3)


def train(p, frozen, x, rows, rate):
    """Train on rows of x, which come last among the arrays."""
    return [p - rate * x[rows].mean(axis=0) * frozen, x[rows].sum(), p * 2]


def test_loop_agrees_with_single_calls():
    loop = Loop(train, CARRIED, Pretended())
    generator = np.random.default_rng(0)
    p, frozen, x = (
        generator.normal(size=3),
        np.ones(3),
        generator.normal(size=(10, 3)),
    )
    seen = []
    for part, (start, stop) in enumerate([(0, 4), (4, 5), (1, 5), (0, 3)]):
        rows = generator.integers(0, 10, (5, 2)) if part < 3 else generator.integers(0, 10, (3, 2))
        numbers = [[0.1 * i] for i in range(len(rows))]
        if part == 2:
            # Another array where one was read where it is; and what is written into the others is
            # seen.
            frozen = np.array([1.0, 0.0, 2.0])
            x += 1
        expected, sums = p, []
        for i in range(start, stop):
            expected, total, twice = train(expected, frozen, x, rows[i], *numbers[i])
            sums.append((total, twice))
        (new,), others = loop([p, frozen, x], rows, numbers, start, stop)
        np.testing.assert_allclose(new, expected, rtol=1e-14)
        for found, wanted in zip(others, zip(*sums, strict=True), strict=True):
            np.testing.assert_allclose(found, np.stack(wanted), rtol=1e-14)
        seen += [(y, np.array(y)) for y in (p, new, *others)]
        p = new
    assert all((y == before).all() for y, before in seen)


def test_loop_that_cannot_be_captured_leaves_the_calls_to_the_caller():
    loop = Loop(train, CARRIED, Refusing())
    p, rows, scalars = np.ones(3), np.zeros((6, 2), int), [[0.5]] * 6
    for i in range(2):
        with pytest.warns(UserWarning, match=REFUSED) if i == 0 else contextlib.nullcontext():
            assert loop([p, p, np.ones((10, 3))], rows, scalars, 0, 2) is None


def test_loop_is_captured_once():
    driver = Pretended()
    loop = Loop(train, CARRIED, driver)
    p, frozen, x, rows = (
        np.ones(3),
        np.ones(3),
        np.ones((10, 3)),
        np.zeros((6, 2), int),
    )
    for start in (0, 2, 4):
        (p,), _ = loop([p, frozen, x], rows, [[0.5]] * 6, start, start + 2)
    assert (driver.captured, driver.launched) == (1, 6)
    np.testing.assert_array_equal(p, [-2] * 3)
    for _ in range(3):
        # Held no more from the second time on.
        loop([p, np.ones(3), x], rows, [[0.5]] * 6, 0, 2)
    assert driver.captured == 2


#: Steps on two states and an entry; the new states first, and a result.
MOVES = {
    "old and new": lambda a, b, x: [b, b + x, a * 1],
    "new and old": lambda a, b, x: [a + x, a, b * 1],
    "swap": lambda a, b, x: [b, a, a - x],
    "views": lambda a, b, x: [b[::-1], a[::-1], a - x],
    "own view": lambda a, b, x: [a[::-1], b + x, a],
    "shared part": lambda a, b, x: [np.broadcast_to(b[:1], (3,)), b + x, b],
    "average": lambda a, b, x: [0.5 * a + 0.5 * b, b + x, a],
}


@pytest.mark.parametrize("name", MOVES)
def test_loop_reads_new_state_before_it_overwrites_the_old(name):
    step = MOVES[name]
    loop = Loop(step, [Carry(0, 0), Carry(1, 1)], Pretended())
    a, b, entries = (
        np.array([1.0, 2.0, 3.0]),
        np.array([10.0, 20.0, 40.0]),
        np.arange(15.0).reshape(5, 3),
    )
    for start, stop in ((0, 5), (1, 4)):
        wanted, results = [a, b], []
        for i in range(start, stop):
            *wanted, result = step(*wanted, entries[i])
            results.append(result)
        new, others = loop([a, b], entries, [[]] * 5, start, stop)
        np.testing.assert_array_equal(new, wanted)
        np.testing.assert_array_equal(others[0], results)
        a, b = new


class Interrupted(Pretended):
    """Ctrl-C interrupts the captures, once for each index in ``times``."""

    def __init__(self, before=0, after=0):
        super().__init__()
        self.before, self.after = before, after

    def capture(self, function):
        if self.before:
            self.before -= 1
            raise KeyboardInterrupt
        found = super().capture(function)
        if self.after:
            self.after -= 1
            raise KeyboardInterrupt
        return found


@pytest.mark.parametrize("times", [{"before": 1}, {"after": 1}, {"before": 2, "after": 1}])
def test_call_after_an_interrupted_capture_captures_again(times):
    """The graph of an earlier capture is not launched for other arrays."""
    driver = Interrupted()
    loop = Loop(train, CARRIED, driver)
    p, rows, numbers = np.ones(3), np.zeros((6, 2), int), [[0.5]] * 6
    for x in (np.ones((10, 3)), np.full((10, 3), 2.0)):
        vars(driver).update(times)
        for _ in range(sum(times.values())):
            with pytest.raises(KeyboardInterrupt):
                loop([p, np.ones(3), x], rows, numbers, 0, 2)
        (new,), _ = loop([p, np.ones(3), x], rows, numbers, 0, 2)
        np.testing.assert_array_equal(new, p - x[0])
        graph = Graph(step, CARRIED, driver)
        graph([p, x[0]], [1.0, 0.0])
        vars(driver).update(times)
        for _ in range(sum(times.values())):
            with pytest.raises(KeyboardInterrupt):
                graph([p, x[0]], [1.0, 0.0])
        found, _ = graph([p, x[0]], [1.0, 0.0])
        np.testing.assert_array_equal(found, p - x[0])


def test_scalars_are_written_again_after_an_interrupt(monkeypatch):

    class Memory(np.ndarray):
        fails = False

        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            if Memory.fails:
                raise KeyboardInterrupt

    graph = Graph(step, CARRIED, Pretended())
    p, x = np.ones((2, 3))
    for _ in range(2):
        graph([p, x], [0.5, 1.0])
    captured = graph._captured
    graph._scalars[:] = [scalar.view(Memory) for scalar in graph._scalars]
    launch = captured.launch
    # The pretended graph reads the numbers that it was captured with, which these are views of.
    Memory.fails = True
    with pytest.raises(KeyboardInterrupt):
        graph([p, x], [2.0, 3.0])
    Memory.fails = False
    found, _ = graph([p, x], [0.5, 1.0])
    np.testing.assert_array_equal(found, p - 0.5 * x + 1)
    assert captured.launch is launch
