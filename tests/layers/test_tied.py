"""One array or module in two places of a network is one parameter: in gradients, updates, copies
and files."""

import copy

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import layers, losses, optimizers, tree
from anynet.errors import ArgumentError, ShapeError
from anynet.training import checkpoint

OPTIMIZERS = {
    "SGD": lambda: optimizers.SGD(0.1),
    "Momentum": lambda: optimizers.Momentum(0.1),
    "Adam": lambda: optimizers.Adam(0.01),
    "AdamW": lambda: optimizers.AdamW(0.01),
}


class Autoencoder(layers.Module):
    """An encoder, and a decoder by the transpose of its weight."""

    def __init__(self):
        self.encoder = layers.Linear(6, 3)
        self.decoder = layers.Linear(6, 3)
        self.decoder.weight = self.encoder.weight
        self.decoder.bias = None

    def forward(self, x):
        xp = anynet.array.array_namespace(x, self.decoder.weight)
        hidden = anynet.functions.sigmoid(self.encoder(x))
        return xp.matmul(hidden, self.decoder.weight.T)


class LanguageModel(layers.Module):
    """An embedding whose weight is also that of the output layer."""

    def __init__(self):
        self.embedding = layers.Embedding(7, 4)
        self.hidden = layers.Linear(4, 4)
        self.output = layers.Linear(7, 4, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, x):
        y = self.hidden(self.embedding(x))
        return anynet.array.array_namespace(y, self.output.weight).matmul(y, self.output.weight.T)


def twice(backend, dtype="float32"):
    linear = layers.Linear(3, 3)
    return layers.Sequential(
        linear,
        layers.Tanh(),
        linear,
        seed=0,
        backend=backend,
        dtype=getattr(backend.xp, dtype),
    )


def data(backend, dtype="float32"):
    generator = np.random.default_rng(0)
    return tuple(backend.asarray(generator.normal(size=(5, 3)).astype(dtype)) for _ in range(2))


def mse(net, x, t):
    return losses.mean_squared_error(net(x), t)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_module_in_two_places_trains_as_one(backend, name, compiled):
    tied, (x, t) = twice(backend), data(backend)

    class Once(layers.Module):
        def __init__(self, linear):
            self.linear = linear

        def forward(self, x):
            y = self.linear(x)
            return self.linear(anynet.functions.tanh(y))

    once = Once(copy.deepcopy(tied.layers[0]))

    def step(net, optimizer, x, t):
        loss, grads = anynet.value_and_grad(mse)(net, x, t)
        optimizer.update(net, grads)
        return loss

    found = []
    for net in (tied, once):
        train, optimizer = (
            (anynet.compile(step) if compiled else step),
            OPTIMIZERS[name](),
        )
        found.append([float(train(net, optimizer, x, t)) for _ in range(4)])
        assert optimizer.updates == 4
    assert found[0] == found[1]
    np.testing.assert_array_equal(host(tied["layers.0.weight"]), host(once["linear.weight"]))
    assert tied.layers[0] is tied.layers[2]


def test_the_gradient_is_the_sum_of_both_places(backend):
    tied, (x, t) = twice(backend, "float64"), data(backend, "float64")
    untied = copy.deepcopy(tied)
    untied.layers = (
        untied.layers[0],
        untied.layers[1],
        copy.deepcopy(untied.layers[2]),
    )
    both, each = (
        anynet.grad(mse)(tied, x, t),
        anynet.grad(mse)(untied, x, t),
    )
    assert list(both.parameters()) == ["layers.0.weight", "layers.0.bias"]
    assert both["layers.0.weight"] is both["layers.2.weight"]
    total = host(each["layers.0.weight"]) + host(each["layers.2.weight"])
    np.testing.assert_allclose(host(both["layers.0.weight"]), total, rtol=1e-12)
    assert anynet.check_gradients(lambda net: mse(net, x, t), tied, every_element=True)
    before = host(tied["layers.0.weight"])
    optimizers.SGD(1.0).update(tied, both)
    np.testing.assert_allclose(host(tied["layers.2.weight"]), before - total, rtol=1e-12)


TORCH = {
    "autoencoder": (
        Autoencoder,
        lambda p, x: (
            p["encoder.bias"].add(x @ p["encoder.weight"]).sigmoid() @ p["encoder.weight"].T
        ),
    ),
    "language model": (
        LanguageModel,
        lambda p, x: (
            (p["embedding.weight"][x] @ p["hidden.weight"] + p["hidden.bias"])
            @ p["embedding.weight"].T
        ),
    ),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", TORCH)
def test_tied_networks_train_as_in_torch(backend, tmp_path, name, compiled):
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's")
    make, forward = TORCH[name]
    net = make().initialize(0, backend)
    generator = np.random.default_rng(0)
    if name == "autoencoder":
        x = t = generator.normal(size=(5, 6)).astype("float32")
        loss, theirs = (
            losses.mean_squared_error,
            torch.nn.functional.mse_loss,
        )
    else:
        x, t = generator.integers(0, 7, (2, 8))
        loss, theirs = (
            losses.cross_entropy,
            torch.nn.functional.cross_entropy,
        )
    parameters = {
        path: torch.tensor(host(p).copy(), requires_grad=True)
        for path, p in net.parameters().items()
    }
    optimizer = torch.optim.Adam(parameters.values(), lr=0.05)
    wanted = []
    for _ in range(20):
        optimizer.zero_grad()
        value = theirs(forward(parameters, torch.tensor(x)), torch.tensor(t))
        value.backward()
        optimizer.step()
        wanted.append(value.item())
    step = anynet.training.training_step(loss)
    step, own = (
        (anynet.compile(step) if compiled else step),
        optimizers.Adam(0.05),
    )
    given = backend.asarray(x), backend.asarray(t)
    found = [float(step(net, own, *given)) for _ in range(10)]
    # Half of the way, saved and loaded: still tied.
    checkpoint.save(net, tmp_path / "net.safetensors")
    again = make().initialize(1, backend)
    checkpoint.load(again, tmp_path / "net.safetensors")
    found += [float(step(again, own, *given)) for _ in range(10)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_ties_are_kept_by_copies_and_files(backend, tmp_path):
    net = LanguageModel().initialize(0, backend)
    paths = ["embedding.weight", "hidden.weight", "hidden.bias"]
    for copied in (
        net,
        copy.deepcopy(net),
        net.map(lambda x: x + 1),
        tree.map(lambda x: x * 2, net),
    ):
        assert list(copied.parameters()) == paths
        assert copied["output.weight"] is copied["embedding.weight"]
    assert tree.ties(net) == {"output.weight": "embedding.weight"}
    assert anynet.summary(net).count == 7 * 4 + 4 * 4 + 4
    checkpoint.save(net, tmp_path / "tied.safetensors")
    assert list(checkpoint.read(tmp_path / "tied.safetensors")) == sorted(paths)
    untied = LanguageModel()
    untied.output.weight = layers.Linear(7, 4).weight
    untied.initialize(1, backend)
    assert len(untied.parameters()) == 4
    checkpoint.save(untied, tmp_path / "untied.safetensors")
    with pytest.raises(
        ShapeError,
        match=r"output\.weight is in the file only, and tied to embedding\.weight",
    ):
        checkpoint.load(net, tmp_path / "untied.safetensors")
    checkpoint.load(untied, tmp_path / "tied.safetensors")
    assert untied["output.weight"] is untied["embedding.weight"]


def test_a_tie_by_path(backend):
    net = layers.Sequential(layers.Linear(3, 3), layers.Linear(3, 3), seed=0, backend=backend)
    net["layers.1.weight"] = net["layers.0.weight"]
    assert len(net.parameters()) == 3
    optimizers.SGD(0.1).update(net, anynet.grad(mse)(net, *data(backend)))
    assert net["layers.1.weight"] is net["layers.0.weight"]


def test_equal_arrays_are_not_tied(backend):
    net = layers.Sequential(layers.Linear(3, 3), layers.Linear(3, 3), seed=0, backend=backend)
    net["layers.1.weight"] = backend.xp.asarray(net["layers.0.weight"], copy=True)
    assert len(net.parameters()) == 4


def test_gradients_that_are_equal_do_not_tie(backend):
    class Sum(layers.Module):
        def __init__(self):
            self.a, self.b = (
                backend.asarray([1.0, 2.0]),
                backend.asarray([3.0, 4.0]),
            )

        def forward(self):
            xp = anynet.array.array_namespace(self.a)
            return xp.sum(self.a + self.b)

    net = Sum()
    grads = anynet.grad(lambda net: net())(net)
    assert list(grads.parameters()) == ["a", "b"]
    assert len(anynet.compile(anynet.grad(lambda net: net()))(net).parameters()) == 2


def test_each_place_of_a_list_is_its_own(backend):
    w = backend.asarray([1.0, 2.0])
    first, second = anynet.grad(lambda ws: backend_sum(ws[0] * 2.0 + ws[1] * 3.0))([w, w])
    assert host(first).tolist() == [2.0, 2.0]
    assert host(second).tolist() == [3.0, 3.0]


def backend_sum(x):
    return anynet.array.array_namespace(x).sum(x)


def test_a_module_in_two_networks_of_a_list_is_refused(backend):
    body = layers.Linear(3, 3)
    nets = [
        layers.Sequential(body, seed=0, backend=backend),
        layers.Sequential(body, layers.Tanh()),
    ]
    x, t = data(backend)
    grads = anynet.grad(lambda nets: mse(nets[0], x, t) + mse(nets[1], x, t))(nets)
    with pytest.raises(ArgumentError, match="part of two networks in one list"):
        optimizers.SGD(0.1).update(nets, grads)


def test_freezing_a_tied_parameter_freezes_all_places(backend):
    net = LanguageModel().initialize(0, backend)
    net.freeze("output.weight")
    labels = backend.asarray([1, 2])
    grads = anynet.grad(lambda net: losses.cross_entropy(net(labels), labels))(net)
    assert list(grads.parameters()) == ["hidden.weight", "hidden.bias"]
    net.unfreeze("embedding")
    assert len(net.parameters()) == 3
    assert not net.output.frozen
    net["output"].freeze()
    with pytest.raises(ArgumentError, match="frozen in another"):
        anynet.grad(lambda net: losses.cross_entropy(net(labels), labels))(net)


def test_a_norm_in_two_places_follows_both(backend):
    norm = layers.BatchNorm(3)
    tied = layers.Sequential(norm, norm, seed=0, backend=backend)
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's")
    x, t = data(backend)
    theirs = torch.nn.BatchNorm1d(3)
    theirs(theirs(torch.tensor(host(x))))
    anynet.value_and_grad(mse)(tied, x, t)
    np.testing.assert_allclose(host(norm.running_mean), theirs.running_mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(host(norm.running_variance), theirs.running_var.numpy(), rtol=1e-5)


def test_a_buffer_of_two_modules_that_comes_apart_is_refused(backend):
    net = layers.Sequential(layers.BatchNorm(3), layers.BatchNorm(3), seed=0, backend=backend)
    net["layers.1.running_mean"] = net["layers.0.running_mean"]
    with pytest.raises(ArgumentError, match="share the module"):
        anynet.value_and_grad(mse)(net, *data(backend))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["Momentum", "Adam"])
def test_a_tie_between_two_steps(backend, name, compiled):
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's")
    net = layers.Sequential(
        *[layers.Linear(3, 3, bias=False) for _ in range(3)],
        seed=0,
        backend=backend,
    )
    x, t = data(backend)
    weights = [torch.nn.Parameter(torch.tensor(host(layer.weight))) for layer in net.layers]
    theirs = (
        torch.optim.Adam(weights, 0.01)
        if name == "Adam"
        else torch.optim.SGD(weights, 0.1, momentum=0.9)
    )
    optimizer = OPTIMIZERS[name]()

    def step(net, optimizer, x, t):
        value, grads = anynet.value_and_grad(mse)(net, x, t)
        optimizer.update(net, grads)
        return value

    step = anynet.compile(step) if compiled else step
    for i in range(5):
        if i == 2:
            net["layers.1.weight"] = net["layers.0.weight"]
            weights[1] = weights[0]
        theirs.zero_grad()
        y = torch.tensor(host(x)) @ weights[0] @ weights[1] @ weights[2]
        loss = torch.nn.functional.mse_loss(y, torch.tensor(host(t)))
        loss.backward()
        theirs.step()
        assert float(step(net, optimizer, x, t)) == pytest.approx(loss.item(), rel=1e-5)


def test_state_of_a_layer_that_is_gone_is_no_other_layers():
    net, x = (
        layers.Sequential(*[layers.Linear(3, 3, bias=False) for _ in range(3)], seed=0),
        np.ones((2, 3), "f4"),
    )
    optimizer = optimizers.Adam()
    optimizer.update(net, anynet.grad(mse)(net, x, x))
    net.layers = net.layers[1:]
    with pytest.raises(
        ArgumentError,
        match=r"there is state for 3 parameters, the network has 2, or others",
    ):
        optimizer.update(net, anynet.grad(mse)(net, x, x))


def test_two_gradients_of_what_is_tied_are_refused(backend):
    x, t = data(backend)
    untied = layers.Sequential(layers.Linear(3, 3), layers.Linear(3, 3), seed=0, backend=backend)
    grads = anynet.grad(mse)(untied, x, t)
    linear = layers.Linear(3, 3)
    tied = layers.Sequential(linear, linear, seed=0, backend=backend)
    untied["layers.1.weight"] = untied["layers.0.weight"]
    for net, name in (
        (tied, "Linear is in two places"),
        (untied, "'weight' of a Linear, is in two places"),
    ):
        before = net.parameters()
        for make in OPTIMIZERS.values():
            with pytest.raises(ArgumentError, match=name):
                make().update(net, grads)
        assert all(p is before[path] for path, p in net.parameters().items())
