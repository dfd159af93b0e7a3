"""Training steps and inference of fully connected networks, against peers and against their matrix products alone."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
from measure import Maker

import anynet
from anynet import layers, losses, optimizers
from anynet.backend import Backend, get_backend

BATCH = 100
RATE = 0.01

Run = Callable[[int], None]


def data(widths: Sequence[int], batch: int = BATCH) -> tuple[Any, Any, list[Any]]:
    """Return images, labels, and weights and biases in turn, in float32."""
    generator = np.random.default_rng(0)
    x = generator.random((batch, widths[0]), "float32")
    t = generator.integers(0, widths[-1], batch)
    parameters: list[Any] = []
    for n, m in pairwise(widths):
        parameters += [(generator.normal(size=(n, m)) * (2 / n) ** 0.5).astype("float32"), np.zeros(m, "float32")]
    return x, t, parameters


def steps(widths: Sequence[int], backend: str) -> dict[str, Maker]:
    """Return the candidates for one step of gradient descent on one batch."""
    candidates = {"products": _products, "anynet": _anynet}
    if get_backend(backend).name == "numpy":
        candidates["hand-written NumPy"] = _numpy
    if find_spec("torch"):
        candidates["PyTorch eager"] = _torch
    if find_spec("jax"):
        candidates["JAX jit"] = _jax
    return {name: partial(make, widths, backend) for name, make in candidates.items()}


def inference(widths: Sequence[int], backend: str) -> dict[str, Maker]:
    """Return the candidates for the outputs of 10,000 images in batches."""
    candidates = {"products": _products_inference, "anynet": _anynet_inference}
    return {name: partial(make, widths, backend) for name, make in candidates.items()}


def _times(work: Callable[[], object], synchronize: Callable[[], object]) -> Run:
    def run(calls: int) -> None:
        for _ in range(calls):
            work()
        synchronize()

    return run


def _network(backend: Backend, parameters: Sequence[Any]) -> layers.Sequential:
    parts: list[layers.Module] = []
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        linear = layers.Linear(*weight.shape)
        linear.weight, linear.bias = backend.asarray(weight), backend.asarray(bias)
        parts += [linear, layers.ReLU()]
    return layers.Sequential(*parts[:-1])


def _anynet(widths: Sequence[int], name: str) -> Run:
    backend = get_backend(name)
    x, t, parameters = data(widths)
    net, x, t = _network(backend, parameters), backend.asarray(x), backend.asarray(t)
    step = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))
    optimizer = optimizers.SGD(RATE)

    def work() -> None:
        _, grads = step(net, x, t)
        optimizer.update(net, grads)

    return _times(work, backend.synchronize)


def _products(widths: Sequence[int], name: str) -> Run:
    """Multiply the matrices of a step and do nothing else; the first layer needs no cotangent of its input."""
    backend = get_backend(name)
    x, _, parameters = data(widths)
    weights = [backend.asarray(p) for p in parameters[::2]]
    generator = np.random.default_rng(1)
    inputs = [backend.asarray(x)]
    inputs += [backend.asarray(generator.random((len(x), w.shape[1]), "float32")) for w in weights]
    matmul = backend.xp.matmul

    def work() -> None:
        for h, weight in zip(inputs, weights, strict=False):
            matmul(h, weight)
        for i in reversed(range(len(weights))):
            matmul(inputs[i].T, inputs[i + 1])
            if i:
                matmul(inputs[i + 1], weights[i].T)

    return _times(work, backend.synchronize)


def _numpy(widths: Sequence[int], name: str) -> Run:
    """Return what one would write by hand for speed: no pass over memory that can be saved, out= where it helps.

    The softmax works on transposed outputs, for reductions along a short last axis are slow.
    """
    x, t, parameters = data(widths)
    weights, biases = parameters[::2], parameters[1::2]
    rows = np.arange(len(t))
    hidden = [np.empty((len(x), w.shape[1]), "float32") for w in weights]
    back = [np.empty_like(h) for h in hidden]
    w_grads = [np.empty_like(w) for w in weights]
    rate, share = np.float32(RATE), np.float32(1 / len(t))

    def work() -> None:
        h = x
        for i, (weight, bias, out) in enumerate(zip(weights, biases, hidden, strict=True)):
            np.matmul(h, weight, out=out)
            out += bias
            if i < len(weights) - 1:
                np.maximum(out, 0, out=out)
            h = out
        z = h.T.copy()
        z -= np.maximum.reduce(z, axis=0)
        at_labels = z[t, rows]
        np.exp(z, out=z)
        total = np.add.reduce(z, axis=0)
        (np.log(total) - at_labels).mean()
        z /= total
        z[t, rows] -= 1
        z *= share
        g = z.T
        for i in reversed(range(len(weights))):
            before = hidden[i - 1] if i else x
            np.matmul(before.T, g, out=w_grads[i])
            b_grad = g.sum(axis=0)
            if i:
                below = np.matmul(g, weights[i].T, out=back[i - 1])
                below *= before > 0
                g = below
            w_grads[i] *= rate
            weights[i] -= w_grads[i]
            b_grad *= rate
            biases[i] -= b_grad

    return _times(work, lambda: None)


def _torch(widths: Sequence[int], name: str) -> Run:
    import torch

    device = "cuda" if get_backend(name).name == "cupy" else "cpu"
    x, t, parameters = data(widths)
    parts: list[torch.nn.Module] = []
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        linear = torch.nn.Linear(*weight.shape)
        linear.weight.data, linear.bias.data = torch.tensor(weight.T.copy()), torch.tensor(bias)
        parts += [linear, torch.nn.ReLU()]
    net = torch.nn.Sequential(*parts[:-1]).to(device)
    images, labels = torch.tensor(x, device=device), torch.tensor(t, device=device)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)

    def work() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return _times(work, torch.cuda.synchronize if device == "cuda" else lambda: None)


def _jax(widths: Sequence[int], name: str) -> Run:
    import jax
    import jax.numpy as jnp

    def loss(parameters: list[Any], x: Any, t: Any) -> Any:
        h = x
        for i in range(0, len(parameters), 2):
            h = h @ parameters[i] + parameters[i + 1]
            h = jax.nn.relu(h) if i < len(parameters) - 2 else h
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(h), t[:, None], axis=1))

    def update(parameters: list[Any], x: Any, t: Any) -> tuple[Any, list[Any]]:
        value, grads = jax.value_and_grad(loss)(parameters, x, t)
        return value, [p - RATE * g for p, g in zip(parameters, grads, strict=True)]

    compiled = jax.jit(update)
    x, t, parameters = data(widths)
    state = [jnp.asarray(p) for p in parameters]
    images, labels = jnp.asarray(x), jnp.asarray(t)

    def work() -> None:
        nonlocal state
        _, state = compiled(state, images, labels)

    return _times(work, lambda: jax.block_until_ready(state))


def _anynet_inference(widths: Sequence[int], name: str) -> Run:
    backend = get_backend(name)
    x, _, parameters = data(widths, 10_000)
    net, images = _network(backend, parameters), backend.asarray(x)

    def work() -> None:
        for i in range(0, len(x), BATCH):
            net(images[i : i + BATCH, ...])

    return _times(work, backend.synchronize)


def _products_inference(widths: Sequence[int], name: str) -> Run:
    backend = get_backend(name)
    x, _, parameters = data(widths, 10_000)
    images, weights = backend.asarray(x), [backend.asarray(p) for p in parameters[::2]]
    matmul = backend.xp.matmul

    def work() -> None:
        for i in range(0, len(x), BATCH):
            h = images[i : i + BATCH, ...]
            for weight in weights:
                h = matmul(h, weight)

    return _times(work, backend.synchronize)
