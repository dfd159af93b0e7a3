"""Networks with several inputs: tuples and dicts of arrays as x."""

import numpy as np
import pytest
from helpers import assert_close, host

import anynet
from anynet import layers, losses
from anynet.array import array_namespace
from anynet.data import Loader
from anynet.errors import ArgumentError, DataError, MixedArraysError
from anynet.training.inputs import call_network


class TwoInputs(layers.Module):
    def __init__(self):
        self.linear = layers.Linear(5, 3)

    def forward(self, left, right):
        return self.linear(array_namespace(left, right).concat([left, right], axis=1))


class OfDict(TwoInputs):
    def forward(self, features):
        return super().forward(features["left"], features["right"])


class OfTuple(TwoInputs):
    def forward(self, pair):
        return super().forward(*pair)


class Optional(TwoInputs):
    def forward(self, left, right=None):
        return super().forward(left, right)


class Any(TwoInputs):
    def forward(self, *inputs):
        return super().forward(*inputs)


class WithSetting(TwoInputs):
    def forward(self, pair, scale=1.0):
        return scale * super().forward(*pair)


def data(backend, n=50):
    generator = np.random.default_rng(0)
    left, right = generator.normal(size=(n, 2)), generator.normal(size=(n, 3))
    t = (left[:, 0] > 0).astype("int64") + (right[:, 0] > 0)
    return tuple(backend.asarray(x) for x in (left.astype("float32"), right.astype("float32"), t))


def source(kind, x, t):
    if kind == "arrays":
        return (x, t), {"batch_size": 20}
    if kind == "loader":
        return Loader(x, t, 20), {}
    return [*Loader(x, t, 20)], {}


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("kind", ["arrays", "loader", "batches"])
def test_networks_take_tuples_and_dicts(backend, kind, compile):
    """All of them compute the same."""
    if backend.name == "jax" and not (compile and kind == "arrays"):
        pytest.skip(reason="JAX compiles each function for too long")
    left, right, t = data(backend)
    runs = []
    for make, x in (
        (TwoInputs, (left, right)),
        (TwoInputs, [left, right]),
        (TwoInputs, {"right": right, "left": left}),
        (OfDict, {"left": left, "right": right}),
        (OfTuple, (left, right)),
        (Optional, (left, right)),
        (Any, (left, right)),
        (WithSetting, (left, right)),
    ):
        if compile and make not in (TwoInputs, OfDict):
            continue
        net = make().initialize(0, backend)
        train, named = source(kind, x, t)
        history = anynet.fit(net, train, (x, t), epochs=2, compile=compile, progress=False, **named)
        runs.append(history.losses)
        x = tuple(x) if isinstance(x, list) else x
        assert history.epochs[-1].test_score == anynet.evaluate(net, (x, t))
        assert history.epochs[-1].test_score == pytest.approx(
            np.mean(host(call_network(net, x)).argmax(axis=1) == host(t))
        )
    for run in runs[1:]:
        assert run == pytest.approx(runs[0], rel=1e-5)


def test_loss_of_the_network_gets_the_tree(backend):
    left, right, t = data(backend)

    def loss(net, x, t):
        return losses.cross_entropy(net(x["left"], x["right"]), t["class"])

    net = TwoInputs().initialize(0, backend)
    x = {"left": left, "right": right}
    history = anynet.fit(
        net, (x, {"class": t}), loss=loss, batch_size=50, epochs=30, progress=False
    )
    assert history.losses[-1] < history.losses[0]


def test_batches_of_pytorch_have_dicts_and_tuples(backend):
    torch = pytest.importorskip("torch", reason="reads a DataLoader")
    left, right, t = (torch.tensor(host(x)) for x in data(backend))

    class Rows(torch.utils.data.Dataset):
        def __init__(self, make):
            self.make = make

        def __len__(self):
            return 50

        def __getitem__(self, i):
            return self.make(left[i], right[i]), t[i]

    runs = []
    for make in (lambda a, b: {"left": a, "right": b}, lambda a, b: (a, b)):
        net = TwoInputs().initialize(0, backend)
        loader = torch.utils.data.DataLoader(Rows(make), batch_size=10)
        runs.append(anynet.fit(net, loader, epochs=1, progress=False).losses)
    assert runs[0] == runs[1]


def test_rows_of_the_parts_stay_together(backend):
    index = backend.asarray(np.arange(10))
    loader = Loader({"a": index, "b": (index * 2, index * 3)}, index, 4, seed=3)
    for x, t in loader:
        assert_close(x["a"], host(t))
        assert_close(x["b"][0], 2 * host(t))
        assert_close(x["b"][1], 3 * host(t))


def test_invalid_inputs_raise():
    backend = anynet.get_backend("numpy")
    left, right, t = data(backend)
    strict = anynet.get_backend("array_api_strict")
    for x, error, message in (
        ((left, right[:3]), DataError, r"x\[0\] has 50 rows and x\[1\] has 3: wanted the same"),
        ({"left": left, "n": 3}, DataError, r"x\['n'\] is 3: wanted an array with one row"),
        ({}, DataError, "x is {}: wanted an array"),
        ((), DataError, r"x is \(\): wanted an array"),
        (
            {"left": left, "right": strict.asarray(right)},
            MixedArraysError,
            "arrays of numpy on cpu and",
        ),
        (
            {"left": left, "right": right * np.nan},
            DataError,
            r"x\['right'\] has values that are not finite",
        ),
    ):
        with pytest.raises(error, match=message):
            Loader(x, t)
    net = TwoInputs().initialize(0, backend)
    with pytest.raises(TypeError, match="forward"):
        anynet.fit(net, ({"left": left, "other": right}, t), progress=False)
    with pytest.raises(ArgumentError, match="the labels are a dict: cross_entropy needs an array"):
        anynet.fit(net, ((left, right), {"a": t}), progress=False)
