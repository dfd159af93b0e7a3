"""Histograms count the values of weights, gradients and activations."""

import io

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import callbacks, layers, losses, plotting
from anynet.autodiff import value_and_grad
from anynet.errors import ArgumentError, ArgumentTypeError, DataError, NotInitializedError
from anynet.histogram import histogram

Figure = pytest.importorskip("matplotlib.figure", reason="needs matplotlib").Figure


def network(backend):
    return layers.Sequential(
        layers.Linear(4, 3), layers.BatchNorm(3), layers.Tanh(), seed=0, backend=backend
    )


def bars(axes):
    counts = [int(bar.get_height()) for bar in axes.patches]
    edges = [bar.get_x() for bar in axes.patches]
    last = axes.patches[-1]
    return counts, [*edges, last.get_x() + last.get_width()]


def check(axes, values, bins):
    counts, edges = bars(axes)
    wanted_counts, wanted_edges = np.histogram(host(values).astype("float64"), bins)
    assert counts == wanted_counts.tolist()
    np.testing.assert_allclose(edges, wanted_edges)


def test_weights_gradients_and_activations(backend):
    net = network(backend).freeze("layers.0.bias")
    net["layers.1"].weight = net["layers.1"].bias
    x = backend.asarray(np.random.default_rng(0).normal(size=(20, 4)).astype("float32"))
    panels = plotting.histograms(net, bins=5)
    parameters = net.parameters()
    assert [axes.get_title() for axes in panels] == [*parameters]
    for axes, values in zip(panels, parameters.values(), strict=True):
        check(axes, values, 5)
    step = value_and_grad(lambda net: losses.mean_squared_error(net(x), x[:, :3]))
    _, gradients = step(net)
    panels = plotting.histograms(gradients, bins=5)
    assert [axes.get_title() for axes in panels] == ["layers.0.weight", "layers.1.weight"]
    check(panels[0], gradients[0].weight, 5)
    _, activations = anynet.capture(net, ["layers.2"])(x)
    check(plotting.histograms(activations, bins=5), activations["layers.2"], 5)


def test_epoch_of_the_callback():
    measured = callbacks.Histograms(bins=4)
    data = np.ones((4, 4), "float32"), np.asarray([0, 1, 2, 1])
    anynet.fit(network("numpy"), data, epochs=1, callbacks=[measured], progress=False)
    chosen = {name: x for name, x in measured.epochs[1].items() if name.startswith("gradients")}
    panels = plotting.histograms(chosen)
    for axes, wanted in zip(panels, chosen.values(), strict=True):
        assert bars(axes)[0] == wanted.counts
    one = plotting.histograms(chosen["gradients/layers.0.weight"])
    assert bars(one)[0] == chosen["gradients/layers.0.weight"].counts


def test_one_pair_of_axes_has_all_outlines():
    axes = Figure().add_subplot()
    assert plotting.histograms(network("numpy"), ax=axes) is axes
    assert [text.get_text() for text in axes.get_legend().texts] == [*network("numpy").parameters()]


def test_values_that_are_not_finite_are_counted():
    axes = plotting.histograms({"x": np.asarray([1.0, np.nan, np.inf, 2.0])}, bins=2)
    assert axes.get_title() == "x (2 not finite)"
    assert bars(axes)[0] == [1, 1]
    nothing = plotting.histograms(np.full(3, np.nan), bins=2)
    assert bars(nothing)[0] == [0, 0]
    nothing.figure.savefig(io.BytesIO())


@pytest.mark.parametrize(
    "x",
    [
        np.asarray([1e300, -1e300, 0.0]),
        np.full(3, 1e300),
        np.asarray([1.0, np.nextafter(1.0, 2.0)]),
        np.asarray([1e-300, 0.0]),
        np.zeros((0, 3)),
        np.asarray(2.0),
        np.asarray([True, False]),
        np.asarray([3 + 4j, 0j]),
    ],
)
def test_extreme_values_are_counted(x):
    axes = plotting.histograms(x, bins=7)
    counts, edges = bars(axes)
    assert sum(counts) == x.size
    assert (np.diff(edges) > 0).all()
    axes.figure.savefig(io.BytesIO())


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30, 3.0])
def test_bins_are_those_of_numpy(scale):
    x = np.random.default_rng(0).normal(size=1000) * scale
    counts, edges = np.histogram(x, 13)
    measured = histogram(x, 13)
    assert measured.counts == counts.tolist()
    np.testing.assert_allclose(measured.edges, edges, rtol=1e-12)
    constant = histogram(np.full(4, 0.25), 4)
    assert constant.edges == np.histogram(np.full(4, 0.25), 4)[1].tolist()


def test_histogram_of_the_largest_values():
    largest = np.finfo("float64").max
    measured = histogram(np.asarray([-largest, largest]), 2)
    assert measured == ([1, 1], [-largest, 0.0, largest])
    assert histogram(np.full(3, largest), 3).counts == [0, 3, 0]


def test_more_arrays_than_shown_are_said():
    panels = plotting.histograms([np.zeros(2)] * 30, most=4)
    assert len(panels) == 4
    assert panels[-1].get_title() == "3, and 26 more"


@pytest.mark.parametrize(
    ("values", "named", "kind", "message"),
    [
        (None, {}, ArgumentTypeError, "values is None: wanted a network, gradients, act"),
        ({}, {}, ArgumentError, "values is {}, without an array"),
        (layers.ReLU(), {}, ArgumentError, r"values is ReLU\(\), without an array"),
        (layers.Linear(2, 2), {}, NotInitializedError, "the network is not initialized"),
        ({"w": np.full(2, 1e301)}, {}, DataError, r"w has values beyond 1e\+300: wanted smaller"),
        (np.zeros(2), {"bins": 0}, ArgumentError, "bins is 0: wanted 1 or more"),
        ("weights", {}, ArgumentTypeError, "values is 'weights': wanted"),
    ],
)
def test_wrong_arguments_raise(values, named, kind, message):
    with pytest.raises(kind, match=f"^{message}"):
        plotting.histograms(values, **named)
