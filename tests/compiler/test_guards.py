"""A call that differs from the recorded one is recorded again."""

import argparse
import contextvars
import copy
import datetime
import decimal
import fractions
import functools
import operator
import pathlib
import random
import re
import sys
import threading
import weakref
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from compiled_steps import Trainer, batch, same, same_bits, small, total
from helpers import assert_close, host, normal
from numpy import random as np_random

import anynet
from anynet import layers, losses
from anynet.errors import CompilationError
from anynet.training import training_step


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
def test_value_inside_an_element_of_a_set_is_guarded(kind, inside):
    factor, x = Factor(1), np.arange(3)
    given = kind([inside(factor)])
    compiled = anynet.compile(lambda x, given: x * next(iter(given))())
    for value in (1, 1, 2, 2, 2.0, 1):
        factor.value = value
        found = compiled(x, given)
        assert found.dtype == (x * value).dtype
        np.testing.assert_array_equal(found, x * value)
    assert len(compiled.programs) == 3


def test_equal_elements_of_other_types_in_a_set_record_again():
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
    """A mean whose sum begins as a NumPy scalar."""

    def __init__(self):
        self.total = np.float64(0)
        self.scale = np.float64(1)

    def add(self, x):
        self.total = self.total + np.sum(x) * self.scale
        return self.total


def test_scalar_that_a_step_assigns_is_not_guarded():
    """A scalar that the step only reads is guarded."""
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


def test_program_has_the_names_of_the_arguments():
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
def test_step_that_draws_from_a_random_module_is_not_replayed(draw):
    """Each call draws new samples, however the step reaches the module."""
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
def test_arrays_in_results_that_are_no_tree_raise(holding):
    hold = (lambda value: holding(value=value)) if holding is SimpleNamespace else holding
    for step in (lambda x: hold(x * 2), lambda x: (x, [hold(x * 2)])):
        with pytest.raises(
            CompilationError,
            match="the step returns arrays in something that is no tree",
        ):
            anynet.compile(step)(np.ones(2))


def test_results_without_arrays_are_returned_as_recorded():
    """A replay returns the same functions and objects if they contain no array of the step."""
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
    """A value of a user's class with its state in compiled code."""


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
def test_equal_values_share_a_recording(one, other, number):
    """The value is an argument, inside an argument or reached from outside."""
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
def test_scalar_in_a_reached_set_is_guarded(kind):
    kept, x = set(), np.arange(3)
    compiled = anynet.compile(lambda x: x * float(next(iter(kept))))
    for value in (0, 0, 1, 1, 0):
        kept.clear()
        kept.add(kind(value))
        np.testing.assert_array_equal(compiled(x), x * value)
    assert len(compiled.programs) == 2


def test_tensor_in_a_reached_set_is_guarded():
    """PyTorch hashes its tensors by identity."""
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
def test_nested_tuples_compile(backend, name):
    """They are arguments, reached from outside, or replaced by the step."""
    make, x = NESTED[name], normal(backend, 3)
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


def test_step_writes_into_arrays_in_nested_tuples(backend):
    if not hasattr(type(backend.asarray([1.0])), "__iadd__"):
        pytest.skip("the library's arrays never change")
    first, second = normal(backend, 3), normal(backend, 3, seed=1)
    given = ((first,), [(second, (2.0,))])
    before = host(first).copy(), host(second).copy()

    def step(x, given):
        (a,), [(b, _)] = given
        a += x
        b *= 2.0
        return a + b

    compiled, x = anynet.compile(step), normal(backend, 3, seed=2)
    for i in range(1, 4):
        found = compiled(x, given)
        assert given[0][0] is first
        assert_close(first, before[0] + i * host(x), rtol=1e-6)
        assert_close(second, before[1] * 2.0**i, rtol=1e-6)
        assert_close(found, host(first) + host(second), rtol=1e-6)


class Interrupting(type):
    """A metaclass. An assignment to the first attribute can be interrupted."""

    def __setattr__(cls, name, value):
        super().__setattr__(name, value)
        if name == "first" and vars(cls).get("interrupt"):
            super().__setattr__("interrupt", False)
            raise KeyboardInterrupt


class Kept(metaclass=Interrupting):
    first = second = None
    interrupt = False


def test_interrupt_waits_until_all_attributes_are_assigned():
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


def test_containers_of_other_types_with_equal_contents_record_again():
    x = np.arange(3)
    compiled = anynet.compile(
        lambda x, given: x * (1 + [list, tuple, dict, Pair, set].index(type(given)))
    )
    for _ in range(2):
        for i, given in enumerate(([0, 1], (0, 1), {0: 0, 1: 1}, Pair(0, 1), {0, 1})):
            np.testing.assert_array_equal(compiled(x, given), x * (1 + i))
    assert len(compiled.programs) == 5


class Chain(layers.Module):
    """Layers in a list that may change, and a setting."""

    def __init__(self, parts):
        self.parts = list(parts)
        self.factor = 1.0

    def forward(self, x):
        for part in self.parts:
            x = part(x)
        return total(x) * self.factor


def test_changed_networks_record_again(backend):
    """The network may be the one that the previous call updated."""
    compiled, f = (
        anynet.compile(lambda net, x: net(x)),
        lambda net, x: net(x),
    )
    nets = [
        Chain(layers.Linear(3, 3) for _ in range(3)).initialize(seed, backend) for seed in (0, 1)
    ]
    net, (x, _) = nets[0], batch(backend)

    def swap():
        net.parts[0], net.parts[2] = net.parts[2], net.parts[0]

    for change in (
        lambda: None,
        lambda: setattr(net, "factor", 2.0),
        lambda: setattr(net.parts[0], "weight", net.parts[0].weight + 1),
        lambda: setattr(net, "factor", backend.asarray(2.0)),
        lambda: setattr(net.parts[1], "weight", net.parts[0].weight),
        lambda: setattr(net.parts[1], "weight", net.parts[0].weight + 1),
        lambda: net.parts.append(layers.ReLU()),
        swap,
        lambda: net.parts.insert(1, net.parts.pop()),
        lambda: net.parts.pop(0),
        lambda: vars(net).pop("factor") and setattr(net, "factor", 3.0),
    ):
        change()
        for given in (net, net, nets[1], net):
            same(backend, compiled(given, x), f(given, x))
    half = backend.asarray(host(x)[:3])
    for given in (
        half,
        x,
        half,
        backend.xp.astype(half, backend.xp.float64),
        half,
    ):
        same(backend, compiled(net, given), f(net, given))


OUTSIDE = small("numpy")


def closure(backend):
    """Return a step that reaches the network and the optimizer through a closure."""
    trainer = Trainer(backend)
    net, held = trainer.net, {"optimizers": [trainer.optimizer]}

    def step(x, t):
        value, grads = anynet.value_and_grad(lambda net: losses.cross_entropy(net(x), t))(net)
        held["optimizers"][0].update(net, grads)
        return value

    return trainer, step


def partial_arguments(backend):
    trainer = Trainer(backend)
    return trainer, functools.partial(
        training_step(losses.cross_entropy), trainer.net, trainer.optimizer
    )


def partial_keywords(backend):
    trainer = Trainer(backend)
    both = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))

    def step(x, t, *, net, optimizer):
        value, grads = both(net, x, t)
        optimizer.update(net, grads)
        return value

    return trainer, functools.partial(step, net=trainer.net, optimizer=trainer.optimizer)


def defaults(backend):
    trainer = Trainer(backend)

    def step(x, t, net=trainer.net, held=(trainer.optimizer,)):
        value, grads = anynet.value_and_grad(lambda net: losses.cross_entropy(net(x), t))(net)
        held[0].update(net, grads)
        return value

    return trainer, step


def class_attribute(backend):
    trainer = Trainer(backend)
    Trainer.kept["now"] = trainer

    def step(x, t):
        return Trainer.kept["now"].step(x, t)

    return trainer, step


def method(backend):
    trainer = Trainer(backend)
    return trainer, trainer.step


@pytest.mark.parametrize(
    "make",
    [
        closure,
        partial_arguments,
        partial_keywords,
        defaults,
        class_attribute,
        method,
    ],
    ids=lambda f: f.__name__,
)
def test_step_updates_a_network_that_it_reaches(backend, make):
    (trainer, step), (other, plain) = make(backend), make(backend)
    if make is class_attribute:
        plain = other.step
        Trainer.kept["now"] = trainer
    compiled, batches = (
        anynet.compile(step),
        [batch(backend, 6), batch(backend, 5)],
    )
    for i in range(6):
        x, t = batches[i == 3]
        same(backend, compiled(x, t), plain(x, t))
        if make is not class_attribute:
            trainer.losses.append(i)
        if i == 4:
            # Between calls users put parameters in place, too.
            for net in (trainer.net, other.net):
                net["layers.0.weight"] = net["layers.0.weight"] * 0.5
    same_bits(
        backend,
        (trainer.net, trainer.optimizer),
        (other.net, other.optimizer),
    )
    assert trainer.optimizer.updates == 6
    # One of the first state, and one for each shape.
    assert len(compiled.programs) == 2


def test_changed_settings_of_a_reached_object_record_again(backend):
    trainer, other, (x, t) = (
        Trainer(backend),
        Trainer(backend),
        batch(backend),
    )
    compiled = anynet.compile(trainer.step)
    for change in (
        lambda _: None,
        lambda _: None,
        lambda trainer: setattr(trainer, "factor", 2.0),
        lambda trainer: setattr(trainer.settings, "smoothing", 0.5),
        lambda trainer: trainer.net.set_training(False),
        lambda trainer: setattr(trainer, "net", small(backend)),
        lambda trainer: vars(trainer).update(loss=lambda y, t: total(y * y)),
    ):
        for one in (trainer, other):
            change(one)
        for _ in range(2):
            same(backend, compiled(x, t), other.step(x, t))
    same_bits(
        backend,
        (trainer.net, trainer.optimizer),
        (other.net, other.optimizer),
    )


SCALE = 1.0


SHIFT = np.zeros(2)


def test_changed_globals_record_again(monkeypatch):
    def step(x):
        return SCALE * OUTSIDE(x) + SHIFT

    compiled, x = anynet.compile(step), np.ones((4, 3), "f4")
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x), step(x))
    for scale in (2.0, 2, True, 0.0, -0.0, float("nan"), float("nan")):
        monkeypatch.setitem(globals(), "SCALE", scale)
        for _ in range(2):
            np.testing.assert_array_equal(compiled(x), step(x))
    assert len(compiled.programs) == 7
    # An array that is written into.
    SHIFT[1] = 5
    np.testing.assert_array_equal(compiled(x), step(x))
    SHIFT[1] = 0


@dataclass
class Settings:
    factor: float = 1.0


class SettingsInSlots:
    __slots__ = ("factor",)


class AlwaysEqual:
    """An object that equals every object."""

    def __eq__(self, other):
        return True

    __hash__ = None


@pytest.mark.parametrize(
    "kind",
    [argparse.Namespace, SimpleNamespace, Settings, SettingsInSlots, AlwaysEqual],
)
def test_settings_are_compared_by_type_and_value(kind):
    """1, 1.0 and True are three settings. 0.0 and -0.0 are two. NaN is one."""
    settings, x = kind(), np.arange(3)
    holder = Chain([])
    holder.settings = settings
    for given in (settings, [{"inner": settings}], holder):
        f = lambda given, x: settings_in(given).factor * x
        compiled = anynet.compile(f)
        for factor in (
            1.0,
            2.0,
            2.0,
            2,
            True,
            1.0,
            -0.0,
            0.0,
            float("nan"),
            float("nan"),
        ):
            settings.factor = factor
            found, wanted = compiled(given, x), f(given, x)
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)
            np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))
        assert len(compiled.programs) == 7


def settings_in(x):
    return settings_in(x[0]["inner"]) if type(x) is list else getattr(x, "settings", x)


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        ({1, 2}, lambda x, i: x.add(i)),
        ([1, 2], lambda x, i: x.append(i)),
        (deque([1, 2]), lambda x, i: x.append(i)),
        (Counter([1]), lambda x, i: x.update([i])),
        (bytearray(b"12"), lambda x, i: x.append(i)),
        (OrderedDict({1: 2}), lambda x, i: x.update({i: i})),
        ({1: 2}, lambda x, i: x.update({i + 1: x.pop(i) if i in x else 1})),
    ],
    ids=lambda x: type(x).__name__,
)
def test_changed_containers_record_again(settings, change):
    f = lambda settings, x: sum(settings) * x
    compiled, x = anynet.compile(f), np.arange(3.0)
    for i in (3, 4, 4, 5):
        for _ in range(2):
            np.testing.assert_array_equal(compiled(settings, x), f(settings, x))
        change(settings, i)
    np.testing.assert_array_equal(compiled(settings, x), f(settings, x))


def with_attribute():
    def step(x):
        return x * step.factor

    step.factor = 1
    return step, lambda: setattr(step, "factor", 2)


def with_set():
    kept = {1}
    return lambda x: x * sum(kept), lambda: kept.add(2)


def with_import():
    config = sys.modules["config_of_a_step"] = ModuleType("config_of_a_step")
    config.factor = 1

    def step(x):
        from config_of_a_step import factor

        return x * factor

    return step, lambda: setattr(config, "factor", 2)


def with_any_global():
    module = {"factor": 1}
    exec("def step(x): return x * eval('factor')", module)
    return module["step"], lambda: module.update(factor=2)


def with_weak_reference():
    settings = Settings(1)
    found = weakref.ref(settings)
    return lambda x: x * found().factor, lambda: setattr(settings, "factor", 2)


def with_method_of_compiled_code():
    options = {"factor": 1}
    get = options.get
    return lambda x: x * get("factor"), lambda: options.update(factor=2)


def with_getter():
    settings, factor = Settings(1), operator.attrgetter("factor")
    return lambda x: x * factor(settings), lambda: setattr(settings, "factor", 2)


def with_thread_local():
    kept = threading.local()
    kept.factor = 1
    return lambda x: x * kept.factor, lambda: setattr(kept, "factor", 2)


def with_context_variable():
    factor = contextvars.ContextVar("factor", default=1)
    return lambda x: x * factor.get(), lambda: factor.set(2)


def with_partial_method():
    class Scaling:
        factor = 1
        scaled = functools.partialmethod(lambda self, k, x: x * self.factor * k, 1)

    return lambda x: Scaling().scaled(x), lambda: setattr(Scaling, "factor", 2)


def with_attributes_of_a_dict():
    class Options(dict):
        __getattr__ = dict.__getitem__

    options = Options(factor=1)
    return lambda x: x * options.factor, lambda: options.update(factor=2)


def with_other_code():
    def scaled(x, *, k=1):
        return x * k

    def other(x, *, k=1):
        return x * k * 2

    return lambda x: scaled(x), lambda: setattr(scaled, "__code__", other.__code__)


def with_other_defaults():
    def scaled(x, *, k=1):
        return x * k

    return lambda x: scaled(x), lambda: setattr(scaled, "__kwdefaults__", {"k": 2})


@pytest.mark.parametrize(
    "make",
    [
        with_attribute,
        with_set,
        with_import,
        with_any_global,
        with_weak_reference,
        with_method_of_compiled_code,
        with_getter,
        with_thread_local,
        with_context_variable,
        with_partial_method,
        with_attributes_of_a_dict,
        with_other_code,
        with_other_defaults,
    ],
    ids=lambda f: f.__name__,
)
def test_changed_setting_in_any_place_records_again(make):
    step, change = make()
    compiled, x = anynet.compile(step), np.arange(3)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x), x)
    change()
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x), step(x))
    assert step(x)[1] > 1
    assert len(compiled.programs) == 2


def test_changed_object_behind_a_reference_records_again():
    settings, x = Settings(1), np.arange(3)
    options = {"factor": 1}
    for f, given in (
        (lambda x, found: x * found().factor, weakref.ref(settings)),
        (lambda x, get: x * get(settings), operator.attrgetter("factor")),
        (lambda x, get: x * get("factor"), options.get),
    ):
        compiled = anynet.compile(f)
        for factor in (1, 1, 2, 2, 3):
            settings.factor = options["factor"] = factor
            np.testing.assert_array_equal(compiled(x, given), factor * x)
        assert len(compiled.programs) == 3


def test_step_that_draws_from_a_random_generator_is_not_replayed():
    generator = random.Random(0)
    draw, like = generator.random, random.Random(0)
    compiled = anynet.compile(lambda x: x + draw())
    with pytest.warns(UserWarning, match="changes what it reaches with every call"):
        found = [float(compiled(np.zeros(()))) for _ in range(10)]
    assert found == [like.random() for _ in range(10)]


def test_scalar_arguments_are_compared_by_type_and_value():
    compiled, x = anynet.compile(lambda x, k: x * k), np.arange(3)
    for k in (1, 1.0, True, 1, 2.0, False, 0.0, -0.0, 0):
        found, wanted = compiled(x, k), x * k
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))
    compiled = anynet.compile(lambda x, k: x * k)
    for _ in range(3):
        compiled(x, float("nan"))
    assert len(compiled.programs) == 1


def test_changed_keyword_arguments_record_again():
    f = lambda x, *, k=1, y=None: x * k if y is None else x * k + y
    compiled, x = anynet.compile(f), np.arange(3.0)
    for _ in range(2):
        for named in (
            {},
            {"k": 2},
            {"k": 3},
            {"y": x},
            {"y": x, "k": 2},
            {"k": 2, "y": x + 1},
        ):
            np.testing.assert_array_equal(compiled(x, **named), f(x, **named))


class Couple(NamedTuple):
    a: object
    b: object


class OtherCouple(NamedTuple):
    a: object
    b: object


def test_trees_of_other_nesting_or_type_record_again():
    f = lambda tree: tree["a"].get("c", 0) + 2 * tree["a"]["b"] + 3 * tree.get("c", 0)
    compiled, x, y = anynet.compile(f), np.ones(2), np.full(2, 5.0)
    for given in (
        {"a": {"b": x}, "c": y},
        {"a": {"b": x, "c": y}},
        {"a": {"b": x}, "c": y},
    ):
        np.testing.assert_array_equal(compiled(given), f(given))
    swapped = anynet.compile(lambda pair: type(pair)(pair.b, pair.a))
    for kind in (Couple, OtherCouple, Couple, OtherCouple):
        for b in (y, 3):
            found = swapped(kind(x, b))
            assert type(found) is kind
            np.testing.assert_array_equal(found.a, b)
            np.testing.assert_array_equal(found.b, x)


def test_step_that_draws_from_two_random_modules_is_not_replayed():
    compiled = anynet.compile(lambda x: x * np.random.rand(3) + random.random())
    np.random.seed(0)
    random.seed(0)
    with pytest.warns(UserWarning, match="changes what it reaches with every call"):
        found = [compiled(np.ones(3)) for _ in range(12)]
    np.random.seed(0)
    random.seed(0)
    np.testing.assert_array_equal(found, [np.random.rand(3) + random.random() for _ in range(12)])


class Point:
    """Attributes that a pattern names. The class gets more of them later."""

    def __init__(self):
        self.x = 1.0

    def step(self, y):
        match self:
            case Point(x=x):
                return x * self.scale * y


class Table(dict):
    """A dict with attributes."""


def test_changed_attributes_of_any_kind_record_again():
    y, point, table = np.arange(3.0), Point(), Table(a=1.0)
    Point.scale = 1.0
    table.b = 2.0
    steps = point.step, lambda y: table["a"] * table.b * y
    compiled = [anynet.compile(step) for step in steps]
    by_argument = anynet.compile(lambda table, y: table["a"] * table.b * y)
    for change in (
        lambda: None,
        lambda: setattr(point, "x", 2.0),
        lambda: setattr(point, "scale", 3.0),
        lambda: vars(point).pop("scale"),
        lambda: setattr(Point, "scale", 4.0),
        lambda: setattr(table, "b", 5.0),
        lambda: table.update(a=6.0),
    ):
        change()
        for _ in range(2):
            for f, step in zip(compiled, steps, strict=True):
                np.testing.assert_array_equal(f(y), step(y))
            np.testing.assert_array_equal(by_argument(table, y), steps[1](y))
