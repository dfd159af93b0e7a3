"""Training steps of two networks of convolutions, beside PyTorch's."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from measure import Maker

import anynet
from anynet import layers, losses, optimizers
from anynet.backend import get_backend

RATE = 0.001

# Both libraries call their layers the same, but for the batch norm.


def _small(kinds: Any, norm: Any) -> list[Any]:
    first = [kinds.Conv2d(1, 30, 5), kinds.ReLU(), kinds.MaxPool2d(2), kinds.Flatten()]
    return [*first, kinds.Linear(4320, 100), kinds.ReLU(), kinds.Linear(100, 10)]


def _large(kinds: Any, norm: Any) -> list[Any]:
    parts = []
    for before, after in ((1, 32), (32, 64)):
        parts += [kinds.Conv2d(before, after, 3, padding=1), kinds.ReLU(), kinds.Conv2d(after, after, 3, padding=1)]
        parts += [norm(after), kinds.ReLU(), kinds.MaxPool2d(2)]
    return [*parts, kinds.Flatten(), kinds.Linear(3136, 10)]


#: Title: (batch, whether Adam trains it, its layers).
NETWORKS: dict[str, tuple[int, bool, Callable[..., list[Any]]]] = {
    "conv30(5×5)-pool-100-10": (100, False, _small),
    "32-32-bn-pool-64-64-bn-pool-10": (128, True, _large),
}


def steps(title: str, backend: str) -> dict[str, Maker]:
    """Return the candidates for one step on one batch: this backend, the others that are installed, and PyTorch."""
    candidates: dict[str, Any] = {"anynet": partial(_anynet, backend=backend)}
    if find_spec("torch"):
        candidates["PyTorch eager"] = partial(_torch, backend=backend)
        if get_backend(backend).name != "torch":
            candidates["anynet on torch"] = partial(_anynet, backend="torch")
    return {name: partial(make, title) for name, make in candidates.items()}


def _data(batch: int) -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    return generator.random((batch, 1, 28, 28), "float32"), generator.integers(0, 10, batch)


def _times(work: Callable[[], object], synchronize: Callable[[], object]) -> Callable[[int], None]:
    def run(calls: int) -> None:
        for _ in range(calls):
            work()
        synchronize()

    return run


def _anynet(title: str, backend: str) -> Callable[[int], None]:
    there = get_backend(backend)
    batch, with_adam, parts = NETWORKS[title]
    net = layers.Sequential(*parts(layers, layers.BatchNorm), seed=0, backend=there)
    x, t = map(there.asarray, _data(batch))
    step = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))
    optimizer = optimizers.Adam(RATE) if with_adam else optimizers.SGD(RATE)

    def work() -> None:
        _, grads = step(net, x, t)
        optimizer.update(net, grads)

    return _times(work, there.synchronize)


def _torch(title: str, backend: str) -> Callable[[int], None]:
    import torch

    there = get_backend(backend)
    place = there.device if there.name == "torch" else torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch, with_adam, parts = NETWORKS[title]
    nn = torch.nn
    net = nn.Sequential(*parts(nn, nn.BatchNorm2d)).to(place)
    x, t = (torch.tensor(part, device=place) for part in _data(batch))
    optimizer = (torch.optim.Adam if with_adam else torch.optim.SGD)(net.parameters(), RATE)
    loss = nn.CrossEntropyLoss()

    def work() -> None:
        optimizer.zero_grad()
        loss(net(x), t).backward()
        optimizer.step()

    return _times(work, torch.cuda.synchronize if place.type == "cuda" else lambda: None)
