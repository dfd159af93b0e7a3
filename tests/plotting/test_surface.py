"""A loss surface has the losses of networks along two directions."""

import io

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import layers, losses, plotting
from anynet.autodiff import value_and_grad
from anynet.errors import AnynetError

Figure = pytest.importorskip("matplotlib.figure", reason="needs matplotlib").Figure


def network(backend):
    return layers.Sequential(
        layers.Linear(2, 3), layers.BatchNorm(3), layers.Linear(3, 2), seed=0, backend=backend
    )


def loss_of(backend):
    x = backend.asarray(np.asarray([[0.0, 1.0], [1.0, 2.0], [-1.0, 0.5]], dtype="float32"))
    t = backend.asarray(np.asarray([0, 1, 1]))
    return lambda net: losses.cross_entropy(net(x), t)


def surface(axes):
    return np.ma.filled(axes.collections[0].get_array(), np.nan)


def test_surface_along_given_directions_has_the_losses_there(backend):
    net, loss = network(backend), loss_of(backend)
    _, gradients = value_and_grad(loss)(net)
    before = {path: host(x).copy() for path, x in anynet.tree.leaves(net)}
    ones = anynet.tree.map(lambda x: x * 0 + 1, net)
    axes = plotting.loss_surface(loss, net, (gradients, ones), span=0.5, steps=3)
    shown = surface(axes)
    assert shown.shape == (3, 3)
    for i, b in enumerate((-0.5, 0.0, 0.5)):
        for j, a in enumerate((-0.5, 0.0, 0.5)):
            moved = anynet.tree.map(lambda x: x, net)
            for path, gradient in gradients.parameters().items():
                moved[path] = net[path] + a * gradient + b
            assert shown[i, j] == pytest.approx(float(loss(moved)), rel=1e-5)
    for path, x in anynet.tree.leaves(net):
        np.testing.assert_array_equal(host(x), before[path])


def test_random_directions_have_the_norms_of_the_filters():
    seen = {}

    def loss(net):
        seen[len(seen)] = {path: host(x).copy() for path, x in net.parameters().items()}
        return net[0].weight.sum()

    net = layers.Sequential(
        layers.Conv2d(2, 3, 3), layers.Flatten(), layers.Linear(12, 4), seed=0, backend="numpy"
    )
    plotting.loss_surface(loss, net, span=1.0, steps=3)
    middle, right, upper = (seen[i] for i in (4, 5, 7))
    for path, axes in (("layers.0.weight", (1, 2, 3)), ("layers.2.weight", (0,))):
        for moved in (right, upper):
            step = moved[path] - middle[path]
            np.testing.assert_allclose(
                np.sqrt((step**2).sum(axis=axes)),
                np.sqrt((middle[path] ** 2).sum(axis=axes)),
                rtol=1e-5,
            )
        assert abs(right[path] - upper[path]).max() > 0.1
    np.testing.assert_array_equal(right["layers.0.bias"], middle["layers.0.bias"])
    np.testing.assert_array_equal(middle["layers.0.weight"], net[0].weight)


def test_same_seed_gives_the_same_surface_on_each_library(backend):
    first = surface(plotting.loss_surface(loss_of(backend), network(backend), seed=3, steps=2))
    numpy = anynet.get_backend("numpy")
    other = surface(plotting.loss_surface(loss_of(numpy), network(numpy), seed=3, steps=2))
    np.testing.assert_allclose(first, other, rtol=1e-4)
    another = surface(plotting.loss_surface(loss_of(numpy), network(numpy), seed=4, steps=2))
    assert abs(another - other).max() > 1e-3


def test_frozen_and_tied_parameters():
    net = layers.Sequential(
        layers.Linear(3, 3), layers.Linear(3, 3), layers.Linear(3, 3), seed=0, backend="numpy"
    )
    net[1].weight = net[0].weight
    net.freeze("layers.2")
    seen = []

    def loss(moved):
        assert moved[1].weight is moved[0].weight
        assert (moved[2].weight == net[2].weight).all()
        seen.append(float(moved[0].weight.sum()))
        return moved[0].weight.sum()

    plotting.loss_surface(loss, net, steps=3)
    assert len(set(seen)) == 9
    with pytest.raises(AnynetError, match=r"^no parameter of two or more axes is trained"):
        plotting.loss_surface(loss, net.freeze(), steps=3)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_parameters_keep_their_dtype(backend, dtype):
    if not hasattr(backend.xp, dtype):
        pytest.skip("the library lacks the dtype")
    net = layers.Sequential(layers.Linear(2, 2), seed=0, backend=backend)
    wanted = getattr(backend.xp, dtype)
    net = net.map(lambda x: backend.xp.astype(x, wanted))

    def loss(net):
        assert net[0].weight.dtype == wanted
        return backend.xp.sum(net[0].weight)

    plotting.loss_surface(loss, net, steps=2)


def test_compiled_loss_and_a_surface_in_space():
    numpy = anynet.get_backend("numpy")
    axes = Figure().add_subplot(projection="3d")
    compiled = anynet.compile(loss_of(numpy))
    assert plotting.loss_surface(compiled, network(numpy), steps=3, ax=axes) is axes
    axes.figure.savefig(io.BytesIO())


def test_losses_that_are_not_finite_are_counted():
    net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    count = iter(range(9))
    axes = plotting.loss_surface(lambda net: [1.0, np.nan, np.inf][next(count) % 3], net, steps=3)
    assert axes.get_title() == "6 of 9 losses are not finite"
    axes.figure.savefig(io.BytesIO())
    with pytest.raises(AnynetError, match=r"^no loss is finite: wanted a smaller span"):
        plotting.loss_surface(lambda net: np.nan, net, steps=2)


@pytest.mark.parametrize(
    ("loss", "named", "message"),
    [
        (3, {}, "loss is 3: wanted a function of a network"),
        (lambda net: net[0].weight, {}, r"the loss has shape \(2, 2\): wanted a scalar"),
        (lambda net: "high", {}, "the loss is 'high', of type str: wanted a number"),
        (lambda net: 1j, {}, "the loss is 1j, of type complex: wanted a number"),
        (abs, {"net": 3}, "net is 3: wanted a layers.Module"),
        (abs, {"net": layers.Linear(2, 2)}, "net is not initialized: call initialize"),
        (abs, {"steps": 1}, "steps is 1: wanted 2 or more"),
        (abs, {"span": 0}, "span is 0: wanted a number above 0"),
        (abs, {"directions": 3}, "directions is 3: wanted two trees like the network"),
        (abs, {"directions": ({}, {})}, r"directions\[0\] has no array at the path of a trained"),
        (
            abs,
            {"directions": ({"layers": [{"weight": np.zeros(3)}]},) * 2},
            r"directions\[0\] has shape \(3,\) at layers.0.weight: wanted .*, \(2, 2\)",
        ),
    ],
)
def test_wrong_arguments_raise(loss, named, message):
    net = named.pop("net", layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy"))
    with pytest.raises(AnynetError, match=rf"^{message}"):
        plotting.loss_surface(loss, net, **named)
