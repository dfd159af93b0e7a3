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
from anynet import layers, optimizers, tree
from anynet.array import is_array

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
