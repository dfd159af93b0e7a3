"""Tied parameters: an array or a module at two paths of a network is one parameter."""

import copy

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import layers, losses, optimizers, tree
from anynet.array import array_namespace
from anynet.errors import ArgumentError, ShapeError
from anynet.training import checkpoint

OPTIMIZERS = {
    "SGD": lambda: optimizers.SGD(0.1),
    "Momentum": lambda: optimizers.Momentum(0.1),
    "Adam": lambda: optimizers.Adam(0.01),
    "AdamW": lambda: optimizers.AdamW(0.01),
}


class Autoencoder(layers.Module):
    """An encoder, and a decoder that shares its weight, transposed."""

    def __init__(self):
        self.encoder = layers.Linear(6, 3)
        self.decoder = layers.Linear(6, 3)
        self.decoder.weight = self.encoder.weight
        self.decoder.bias = None

    def forward(self, x):
        xp = array_namespace(x, self.decoder.weight)
        hidden = anynet.functions.sigmoid(self.encoder(x))
        return xp.matmul(hidden, self.decoder.weight.T)


class LanguageModel(layers.Module):
    """An embedding that shares its weight with the output layer."""

    def __init__(self):
        self.embedding = layers.Embedding(7, 4)
        self.hidden = layers.Linear(4, 4)
        self.output = layers.Linear(7, 4, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, x):
        y = self.hidden(self.embedding(x))
        return array_namespace(y, self.output.weight).matmul(y, self.output.weight.T)


def twice(backend, dtype="float32"):
    linear = layers.Linear(3, 3)
    dtype = getattr(backend.xp, dtype)
    return layers.Sequential(linear, layers.Tanh(), linear, seed=0, backend=backend, dtype=dtype)


def data(backend, dtype="float32"):
    x, t = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(dtype)
    return backend.asarray(x), backend.asarray(t)


def mse(net, x, t):
    return losses.mean_squared_error(net(x), t)


def step(net, optimizer, x, t):
    loss, grads = anynet.value_and_grad(mse)(net, x, t)
    optimizer.update(net, grads)
    return loss


class Once(layers.Module):
    """A module that calls one layer twice."""

    def __init__(self, linear):
        self.linear = linear

    def forward(self, x):
        y = self.linear(x)
        return self.linear(anynet.functions.tanh(y))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_module_at_two_paths_trains_as_one(backend, name, compiled):
    tied, (x, t) = twice(backend), data(backend)
    once = Once(copy.deepcopy(tied.layers[0]))
    losses_ = []
    for net in (tied, once):
        train = anynet.compile(step) if compiled else step
        optimizer = OPTIMIZERS[name]()
        losses_.append([float(train(net, optimizer, x, t)) for _ in range(4)])
        assert optimizer.updates == 4
    assert losses_[0] == losses_[1]
    np.testing.assert_array_equal(host(tied["layers.0.weight"]), host(once["linear.weight"]))
    assert tied.layers[0] is tied.layers[2]


def test_gradient_is_the_sum_over_both_paths(backend):
    tied, (x, t) = twice(backend, "float64"), data(backend, "float64")
    untied = copy.deepcopy(tied)
    untied.layers = (*untied.layers[:2], copy.deepcopy(untied.layers[2]))
    grads = anynet.grad(mse)(tied, x, t)
    untied_grads = anynet.grad(mse)(untied, x, t)
    assert list(grads.parameters()) == ["layers.0.weight", "layers.0.bias"]
    assert grads["layers.0.weight"] is grads["layers.2.weight"]
    total = host(untied_grads["layers.0.weight"]) + host(untied_grads["layers.2.weight"])
    np.testing.assert_allclose(host(grads["layers.0.weight"]), total, rtol=1e-12)
    assert anynet.check_gradients(lambda net: mse(net, x, t), tied, every_element=True)
    before = host(tied["layers.0.weight"])
    optimizers.SGD(1.0).update(tied, grads)
    np.testing.assert_allclose(host(tied["layers.2.weight"]), before - total, rtol=1e-12)


def torch_autoencoder(p, x):
    hidden = (x @ p["encoder.weight"] + p["encoder.bias"]).sigmoid()
    return hidden @ p["encoder.weight"].T


def torch_language_model(p, x):
    hidden = p["embedding.weight"][x] @ p["hidden.weight"] + p["hidden.bias"]
    return hidden @ p["embedding.weight"].T


TORCH = {
    "autoencoder": (Autoencoder, torch_autoencoder),
    "language model": (LanguageModel, torch_language_model),
}


def torch_losses(torch, net, forward, loss, x, t):
    """Return the losses of 20 steps of PyTorch's Adam from the parameters of a network."""
    parameters = {
        path: torch.tensor(host(p).copy(), requires_grad=True)
        for path, p in net.parameters().items()
    }
    optimizer = torch.optim.Adam(parameters.values(), lr=0.05)
    values = []
    for _ in range(20):
        optimizer.zero_grad()
        value = loss(forward(parameters, torch.tensor(x)), torch.tensor(t))
        value.backward()
        optimizer.step()
        values.append(value.item())
    return values


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", TORCH)
def test_tied_networks_train_as_in_torch(backend, tmp_path, name, compiled):
    """A network that is saved and loaded halfway stays tied."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    make, forward = TORCH[name]
    net = make().initialize(0, backend)
    generator = np.random.default_rng(0)
    if name == "autoencoder":
        x = t = generator.normal(size=(5, 6)).astype("float32")
        loss, theirs = losses.mean_squared_error, torch.nn.functional.mse_loss
    else:
        x, t = generator.integers(0, 7, (2, 8))
        loss, theirs = losses.cross_entropy, torch.nn.functional.cross_entropy
    expected = torch_losses(torch, net, forward, theirs, x, t)
    train = anynet.training.training_step(loss)
    if compiled:
        train = anynet.compile(train)
    optimizer = optimizers.Adam(0.05)
    batch = backend.asarray(x), backend.asarray(t)
    values = [float(train(net, optimizer, *batch)) for _ in range(10)]
    checkpoint.save(net, tmp_path / "net.safetensors")
    loaded = make().initialize(1, backend)
    checkpoint.load(loaded, tmp_path / "net.safetensors")
    values += [float(train(loaded, optimizer, *batch)) for _ in range(10)]
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)


#: The paths of a language model's parameters. The weight of the output has that of the embedding.
PATHS = ["embedding.weight", "hidden.weight", "hidden.bias"]


def test_copies_stay_tied(backend):
    net = LanguageModel().initialize(0, backend)
    copies = [copy.deepcopy(net), net.map(lambda x: x + 1), tree.map(lambda x: x * 2, net)]
    for copied in (net, *copies):
        assert list(copied.parameters()) == PATHS
        assert copied["output.weight"] is copied["embedding.weight"]


def test_ties_and_summary_count_a_tied_parameter_once(backend):
    net = LanguageModel().initialize(0, backend)
    assert tree.ties(net) == {"output.weight": "embedding.weight"}
    assert anynet.summary(net).count == 7 * 4 + 4 * 4 + 4


def test_files_store_a_tied_parameter_once(backend, tmp_path):
    net = LanguageModel().initialize(0, backend)
    checkpoint.save(net, tmp_path / "tied.safetensors")
    assert list(checkpoint.read(tmp_path / "tied.safetensors")) == sorted(PATHS)
    untied = LanguageModel()
    untied.output.weight = layers.Linear(7, 4).weight
    untied.initialize(1, backend)
    assert len(untied.parameters()) == 4
    checkpoint.save(untied, tmp_path / "untied.safetensors")
    message = r"output\.weight is in the file only, and tied to embedding\.weight"
    with pytest.raises(ShapeError, match=message):
        checkpoint.load(net, tmp_path / "untied.safetensors")
    checkpoint.load(untied, tmp_path / "tied.safetensors")
    assert untied["output.weight"] is untied["embedding.weight"]


def test_assignment_by_path_ties(backend):
    net = layers.Sequential(layers.Linear(3, 3), layers.Linear(3, 3), seed=0, backend=backend)
    net["layers.1.weight"] = net["layers.0.weight"]
    assert len(net.parameters()) == 3
    optimizers.SGD(0.1).update(net, anynet.grad(mse)(net, *data(backend)))
    assert net["layers.1.weight"] is net["layers.0.weight"]


def test_equal_arrays_are_not_tied(backend):
    net = layers.Sequential(layers.Linear(3, 3), layers.Linear(3, 3), seed=0, backend=backend)
    net["layers.1.weight"] = backend.xp.asarray(net["layers.0.weight"], copy=True)
    assert len(net.parameters()) == 4


class Sum(layers.Module):
    def __init__(self, backend):
        self.a = backend.asarray([1.0, 2.0])
        self.b = backend.asarray([3.0, 4.0])

    def forward(self):
        return array_namespace(self.a).sum(self.a + self.b)


@pytest.mark.parametrize("compiled", [False, True])
def test_equal_gradients_are_not_tied(backend, compiled):
    gradient = anynet.grad(lambda net: net())
    if compiled:
        gradient = anynet.compile(gradient)
    assert list(gradient(Sum(backend)).parameters()) == ["a", "b"]


def test_one_array_at_two_indices_of_a_list_is_not_tied(backend):
    def loss(ws):
        return array_namespace(ws[0]).sum(ws[0] * 2.0 + ws[1] * 3.0)

    w = backend.asarray([1.0, 2.0])
    first, second = anynet.grad(loss)([w, w])
    assert host(first).tolist() == [2.0, 2.0]
    assert host(second).tolist() == [3.0, 3.0]


def test_update_of_two_networks_that_share_a_module_raises(backend):
    body = layers.Linear(3, 3)
    nets = [layers.Sequential(body, seed=0, backend=backend), layers.Sequential(body)]
    x, t = data(backend)
    grads = anynet.grad(lambda nets: mse(nets[0], x, t) + mse(nets[1], x, t))(nets)
    with pytest.raises(ArgumentError, match="part of two networks in one list"):
        optimizers.SGD(0.1).update(nets, grads)


def test_freeze_applies_to_all_paths(backend):
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


def test_running_statistics_follow_both_calls(backend):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    norm = layers.BatchNorm(3)
    tied = layers.Sequential(norm, norm, seed=0, backend=backend)
    x, t = data(backend)
    theirs = torch.nn.BatchNorm1d(3)
    theirs(theirs(torch.tensor(host(x))))
    anynet.value_and_grad(mse)(tied, x, t)
    np.testing.assert_allclose(host(norm.running_mean), theirs.running_mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(host(norm.running_variance), theirs.running_var.numpy(), rtol=1e-5)


def test_shared_buffer_with_two_new_values_raises(backend):
    net = layers.Sequential(layers.BatchNorm(3), layers.BatchNorm(3), seed=0, backend=backend)
    net["layers.1.running_mean"] = net["layers.0.running_mean"]
    with pytest.raises(ArgumentError, match="share the module"):
        anynet.value_and_grad(mse)(net, *data(backend))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["Momentum", "Adam"])
def test_tying_between_steps_trains_as_in_torch(backend, name, compiled):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    linears = [layers.Linear(3, 3, bias=False) for _ in range(3)]
    net = layers.Sequential(*linears, seed=0, backend=backend)
    x, t = data(backend)
    weights = [torch.nn.Parameter(torch.tensor(host(layer.weight))) for layer in net.layers]
    make_theirs = {
        "Adam": lambda: torch.optim.Adam(weights, 0.01),
        "Momentum": lambda: torch.optim.SGD(weights, 0.1, momentum=0.9),
    }
    theirs = make_theirs[name]()
    optimizer = OPTIMIZERS[name]()
    train = anynet.compile(step) if compiled else step
    for i in range(5):
        if i == 2:
            net["layers.1.weight"] = net["layers.0.weight"]
            weights[1] = weights[0]
        theirs.zero_grad()
        y = torch.tensor(host(x)) @ weights[0] @ weights[1] @ weights[2]
        loss = torch.nn.functional.mse_loss(y, torch.tensor(host(t)))
        loss.backward()
        theirs.step()
        assert float(train(net, optimizer, x, t)) == pytest.approx(loss.item(), rel=1e-5)


def test_update_after_a_layer_is_removed_raises():
    """The state of the layer must not go to another layer."""
    net = layers.Sequential(*[layers.Linear(3, 3, bias=False) for _ in range(3)], seed=0)
    x = np.ones((2, 3), "float32")
    optimizer = optimizers.Adam()
    optimizer.update(net, anynet.grad(mse)(net, x, x))
    net.layers = net.layers[1:]
    with pytest.raises(
        ArgumentError,
        match=r"there is state for 3 parameters, the network has 2, or others",
    ):
        optimizer.update(net, anynet.grad(mse)(net, x, x))


def test_two_gradients_of_a_tied_parameter_raise(backend):
    x, t = data(backend)
    first, second = layers.Linear(3, 3), layers.Linear(3, 3)
    tied_array = layers.Sequential(first, second, seed=0, backend=backend)
    grads = anynet.grad(mse)(tied_array, x, t)
    tied_array["layers.1.weight"] = tied_array["layers.0.weight"]
    linear = layers.Linear(3, 3)
    tied_module = layers.Sequential(linear, linear, seed=0, backend=backend)
    for net, name in (
        (tied_module, "Linear is in two places"),
        (tied_array, "'weight' of a Linear, is in two places"),
    ):
        before = net.parameters()
        for make in OPTIMIZERS.values():
            with pytest.raises(ArgumentError, match=name):
                make().update(net, grads)
        assert all(p is before[path] for path, p in net.parameters().items())
