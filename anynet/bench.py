"""Times that can be compared, and the command ``anynet bench``: which backend trains a network most
quickly here.

All candidates take turns, each in a process of its own, and the median of many rounds counts: a
machine is busy with other things at times, and the threads that one library keeps waiting would
take the cores from the next.
"""

import importlib
import importlib.util
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from anynet import losses, optimizers, random
from anynet.backend import Report, configure, probe
from anynet.compiler.compiled_step import compile
from anynet.errors import AnynetError, ArgumentError
from anynet.layers import Module
from anynet.training import training_step

__all__ = [
    "Work",
    "interleaved",
    "load",
    "measure",
]

#: Makes a candidate: a function that does its work so many times, and waits until it is done.
Maker = Callable[[], Callable[[int], None]]

#: Seconds of a turn that are not timed.
SETTLE = 0.1

#: Environment variables of processes that share a GPU: JAX would reserve three quarters of its
#: memory for each.
SHARING = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

OPTIMIZERS = {
    "sgd": optimizers.SGD,
    "momentum": optimizers.Momentum,
    "adam": optimizers.Adam,
}


@dataclass(frozen=True)
class Work:
    """A training step: a network, by ``file.py:name`` or ``module:name``, and what it takes.

    The name is a network or a function that returns one. Inputs are floating, or integers below a
    number. An output of (N, classes) is trained with labels, any other with numbers.
    """

    network: str
    input_shape: tuple[int, ...]
    batch: int = 100
    optimizer: str = "sgd"
    below: int | None = None

    def make(self, backend_name: str, compiled: bool) -> Callable[[int], None]:
        """Return the step on a backend, as a candidate."""
        backend = configure(backend_name)
        net = load(self.network)
        # A network that has numbers is moved.
        net = (
            net.map(backend.asarray)
            if net.parameters() or net.buffers()
            else net.initialize(0, backend)
        )
        key, shape = random.key(0, backend), (self.batch, *self.input_shape)
        x = (
            random.uniform(key, shape)
            if self.below is None
            else random.integers(key, shape, 0, self.below)
        )
        y = net(x)
        labelled = y.ndim == 2 and y.shape[1] > 1
        t = (
            random.integers(key, (self.batch,), 0, y.shape[1])
            if labelled
            else random.uniform(key, y.shape)
        )
        step: Any = training_step(losses.cross_entropy if labelled else losses.mean_squared_error)
        step = compile(step) if compiled else step
        optimizer = OPTIMIZERS[self.optimizer](0.001)

        def run(calls: int) -> None:
            for _ in range(calls):
                step(net, optimizer, x, t)
            backend.synchronize()

        return run


def load(name: str) -> Module:
    """Return the network that ``file.py:name`` or ``module:name`` names.

    Raises:
        ArgumentError: there is no such file, module or name, or it is no network.

    """
    place, _, attribute = name.rpartition(":")
    if not place:
        raise ArgumentError(
            f"network is {name!r}: wanted file.py:name or module:name, such as model.py:make"
        )
    try:
        module: Any = (
            _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
        )
        found = getattr(module, attribute)
    except (
        FileNotFoundError,
        ModuleNotFoundError,
        AttributeError,
    ) as error:
        raise ArgumentError(f"network is {name!r}, which is not there: {error}") from error
    net = found() if callable(found) and not isinstance(found, Module) else found
    if not isinstance(net, Module):
        raise ArgumentError(
            f"network is {name!r}, which gives a {type(net).__name__}: wanted a layer or network"
        )
    return net


def _from_file(path: Path) -> Any:
    # What stands beside the file can be imported, as when it is run.
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(f"no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def share_device() -> None:
    """Prepare this process to share a GPU, before a library opens it; variables that are set
    already stay.
    """
    for name, value in SHARING.items():
        os.environ.setdefault(name, value)


def probe_all(names: Iterable[str]) -> list[Report]:
    """Return `probe` of each name, from another process: this one takes no memory of a GPU from the
    candidates.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, share_device) as executor:
        return list(executor.map(probe, names))


def measure(
    work: Work, backends: list[str], rounds: int = 10
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the median seconds of a step by backend, as it is and compiled; and why others could
    not do it.
    """
    load(work.network)
    candidates = {
        f"{name}{', compiled' if compiled else ''}": partial(work.make, name, compiled)
        for name in backends
        for compiled in (False, True)
    }
    failed: dict[str, str] = {}
    found = interleaved(candidates, rounds, calls=0, failed=failed)
    return found, failed


def interleaved(
    candidates: Mapping[str, Maker],
    rounds: int,
    calls: int,
    failed: dict[str, str] | None = None,
) -> dict[str, float]:
    """Return the median seconds per call of each candidate; each round is in another order.

    For what ran before may leave the machine in a state that suits one and not another. The first
    moments of a turn are not timed. With 0 calls a turn has as many as fill its time. Where
    ``failed`` is given, it receives the errors of candidates that cannot be made.

    Raises:
        RuntimeError: a candidate cannot be made, or ends in between.

    """
    context = multiprocessing.get_context("spawn")
    connections: dict[str, Connection] = {}
    for name, maker in candidates.items():
        connections[name], theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, maker), daemon=True).start()
        # So that the end of the process is the end of the connection.
        theirs.close()
        # One after the other: a compiler may try out what is quickest.
        error = _answer(connections[name], "its process ended")
        if error:
            if failed is None:
                raise RuntimeError(f"{name}: {error}")
            failed[name] = error
            del connections[name]
    seconds: dict[str, list[float]] = {name: [] for name in connections}
    names = list(connections)
    generator = Random(0)
    for _ in range(rounds if names else 0):
        for name in generator.sample(names, len(names)):
            connections[name].send(calls)
            found = _answer(connections[name], None)
            if found is None:
                raise RuntimeError(f"{name}: its process ended")
            seconds[name].append(found)
    for connection in connections.values():
        connection.send(None)
    return {name: median(times) for name, times in seconds.items()}


def _answer(connection: Connection, at_the_end: Any) -> Any:
    """Return what comes, or this where nothing can come any more."""
    try:
        return connection.recv()
    except EOFError:
        return at_the_end


def _serve(connection: Connection, maker: Maker) -> None:
    share_device()
    try:
        run = maker()
        run(1)
    except Exception as error:
        connection.send(
            str(error) if isinstance(error, AnynetError) else f"{type(error).__name__}: {error}"
        )
        return
    connection.send("")
    while (calls := connection.recv()) is not None:
        settled, done, start = 0.0, 0, time.perf_counter()
        while settled < SETTLE:
            run(1)
            done += 1
            settled = time.perf_counter() - start
        calls = calls or done
        start = time.perf_counter()
        run(calls)
        connection.send((time.perf_counter() - start) / calls)
