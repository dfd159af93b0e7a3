"""A whole epoch of 784-50-10, batch 100: 60,000 images in memory, shuffled, every step of the
training.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from ours import network
from rows import ROWS, Run

import anynet
from anynet import losses, optimizers
from anynet.backend import configure
from anynet.bench import Maker
from anynet.compiler.target import target_of
from anynet.data import Loader
from anynet.training import on_rows, training_step

IMAGES = 60_000
ROW = ROWS[0]


def epochs(backends: list[str]) -> dict[str, Maker]:
    """Return the candidates."""
    found: dict[str, Maker] = {
        f"anynet on {name}": partial(_anynet, name, False) for name in backends
    }
    found |= {f"anynet on {name}, compiled": partial(_anynet, name, True) for name in backends}
    for name, module, make in (
        ("hand-written NumPy", "numpy", _numpy),
        ("PyTorch eager", "torch", _torch),
        ("JAX jit + optax", "optax", _jax),
        ("MyGrad", "mygrad", _mygrad),
        ("scikit-learn", "sklearn", _sklearn),
    ):
        if find_spec(module):
            found[name] = make
    return found


def _data() -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    return generator.random((IMAGES, 784), "float32"), generator.integers(0, 10, IMAGES)


def _calls(epoch: Callable[[], object]) -> Run:
    def run(calls: int) -> None:
        for _ in range(calls):
            epoch()

    return run


def _batches(generator: np.random.Generator) -> Any:
    order = generator.permutation(IMAGES)
    return (order[i : i + ROW.batch] for i in range(0, IMAGES, ROW.batch))


def _anynet(name: str, compiled: bool) -> Run:
    backend = configure(name)
    x, t = map(backend.asarray, _data())
    net, loader = network(ROW, backend), Loader(x, t, ROW.batch)
    train, optimizer = (
        training_step(losses.cross_entropy),
        optimizers.SGD(ROW.rate),
    )
    step: Any = anynet.compile(train) if compiled else train
    step_on_rows = anynet.compile(on_rows(train))

    def epoch() -> None:
        for x, t in loader:
            step(net, optimizer, x, t)
        backend.synchronize()

    def loop() -> None:
        step_on_rows.for_each(
            backend.xp.reshape(loader.start_epoch(), (-1, ROW.batch)),
            net,
            optimizer,
            x,
            t,
        )
        backend.synchronize()

    return _calls(loop if compiled and target_of(backend).has_loop else epoch)


def _numpy() -> Run:
    """Take the rows of a batch into one place, and train on that."""
    from peers import handwritten

    images, labels = _data()
    x, t = (
        np.empty((ROW.batch, 784), "float32"),
        np.empty(ROW.batch, "int64"),
    )
    step, generator = handwritten(ROW, (x, t)), np.random.default_rng(0)

    def epoch() -> None:
        for rows in _batches(generator):
            images.take(rows, axis=0, out=x, mode="clip")
            labels.take(rows, out=t, mode="clip")
            step(1)

    return _calls(epoch)


def _torch() -> Run:
    import torch
    from torch import nn

    images, labels = map(torch.tensor, _data())
    net = nn.Sequential(nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 10))
    optimizer = torch.optim.SGD(net.parameters(), ROW.rate)

    def epoch() -> None:
        for rows in torch.randperm(IMAGES).split(ROW.batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[rows]), labels[rows]).backward()
            optimizer.step()

    return _calls(epoch)


def _jax() -> Run:
    """Let XLA have the epoch, steps and all, as one program."""
    import jax
    import jax.numpy as jnp
    import optax

    images, labels = map(jnp.asarray, _data())
    optimizer = optax.sgd(ROW.rate)

    def loss(parameters: Any, x: Any, t: Any) -> Any:
        (w1, b1), (w2, b2) = parameters
        logits = jax.nn.relu(x @ w1 + b1) @ w2 + b2
        return optax.softmax_cross_entropy_with_integer_labels(logits, t).mean()

    def whole(parameters: Any, state: Any, key: Any) -> Any:
        order = jax.random.permutation(key, IMAGES).reshape(-1, ROW.batch)

        def step(carried: Any, rows: Any) -> Any:
            parameters, state = carried
            value, grads = jax.value_and_grad(loss)(parameters, images[rows], labels[rows])
            changes, state = optimizer.update(grads, state)
            return (optax.apply_updates(parameters, changes), state), value

        return jax.lax.scan(step, (parameters, state), order)

    compiled = jax.jit(whole)
    parameters: Any = [tuple(map(jnp.asarray, given)) for given in ROW.parameters() if given]
    state, key = optimizer.init(parameters), jax.random.key(0)

    def epoch() -> None:
        nonlocal parameters, state, key
        key, now = jax.random.split(key)
        (parameters, state), _ = jax.block_until_ready(compiled(parameters, state, now))

    return _calls(epoch)


def _mygrad() -> Run:
    import mygrad as mg
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    mg.turn_memory_guarding_off()
    images, labels = _data()
    parameters = [mg.tensor(p) for given in ROW.parameters() for p in given or ()]
    w1, b1, w2, b2 = parameters
    generator = np.random.default_rng(0)

    def epoch() -> None:
        for rows in _batches(generator):
            softmax_crossentropy(relu(images[rows] @ w1 + b1) @ w2 + b2, labels[rows]).backward()
            for p in parameters:
                p.data -= ROW.rate * p.grad
                p.null_grad()

    return _calls(epoch)


def _sklearn() -> Run:
    from sklearn.neural_network import MLPClassifier

    images, labels = _data()
    net = MLPClassifier(
        (50,),
        solver="sgd",
        momentum=0.0,
        nesterovs_momentum=False,
        alpha=0.0,
        batch_size=ROW.batch,
        learning_rate_init=ROW.rate,
        shuffle=True,
    )
    # One call goes through the data once, in shuffled batches.
    return _calls(lambda: net.partial_fit(images, labels, classes=np.arange(10)))
