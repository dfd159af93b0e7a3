"""Training runs on all devices of JAX's, which print their results as JSON.

A process has its devices from the start, so the tests start this file in processes. The arguments
are a function of this file and its arguments.
"""

import contextlib
import io
import json
import signal
import sys
from typing import Any

import numpy as np

import anynet
import anynet.callbacks
from anynet import layers, losses, optimizers, tree
from anynet.array import is_array
from anynet.data import Loader

OPTIMIZERS = {
    "SGD": lambda: optimizers.Clipping(optimizers.Momentum(0.1), max_norm=0.5),
    "AdamW": lambda: optimizers.Clipping(optimizers.AdamW(0.01), max_norm=0.5),
}


def data(dtype: str, rows: int = 56) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return random.normal(size=(rows, 6)).astype(dtype), random.integers(0, 3, rows)


def network(backend: Any, dtype: str) -> Any:
    net = layers.Sequential(
        layers.Linear(6, 8),
        layers.BatchNorm(8),
        layers.ReLU(),
        layers.Dropout(0.3),
        layers.Linear(8, 3),
        seed=0,
        backend="numpy",
        dtype=dtype,
    )
    # JAX would compile each of the many calls that draw the parameters.
    return tree.map(backend.asarray, net)


def run(
    which: str,
    dtype: str,
    optimizer: str,
    batch_size: int,
    compiled: bool,
) -> dict[str, Any]:
    """Return the losses of a run, its score, and its parameters in hexadecimal."""
    backend = anynet.get_backend(which)
    x, t = map(backend.asarray, data(dtype))
    net, chosen = network(backend, dtype), OPTIMIZERS[optimizer]()
    steps = -(-len(x) // batch_size)
    history = anynet.fit(
        net,
        (x, t),
        (x, t),
        optimizer=chosen,
        batch_size=batch_size,
        epochs=-(-30 // steps),
        compile=compiled,
        progress=False,
    )
    arrays = [x for _, x in tree.leaves((net, chosen)) if is_array(x)]
    if backend.name == "jax":
        check_same_bits(arrays)
    return {
        "losses": history.losses[:30],
        "score": history.epochs[-1].test_score,
        "bits": b"".join(backend.to_host(x).tobytes() for x in arrays).hex(),
    }


def check_same_bits(arrays: list[Any]) -> None:
    """Check that each device has the whole of each array, and the same bits."""
    for x in arrays:
        assert x.sharding.is_fully_replicated, x.sharding
        first, *others = [np.asarray(shard.data) for shard in x.addressable_shards]
        for other in others:
            assert first.tobytes() == other.tobytes()


def runs(*which: list[Any]) -> list[dict[str, Any]]:
    """Return the results of runs on all devices."""
    anynet.configure("jax:*")
    return [run("jax:*", *arguments) for arguments in which]


def parts(folder: str) -> dict[str, Any]:
    """Return what holds for arrays, loaders, files and steps on two devices, by name."""
    anynet.configure("jax:*")
    backend = anynet.get_backend("jax:*")
    host = np.arange(48.0).reshape(8, 6)
    x, t = backend.asarray(host), backend.asarray(np.arange(8) % 3)
    rows, columns = backend.split(x), backend.split(x, axis=1)
    shapes = [tuple(part.addressable_shards[0].data.shape) for part in (x, rows, columns)]
    bfloat = backend.asarray(rows, dtype=backend.xp.bfloat16)
    loaded = [
        part.addressable_shards[1].data.shape[0]
        for shuffle in (False, True)
        for batch in Loader(x, t, 4, shuffle=shuffle)
        for part in batch
    ]
    on_one = anynet.get_backend("jax:cpu:0").asarray(host)
    found = {
        "shapes of parts": shapes == [(8, 6), (4, 6), (8, 3)],
        "odd rows are whole": backend.split(x[:3]).sharding.is_fully_replicated,
        "scalars are whole": backend.split(backend.asarray(1.0)).shape == (),
        "no rows": backend.split(x[:0]).shape == (0, 6),
        "one backend": anynet.get_backend(rows).device == backend.device,
        "not moved": backend.asarray(rows) is rows,
        "NumPy": np.array_equal(anynet.get_backend("numpy").asarray(rows), host),
        "host": np.array_equal(backend.to_host(columns), host),
        "bfloat16": np.array_equal(backend.to_host(bfloat), host),
        "loader splits": set(loaded) == {2},
        "keys": anynet.random.key(0, backend).sharding.is_fully_replicated,
        "unknown": error_of(lambda: anynet.get_backend("jax:*:1")),
        "mixed with one device": error_of(
            lambda: anynet.fit(network(backend, "float64"), (on_one, t), progress=False)
        ),
    }
    for compiled in (False, True):
        found[f"step by hand {compiled}"] = by_hand(backend, x, t, compiled)
    path = f"{folder}/run.safetensors"
    runs = []
    for epochs, file in ((4, None), (2, path), (4, path)):
        net = network(backend, "float64")
        history = anynet.fit(
            net,
            (x, t),
            optimizer=OPTIMIZERS["AdamW"](),
            batch_size=4,
            epochs=epochs,
            compile=True,
            checkpoint=file,
            progress=False,
        )
        runs.append(history.losses)
    found["resumed"] = bool(np.allclose(runs[0], runs[2], rtol=0, atol=1e-12))
    other = network(backend, "float64")
    anynet.save(net, f"{folder}/net.safetensors")
    anynet.load(other, f"{folder}/net.safetensors")
    found["loaded"] = anynet.evaluate(other, (x, t)) == anynet.evaluate(net, (x, t))
    check_same_bits(list(other.parameters().values()))
    return found


def by_hand(
    backend: Any,
    x: Any,
    t: Any,
    compiled: bool,
) -> bool:
    """Return whether a hand-written step on split rows has the losses of whole ones."""

    def step(net: Any, optimizer: Any, x: Any, t: Any) -> Any:
        gradient = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t))
        value, grads = gradient(net, x, t)
        optimizer.update(net, grads)
        return value

    found = []
    for split in (backend.split, lambda x: x):
        net, optimizer = network(backend, "float64"), OPTIMIZERS["SGD"]()
        call = anynet.compile(step) if compiled else step
        found.append([float(call(net, optimizer, split(x), split(t))) for _ in range(3)])
        check_same_bits(list(net.parameters().values()))
    return bool(np.allclose(*found, rtol=0, atol=1e-12))


def process(address: str, i: int, folder: str) -> dict[str, Any]:
    """Return what one of two processes sees."""
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, 2, i)
    anynet.configure("jax:*")
    backend = anynet.get_backend("jax:*")
    found: dict[str, Any] = {"is_first": backend.is_first}
    found["runs"] = [run("jax:*", "float64", "AdamW", 20, c) for c in (False, True)]
    x, t = map(backend.asarray, data("float64"))
    net = network(backend, "float64")
    found["outputs"] = backend.to_host(net(backend.split(x))).tolist()

    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        anynet.fit(
            net,
            (x, t),
            (x, t),
            epochs=1,
            checkpoint=f"{folder}/{i}.safetensors",
            report=f"{folder}/{i}.html",
        )
    found["shown"] = shown.getvalue()

    def stop(run: Any) -> None:
        if run.step == 3 and i == 0:
            signal.raise_signal(signal.SIGINT)

    callback = anynet.callbacks.Callback()
    callback.on_step_end = stop  # type: ignore[method-assign]
    history = anynet.fit(net, (x, t), batch_size=2, epochs=30, callbacks=[callback], progress=False)
    found["steps until Ctrl-C"] = len(history.losses)
    found["other settings"] = error_of(
        lambda: anynet.fit(net, (x, t), epochs=1, batch_size=20 + i, progress=False)
    )
    found["other data"] = error_of(lambda: backend.asarray(np.full(3, float(i))))
    return found


def error_of(function: Any) -> str:
    try:
        function()
    except anynet.errors.AnynetError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    name, arguments = sys.argv[1:]
    print(json.dumps(globals()[name](*json.loads(arguments))))
