"""Graphs, on a device that is pretended: what it is asked for once, it can be asked for again."""

import gc
import weakref

import numpy as np
import pytest

from anynet.graph import Graph


class Pretended(Graph):
    """A graph whose launch calls the function with the arrays it was captured with."""

    def __init__(self, function, carried=()):
        super().__init__(function, list(carried))
        self.captured = self.launched = self.copied = 0

    def capture(self, function):
        self.captured += 1
        results = [np.array(x) for x in function()]

        def launch():
            self.launched += 1
            for result, new in zip(results, function(), strict=True):
                result[...] = new

        for result in results:
            result[...] = 0
        return launch, results

    def wait(self):
        pass

    def memory(self, arrays):
        return [np.full_like(x, 77) for x in arrays]

    def copy(self, to, given):
        self.copied += len(to)
        for memory, x in zip(to, given, strict=True):
            memory[...] = x

    def number(self, arrays):
        return np.empty((), arrays[0].dtype)


def step(p, x, rate, shift):
    return [p - rate * x + shift, x.sum()]


def test_results_are_those_of_the_function_and_nobody_elses():
    graph = Pretended(step)
    generator = np.random.default_rng(0)
    seen = []
    for i in range(6):
        p, x = generator.normal(size=(2, 3))
        found = graph([p, x], [0.1 * i, 1.0])
        for one, wanted in zip(found, step(p, x, 0.1 * i, 1.0), strict=True):
            np.testing.assert_allclose(one, wanted, rtol=1e-14)
        seen += [(x, np.array(x)) for x in found]
    assert all((x == before).all() for x, before in seen)
    assert (graph.captured, graph.launched) == (1, 5)


def test_what_is_given_again_is_read_where_it_is():
    graph = Pretended(step)
    x = np.ones(3)
    for i in range(4):
        # What is written into it is seen.
        x[...] = i
        found = graph([np.zeros(3), x], [1.0, 0.0])
        np.testing.assert_array_equal(found[0], [-i] * 3)
    assert graph.captured == 1
    # Three calls by the graph: p in, two results out.
    assert graph.copied == 1 + 3 * 3
    for i in range(4):
        found = graph([np.zeros(3), np.full(3, i)], [1.0, 0.0])
        np.testing.assert_array_equal(found[0], [-i] * 3)
    assert graph.captured == 2
    np.testing.assert_array_equal(x, [3] * 3)


def test_parameters_are_not_held():
    graph = Pretended(step)
    x, p = np.ones(3), np.zeros(3)
    known = []
    for _ in range(4):
        known.append(weakref.ref(p))
        p, _ = graph([p, x], [1.0, 0.0])
    gc.collect()
    assert [reference() is None for reference in known] == [True] * 4


def test_what_cannot_be_captured_stays_what_it_is():
    class Refusing(Pretended):
        def capture(self, function):
            raise RuntimeError("not while capturing")

    graph = Refusing(step)
    p, x = np.ones((2, 3))
    for i in range(4):
        if i == 1:
            with pytest.warns(UserWarning, match="no graph, its calls are made one by one: .*not while capturing"):
                found = graph([p, x], [1.0, 0.5])
        else:
            found = graph([p, x], [1.0, 0.5])
        np.testing.assert_array_equal(found[0], [0.5] * 3)


def test_a_function_of_numbers_alone_and_of_arrays_alone():
    graph = Pretended(lambda x: [x + 1])
    for i in range(3):
        np.testing.assert_array_equal(graph([np.full(2, i)], [])[0], [i + 1] * 2)
