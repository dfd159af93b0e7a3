"""Whether a call of a compiled step is as a recorded one: what is in sets, and numbers that a step
assigns."""

import copy
import datetime
import decimal
import fractions
import functools
import operator
import pathlib
import random
import re
from collections import deque
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from helpers import assert_close, host, numbers
from numpy import random as np_random

import anynet
from anynet import layers
from anynet.errors import CompilationError


class Factor:
    """Something with an attribute, which is hashed by identity."""

    def __init__(self, value):
        self.value = value

    def __call__(self):
        return self.value


def holding(factor):
    return lambda: factor.value


@pytest.mark.parametrize(
    "inside",
    [lambda x: x, lambda x: x.__call__, holding],
    ids=["object", "method", "function"],
)
@pytest.mark.parametrize("kind", [set, frozenset])
def test_what_an_element_of_a_set_reaches(kind, inside):
    factor, x = Factor(1), np.arange(3)
    given = kind([inside(factor)])
    compiled = anynet.compile(lambda x, given: x * next(iter(given))())
    for value in (1, 1, 2, 2, 2.0, 1):
        factor.value = value
        found = compiled(x, given)
        assert found.dtype == (x * value).dtype
        np.testing.assert_array_equal(found, x * value)
    assert len(compiled.programs) == 3


def test_elements_of_a_set_that_are_equal_and_of_other_types():
    x = np.arange(3)
    compiled = anynet.compile(lambda x, given: x * sum(next(iter(given))))
    for element in (
        (2,),
        (2.0,),
        (2,),
        (1, 1),
        (True, True),
        (1.0, 1),
        frozenset([2]),
        frozenset([2.0]),
    ):
        for _ in range(2):
            found, wanted = compiled(x, {element}), x * sum(element)
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)


class Mean:
    """A mean whose sum begins as a scalar of NumPy's."""

    def __init__(self):
        self.total = np.float64(0)
        self.scale = np.float64(1)

    def add(self, x):
        self.total = self.total + np.sum(x) * self.scale
        return self.total


def test_a_number_that_a_step_assigns():
    """It changes with every call, and is no setting; one that is only read is."""
    mean, x = Mean(), np.arange(3.0)
    compiled = anynet.compile(mean.add)
    assert [float(compiled(x)) for _ in range(4)] == [3, 6, 9, 12]
    assert mean.total == 12
    assert len(compiled.programs) == 1
    mean.scale = np.float64(2)
    assert [float(compiled(x)) for _ in range(2)] == [18, 24]
    assert len(compiled.programs) == 2


def first_line(compiled):
    return compiled.programs[0].source.partition("\n")[0]


def test_a_recording_has_the_names_of_the_arguments():
    def f(a, pair, *more, scale, **named):
        return a + pair["w"][0] + pair["w"][1] + more[0] + more[1]["z"] + scale + named["other"][0]

    x, compiled = np.ones(2), anynet.compile(f)
    compiled(
        x,
        {"w": [x + 1, x + 2]},
        x + 3,
        {"z": x + 4},
        scale=x + 5,
        other=(x + 6,),
    )
    assert (
        first_line(compiled)
        == "def run(a, pair_w_0, pair_w_1, argument_2, argument_3_z, scale, other_0):"
    )
    net = layers.Sequential(layers.Linear(2, 2), seed=0)
    compiled = anynet.compile(lambda net, y: net(y))
    compiled(net, np.ones((1, 2), "f4"))
    assert first_line(compiled) == "def run(net_layers_0_weight, net_layers_0_bias, y):"


def imported():
    from numpy import random

    return random.rand(3)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: random.random(),
        lambda: np.random.rand(3),
        lambda: np_random.rand(3),
        imported,
    ],
    ids=["random", "np.random", "alias", "import"],
)
def test_random_numbers_of_one_module(draw):
    """A step that draws them gives others with every call, however it reaches the module."""
    compiled = anynet.compile(lambda x: x * draw())
    np.random.seed(0)
    random.seed(0)
    with pytest.warns(UserWarning, match="changes what it reaches with every call"):
        found = [compiled(np.ones(3)) for _ in range(9)]
    np.random.seed(0)
    random.seed(0)
    np.testing.assert_array_equal(found, [np.ones(3) * draw() for _ in range(9)])


class InSlots:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


@pytest.mark.parametrize(
    "holding",
    [
        Factor,
        InSlots,
        SimpleNamespace,
        lambda value: Factor(Factor([value])),
        lambda value: {"a": [Factor(value)]},
        lambda value: lambda: value,
        lambda value: functools.partial(print, value),
        lambda value: deque([value]),
        lambda value: iter([value]),
        lambda value: frozenset([value]),
    ],
    ids="object slots namespace nested inside function partial deque iterator set".split(),
)
def test_results_that_a_replay_could_not_make_again(holding):
    hold = (lambda value: holding(value=value)) if holding is SimpleNamespace else holding
    for step in (lambda x: hold(x * 2), lambda x: (x, [hold(x * 2)])):
        with pytest.raises(
            CompilationError,
            match="the step returns arrays in something that is no tree",
        ):
            anynet.compile(step)(np.ones(2))


def test_results_with_settings():
    """They are what they were, also functions and objects, as long as there is no array of the step
    in them."""
    kept = Factor([np.ones(2)])
    compiled = anynet.compile(
        lambda x: {
            "x": x + 1,
            "kept": kept,
            "name": "a",
            "function": len,
            "set": {1},
        }
    )
    for i in range(3):
        found = compiled(np.ones(2) * i)
        np.testing.assert_array_equal(found["x"], np.ones(2) * i + 1)
        assert found["kept"] is kept
        assert (found["name"], found["function"], found["set"]) == (
            "a",
            len,
            {1},
        )
    assert len(compiled.programs) == 1


class Day(datetime.date):
    """A value of a class of a user's own, whose state is in compiled code."""


VALUES = [
    (fractions.Fraction(1, 2), fractions.Fraction(3, 2), float),
    (decimal.Decimal("0.5"), decimal.Decimal("1.5"), float),
    (pathlib.PurePath("a"), pathlib.PurePath("bc"), lambda k: len(str(k))),
    (
        datetime.date(2020, 1, 1),
        datetime.date(2021, 1, 1),
        lambda k: k.year,
    ),
    (Day(2020, 1, 1), Day(2021, 1, 1), lambda k: k.year),
    (range(2), range(3), len),
    (slice(1, 3), slice(2, 5), lambda k: k.stop),
    (np.dtype("f4"), np.dtype("f8"), lambda k: k.itemsize),
    (
        operator.attrgetter("real"),
        operator.attrgetter("imag"),
        lambda k: k(3 + 4j),
    ),
    (
        operator.methodcaller("count", 1),
        operator.methodcaller("count", 2),
        lambda k: k([1, 2, 2]),
    ),
    (operator.add, operator.mul, lambda k: k(3, 4)),
    (re.compile("a"), re.compile("bc"), lambda k: len(k.pattern)),
]


@pytest.mark.parametrize(("one", "other", "number"), VALUES, ids=lambda x: type(x).__name__)
def test_values_are_settings(one, other, number):
    """Equal ones share a recording, in an argument, inside one or reached from outside."""
    x, kept = np.arange(3), {}
    for step, given in (
        (lambda x, k: x * number(k), lambda k: k),
        (lambda x, k: x * number(k["a"][0]), lambda k: {"a": [k]}),
        (lambda x, k: x * number(next(iter(k))), lambda k: (k,)),
        (lambda x, _: x * number(kept["k"]), lambda k: kept.update(k=k)),
    ):
        compiled = anynet.compile(step)
        for k in (
            one,
            copy.deepcopy(one),
            other,
            one,
            copy.deepcopy(other),
        ):
            found = compiled(x, given(k))
            np.testing.assert_array_equal(found, x * number(k))
        assert len(compiled.programs) == 2


@pytest.mark.parametrize("kind", [np.float32, np.int8, np.bool_, float])
def test_numbers_in_a_set_that_a_step_reaches(kind):
    kept, x = set(), np.arange(3)
    compiled = anynet.compile(lambda x: x * float(next(iter(kept))))
    for value in (0, 0, 1, 1, 0):
        kept.clear()
        kept.add(kind(value))
        np.testing.assert_array_equal(compiled(x), x * value)
    assert len(compiled.programs) == 2


def test_arrays_in_a_set_that_a_step_reaches():
    """Of a library whose arrays are hashed by identity."""
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    kept, x = set(), torch.arange(3.0)
    compiled = anynet.compile(lambda x: x * next(iter(kept)))
    arrays = torch.tensor(2.0), torch.tensor(3.0)
    for k in (0, 0, 1, 1, 0):
        kept.clear()
        kept.add(arrays[k])
        np.testing.assert_array_equal(compiled(x), x * arrays[k])


class Pair(NamedTuple):
    first: object
    second: object


def flat(x):
    if isinstance(x, dict):
        return flat([*x.values()])
    return [z for y in x for z in flat(y)] if isinstance(x, list | tuple) else [x]


NESTED = {
    "tuple": lambda x: (x, 2.0),
    "tuple in a tuple": lambda x: ((x,), 1.0),
    "deep": lambda x: (1.0, (2.0, (x, x * 2))),
    "in a list": lambda x: [((x,), x * 3)],
    "around a list": lambda x: (x, [(x * 2, (x,))]),
    "around a dict": lambda x: ({"a": (x, (x * 2,))}, (x,)),
    "named": lambda x: Pair((x,), Pair(2.0, (x,))),
    "the same twice": lambda x: ((x,), (x,)),
}


@pytest.mark.parametrize("name", NESTED)
def test_tuples_inside_each_other(backend, name):
    """As arguments, reached from outside, put in the place of others, and with arrays that are
    written into."""
    make, x = NESTED[name], numbers(backend, 3)
    kept, made = {"given": make(x)}, {"made": make(x)}
    by_argument = anynet.compile(lambda x, given: x * sum(flat(given)))
    by_reach = anynet.compile(lambda x: x * sum(flat(kept["given"])))

    def replace(x):
        made["made"] = make(sum(flat(made["made"])) * x)

    replaces, wanted = anynet.compile(replace), host(x)
    for i in range(4):
        y = x + i
        for found in (by_argument(y, make(x)), by_reach(y)):
            assert_close(found, host(y) * sum(flat(make(host(x)))), rtol=1e-6)
        replaces(y * 0.25)
        wanted = sum(flat(make(wanted))) * host(y) * 0.25
        expected = flat(make(wanted))
        for a, b in zip(flat(made["made"]), expected, strict=True):
            assert_close(a, b, rtol=1e-5) if not isinstance(a, float) else None
        assert type(made["made"]) is type(make(x))
    assert len(by_argument.programs) == len(by_reach.programs) == len(replaces.programs) == 1


def test_arrays_in_nested_tuples_that_are_written_into(backend):
    if not hasattr(type(backend.asarray([1.0])), "__iadd__"):
        pytest.skip("the library's arrays never change")
    first, second = numbers(backend, 3), numbers(backend, 3, seed=1)
    given = ((first,), [(second, (2.0,))])
    before = host(first).copy(), host(second).copy()

    def step(x, given):
        (a,), [(b, _)] = given
        a += x
        b *= 2.0
        return a + b

    compiled, x = anynet.compile(step), numbers(backend, 3, seed=2)
    for i in range(1, 4):
        found = compiled(x, given)
        assert given[0][0] is first
        assert_close(first, before[0] + i * host(x), rtol=1e-6)
        assert_close(second, before[1] * 2.0**i, rtol=1e-6)
        assert_close(found, host(first) + host(second), rtol=1e-6)


class Interrupting(type):
    """A class of classes whose first attribute can be interrupted while it is written."""

    def __setattr__(cls, name, value):
        super().__setattr__(name, value)
        if name == "first" and vars(cls).get("interrupt"):
            super().__setattr__("interrupt", False)
            raise KeyboardInterrupt


class Kept(metaclass=Interrupting):
    first = second = None
    interrupt = False


def test_interrupted_while_results_are_put_in_their_places():
    """The step is done as a whole, and the interruption comes after it."""
    Kept.first, Kept.second = np.zeros(2), np.ones(2)

    def step(x):
        Kept.first = Kept.first + x
        Kept.second = Kept.second + x

    compiled, x = anynet.compile(step), np.ones(2)
    compiled(x)
    compiled(x)
    Kept.interrupt = True
    with pytest.raises(KeyboardInterrupt):
        compiled(x)
    assert not Kept.interrupt
    np.testing.assert_array_equal(Kept.first, [3, 3])
    np.testing.assert_array_equal(Kept.second, [4, 4])
    compiled(x)
    np.testing.assert_array_equal(Kept.first, [4, 4])
    assert len(compiled.programs) == 1


def test_containers_of_several_types_with_the_same_inside():
    x = np.arange(3)
    compiled = anynet.compile(
        lambda x, given: x * (1 + [list, tuple, dict, Pair, set].index(type(given)))
    )
    for _ in range(2):
        for i, given in enumerate(([0, 1], (0, 1), {0: 0, 1: 1}, Pair(0, 1), {0, 1})):
            np.testing.assert_array_equal(compiled(x, given), x * (1 + i))
    assert len(compiled.programs) == 5
