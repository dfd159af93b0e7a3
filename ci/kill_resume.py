"""Kill training runs at random moments, and compare what they resume to with a run that was not
killed.

    python ci/kill_resume.py [--kills 50] [--seed 0] [--compile] [--pairs]

The run trains a convolutional network with dropout, batch normalization, Adam, a schedule and
augmentation on NumPy. Half of the kills come one in each run. The others come in one run, which
goes on after each. Every run must end with the same bits, and leave two files only. With --pairs,
a checkpoint of each of NumPy, PyTorch and JAX goes on with each of the others.
"""

import argparse
import hashlib
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import anynet
from anynet import callbacks, data, layers, optimizers, tree
from anynet.optimizers import schedules

#: A folder in memory, where the disk does not slow the runs down.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None

FILES = ["run.previous.safetensors", "run.safetensors"]
EPOCHS = 6


def network(backend: str, dtype: str) -> Any:
    """Return the network of the run, initialized."""
    return layers.Sequential(
        layers.Conv2d(1, 4, 3),
        layers.BatchNorm(4),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Linear(4 * 5 * 5, 10),
        seed=1,
        backend=backend,
        dtype=dtype,
    )


def train(
    path: Path | None,
    *,
    backend: str = "numpy",
    dtype: str = "float32",
    compile: bool = False,
    every: int | None = 1,
    own: tuple[callbacks.Callback, ...] = (),
) -> tuple[Any, Any]:
    """Train, or go on from the file, and return the network and the history."""
    net, host = network(backend, dtype), anynet.get_backend(backend)
    generator = np.random.default_rng(0)
    x = host.asarray(generator.normal(size=(72, 1, 12, 12)).astype(dtype))
    t = host.asarray(generator.integers(0, 10, 72))
    history = anynet.fit(
        net,
        data.Loader(x, t, 8, seed=3, augment=data.random_affine()),
        (x, t),
        optimizer=optimizers.Adam(schedules.Cosine(0.01, 9 * EPOCHS)),
        epochs=EPOCHS,
        checkpoint=path,
        checkpoint_every=None if path is None else every,
        callbacks=own,
        compile=compile,
        progress=False,
    )
    return net, history


def digest(net: Any, history: Any) -> str:
    """Return a hash of all arrays of a network, its losses and its scores."""
    found = hashlib.sha256()
    for _, x in tree.leaves(net):
        found.update(np.ascontiguousarray(x).tobytes())
    epochs = [(epoch.number, epoch.loss, epoch.scores) for epoch in history.epochs]
    found.update(repr((history.losses, epochs)).encode())
    return found.hexdigest()


def start(path: Path, *, compile: bool, every: int | None) -> int:
    """Train in a new process, which writes the digest of the result, and return its id."""
    child = os.fork()
    if child:
        return child
    try:
        result = digest(*train(path, compile=compile, every=every))
        path.with_name("digest").write_text(result)
        os._exit(0)
    finally:
        os._exit(1)


def kill_after(child: int, seconds: float) -> bool:
    """Kill a process after some time, and return whether it was still running."""
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def files(folder: Path) -> list[str]:
    """Return the names of the files in a folder, without the digest."""
    return sorted(path.name for path in folder.iterdir() if path.name != "digest")


def empty(folder: Path) -> None:
    """Remove the files in a folder."""
    for path in folder.iterdir():
        path.unlink()


def finish(path: Path, *, compile: bool, every: int | None) -> str:
    """Let a run go on to its end and return its digest."""
    os.waitpid(start(path, compile=compile, every=every), 0)
    return path.with_name("digest").read_text()


def kills(count: int, seed: int, *, compile: bool) -> int:
    """Return how many runs failed after this many kills."""
    rng, failed, killed = random.Random(seed), 0, 0
    wanted = digest(*train(None, compile=compile))
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        path = Path(name, "whole", "run.safetensors")
        path.parent.mkdir()
        began = time.perf_counter()
        if finish(path, compile=compile, every=1) != wanted:
            print("a run with checkpoints differs from one without")
            failed += 1
        duration = time.perf_counter() - began
        left = 0
        while killed < count // 2:
            path = Path(name, f"run{killed}", "run.safetensors")
            path.parent.mkdir(exist_ok=True)
            every = rng.choice((1, 1, 4, None))
            if not kill_after(start(path, compile=compile, every=every), rng.uniform(0, duration)):
                # A run that is complete would end at once.
                empty(path.parent)
                continue
            killed += 1
            left += len(set(files(path.parent)) - set(FILES))
            if finish(path, compile=compile, every=every) != wanted:
                failed += 1
                print(f"run {killed}, killed once: another result")
            if files(path.parent) != FILES:
                failed += 1
                print(f"run {killed}: {files(path.parent)} are left")
        # A run that gets a little further between two kills.
        path = Path(name, "long", "run.safetensors")
        path.parent.mkdir()
        while killed < count:
            most = min(duration, 4 * duration / (count - count // 2))
            kill_after(start(path, compile=compile, every=1), rng.uniform(0, most))
            killed += 1
            left += len(set(files(path.parent)) - set(FILES))
            if path.with_name("digest").exists():
                failed += path.with_name("digest").read_text() != wanted
                empty(path.parent)
        if finish(path, compile=compile, every=1) != wanted or files(path.parent) != FILES:
            failed += 1
            print(f"the run that was killed again and again: {files(path.parent)}")
    print(
        f"{killed} kills{' of compiled runs' if compile else ''}: {failed} failures, {left} other "
        "files between a kill and the next start"
    )
    return failed


class Stopped(Exception):
    """Ends a run without a checkpoint at its end."""


class StopAt(callbacks.Callback):
    """Ends a run after a number of updates."""

    def __init__(self, updates: int) -> None:
        self.updates = updates

    def on_step_end(self, run: Any) -> None:
        """Raise, if it is time."""
        if run.updates == self.updates:
            raise Stopped


def pairs() -> int:
    """Return for how many pairs of libraries the losses differ by more than they may."""
    # JAX has no float64 otherwise.
    os.environ["JAX_ENABLE_X64"] = "1"
    failed = 0
    for dtype, bound in (("float32", 1e-3), ("float64", 1e-9)):
        names = ("numpy", "torch", "jax")
        whole = {name: train(None, backend=name, dtype=dtype)[1].losses for name in names}
        for first, second in itertools.permutations(names, 2):
            with tempfile.TemporaryDirectory(dir=MEMORY) as name:
                path = Path(name, "run.safetensors")
                with suppress(Stopped):
                    train(path, backend=first, dtype=dtype, own=(StopAt(4),))
                _, history = train(path, backend=second, dtype=dtype)
            after = slice(3, 53)
            a, b = np.array(history.losses[after]), np.array(whole[first][after])
            worst = float(np.max(np.abs(a - b) / np.abs(b)))
            failed += worst > bound
            print(f"{first} to {second}, {dtype}: losses differ by {worst:.1e}, at most {bound:g}")
            sys.stdout.flush()
    return failed


def main() -> int:
    """Print the outcomes. Return 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true", help="compiled steps")
    parser.add_argument("--pairs", action="store_true", help="NumPy, PyTorch and JAX")
    options = parser.parse_args()
    failed = pairs() if options.pairs else 0
    if options.kills:
        failed += kills(options.kills, options.seed, compile=options.compile)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
