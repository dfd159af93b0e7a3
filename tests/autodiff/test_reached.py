"""A parameter that a differentiated function reaches past its arguments raises an error. It does
not become a constant silently.
"""

import contextvars
import copy
import itertools
import weakref
from functools import partial

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import layers, losses, optimizers
from anynet.array import array_namespace
from anynet.errors import AnynetError, DifferentiationError


def data(backend):
    generator = np.random.default_rng(0)
    return backend.asarray(generator.normal(size=(6, 3)).astype("float32")), backend.asarray(
        [0, 1, 2, 0, 1, 2]
    )


def network(backend, *more):
    return layers.Sequential(
        layers.Linear(3, 3),
        layers.BatchNorm(3),
        *more,
        seed=0,
        backend=backend,
    )


def ce(net, x, t):
    return losses.cross_entropy(net(x), t)


def total(x):
    return array_namespace(x).sum(x)


def by_parameters(net):
    return lambda n, x, t: ce(n, x, t) + sum(total(w * w) for w in net.parameters().values())


def by_attribute(net):
    return lambda n, x, t: ce(n, x, t) + total(net.layers[0].weight)


def by_call(net):
    return lambda n, x, t: ce(net, x, t) + 0.0 * ce(n, x, t)


def by_layer(net):
    layer = net.layers[0]
    return lambda n, x, t: ce(n, x, t) + total(layer.bias)


def by_helper(net):
    def penalty(holder={"net": net}):  # noqa: B006 - one of the ways in which a function holds a network
        return total(holder["net"]["layers.0.weight"])

    return lambda n, x, t: ce(n, x, t) + penalty()


def by_object(net):
    class Problem:
        def __init__(self):
            self.net = net

        def loss(self, n, x, t):
            return ce(n, x, t) + total(self.net.layers[0].weight)

    return Problem().loss


def by_partial(net):
    return partial(lambda own, n, x, t: ce(n, x, t) + total(own.layers[0].weight), net)


WAYS = [
    by_parameters,
    by_attribute,
    by_call,
    by_layer,
    by_helper,
    by_object,
    by_partial,
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "transformation",
    [
        anynet.grad,
        anynet.value_and_grad,
        lambda f: partial(anynet.autodiff.vjp, f),
    ],
)
def test_network_reached_from_outside_raises(backend, way, transformation):
    net, (x, t) = network(backend), data(backend)
    before = net.parameters()
    f = way(net)
    with pytest.raises(
        DifferentiationError,
        match=r"the function uses (weight|bias) of the network .*stop_gradient",
    ):
        transformation(f)(net, x, t)
    after = net.parameters()
    assert list(after) == list(before)
    assert all(a is b for a, b in zip(after.values(), before.values(), strict=True))


@pytest.mark.parametrize("compiled", [False, True])
def test_penalty_on_the_outer_network_in_fit_raises(backend, compiled):
    net, (x, t) = network(backend), data(backend)

    def loss(y, t):
        return losses.cross_entropy(y, t) + 0.5 * sum(
            total(w**2) for w in net.parameters().values()
        )

    with pytest.raises(AnynetError):
        anynet.fit(
            net,
            (x, t),
            loss=loss,
            epochs=2,
            progress=False,
            compile=compiled,
        )
    assert all(type(p) is type(x) for p in net.parameters().values())


def test_another_network_is_a_constant(backend):
    net, (x, t) = network(backend), data(backend)
    teacher = copy.deepcopy(net)

    def loss(n, x, t):
        return losses.mean_squared_error(n(x), teacher(x)) + ce(n, x, t)

    value, grads = anynet.value_and_grad(loss)(net, x, t)
    assert float(value) > 0
    assert len(grads.parameters()) == 4


def test_stop_gradient_allows_it(backend):
    net, (x, t) = network(backend), data(backend)

    def loss(n, x, t):
        own = anynet.stop_gradient(net)
        target = anynet.stop_gradient(net.layers[0].weight)
        return ce(n, x, t) + total((n.layers[0].weight - target) ** 2) + total(own.layers[0].bias)

    wanted = anynet.grad(ce)(copy.deepcopy(net), x, t)
    found = anynet.grad(loss)(net, x, t)
    np.testing.assert_allclose(
        host(found["layers.0.weight"]),
        host(wanted["layers.0.weight"]),
        atol=1e-6,
    )


def test_shapes_and_settings_may_be_read(backend):
    net, (x, t) = network(backend, layers.Dropout(0.0)), data(backend)

    def loss(n, x, t):
        return ce(n, x, t) * float(len(net.layers) + net.layers[0].weight.shape[0])

    assert float(anynet.value_and_grad(loss)(net, x, t)[0]) > 0


def test_object_that_holds_the_network_and_uses_its_argument(backend):
    class Trainer:
        def __init__(self):
            self.net = network(backend)
            self.optimizer = optimizers.SGD(0.1)

        def loss(self, net, x, t):
            return ce(net, x, t)

        def step(self, x, t):
            value, grads = anynet.value_and_grad(self.loss)(self.net, x, t)
            self.optimizer.update(self.net, grads)
            return value

    trainer = Trainer()
    assert float(trainer.step(*data(backend))) > float(trainer.step(*data(backend)))


def test_lists_of_arrays_inside_a_module_are_withheld(backend):
    class Weights(layers.Module):
        def __init__(self):
            self.weights = [backend.asarray([1.0, 2.0])]
            self.pair = {"a": (backend.asarray([1.0, 2.0]),)}

        def forward(self):
            return total(self.weights[0] * self.pair["a"][0])

    net = Weights()
    for reach in (lambda: net.weights[0], lambda: net.pair["a"][0]):
        with pytest.raises(DifferentiationError, match="reaches it from outside"):
            anynet.grad(lambda n, reach=reach: n() + total(reach()))(net)
    assert float(net()) == 5.0


def weights_in_a_list(net):
    weights = list(net.parameters().values())
    return lambda n, x, t: ce(n, x, t) + sum(total(w * w) for w in weights)


def weights_in_tuples(net):
    weights = {"all": [(1, (net.layers[0].weight,))]}
    return lambda n, x, t: ce(n, x, t) + total(weights["all"][0][1][0])


def a_weight_by_default(net):
    def f(n, x, t, w=net.layers[0].weight):
        return ce(n, x, t) + total(w * w)

    return f


def a_weight_by_partial(net):
    return partial(lambda w, n, x, t: ce(n, x, t) + total(w * w), net.layers[0].weight)


def a_weight_by_class(net):
    class Held:
        w = net.layers[0].weight

    return lambda n, x, t: ce(n, x, t) + total(Held.w)


def a_network_by_weak_reference(net):
    reference = weakref.ref(net)
    return lambda n, x, t: ce(n, x, t) + total(reference().layers[0].weight)


def a_network_by_iterator(net):
    networks = itertools.cycle([net])
    return lambda n, x, t: ce(n, x, t) + total(next(networks).layers[0].weight)


def a_network_by_context(net):
    variable = contextvars.ContextVar("variable")
    variable.set(net)
    return lambda n, x, t: ce(n, x, t) + total(variable.get().layers[0].weight)


MORE = [
    weights_in_a_list,
    weights_in_tuples,
    a_weight_by_default,
    a_weight_by_partial,
    a_weight_by_class,
    a_network_by_weak_reference,
    a_network_by_iterator,
    a_network_by_context,
]


@pytest.mark.parametrize("way", MORE)
@pytest.mark.parametrize("compiled", [False, True])
def test_parameters_reached_in_other_ways_raise(backend, way, compiled):
    net, (x, t) = network(backend), data(backend)
    before = net.parameters()
    f = way(net)

    def step(net, x, t):
        return anynet.value_and_grad(f)(net, x, t)

    with pytest.raises(
        DifferentiationError,
        match=r"the function uses (weight|bias) of the network ",
    ):
        (anynet.compile(step) if compiled else step)(net, x, t)
    assert all(a is b for a, b in zip(net.parameters().values(), before.values(), strict=True))


class Calling(layers.Module):
    """A layer that calls a function, which is a setting of it."""

    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return self.function(x)


class ByMethod(layers.Module):
    """A layer whose setting is a method of it, and so of the network before it was copied."""

    def __init__(self):
        self.layer = layers.Linear(3, 3)
        self.function = self.twice

    def twice(self, x):
        return self.layer(x)

    def forward(self, x):
        return self.function(self.layer(x))


def test_layer_that_reaches_another_layers_weight_raises(backend):
    x, t = data(backend)
    first = layers.Linear(3, 3)
    tied = layers.Sequential(first, Calling(lambda h: h @ first.weight), seed=0, backend=backend)
    for net in (tied, ByMethod().initialize(0, backend)):
        with pytest.raises(
            DifferentiationError,
            match="the function uses weight of the network",
        ):
            anynet.grad(ce)(net, x, t)
    grads = anynet.grad(ce)(layers.Sequential(first, Calling(lambda h: h * 2.0)), x, t)
    assert float(total(grads["layers.0.weight"] ** 2)) > 0


def test_network_reached_through_another_argument_raises(backend):
    class Trainer:
        def __init__(self, net):
            self.net = net

        def loss(self, n, x, t):
            return ce(n, x, t) + total(self.net.layers[0].weight)

    net, (x, t) = network(backend), data(backend)
    with pytest.raises(
        DifferentiationError,
        match="the function uses weight of the network",
    ):
        anynet.grad(Trainer.loss, 1)(Trainer(net), net, x, t)
    with pytest.raises(
        DifferentiationError,
        match="the function uses weight of the network",
    ):
        anynet.grad(lambda n, f: ce(n, x, t) + f())(net, lambda: total(net.layers[0].weight))


@pytest.mark.parametrize("check", [anynet.check_gradients, anynet.numerical_gradient])
def test_numerical_gradient_raises_too(backend, check):
    net, (x, t) = network(backend), data(backend)
    with pytest.raises(
        DifferentiationError,
        match="the function uses weight of the network",
    ):
        check(
            lambda n: losses.cross_entropy(n(x), t) + total(net.layers[0].weight),
            net,
        )


def test_target_with_the_same_arrays_is_a_constant(backend):
    net, (x, t) = network(backend), data(backend)
    target, anchors = net.map(lambda a: a), net.parameters()
    copies = copy.deepcopy(net)

    def loss(n, x, t, target):
        near = sum(
            total((p - anynet.stop_gradient(anchors[path])) ** 2)
            for path, p in n.parameters().items()
        )
        return losses.mean_squared_error(n(x), target(x)) + ce(n, x, t) + near

    value, grads = anynet.value_and_grad(lambda n, x, t: loss(n, x, t, target))(net, x, t)
    other, others = anynet.value_and_grad(lambda n, x, t: loss(n, x, t, copies))(net, x, t)
    assert float(value) == float(other)
    for (_, g), (_, h) in zip(grads.parameters().items(), others.parameters().items(), strict=True):
        np.testing.assert_array_equal(host(g), host(h))


class Weights(layers.Module):
    """A layer whose parameters are in a given container."""

    def __init__(self, **weights):
        vars(self).update(weights)

    def forward(self, x):
        return sum(total(w * x) for w in self.parameters().values())


@pytest.mark.parametrize(
    "inside",
    [
        lambda w: w,
        lambda w: [w],
        lambda w: (1, w),
        lambda w: {"a": w},
        lambda w: {"a": [(w,)]},
    ],
    ids=["attribute", "list", "tuple", "dict", "nested"],
)
def test_parameter_in_any_container_of_the_layer_raises(backend, inside):
    w, x = backend.asarray([1.0, 2.0]), backend.asarray([3.0, 4.0])
    net = Weights(w=inside(w))
    with pytest.raises(DifferentiationError, match=r"the function uses w.* of the network"):
        anynet.grad(lambda n: n(x) + total(w * w))(net)
    # The same array of another network, or in no network, is a constant.
    (found,) = (
        anynet.grad(lambda n: n(x) + total(w * w))(net.map(lambda a: 2 * a)).parameters().values()
    )
    np.testing.assert_array_equal(host(found), [3.0, 4.0])


def test_arrays_that_are_not_trained_may_be_reached(backend):
    """Frozen parameters, buffers and integers have no gradient that could be missing."""

    class Norm(Weights):
        BUFFERS = ("mean",)

    net = Norm(
        w=backend.asarray([1.0, 2.0]),
        fixed=backend.asarray([5.0, 6.0]),
        mean=backend.asarray([7.0, 8.0]),
        order=backend.asarray([1, 0]),
    ).freeze("fixed")

    def loss(n):
        return total((n.w + net.fixed + net.mean) * n.w * backend.xp.astype(net.order, net.w.dtype))

    value, grads = anynet.value_and_grad(loss)(net)
    assert float(value) == 13.0
    np.testing.assert_array_equal(host(grads.w), [14.0, 0.0])
