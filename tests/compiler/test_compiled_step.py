"""Compiled steps return the same results as the steps that they record."""

import copy
import pickle

import numpy as np
import pytest
from compiled_steps import OPTIMIZERS, Trainer, batch, plain_net, same, same_bits, small, total
from examples_of_layers import everything
from helpers import assert_close, host, normal

import anynet
from anynet import layers, losses, optimizers
from anynet.compiler import CompiledStep, DynamicValue, compiled_step, dynamic_scalars
from anynet.optimizers import schedules


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_step_of_all_layers_agrees_with_the_eager_step(backend, name):
    step = anynet.value_and_grad(
        lambda net, inputs: sum(total(y * y) for y in net(inputs).values())
    )

    def train(net, optimizer, inputs):
        loss, grads = step(net, inputs)
        optimizer.update(net, grads)
        return loss

    compiled = anynet.compile(train)
    # JAX would take long to compile all of it again and again.
    if backend.name == "jax" and name != "Adam":
        pytest.skip(reason="JAX compiles for too long; one optimizer is tested")
    (net, inputs), (other, _) = everything(backend), everything(backend)
    optimizer, other_optimizer = OPTIMIZERS[name](), OPTIMIZERS[name]()
    for _ in range(4):
        same(
            backend,
            compiled(net, optimizer, inputs),
            train(other, other_optimizer, inputs),
        )
    same_bits(backend, (net, optimizer), (other, other_optimizer))
    # State that begins is another kind of argument.
    assert len(compiled.programs) == 1
    assert optimizer.updates == 4


def test_function_runs_once_for_each_kind_of_arguments(backend):

    def f(net, x, power):
        return net(x) ** power

    net, compiled = small(backend), anynet.compile(f)
    for rows, power in ((6, 2), (6, 2), (5, 2), (6, 3), (5, 2), (6, 2)):
        x, _ = batch(backend, rows)
        same(backend, compiled(net, x, power), net(x) ** power)
    assert len(compiled.programs) == 3
    # A setting inside the network.
    x, _ = batch(backend)
    net.set_training(True)
    compiled(net, x, 2)
    assert len(compiled.programs) == 4


def test_network_compiles_as_a_step(backend):
    net, (x, t) = small(backend), batch(backend)
    infer = anynet.compile(net)
    same(backend, infer(x), net(x))
    optimizers.SGD(0.5).update(net, anynet.grad(lambda net: losses.cross_entropy(net(x), t))(net))
    same(backend, infer(x), net(x))
    assert len(infer.programs) == 1


def test_method_records_once_for_each_instance(backend):
    trainers, others, (x, t) = (
        [Trainer(backend) for _ in range(2)],
        Trainer(backend),
        batch(backend),
    )
    for _ in range(3):
        wanted = others.step(x, t)
        for trainer in trainers:
            same(backend, trainer.compiled(x, t), wanted)
    assert isinstance(Trainer.compiled, compiled_step.CompiledStep)


class Squared(layers.Module):
    def __init__(self, backend):
        self.weight = normal(backend, 3)
        self.power = 2

    @anynet.compile
    def forward(self, x):
        return self.weight * x**self.power


def test_forward_of_a_layer_compiles(backend):
    net, other, x = (
        Squared(backend),
        Squared(backend),
        normal(backend, 3, seed=1),
    )
    other.weight = other.weight + 1
    for power in (2, 2, 3):
        net.power = power
        for _ in range(2):
            assert_close(net(x), host(net.weight) * host(x) ** power, rtol=1e-5)
            assert_close(other(x), host(other.weight) * host(x) ** 2, rtol=1e-5)
    assert_close(
        anynet.grad(lambda net: total(net(x)))(net).weight,
        host(x) ** 3,
        rtol=1e-5,
    )


def test_compiled_fit_agrees_with_eager_fit(backend):
    x, t = batch(backend, 20)
    histories, nets = [], []
    for compiled in (False, True):
        nets.append(small(backend))
        histories.append(
            anynet.fit(
                nets[-1],
                (x, t),
                epochs=3,
                batch_size=8,
                optimizer=optimizers.Adam(schedules.Cosine(0.1, 9)),
                compile=compiled,
                progress=False,
            )
        )
    np.testing.assert_allclose(
        histories[1].losses,
        histories[0].losses,
        rtol=0 if backend.name == "numpy" else 1e-4,
    )
    same_bits(backend, *nets)


def test_least_used_programs_are_dropped():
    compiled = anynet.compile(lambda x: x + 1)

    def call(n):
        np.testing.assert_array_equal(compiled(np.zeros(n)), np.ones(n))

    def sizes():
        return {
            structure[structure.index(0) + 2]
            for structure, *_ in (x.structure for x in compiled.programs)
        }

    for n in range(compiled_step.KEPT):
        call(n)
    with pytest.warns(
        UserWarning,
        match=r"with more than 32 kinds of arguments.*by padding batches",
    ):
        call(compiled_step.KEPT)
    # Where all are used in turn, none is recorded again; and no warning a second time.
    before = [*compiled.programs]
    for _ in range(3):
        for n in range(compiled_step.KEPT + 8):
            call(n)
    assert set(compiled.programs) == set(before)
    # One that is used all the while stays, others give way.
    for i in range(2 * compiled_step.UNUSED):
        call(5)
        call(100 + i % 20)
    assert {(5,), *((100 + i,) for i in range(20))} <= sizes()
    assert len(compiled.programs) == compiled_step.KEPT


def test_step_with_new_arguments_at_each_call_stops_recording():
    compiled, calls = (
        anynet.compile(lambda x, n: x + n),
        3 * compiled_step.KEPT,
    )
    with pytest.warns(UserWarning, match="kinds of arguments"):
        found = [compiled(np.zeros(2), n) for n in range(calls)]
    np.testing.assert_array_equal(found, [[n, n] for n in range(calls)])
    assert len(compiled.programs) == compiled_step.KEPT
    np.testing.assert_array_equal(compiled(np.zeros(2), 3), [3, 3])


@anynet.compile
def doubled(x):
    return 2 * x


def test_copies_of_compiled_steps():
    """Copies start without programs. A decorated function is pickled by name, a lambda is not."""
    net, x = plain_net("numpy"), np.ones((2, 3), "f4")
    infer = anynet.compile(net)
    infer(x)
    for other in (
        copy.copy(infer),
        copy.deepcopy(infer),
        pickle.loads(pickle.dumps(infer)),
    ):
        assert other.programs == []
        np.testing.assert_array_equal(other(x), infer(x))
    assert pickle.loads(pickle.dumps(doubled)) is doubled
    assert copy.deepcopy(doubled) is doubled
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(anynet.compile(lambda x: x))


def test_programs_fit_another_step_of_the_same_code(backend):
    """They take the dynamic values of each call, and its arrays inside and outside."""

    def make(offset):
        def step(x, scale):
            (value,) = dynamic_scalars(lambda content: (content,), scale, like=x)
            scale.advance(lambda content: content + 1, like=x)
            return value * x + offset

        return step

    xp = backend.xp
    x = backend.asarray(np.asarray([1.0, 2.0], "float32"))
    first = CompiledStep(make(x * 0))
    scale = DynamicValue(2.0)
    for expected in (2.0, 3.0):
        assert_close(first(x, scale), host(x) * expected)
    second = CompiledStep(make(xp.ones_like(x)), first.programs)
    other = DynamicValue(5.0)
    for expected in (5.0, 6.0):
        assert_close(second(x, other), host(x) * expected + 1)
    assert second.programs == first.programs
    assert (scale.value, other.value) == (4.0, 7.0)
