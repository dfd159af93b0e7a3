"""The peers: the same work in each of the libraries that a user might take, the way its
documentation does it.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from rows import Row, Run, times

Maker = Callable[[Row], Run]


def handwritten(row: Row, batch: tuple[Any, Any] | None = None) -> Run:
    """Return a step hand-written for speed: as few passes over memory as possible, and out= where
    it helps.

    The softmax works on transposed outputs, for reductions along a short last axis are slow.
    """
    x, t = batch or row.data()
    pairs = [pair for pair in row.parameters() if pair is not None]
    weights, biases = [w for w, _ in pairs], [b for _, b in pairs]
    rows, last = np.arange(row.batch), len(weights) - 1
    hidden = [np.empty((row.batch, w.shape[1]), "float32") for w in weights]
    back, grads = (
        [np.empty_like(h) for h in hidden],
        [np.empty_like(w) for w in weights],
    )
    rate, share = np.float32(row.rate), np.float32(1 / row.batch)
    means, squares = ([np.zeros_like(p) for pair in pairs for p in pair] for _ in range(2))
    updates = 0

    def forward(h: Any) -> Any:
        for i, (weight, bias, out) in enumerate(zip(weights, biases, hidden, strict=True)):
            np.matmul(h, weight, out=out)
            out += bias
            h = np.maximum(out, 0, out=out) if i < last else out
        return h

    def descend(place: int, p: Any, g: Any) -> None:
        if not row.adam:
            g *= rate
            p -= g
            return
        m, s = means[place], squares[place]
        m += np.float32(0.1) * (g - m)
        s += np.float32(0.001) * (g * g - s)
        root = np.sqrt(s)
        root *= np.float32((1 - 0.999**updates) ** -0.5)
        root += np.float32(1e-8)
        p -= np.float32(row.rate / (1 - 0.9**updates)) * m / root

    def work() -> None:
        nonlocal updates
        updates += 1
        z = forward(x).T.copy()
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
            np.matmul(before.T, g, out=grads[i])
            b_grad = g.sum(axis=0)
            if i:
                below = np.matmul(g, weights[i].T, out=back[i - 1])
                below *= before > 0
                g = below
            descend(2 * i, weights[i], grads[i])
            descend(2 * i + 1, biases[i], b_grad)

    return times(
        lambda: (
            [forward(x[i : i + row.batch]) for i in range(0, row.images, row.batch)]
            if row.images
            else work()
        )
    )


def torch_eager(row: Row) -> Run:
    """Train with torch.nn and torch.optim."""
    return _torch(row, compiled=False)


def torch_compiled(row: Row) -> Run:
    """Let torch.compile have the network and its loss."""
    return _torch(row, compiled=True)


def torch_network(row: Row) -> tuple[Any, Any]:
    """Return the row's network in torch.nn, on the first GPU where there is one, and where it
    is.
    """
    import torch
    from torch import nn

    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    makers: dict[str, Any] = {
        "linear": nn.Linear,
        "relu": nn.ReLU,
        "conv": lambda before, after, kernel, padding: nn.Conv2d(
            before, after, kernel, padding=padding
        ),
        "norm": nn.BatchNorm2d,
        "pool": lambda: nn.MaxPool2d(2),
        "flatten": nn.Flatten,
    }
    parts = [makers[kind](*sizes) for kind, *sizes in row.layers]
    for layer, given in zip(parts, row.parameters(), strict=True):
        if given is not None:
            weight = given[0].T.copy() if isinstance(layer, nn.Linear) else given[0]
            layer.weight.data, layer.bias.data = (
                torch.tensor(weight),
                torch.tensor(given[1]),
            )
    return nn.Sequential(*parts).to(place), place


def _torch(row: Row, *, compiled: bool) -> Run:
    import torch
    from torch import nn

    net, place = torch_network(row)
    x, t = (torch.tensor(part, device=place) for part in row.data())
    synchronize = torch.cuda.synchronize if place.type == "cuda" else lambda: None
    mode = "reduce-overhead" if place.type == "cuda" else None
    if row.images:
        net.eval()
        infer = torch.compile(net, mode=mode) if compiled else net

        def all_images() -> None:
            with torch.inference_mode():
                for i in range(0, row.images, row.batch):
                    infer(x[i : i + row.batch])

        return times(all_images, synchronize)
    optimizer = (torch.optim.Adam if row.adam else torch.optim.SGD)(net.parameters(), row.rate)

    def loss(x: Any, t: Any) -> Any:
        return nn.functional.cross_entropy(net(x), t)

    chosen = torch.compile(loss, mode=mode) if compiled else loss

    def work() -> None:
        optimizer.zero_grad()
        chosen(x, t).backward()
        optimizer.step()

    return times(work, synchronize)


def jax_forward(row: Row, parameters: Any, x: Any) -> Any:
    """Return the outputs of the row's network, in plain JAX."""
    import jax

    for (kind, *sizes), given in zip(row.layers, parameters, strict=True):
        if kind == "linear":
            x = x @ given[0] + given[1]
        elif kind == "conv":
            x = jax.lax.conv_general_dilated(x, given[0], (1, 1), [(sizes[3], sizes[3])] * 2)
            x = x + given[1][:, None, None]
        elif kind == "norm":
            mean, variance = (
                x.mean((0, 2, 3), keepdims=True),
                x.var((0, 2, 3), keepdims=True),
            )
            scale, shift = (p[:, None, None] for p in given)
            x = (x - mean) * jax.lax.rsqrt(variance + 1e-5) * scale + shift
        elif kind == "relu":
            x = jax.nn.relu(x)
        elif kind == "pool":
            x = jax.lax.reduce_window(x, -np.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        else:
            x = x.reshape(x.shape[0], -1)
    return x


def jax_jit(row: Row) -> Run:
    """Compile a step of optax with jax.jit."""
    import jax
    import jax.numpy as jnp
    import optax

    forward = partial(jax_forward, row)

    def loss(parameters: Any, x: Any, t: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(forward(parameters, x), t).mean()

    optimizer = (optax.adam if row.adam else optax.sgd)(row.rate)

    def update(parameters: Any, state: Any, x: Any, t: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(parameters, x, t)
        changes, state = optimizer.update(grads, state)
        return optax.apply_updates(parameters, changes), state, value

    parameters = jax.tree.map(jnp.asarray, row.parameters())
    x, t = map(jnp.asarray, row.data())
    if row.images:
        infer = jax.jit(forward)
        found: list[Any] = []

        def all_images() -> None:
            found[:] = [
                infer(parameters, x[i : i + row.batch]) for i in range(0, row.images, row.batch)
            ]

        return times(all_images, lambda: jax.block_until_ready(found))
    compiled = jax.jit(update)
    state = optimizer.init(parameters)

    def work() -> None:
        nonlocal parameters, state
        parameters, state, _ = compiled(parameters, state, x, t)

    return times(work, lambda: jax.block_until_ready(parameters))


def mygrad(row: Row) -> Run:
    """Write the step with MyGrad's tensors."""
    import mygrad as mg
    from mygrad.nnet.activations import relu
    from mygrad.nnet.layers import conv_nd, max_pool
    from mygrad.nnet.losses import softmax_crossentropy

    mg.turn_memory_guarding_off()
    parameters: list[Any] = [given and tuple(map(mg.tensor, given)) for given in row.parameters()]
    x, t = row.data()

    def forward(x: Any) -> Any:
        for (kind, *_), given in zip(row.layers, parameters, strict=True):
            if kind == "linear":
                x = x @ given[0] + given[1]
            elif kind == "conv":
                x = conv_nd(x, given[0], stride=1) + given[1].reshape(1, -1, 1, 1)
            elif kind == "relu":
                x = relu(x)
            elif kind == "pool":
                x = max_pool(x, (2, 2), 2)
            else:
                x = x.reshape(len(x), -1)
        return x

    def work() -> None:
        softmax_crossentropy(forward(x), t).backward()
        for given in parameters:
            for p in given or ():
                p.data -= row.rate * p.grad
                p.null_grad()

    def infer() -> None:
        with mg.no_autodiff:
            for i in range(0, row.images, row.batch):
                forward(x[i : i + row.batch])

    return times(infer if row.images else work)


def dezero(row: Row) -> Run:
    """Train with DeZero's layers and optimizers."""
    # It was written before NumPy 1.24, which removed this name.
    np.int = int  # type: ignore[attr-defined]
    import dezero.functions as functions
    import dezero.layers as kinds
    from dezero import Model, no_grad, optimizers

    makers: dict[str, Any] = {
        "linear": lambda before, after: kinds.Linear(after, in_size=before),
        "conv": lambda before, after, kernel, padding: kinds.Conv2d(
            after, kernel, pad=padding, in_channels=before
        ),
        "norm": lambda channels: kinds.BatchNorm(),
        "relu": lambda: functions.relu,
        "pool": lambda: lambda x: functions.pooling(x, 2, 2),
        "flatten": lambda: functions.flatten,
    }

    class Net(Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.parts = [makers[kind](*sizes) for kind, *sizes in row.layers]
            for i, part in enumerate(self.parts):
                setattr(self, f"l{i}", part)

        def forward(self, x: Any) -> Any:
            for part in self.parts:
                x = part(x)
            return x

    net, (x, t) = Net(), row.data()
    optimizer = (optimizers.Adam(row.rate) if row.adam else optimizers.SGD(row.rate)).setup(net)

    def work() -> None:
        loss = functions.softmax_cross_entropy(net(x), t)
        net.cleargrads()
        loss.backward()
        optimizer.update()

    def infer() -> None:
        with no_grad():
            for i in range(0, row.images, row.batch):
                net(x[i : i + row.batch])

    return times(infer if row.images else work)


def hips_autograd(row: Row) -> Run:
    """Differentiate a loss in autograd.numpy."""
    import autograd
    import autograd.numpy as anp

    parameters = [given for given in row.parameters() if given is not None]
    x, t = row.data()

    def forward(parameters: Any, x: Any) -> Any:
        for i, (weight, bias) in enumerate(parameters):
            x = anp.dot(x, weight) + bias
            x = anp.maximum(x, 0) if i < len(parameters) - 1 else x
        return x

    def loss(parameters: Any) -> Any:
        z = forward(parameters, x)
        z = z - anp.max(z, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(z), axis=1)) - z[anp.arange(len(t)), t])

    gradient = autograd.grad(loss)

    def work() -> None:
        for (weight, bias), (of_weight, of_bias) in zip(
            parameters, gradient(parameters), strict=True
        ):
            weight -= np.float32(row.rate) * of_weight
            bias -= np.float32(row.rate) * of_bias

    def infer() -> None:
        for i in range(0, row.images, row.batch):
            forward(parameters, x[i : i + row.batch])

    return times(infer if row.images else work)


def scikit_learn(row: Row) -> Run:
    """Fit MLPClassifier by parts."""
    from sklearn.neural_network import MLPClassifier

    widths = [sizes[1] for kind, *sizes in row.layers if kind == "linear"]
    x, t = row.data()
    solver = (
        {"solver": "adam"}
        if row.adam
        else {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False}
    )
    net = MLPClassifier(
        widths[:-1],
        alpha=0.0,
        batch_size=row.batch,
        learning_rate_init=row.rate,
        **solver,
    )
    net.partial_fit(x[: row.batch], t[: row.batch], classes=np.arange(10))
    if row.images:
        return times(
            lambda: [
                net.predict_proba(x[i : i + row.batch]) for i in range(0, row.images, row.batch)
            ]
        )
    return times(lambda: net.partial_fit(x, t))


#: The peers that can use a GPU.
ON_GPU = ("PyTorch eager", "torch.compile", "JAX jit + optax")


def peers(row: Row) -> dict[str, Maker]:
    """Return the peers that are installed and can do the row."""
    known: list[tuple[str, str, Maker, bool]] = [
        ("hand-written NumPy", "numpy", handwritten, row.dense),
        ("PyTorch eager", "torch", torch_eager, True),
        ("torch.compile", "torch", torch_compiled, True),
        ("JAX jit + optax", "optax", jax_jit, True),
        ("MyGrad", "mygrad", mygrad, not row.adam),
        ("DeZero", "dezero", dezero, True),
        (
            "HIPS autograd",
            "autograd",
            hips_autograd,
            row.dense and not row.adam,
        ),
        ("scikit-learn", "sklearn", scikit_learn, row.dense),
    ]
    return {name: make for name, module, make, suits in known if suits and find_spec(module)}
