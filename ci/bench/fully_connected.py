"""Training steps and inference of fully connected networks, against peers and against their matrix products alone."""

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

import anynet
from anynet import layers, losses, optimizers
from anynet.backend import Backend

BATCH = 100
RATE = 0.01


def data(widths: Sequence[int], batch: int = BATCH) -> tuple[Any, Any, list[Any]]:
    """Return images, labels, and weights and biases in turn, in float32."""
    generator = np.random.default_rng(0)
    x = generator.random((batch, widths[0]), "float32")
    t = generator.integers(0, widths[-1], batch)
    parameters: list[Any] = []
    for n, m in pairwise(widths):
        parameters += [(generator.normal(size=(n, m)) * (2 / n) ** 0.5).astype("float32"), np.zeros(m, "float32")]
    return x, t, parameters


def steps(widths: Sequence[int], backend: Backend) -> dict[str, Callable[[], object]]:
    """Return the candidates for one step of gradient descent on one batch."""
    x, t, parameters = data(widths)
    candidates = {
        "products": _products(backend, x, parameters),
        "anynet": _anynet_step(backend, x, t, parameters),
    }
    if backend.name == "numpy":
        candidates["hand-written NumPy"] = _numpy_step(x, t, parameters)
    if find_spec("torch"):
        candidates["PyTorch eager"] = _torch_step(backend, x, t, parameters)
    if find_spec("jax"):
        candidates["JAX jit"] = _jax_step(x, t, parameters)
    return candidates


def inference(widths: Sequence[int], backend: Backend, images: int = 10_000) -> dict[str, Callable[[], object]]:
    """Return the candidates for the outputs of many images in batches."""
    x, _, parameters = data(widths, images)
    net, x = _network(backend, parameters), backend.asarray(x)
    weights = [backend.asarray(p) for p in parameters[::2]]
    matmul = backend.xp.matmul

    def batches() -> Iterator[Any]:
        return (x[i : i + BATCH, ...] for i in range(0, images, BATCH))

    def products() -> None:
        for h in batches():
            for weight in weights:
                h = matmul(h, weight)

    def ours() -> None:
        for h in batches():
            net(h)

    return {"products": products, "anynet": ours}


def _network(backend: Backend, parameters: Sequence[Any]) -> layers.Sequential:
    parts: list[layers.Module] = []
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        linear = layers.Linear(*weight.shape)
        linear.weight, linear.bias = backend.asarray(weight), backend.asarray(bias)
        parts += [linear, layers.ReLU()]
    return layers.Sequential(*parts[:-1])


def _anynet_step(backend: Backend, x: Any, t: Any, parameters: Sequence[Any]) -> Callable[[], object]:
    net, x, t = _network(backend, parameters), backend.asarray(x), backend.asarray(t)
    step = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))
    optimizer = optimizers.SGD(RATE)

    def run() -> None:
        _, grads = step(net, x, t)
        optimizer.update(net, grads)

    return run


def _products(backend: Backend, x: Any, parameters: Sequence[Any]) -> Callable[[], object]:
    """Multiply the matrices of a step and do nothing else; the first layer needs no cotangent of its input."""
    weights = [backend.asarray(p) for p in parameters[::2]]
    generator = np.random.default_rng(1)
    inputs = [backend.asarray(x)]
    inputs += [backend.asarray(generator.random((len(x), w.shape[1]), "float32")) for w in weights]
    matmul = backend.xp.matmul

    def run() -> None:
        for h, weight in zip(inputs, weights, strict=False):
            matmul(h, weight)
        for i in reversed(range(len(weights))):
            matmul(inputs[i].T, inputs[i + 1])
            if i:
                matmul(inputs[i + 1], weights[i].T)

    return run


def _numpy_step(x: Any, t: Any, parameters: Sequence[Any]) -> Callable[[], object]:
    """Return what one would write by hand for speed: no pass over memory that can be saved, out= where it helps."""
    parameters = [p.copy() for p in parameters]
    weights, biases = parameters[::2], parameters[1::2]
    rows = np.arange(len(t))
    hidden = [np.empty((len(x), w.shape[1]), "float32") for w in weights]
    back = [np.empty_like(h) for h in hidden]
    w_grads = [np.empty_like(w) for w in weights]
    rate, share = np.float32(RATE), np.float32(1 / len(t))

    def run() -> None:
        h = x
        for i, (weight, bias, out) in enumerate(zip(weights, biases, hidden, strict=True)):
            np.matmul(h, weight, out=out)
            out += bias
            if i < len(weights) - 1:
                np.maximum(out, 0, out=out)
            h = out
        h -= h.max(axis=1, keepdims=True)
        np.exp(h, out=h)
        h /= h.sum(axis=1, keepdims=True)
        -np.log(h[rows, t]).mean()
        h[rows, t] -= 1
        h *= share
        g = h
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

    return run


def _torch_step(backend: Backend, x: Any, t: Any, parameters: Sequence[Any]) -> Callable[[], object]:
    import torch

    device = "cuda" if backend.name == "cupy" else "cpu"
    parts: list[torch.nn.Module] = []
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        linear = torch.nn.Linear(*weight.shape)
        linear.weight.data, linear.bias.data = torch.tensor(weight.T.copy()), torch.tensor(bias)
        parts += [linear, torch.nn.ReLU()]
    net = torch.nn.Sequential(*parts[:-1]).to(device)
    images, labels = torch.tensor(x, device=device), torch.tensor(t, device=device)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)

    def run() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def _jax_step(x: Any, t: Any, parameters: Sequence[Any]) -> Callable[[], object]:
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
    state = [jnp.asarray(p) for p in parameters]
    images, labels = jnp.asarray(x), jnp.asarray(t)

    def run() -> None:
        nonlocal state
        value, state = compiled(state, images, labels)
        value.block_until_ready()

    return run
