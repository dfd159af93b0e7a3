"""Misspelt arguments and attributes raise errors that suggest the right name."""

import copy
import dataclasses
import pickle
from functools import partial

import numpy as np
import pytest

from anynet import layers, optimizers, spelling
from anynet.errors import ArgumentTypeError, AttributeNameError

EVERY = (
    optimizers.SGD,
    optimizers.Momentum,
    optimizers.Adam,
    optimizers.AdamW,
)


@pytest.mark.parametrize("make", EVERY)
def test_misspelt_attribute_of_an_optimizer_raises(make):
    optimizer = make(0.1)
    with pytest.raises(
        AttributeNameError,
        match=rf"{make.__name__} has no attribute 'lr' \(did you mean 'learning_r",
    ):
        optimizer.lr = 0.01
    with pytest.raises(
        AttributeError,
        match=r"did you mean 'learning_rate'\?\): it has learning_rate",
    ):
        optimizer.learning_rte = 0.01
    with pytest.raises(
        AttributeNameError,
        match="has no attribute 'unheard_of': it has learning_rate",
    ):
        optimizer.unheard_of = 1
    with pytest.raises(
        AttributeNameError,
        match=r"updates was assigned, and can only be read",
    ):
        optimizer.updates = 3
    with pytest.raises(
        AttributeNameError,
        match=r"has no attribute 'step': it has .*learning_rate, .*update, updates",
    ):
        optimizer.step()
    assert not hasattr(optimizer, "lr")
    assert (
        vars(copy.deepcopy(optimizer)).keys() == vars(pickle.loads(pickle.dumps(optimizer))).keys()
    )


def test_setting_of_another_optimizer_raises():
    for make, name in (
        (optimizers.SGD, "momentum"),
        (optimizers.Momentum, "betas"),
        (optimizers.Adam, "momentum"),
    ):
        with pytest.raises(AttributeNameError, match=f"has no attribute '{name}'"):
            setattr(make(0.1), name, 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: optimizers.SGD(lr=0.1),
            r"SGD takes no argument 'lr' \(did you mean 'learning_rate'\?\); wanted SGD\(",
        ),
        (
            lambda: optimizers.Adam(beta1=0.9),
            r"'beta1' \(did you mean 'betas'\?\)",
        ),
        (
            lambda: optimizers.Adam(ep=1e-7),
            r"'ep' \(did you mean 'eps'\?\)",
        ),
        (
            lambda: optimizers.AdamW(wd=1e-7),
            r"'wd' \(did you mean 'weight_decay'\?\)",
        ),
        (
            lambda: optimizers.SGD({}, 0.1),
            r"called wrongly: too many positional arguments; wanted SGD\(learning_rate=",
        ),
    ],
)
def test_misspelt_argument_raises(make, message):
    with pytest.raises(ArgumentTypeError, match=message):
        make()


class Own(optimizers.Optimizer):
    """A user's optimizer, with attributes set later, in closures and by properties."""

    kind: str

    def __init__(self, learning_rate, decay):
        super().__init__(learning_rate)
        self.decay = decay

    @property
    def half(self):
        return self._half

    @half.setter
    def half(self, value):
        self._half = value

    def update(self, net, grads):
        self.seen = [self.later for _ in range(1)]


class ByName(optimizers.Optimizer):
    def __init__(self, **settings):
        super().__init__(0.1)
        for name, value in settings.items():
            setattr(self, name, value)

    def update(self, net, grads):
        """Nothing."""


@dataclasses.dataclass
class Fields(optimizers.Optimizer):
    rho: float = 0.5


def test_user_optimizer_may_have_the_attributes_in_its_code():
    own = Own(0.1, decay=0.5)
    own.later, own.kind, own.half = 1, "mine", 2
    own.update(None, None)
    assert (own.seen, own.half, own.decay) == ([1], 2, 0.5)
    with pytest.raises(
        AttributeNameError,
        match=r"Own has no attribute 'dekay' \(did you mean 'decay'\?\)",
    ):
        own.dekay = 1
    assert ByName(anything=1).anything == 1
    fields = Fields(rho=0.1)
    fields.rho = 0.2
    with pytest.raises(
        AttributeNameError,
        match="has no attribute 'roh': it has learning_rate, rho",
    ):
        fields.roh = 0.2


def test_nearest_name():
    known = ["learning_rate", "weight_decay", "epsilon", "momentum"]
    meant = {
        "lr": "learning_rate",
        "LR": "learning_rate",
        "wd": "weight_decay",
        "eps": "epsilon",
        "momentun": "momentum",
    }
    assert {name: spelling.near(name, known) for name in meant} == meant
    assert spelling.near("p", known) is spelling.near("batch", known) is None


def test_attributes_without_code():
    class WithPartial(optimizers.SGD):
        helper = partial(print)
        array = np.zeros(2)

    assert WithPartial(0.1).learning_rate == 0.1


def test_misspelt_attribute_of_a_layer_raises():
    net = layers.Sequential(
        layers.Linear(4, 3),
        layers.BatchNorm(3),
        layers.Dropout(0.5),
        seed=0,
        backend="numpy",
    )
    linear, norm, dropout = net
    wrong = [
        (
            linear,
            "wieght",
            np.zeros((4, 3)),
            r"Linear has no attribute 'wieght' \(did you mean 'weight'\?\): it has",
        ),
        (
            linear,
            "weights",
            np.zeros((4, 3)),
            r"Linear has no attribute 'weights' \(did you mean 'weight'\?\)",
        ),
        (
            norm,
            "runing_mean",
            np.zeros(3),
            r"did you mean 'running_mean'\?",
        ),
        (norm, "eps", 0.1, r"did you mean 'epsilon'\?"),
        (
            dropout,
            "p",
            0.9,
            "Dropout has no attribute 'p': it has rate, key",
        ),
        (
            net,
            "trainning",
            True,
            r"Sequential has no attribute 'trainning' \(did you mean 'training'\?\)",
        ),
    ]
    for layer, name, value, message in wrong:
        with pytest.raises(AttributeNameError, match=message):
            setattr(layer, name, value)
        assert not hasattr(layer, name)
    norm.epsilon, dropout.rate = 0.1, 0.9
    linear.weight = np.ones((4, 3))


def test_user_layer_may_have_any_attribute():
    class Net(layers.Sequential):
        pass

    net = Net(layers.Linear(4, 3))
    net.name, net.layer = "mine", 1
    assert (net.name, net.layer) == ("mine", 1)


class Reading(layers.Module):
    """A network whose code misspells an attribute, in a property and in forward."""

    def __init__(self):
        self.first = layers.Linear(4, 3)

    @property
    def width(self):
        return self.frist.weight.shape[0]

    def forward(self, x):
        return self.frist(x)


def test_reading_a_misspelt_attribute_raises():
    net = layers.Sequential(Reading(), seed=0, backend="numpy")
    message = r"Reading has no attribute 'frist' \(did you mean 'first'\?\): it has first"
    with pytest.raises(AttributeNameError, match=r"^layers\.0: " + message):
        net(np.zeros((2, 4), np.float32))
    with pytest.raises(AttributeError, match="'frist'"):
        net[0].width  # noqa: B018 - reading it raises
    with pytest.raises(AttributeNameError, match=message):
        layers.Sequential(Reading())(np.zeros((2, 4), np.float32))
