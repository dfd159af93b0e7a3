"""Each optimizer takes the steps of PyTorch's own, or of the paper where PyTorch has none."""

import numpy as np
import pytest
from helpers import host
from optimizer_peers import PaperPeer, TorchPeer, lamb, lion

import anynet
from anynet import optimizers
from anynet.optimizers import schedules

SHAPES = {"w": (4, 3), "wide": (3, 5), "b": (3,), "late": (2, 2), "at times": (2,), "scale": ()}
STEPS = 50

#: Our optimizer, PyTorch's, and the settings of both.
PYTORCH = {
    "SGD": ("SGD", "SGD", {}),
    "SGD with decay": ("SGD", "SGD", {"weight_decay": 0.1}),
    "Momentum": ("Momentum", "SGD", {"momentum": 0.8, "weight_decay": 0.1}),
    "Momentum with dampening": ("Momentum", "SGD", {"momentum": 0.8, "dampening": 0.3}),
    "Momentum by Nesterov": (
        "Momentum",
        "SGD",
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
    ),
    "AdaGrad": ("AdaGrad", "Adagrad", {}),
    "AdaGrad with all settings": (
        "AdaGrad",
        "Adagrad",
        {
            "lr_decay": 0.1,
            "weight_decay": 0.1,
            "initial_accumulator_value": 0.5,
            "eps": 1e-3,
        },
    ),
    "RMSprop": ("RMSprop", "RMSprop", {"weight_decay": 0.1}),
    "RMSprop with momentum": ("RMSprop", "RMSprop", {"alpha": 0.9, "momentum": 0.8}),
    "RMSprop with all settings": (
        "RMSprop",
        "RMSprop",
        {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1, "momentum": 0.8, "centered": True},
    ),
    "Adam": ("Adam", "Adam", {}),
    "Adam with decay": ("Adam", "Adam", {"betas": (0.8, 0.95), "weight_decay": 0.1}),
    "Adam with amsgrad": ("Adam", "Adam", {"betas": (0.8, 0.9), "amsgrad": True}),
    "AdamW": ("AdamW", "AdamW", {"weight_decay": 0.1, "eps": 1e-3}),
    "AdamW with amsgrad": ("AdamW", "AdamW", {"betas": (0.8, 0.9), "amsgrad": True}),
    "NAdam": ("NAdam", "NAdam", {"weight_decay": 0.1}),
    "NAdam with decoupled decay": (
        "NAdam",
        "NAdam",
        {"momentum_decay": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    "Adamax": ("Adamax", "Adamax", {"weight_decay": 0.1}),
}
PAPERS = {
    "Lion": ("Lion", lion, {"betas": (0.9, 0.99), "weight_decay": 0.1}),
    "LAMB": ("LAMB", lamb, {"betas": (0.9, 0.999), "eps": 1e-6, "weight_decay": 0.1}),
}


def start_values():
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape) for name, shape in SHAPES.items()}


def gradients_of(step):
    """Return a gradient of each parameter, None for two of them in some steps."""
    rng = np.random.default_rng(step + 1)
    gradients = {name: rng.normal(size=shape) + 0.3 for name, shape in SHAPES.items()}
    if step < 4:
        gradients["late"] = None
    if step in (9, 10, 30):
        gradients["at times"] = None
    return gradients


def rates():
    """Return a schedule, and a learning rate that takes its place after 30 steps."""
    return schedules.Cosine(0.05, 60), 0.02


def update(net, optimizer, grads):
    optimizer.update(net, grads)


def train(backend, optimizer, peer, *, compiled, set_rate, peer_rates, **clipping):
    """Return the distance between our parameters and the peer's, relative to their norm."""
    net = {name: backend.asarray(x) for name, x in start_values().items()}
    step = anynet.compile(update) if compiled else update
    for i in range(STEPS):
        gradients = gradients_of(i)
        if i == 30:
            set_rate(optimizer)
        grads = {
            name: None if gradient is None else backend.asarray(gradient)
            for name, gradient in gradients.items()
        }
        step(net, optimizer, grads)
        peer.step(gradients, *peer_rates(i), **clipping)
    theirs = peer.values()
    ours = {name: host(x) for name, x in net.items()}
    difference = sum(np.sum((ours[name] - x) ** 2) for name, x in theirs.items())
    return np.sqrt(difference / sum(np.sum(x**2) for x in theirs.values()))


def skip_on_jax(backend, compiled, variant):
    """Compile one variant of each optimizer on JAX, for each pattern of missing gradients."""
    if backend.name == "jax" and compiled and variant:
        pytest.skip(reason="JAX takes long to compile each variant")


def set_one_rate(optimizer):
    optimizer.learning_rate = rates()[1]


def one_rate(step):
    first, later = rates()
    return [first(step) if step < 30 else later]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", PYTORCH)
def test_fifty_updates_agree_with_pytorch(backend, name, compiled):
    """With a schedule that is replaced, and gradients that are missing in some steps."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    skip_on_jax(backend, compiled, " " in name)
    ours, theirs, settings = PYTORCH[name]
    optimizer = getattr(optimizers, ours)(rates()[0], **settings)
    peer = TorchPeer(start_values(), (SHAPES, getattr(torch.optim, theirs), settings))
    assert (
        train(
            backend,
            optimizer,
            peer,
            compiled=compiled,
            set_rate=set_one_rate,
            peer_rates=one_rate,
        )
        < 1e-5
    )


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", PAPERS)
def test_fifty_updates_agree_with_the_paper(backend, name, compiled):
    ours, change, settings = PAPERS[name]
    optimizer = getattr(optimizers, ours)(rates()[0], **settings)
    beta1, beta2 = settings["betas"]
    others = {key: value for key, value in settings.items() if key != "betas"}
    peer = PaperPeer(start_values(), change(beta1, beta2, **others))
    assert (
        train(
            backend,
            optimizer,
            peer,
            compiled=compiled,
            set_rate=set_one_rate,
            peer_rates=one_rate,
        )
        < 1e-5
    )


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"nesterov": False, "momentum": 0.8, "ns_steps": 3},
        {"adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.0, "eps": 1e-3},
        {"ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 8},
    ],
    ids=["defaults", "plain", "match_rms_adamw", "coefficients"],
)
def test_fifty_updates_of_muon_agree_with_pytorch(backend, monkeypatch, settings, compiled):
    """PyTorch iterates in bfloat16, here as an exception in float64. Its weights are (outputs,
    inputs).
    """
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    if not hasattr(torch.optim, "Muon"):
        pytest.skip(reason="this PyTorch has no Muon")
    skip_on_jax(backend, compiled, settings)
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    matrices = [name for name, shape in SHAPES.items() if len(shape) == 2]
    others = [name for name in SHAPES if name not in matrices]

    class Transposed(TorchPeer):
        def __init__(self, start, *groups):
            super().__init__({name: x.T for name, x in start.items()}, *groups)

        def step(self, gradients, *rates):
            turned = {name: None if g is None else g.T for name, g in gradients.items()}
            super().step(turned, *rates)

        def values(self):
            return {name: x.T for name, x in super().values().items()}

    decay = {"weight_decay": settings.get("weight_decay", 0.1)}
    peer = Transposed(
        start_values(),
        (matrices, torch.optim.Muon, settings),
        (others, torch.optim.AdamW, decay),
    )
    assert (
        train(
            backend,
            optimizers.Muon(rates()[0], **settings),
            peer,
            compiled=compiled,
            set_rate=set_one_rate,
            peer_rates=lambda step: one_rate(step) * 2,
        )
        < 1e-5
    )


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_fifty_updates_of_groups_agree_with_pytorch(backend, compiled):
    """With clipping, and a schedule for each group, of which one is replaced."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    first, later = rates()
    optimizer = optimizers.Clipping(
        optimizers.Groups(
            ("w*", optimizers.AdamW(first, weight_decay=0.1)),
            (
                lambda path, parameter: parameter.ndim == 1,
                optimizers.RMSprop(0.01, momentum=0.8),
            ),
            ("scale", None),
            optimizers.Momentum(0.02, nesterov=True),
        ),
        max_norm=2.0,
    )
    peer = TorchPeer(
        start_values(),
        (["w", "wide"], torch.optim.AdamW, {"weight_decay": 0.1}),
        (["b", "at times"], torch.optim.RMSprop, {"momentum": 0.8}),
        (["late"], torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    )

    def set_rate(optimizer):
        optimizer.groups[0][1].learning_rate = later

    distance = train(
        backend,
        optimizer,
        peer,
        compiled=compiled,
        set_rate=set_rate,
        peer_rates=lambda step: [*one_rate(step), 0.01, 0.02],
        max_norm=2.0,
    )
    assert distance < 1e-5
