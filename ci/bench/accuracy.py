"""How long a network of convolutions takes to learn MNIST to 98 %: data on the device, shuffled
batches, plain SGD.

Every hundred steps it is looked at how many of the test images are right. Compiled code is there
already.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from ours import network
from peers import jax_forward, torch_network
from rows import ROWS, Run

import anynet
from anynet import losses, metrics, optimizers
from anynet.backend import configure
from anynet.bench import Maker
from anynet.data import load_mnist
from anynet.training import on_rows, training_step

ROW = ROWS[5]
RATE, WANTED = 0.1, 0.98

#: How often the accuracy is evaluated, and the steps between two evaluations.
LOOKS, STEPS = 60, 100


def trainings(backends: list[str]) -> dict[str, Maker]:
    """Return the candidates."""
    found: dict[str, Maker] = {
        f"anynet on {name}, compiled": partial(_anynet, name) for name in backends
    }
    if find_spec("torch"):
        found |= {
            "PyTorch eager": partial(_torch, compiled=False),
            "torch.compile": partial(_torch, compiled=True),
        }
    if find_spec("optax"):
        found["JAX jit + optax"] = _jax
    return found


def _rows() -> Any:
    """Return the numbers of the rows of every batch, shuffled in every epoch, for each look."""
    generator = np.random.default_rng(0)
    epochs = [generator.permutation(60_000) for _ in range(LOOKS * STEPS * ROW.batch // 60_000)]
    return np.concatenate(epochs).reshape(LOOKS, STEPS, ROW.batch)


def _until(
    begin: Callable[[], None],
    train: Callable[[int], None],
    right: Callable[[], float],
) -> Run:
    """Return a function that trains from the beginning until enough images are right, so many
    times.
    """

    def run(calls: int) -> None:
        for _ in range(calls):
            begin()
            for look in range(LOOKS):
                train(look)
                if right() >= WANTED:
                    break
            else:
                raise RuntimeError(f"{LOOKS * STEPS} steps were not enough")

    return run


def _anynet(name: str) -> Run:
    backend = configure(name)
    (x, t), (test_x, test_t) = load_mnist(backend, flat=False)
    rows = [backend.asarray(part) for part in _rows()]
    net, first = network(ROW, backend), network(ROW, backend).parameters()
    step, optimizer = (
        anynet.compile(on_rows(training_step(losses.cross_entropy))),
        optimizers.SGD(RATE),
    )
    score = anynet.compile(lambda net, x, t: metrics.accuracy(net(x), t))

    def begin() -> None:
        for path, value in first.items():
            net[path] = value

    return _until(
        begin,
        lambda look: step.for_each(rows[look], net, optimizer, x, t),
        lambda: float(score(net, test_x, test_t)),
    )


def _data() -> tuple[Any, ...]:
    return tuple(part for pair in load_mnist("numpy", flat=False) for part in pair)


def _torch(*, compiled: bool) -> Run:
    import torch
    from torch.nn.functional import cross_entropy

    net, place = torch_network(ROW)
    x, t, test_x, test_t = (torch.tensor(part, device=place) for part in _data())
    t, test_t, rows = (
        t.long(),
        test_t.long(),
        torch.tensor(_rows(), device=place),
    )
    first = [p.detach().clone() for p in net.parameters()]
    optimizer = torch.optim.SGD(net.parameters(), RATE)
    mode = "reduce-overhead" if place.type == "cuda" else None

    def loss(x: Any, t: Any) -> Any:
        return cross_entropy(net(x), t)

    chosen = torch.compile(loss, mode=mode) if compiled else loss

    def begin() -> None:
        with torch.no_grad():
            for p, value in zip(net.parameters(), first, strict=True):
                p.copy_(value)

    def train(look: int) -> None:
        for batch in rows[look]:
            optimizer.zero_grad()
            chosen(x[batch], t[batch]).backward()
            optimizer.step()

    def right() -> float:
        with torch.inference_mode():
            return float((net(test_x).argmax(1) == test_t).float().mean())

    return _until(begin, train, right)


def _jax() -> Run:
    """Let XLA have all steps between two looks as one program."""
    import jax
    import jax.numpy as jnp
    import optax

    x, t, test_x, test_t = map(jnp.asarray, _data())
    rows, optimizer = jnp.asarray(_rows()), optax.sgd(RATE)

    def loss(parameters: Any, x: Any, t: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(
            jax_forward(ROW, parameters, x), t
        ).mean()

    def step(carried: Any, batch: Any) -> Any:
        parameters, state = carried
        grads = jax.grad(loss)(parameters, x[batch], t[batch])
        changes, state = optimizer.update(grads, state)
        return (optax.apply_updates(parameters, changes), state), None

    steps = jax.jit(lambda carried, rows: jax.lax.scan(step, carried, rows)[0])
    score = jax.jit(
        lambda parameters: (jax_forward(ROW, parameters, test_x).argmax(1) == test_t).mean()
    )
    first: Any = jax.tree.map(jnp.asarray, ROW.parameters())
    carried = first, optimizer.init(first)

    def begin() -> None:
        nonlocal carried
        carried = first, optimizer.init(first)

    def train(look: int) -> None:
        nonlocal carried
        carried = steps(carried, rows[look])

    return _until(begin, train, lambda: float(score(carried[0])))
