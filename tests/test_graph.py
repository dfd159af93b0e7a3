"""Graphs, on a device that is pretended: what it was asked for once, it can be asked for again."""

import contextlib
import gc
import weakref

import numpy as np
import pytest

from anynet.graph import Graph, Launches, Loop


class Pretended(Launches):
    """A launch calls the function again, with the arrays that it was captured with."""

    def __init__(self):
        self.captured = self.launched = self.copied = 0

    def current(self):
        return contextlib.nullcontext()

    def capture(self, function):
        self.captured += 1
        function()
        results = [np.array(x) for x in function()]
        # A device keeps nothing of what it reads.
        known = weakref.ref(function)

        def launch():
            self.launched += 1
            for result, new in zip(results, known()(), strict=True):
                result[...] = new

        for result in results:
            result[...] = 77
        return launch, results

    def wait(self):
        pass

    def memory(self, arrays):
        return [np.full_like(x, 77) for x in arrays]

    def copy(self, to, given):
        self.copied += len(to)
        for memory, x in zip(to, given, strict=True):
            memory[...] = x

    def number_dtype(self, arrays):
        return np.dtype("float64")


class Refusing(Pretended):
    def capture(self, function):
        raise RuntimeError("not while capturing")


def step(p, x, rate, shift):
    return [p - rate * x + shift, x.sum()]


CARRIED = [(0, 0)]
REFUSED = "no graph, its calls are made one by one: .*not while capturing"


def test_results_are_those_of_the_function_and_nobody_elses():
    launches = Pretended()
    graph = Graph(step, CARRIED, launches)
    generator = np.random.default_rng(0)
    seen = []
    for i in range(6):
        p, x = generator.normal(size=(2, 3))
        found = graph([p, x], [0.1 * i, 1.0])
        for one, wanted in zip(found, step(p, x, 0.1 * i, 1.0), strict=True):
            np.testing.assert_allclose(one, wanted, rtol=1e-14)
        seen += [(x, np.array(x)) for x in found]
    assert all((x == before).all() for x, before in seen)
    assert (launches.captured, launches.launched) == (1, 5)


def test_what_is_given_again_is_read_where_it_is():
    launches = Pretended()
    graph = Graph(step, CARRIED, launches)
    x = np.ones(3)
    for i in range(4):
        # What is written into it is seen.
        x[...] = i
        found = graph([np.zeros(3), x], [1.0, 0.0])
        np.testing.assert_array_equal(found[0], [-i] * 3)
    assert launches.captured == 1
    # One array to capture with, and by three launches one in and two out.
    assert launches.copied == 1 + 3 * 3
    for i in range(4):
        found = graph([np.zeros(3), np.full(3, i)], [1.0, 0.0])
        np.testing.assert_array_equal(found[0], [-i] * 3)
    assert launches.captured == 2
    np.testing.assert_array_equal(x, [3] * 3)


def test_parameters_are_not_held():
    graph = Graph(step, CARRIED, Pretended())
    x, p = np.ones(3), np.zeros(3)
    known = []
    for _ in range(4):
        known.append(weakref.ref(p))
        p, _ = graph([p, x], [1.0, 0.0])
    gc.collect()
    assert [reference() is None for reference in known] == [True] * 4


def test_what_cannot_be_captured_stays_what_it_is():
    graph = Graph(step, CARRIED, Refusing())
    p, x = np.ones((2, 3))
    for i in range(4):
        with pytest.warns(UserWarning, match=REFUSED) if i == 1 else contextlib.nullcontext():
            found = graph([p, x], [1.0, 0.5])
        np.testing.assert_array_equal(found[0], [0.5] * 3)


def train(p, frozen, x, rows, rate):
    """Train on rows of x, which come last among the arrays."""
    return [p - rate * x[rows].mean(axis=0) * frozen, x[rows].sum(), p * 2]


@pytest.mark.parametrize("kind", [Pretended, Refusing])
def test_a_loop_is_the_calls_one_after_the_other(kind):
    loop = Loop(train, CARRIED, kind())
    generator = np.random.default_rng(0)
    p, frozen, x = generator.normal(size=3), np.ones(3), generator.normal(size=(10, 3))
    seen = []
    for part, (start, stop) in enumerate([(0, 4), (4, 5), (1, 5), (0, 3)]):
        rows = generator.integers(0, 10, (5, 2)) if part < 3 else generator.integers(0, 10, (3, 2))
        numbers = [[0.1 * i] for i in range(len(rows))]
        if part == 2:
            # Another array where one was read where it is; and what is written into the others is seen.
            frozen = np.array([1.0, 0.0, 2.0])
            x += 1
        expected, sums = p, []
        for i in range(start, stop):
            expected, total, twice = train(expected, frozen, x, rows[i], *numbers[i])
            sums.append((total, twice))
        refused = kind is Refusing and part == 0
        with pytest.warns(UserWarning, match=REFUSED) if refused else contextlib.nullcontext():
            (new,), others = loop([p, frozen, x], rows, numbers, start, stop)
        np.testing.assert_allclose(new, expected, rtol=1e-14)
        for found, wanted in zip(others, zip(*sums, strict=True), strict=True):
            np.testing.assert_allclose(found, np.stack(wanted), rtol=1e-14)
        seen += [(y, np.array(y)) for y in (p, new, *others)]
        p = new
    assert all((y == before).all() for y, before in seen)


def test_a_loop_is_captured_once():
    launches = Pretended()
    loop = Loop(train, CARRIED, launches)
    p, frozen, x, rows = np.ones(3), np.ones(3), np.ones((10, 3)), np.zeros((6, 2), int)
    for start in (0, 2, 4):
        (p,), _ = loop([p, frozen, x], rows, [[0.5]] * 6, start, start + 2)
    assert (launches.captured, launches.launched) == (1, 6)
    np.testing.assert_array_equal(p, [-2] * 3)
    for _ in range(3):
        # Held no more from the second time on.
        loop([p, np.ones(3), x], rows, [[0.5]] * 6, 0, 2)
    assert launches.captured == 2
