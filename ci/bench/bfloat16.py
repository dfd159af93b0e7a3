"""A training step of a wide network in bfloat16, as a share of the rate at which the device
multiplies matrices.
"""

from functools import partial
from importlib.util import find_spec
from typing import Any

from rows import Run, times

import anynet
from anynet import layers, losses, optimizers, random
from anynet.backend import configure
from anynet.bench import Maker
from anynet.training import training_step

#: Features of every layer, images of a batch, and layers.
WIDTH, BATCH, LAYERS = 8192, 8192, 4
RATE = 0.01

#: Operations of a product, and products of a step. The first layer needs no cotangent of its input.
PRODUCT = 2 * BATCH * WIDTH * WIDTH
PRODUCTS = 3 * LAYERS - 1

ALONE = "one product of matrices"


def steps(backends: list[str]) -> dict[str, Maker]:
    """Return the candidates, and the product alone. CuPy lacks most of bfloat16."""
    found: dict[str, Maker] = {}
    for name in backends:
        if name.partition(":")[0] in ("torch", "jax"):
            found |= {f"anynet on {name}, compiled": partial(_anynet, name)}
            found.setdefault(ALONE, partial(_product, name))
    if find_spec("torch"):
        found |= {
            "PyTorch eager": partial(_torch, compiled=False),
            "torch.compile": partial(_torch, compiled=True),
        }
    return found


def shares(seconds: dict[str, float]) -> dict[str, float]:
    """Return the share of the rate of the product alone."""
    return {
        name: PRODUCTS * seconds[ALONE] / time for name, time in seconds.items() if name != ALONE
    }


def _normal(backend: Any, *shape: int) -> Any:
    return backend.xp.astype(random.normal(random.key(0, backend), shape), backend.xp.bfloat16)


def _product(name: str) -> Run:
    backend = configure(name)
    x, weight = (
        _normal(backend, BATCH, WIDTH),
        _normal(backend, WIDTH, WIDTH),
    )
    return times(lambda: backend.xp.matmul(x, weight), backend.synchronize)


def _anynet(name: str) -> Run:
    backend = configure(name)
    parts: list[Any] = []
    for _ in range(LAYERS):
        parts += [layers.Linear(WIDTH, WIDTH), layers.ReLU()]
    net = layers.Sequential(*parts[:-1], seed=0, backend=backend)
    net = net.map(lambda p: backend.xp.astype(p, backend.xp.bfloat16))
    x, t = _normal(backend, BATCH, WIDTH), _normal(backend, BATCH, WIDTH)
    step, optimizer = (
        anynet.compile(training_step(losses.mean_squared_error)),
        optimizers.SGD(RATE),
    )
    return times(lambda: step(net, optimizer, x, t), backend.synchronize)


def _torch(*, compiled: bool) -> Run:
    import torch
    from torch import nn

    parts: list[Any] = []
    for _ in range(LAYERS):
        parts += [nn.Linear(WIDTH, WIDTH), nn.ReLU()]
    net = nn.Sequential(*parts[:-1]).to("cuda", torch.bfloat16)
    x, t = (torch.randn(BATCH, WIDTH, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    optimizer = torch.optim.SGD(net.parameters(), RATE)

    def loss(x: Any, t: Any) -> Any:
        return nn.functional.mse_loss(net(x), t)

    chosen = torch.compile(loss, mode="reduce-overhead") if compiled else loss

    def work() -> None:
        optimizer.zero_grad()
        chosen(x, t).backward()
        optimizer.step()

    return times(work, torch.cuda.synchronize)
