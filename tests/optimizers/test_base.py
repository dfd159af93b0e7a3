"""Optimizers that a user writes for one parameter."""

from typing import ClassVar

import numpy as np
import pytest
from helpers import assert_close, host, normal

import anynet
from anynet.array import array_namespace
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.optimizers import SGD, Adam, Optimizer, schedules


class RMSprop(Optimizer):
    """Divides by the root of a running mean of squared gradients."""

    SLOTS = ("square",)

    def __init__(self, learning_rate=0.01, alpha=0.99):
        super().__init__(learning_rate)
        self.alpha = alpha

    def apply(self, parameter, gradient, slots, scalars):
        (rate,), (square,) = scalars, slots
        square = self.alpha * square + (1 - self.alpha) * gradient**2
        return parameter - rate * gradient / (square**0.5 + 1e-8), (square,)


class NAdam(Optimizer):
    """Adam with Nesterov's momentum, as in PyTorch."""

    SLOTS = ("mean", "square", "product")
    BETA1, BETA2 = 0.9, 0.999

    def momentum(self, step):
        return self.BETA1 * (1 - 0.5 * 0.96 ** (step * 0.004))

    def scalars(self, rate, step):
        product = np.prod([self.momentum(i) for i in range(1, step + 1)])
        now, later = self.momentum(step), self.momentum(step + 1)
        return (
            float(rate * (1 - now) / (1 - product)),
            float(rate * later / (1 - product * later)),
            1 - self.BETA2**step,
        )

    def apply(self, parameter, gradient, slots, scalars):
        (of_gradient, of_mean, correction), (mean, square, unused) = scalars, slots
        mean = self.BETA1 * mean + (1 - self.BETA1) * gradient
        square = self.BETA2 * square + (1 - self.BETA2) * gradient**2
        root = (square / correction) ** 0.5 + 1e-8
        step = (of_gradient * gradient + of_mean * mean) / root
        return parameter - step, (mean, square, unused)


class SignDescent(Optimizer):
    """Takes steps of one length, which fade."""

    def scalars(self, rate, step):
        return (rate / step,)

    def apply(self, parameter, gradient, slots, scalars):
        (rate,) = scalars
        return parameter - rate * array_namespace(gradient).sign(gradient), ()


def step(net, optimizer, grads):
    optimizer.update(net, grads)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("own", [RMSprop, NAdam])
def test_ten_updates_agree_with_pytorch(backend, own, compiled):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rate = schedules.Cosine(0.1, 12)
    values = np.random.default_rng(0).normal(size=(4, 3))
    net, optimizer = {"w": backend.asarray(values)}, own(rate)
    peer = torch.asarray(values.copy()).requires_grad_()
    theirs = getattr(torch.optim, own.__name__)([peer], lr=0.1)
    update = anynet.compile(step) if compiled else step
    for i in range(10):
        gradient = np.random.default_rng(i + 1).normal(size=(4, 3))
        update(net, optimizer, {"w": backend.asarray(gradient)})
        peer.grad = torch.asarray(gradient)
        theirs.param_groups[0]["lr"] = rate(i)
        theirs.step()
    assert_close(net["w"], peer.detach().numpy(), rtol=1e-6)
    assert optimizer.updates == 10


@pytest.mark.parametrize("compiled", [False, True])
def test_optimizer_without_slots_counts_its_updates(backend, compiled):
    net, optimizer = {"w": backend.asarray(np.zeros(2))}, SignDescent(1.0)
    grads = {"w": backend.asarray(np.array([3.0, -2.0]))}
    update = anynet.compile(step) if compiled else step
    for _ in range(4):
        update(net, optimizer, grads)
    total = 1 + 1 / 2 + 1 / 3 + 1 / 4
    assert_close(net["w"], [-total, total], rtol=1e-6)
    assert optimizer.state == {}


def test_narrow_parameters_are_updated_in_float32(backend):
    """A step of 1e-4 would be lost in the slots of a float16 parameter."""
    xp = backend.xp
    if not hasattr(xp, "float16"):
        pytest.skip(reason="the library has no float16")
    net = {"w": xp.astype(backend.asarray(np.ones(2)), xp.float16)}
    optimizer = RMSprop(0.5)
    optimizer.update(net, {"w": xp.astype(backend.asarray(np.full(2, 1e-3)), xp.float16)})
    assert net["w"].dtype == xp.float16
    assert optimizer.state["w"]["square"].dtype == xp.float32
    assert float(host(optimizer.state["w"]["square"])[0]) == pytest.approx(1e-8, rel=1e-2)


def test_subclass_with_another_formula_does_not_use_the_kernel(backend):
    class Ascent(SGD):
        def apply(self, parameter, gradient, slots, scalars):
            return parameter + scalars[0] * gradient, ()

    class Scaled(Adam):
        """The kernel takes the scalars as they are."""

        def scalars(self, rate, step):
            return tuple(x * y for x, y in zip(super().scalars(rate, step), (2, 1), strict=True))

    start, gradient = normal(backend, 3), normal(backend, 3, seed=1)
    net = {"w": start}
    Ascent(0.5).update(net, {"w": gradient})
    assert_close(net["w"], host(start) + 0.5 * host(gradient), rtol=1e-6)
    one, other = {"w": start}, {"w": start}
    Scaled(0.1).update(one, {"w": gradient})
    Adam(0.2).update(other, {"w": gradient})
    assert_close(one["w"], host(other["w"]), rtol=1e-6)


def test_settings_of_a_subclass_are_checked():
    class Decayed(Optimizer):
        def even(name, value):
            if value % 2:
                raise ArgumentError(f"{name} is {value}: wanted an even number")
            return value

        CHECKS: ClassVar = {"period": even}

        def __init__(self, period):
            super().__init__(0.1)
            self.period = period

    assert repr(Decayed(2)) == "Decayed(0.1, period=2)"
    with pytest.raises(ArgumentError, match="period is 3: wanted an even number"):
        Decayed(3)
    with pytest.raises(NotImplementedError, match=r"Decayed defines no apply\(\)"):
        Decayed(2).update({"w": np.ones(1)}, {"w": np.ones(1)})


def test_scalars_that_are_not_a_tuple_raise(backend):
    class Scalar(SignDescent):
        def scalars(self, rate, step):
            return rate

    optimizer, net = Scalar(0.5), {"w": normal(backend, 2)}
    with pytest.raises(ArgumentTypeError, match=r"Scalar.scalars returned 0.5: wanted a tuple"):
        optimizer.update(net, net)
    assert optimizer.updates == 0


def test_nesterov_that_is_not_a_flag_raises():
    with pytest.raises(ArgumentTypeError, match="nesterov is 'no': wanted True or False"):
        anynet.optimizers.Momentum(nesterov="no")
