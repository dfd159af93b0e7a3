from functools import partial

import numpy as np
import pytest

import anynet
from anynet import data, layers, losses, optimizers
from anynet.optimizers import schedules
from anynet.training.settings import differences, network_settings, run_settings, show_setting


def loss_of(weight, seen):
    def loss(net, x, t):
        seen.append(weight)
        return weight * losses.cross_entropy(net(x), t)

    return loss


class Rate:
    def __call__(self, step):
        return 0.1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (losses.cross_entropy, losses.mean_squared_error),
        (losses.cross_entropy, partial(losses.cross_entropy, label_smoothing=0.1)),
        (loss_of(0.5, []), loss_of(0.25, [])),
        (data.random_affine(shift=1.0), data.random_affine(shift=2.0)),
        ("auto", None),
        (0.1, 0.1 + 2**-56),
        (1, True),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 2}),
        (np.ones(2), np.ones(3)),
        (optimizers.SGD, optimizers.Adam),
        (optimizers.SGD(0.1), optimizers.SGD(0.2)),
        (anynet.MixedPrecision("float16"), anynet.MixedPrecision("bfloat16")),
        (layers.Dropout(0.5), layers.Dropout(0.25)),
        (
            layers.Sequential(layers.Linear(2, 3), layers.ReLU(), seed=0),
            layers.Sequential(layers.Linear(2, 4), layers.ReLU(), seed=0),
        ),
    ],
)
def test_settings_that_differ_have_other_texts(first, second):
    assert show_setting(first) != show_setting(second)


@pytest.mark.parametrize(
    "make",
    [
        lambda: loss_of(0.5, []),
        lambda: partial(losses.cross_entropy, label_smoothing=0.1),
        lambda: data.random_affine(shift=1.0),
        Rate,
        lambda: Rate().__call__,
        lambda: lambda x: x,
        object,
    ],
)
def test_equal_settings_have_one_text_without_addresses(make):
    first, second = make(), make()
    assert show_setting(first) == show_setting(second)
    assert "0x" not in show_setting(first)


def test_what_a_run_collects_is_no_setting():
    seen = []
    loss = loss_of(0.5, seen)
    before = show_setting(loss)
    seen.append(1.0)
    assert show_setting(loss) == before


def test_value_that_contains_itself_has_a_text():
    value = []
    value.append(value)
    assert show_setting(value) == "(…)"


def network(backend, **settings):
    return layers.Sequential(
        layers.Linear(3, 4),
        layers.Dropout(settings.get("rate", 0.5)),
        layers.Linear(4, 2),
        seed=0,
        backend=backend,
        dtype=settings.get("dtype", "float32"),
    )


def test_network_has_the_same_settings_on_every_library(backend):
    assert network_settings(network(backend)) == network_settings(network("numpy"))


def test_every_part_of_a_network_is_a_setting(backend):
    plain = network_settings(network(backend))
    frozen = network_settings(network(backend).freeze("layers.0"))
    others = (
        network_settings(network(backend, rate=0.25)),
        network_settings(network(backend, dtype="float64")),
        network_settings(network(backend).set_training(False)),
        frozen,
    )
    for other in others:
        assert differences(other, plain)
    assert differences(others[0], plain) == [
        "net.layers.1 is anynet.layers.dropout.Dropout(rate=0.25, key=integer (2,)) here and "
        "anynet.layers.dropout.Dropout(rate=0.5, key=integer (2,)) in the file"
    ]


def test_ties_are_settings(backend):
    net = layers.Sequential(layers.Linear(2, 2), layers.Linear(2, 2), seed=0, backend=backend)
    before = network_settings(net)
    net["layers.1.weight"] = net["layers.0.weight"]
    assert differences(network_settings(net), before) == [
        "net.layers.1.weight is tied to layers.0.weight here and absent in the file"
    ]


def test_run_has_the_settings_of_its_data(backend):
    x, t = backend.asarray(np.ones((4, 3), "float32")), backend.asarray(np.asarray([0, 1, 0, 1]))
    net, optimizer = network(backend), optimizers.SGD(schedules.Step(0.1, 2))
    first = run_settings(net, {"train": data.Loader(x, t, 2)}, optimizer, compile=False)
    second = run_settings(net, {"train": data.Loader(x, t, 2, seed=1)}, optimizer, compile=True)
    assert differences(first, second) == [
        "compile is False here and True in the file",
        "train.seed is 0 here and 1 in the file",
    ]
    assert first["train.x"] == "float32 (4, 3)"
    assert first["train.t"] == "integer (4,)"


def constant(rate):
    return lambda step: rate


class Halving:
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate / 2**step


@pytest.mark.parametrize("schedule", [constant, Halving])
@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD,
        lambda rate: optimizers.Clipping(optimizers.Adam(rate), max_norm=1.0),
        lambda rate: optimizers.Groups(("layers.0", optimizers.SGD(rate)), optimizers.SGD(0.1)),
        lambda rate: optimizers.SGD(schedules.Warmup(rate, 2)),
    ],
)
def test_values_in_a_schedule_are_settings(schedule, optimizer):
    def settings(rate):
        return run_settings({}, {}, optimizer(schedule(rate)))

    assert settings(0.1) == settings(0.1)
    assert "0.2" in "".join(differences(settings(0.2), settings(0.1)))
