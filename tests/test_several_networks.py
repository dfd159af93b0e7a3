"""The steps of the examples that train several networks, beside PyTorch and beside laws."""

import copy
import runpy

import numpy as np
import pytest
from helpers import host
from programs import ROOT

import anynet
from anynet import functions, layers, losses, optimizers, tree

COMPILED = pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])


@pytest.fixture(autouse=True)
def _compiled_on_jax(request):
    """Skip eager steps on JAX, which compiles each call of a new shape."""
    callspec = request.node.callspec.params
    if callspec["backend"] == "jax" and not callspec["compiled"]:
        pytest.skip(reason="a compiled step is tested on jax")


def example(name):
    return runpy.run_path(str(ROOT / "examples" / name))


def step_of(names, compiled):
    return names["step"] if compiled else names["step"].step


def arrays_of(tree_of_arrays):
    return {path: host(x).copy() for path, x in tree.leaves(tree_of_arrays)}


def normal(backend, *shape):
    return backend.asarray(np.random.default_rng(0).normal(size=shape).astype("float32"))


@COMPILED
def test_gan_takes_the_step_of_pytorch(backend, compiled):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    nn = torch.nn
    names = example("gan.py")
    nets = names["networks"](0, backend)
    images, noise = normal(backend, 16, 784), normal(backend, 16, names["NOISE"])
    peers = [
        nn.Sequential(
            *(nn.Linear(64, 256), nn.BatchNorm1d(256), nn.ReLU()),
            *(nn.Linear(256, 512), nn.BatchNorm1d(512), nn.ReLU()),
            *(nn.Linear(512, 784), nn.Sigmoid()),
        ),
        nn.Sequential(
            *(nn.Linear(784, 512), nn.LeakyReLU(0.2), nn.Linear(512, 256), nn.LeakyReLU(0.2)),
            nn.Linear(256, 1),
        ),
    ]
    for net, peer in zip(nets, peers, strict=True):
        for layer, other in zip(net.layers, peer, strict=True):
            if hasattr(other, "weight"):
                weight = torch.tensor(host(layer.weight))
                other.weight.data = weight.T if weight.ndim == 2 else weight
                other.bias.data = torch.tensor(host(layer.bias))
    rules = [optimizers.SGD(0.05), optimizers.SGD(0.05)]
    for _ in range(2):
        values = step_of(names, compiled)(nets, rules, images, noise)

    real, z = torch.tensor(host(images)), torch.tensor(host(noise))
    sgds = [torch.optim.SGD(peer.parameters(), 0.05) for peer in peers]
    loss = nn.functional.binary_cross_entropy_with_logits
    for _ in range(2):
        fake = peers[0](z)
        logits = peers[1](fake)
        of_generator = loss(logits, torch.ones_like(logits))
        grads = torch.autograd.grad(of_generator, [*peers[0].parameters()])
        ones = torch.ones(16, 1)
        of_discriminator = loss(peers[1](real), ones) + loss(peers[1](fake.detach()), 0 * ones)
        others = torch.autograd.grad(of_discriminator, [*peers[1].parameters()])
        for peer, own, sgd in zip(peers, (grads, others), sgds, strict=True):
            for parameter, gradient in zip(peer.parameters(), own, strict=True):
                parameter.grad = gradient
            sgd.step()
    wanted = [of_generator.item(), of_discriminator.item()]
    np.testing.assert_allclose([float(x) for x in values], wanted, rtol=1e-4)
    for net, peer in zip(nets, peers, strict=True):
        for layer, other in zip(net.layers, peer, strict=True):
            if hasattr(other, "weight"):
                weight = other.weight.detach().numpy()
                expected = weight.T if weight.ndim == 2 else weight
                np.testing.assert_allclose(host(layer.weight), expected, rtol=1e-3, atol=1e-5)
            if hasattr(other, "running_mean"):
                # One forward pass of the generator in a step updates them once.
                actual = host(layer.running_variance)
                np.testing.assert_allclose(actual, other.running_var.numpy(), rtol=1e-4)


@COMPILED
def test_actor_step_follows_its_targets(backend, compiled):
    names = example("actor_target.py")
    nets, targets = names["networks"](0, backend), names["networks"](1, backend)
    rules = {"actor": optimizers.SGD(0.1), "critic": optimizers.SGD(0.1)}
    before, old = arrays_of(nets), arrays_of(targets)
    states, forces = normal(backend, 8, 2), normal(backend, 8, 1)
    earlier = copy.deepcopy(nets)
    step_of(names, compiled)(nets, targets, rules, states, forces)
    new, followed = arrays_of(nets), arrays_of(targets)
    for path, x in new.items():
        assert (x != before[path]).any(), path
        expected = old[path] + names["FOLLOW"] * (x - old[path])
        np.testing.assert_allclose(followed[path], expected, rtol=1e-5, atol=1e-7)
    # The critic is a constant in the loss of the actor: its update is that of its own loss.
    rewards, following = names["environment"](states, forces)
    old_targets = names["networks"](1, backend)
    value = names["value"]
    ahead = value(old_targets["critic"], following, old_targets["actor"](following))
    goals = rewards + names["DISCOUNT"] * ahead
    grads = anynet.grad(names["critic_loss"])(earlier["critic"], states, forces, goals)
    optimizers.SGD(0.1).update(earlier["critic"], grads)
    for path, x in arrays_of(earlier["critic"]).items():
        np.testing.assert_allclose(new[f"critic.{path}"], x, rtol=1e-4, atol=1e-6)


@COMPILED
def test_teacher_learns_as_it_does_alone(backend, compiled):
    """The loss of the student changes neither its parameters nor its statistics and keys."""
    names = example("distillation.py")
    nets = {"teacher": names["network"](200, 0, backend), "student": layers.Linear(784, 10)}
    nets["student"].initialize(1, backend)
    alone = copy.deepcopy(nets["teacher"])
    x = normal(backend, 16, 784)
    t = backend.asarray(np.arange(16) % 10)
    probabilities = functions.softmax(alone(x) / names["TEMPERATURE"])
    logits = nets["student"](x)
    soft = names["TEMPERATURE"] ** 2 * losses.cross_entropy(
        logits / names["TEMPERATURE"], probabilities
    )
    share = names["SHARE"]
    wanted = share * float(soft) + (1 - share) * float(losses.cross_entropy(logits, t))
    rules = {name: optimizers.SGD(0.1) for name in nets}
    _, of_student = step_of(names, compiled)(nets, rules, x, t)
    assert float(of_student) == pytest.approx(wanted, rel=1e-4)
    grads = anynet.grad(names["teacher_loss"])(alone, x, t)
    optimizers.SGD(0.1).update(alone, grads)
    actual = arrays_of(nets["teacher"])
    for path, expected in arrays_of(alone).items():
        np.testing.assert_allclose(actual[path], expected, rtol=1e-4, atol=1e-6, err_msg=path)
