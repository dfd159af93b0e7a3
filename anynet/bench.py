"""Comparable timings, and the command ``anynet bench``, which finds the fastest backend for a
network.

The candidates take turns, each in a separate process, and the median of many rounds counts. Other
work on the machine then slows all of them equally. Separate processes keep the waiting threads of
one library from taking the cores of the next.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from random import Random
from statistics import median
from typing import Any

from anynet import losses, optimizers, random
from anynet.arguments import describe
from anynet.backend import Backend, Report, configure, get_backend, probe
from anynet.compiler.compiled_step import compile
from anynet.errors import AnynetError, ArgumentError, StateError
from anynet.layers import Module
from anynet.named import call_maker, load_object
from anynet.training import training_step

__all__ = [
    "Work",
    "interleaved",
    "load",
    "measure",
]

#: Makes a candidate: a function that does its work the given number of times, and then waits for
#: the device.
Maker = Callable[[], Callable[[int], None]]

#: Seconds at the start of a turn that are not timed.
SETTLE = 0.1

#: Environment variables of processes that share a GPU. Without them, JAX reserves three quarters of
#: its memory for each process.
SHARING = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

OPTIMIZERS = {
    "sgd": optimizers.SGD,
    "momentum": optimizers.Momentum,
    "adam": optimizers.Adam,
}


@dataclass(frozen=True)
class Work:
    """A training step to time: a network and its input.

    An output of (N, classes) is trained with class labels, any other one with floating targets.

    Args:
        network: ``file.py:name`` or ``module:name`` of a network, or of a function that returns
            one.
        input_shape: the shape of one input, without the batch.
        batch: the number of inputs.
        optimizer: ``sgd``, ``momentum`` or ``adam``.
        below: if given, inputs are integers from 0 to below - 1. Default: floating inputs.

    >>> work = anynet.bench.Work("model.py:make", (784,), optimizer="adam")
    >>> work.batch
    100

    """

    network: str
    input_shape: tuple[int, ...]
    batch: int = 100
    optimizer: str = "sgd"
    below: int | None = None

    def make(self, backend_name: str, compiled: bool) -> Callable[[int], None]:
        """Return the step on a backend, as a candidate."""
        backend = configure(backend_name)
        net = load(self.network, backend)
        if net.parameters() or net.buffers():
            net = net.map(backend.asarray)
        else:
            net = net.initialize(0, backend)
        key = random.key(0, backend)
        shape = (self.batch, *self.input_shape)
        if self.below is None:
            x = random.uniform(key, shape)
        else:
            x = random.integers(key, shape, 0, self.below)
        y = net(x)
        loss: Any
        if y.ndim == 2 and y.shape[1] > 1:
            t = random.integers(key, (self.batch,), 0, y.shape[1])
            loss = losses.cross_entropy
        else:
            t = random.uniform(key, y.shape)
            loss = losses.mean_squared_error
        step: Any = training_step(loss)
        if compiled:
            step = compile(step)
        optimizer = OPTIMIZERS[self.optimizer](0.001)

        def run(calls: int) -> None:
            for _ in range(calls):
                step(net, optimizer, x, t)
            backend.synchronize()

        return run


def load(name: str, backend: Backend | str = "numpy") -> Module:
    """Return the network that ``file.py:name`` or ``module:name`` names, or that a function of this
    name returns.

    Args:
        name: see `Work`.
        backend: passed to the function if it has a parameter ``backend``. A parameter ``seed`` is
            0.

    Raises:
        ArgumentError: there is no such file, module or name, or it is not a network.

    >>> anynet.bench.load("anynet.layers:ReLU")
    ReLU()

    """
    found = load_object(name)
    net = found
    if callable(found) and not isinstance(found, Module):
        net = call_maker(name, found, seed=0, backend=get_backend(backend))
    if not isinstance(net, Module):
        raise ArgumentError(
            f"network is {name!r}, which gives {describe(net)}: wanted a layer or network, or a "
            "function that returns one"
        )
    return net


def share_device() -> None:
    """Set the environment variables that let processes share a GPU, unless they are set already."""
    for name, value in SHARING.items():
        os.environ.setdefault(name, value)


def probe_all(names: Iterable[str]) -> list[Report]:
    """Return `probe` of each name, computed in another process, so that this one uses no GPU
    memory.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, share_device) as executor:
        with _without_interrupts():
            # The process starts with the first call.
            reports = executor.map(probe, names)
        return list(reports)


def measure(
    work: Work,
    backends: list[str],
    rounds: int = 10,
    progress: Callable[[str], None] | None = None,
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the median seconds of a step, plain and compiled, and the errors, by backend.

    Args:
        work: the step.
        backends: the names of backends.
        rounds: the number of turns of each candidate.
        progress: see `interleaved`.

    >>> work = anynet.bench.Work("anynet.layers:ReLU", (4, 2))
    >>> seconds, errors = anynet.bench.measure(work, ["numpy", "torch"])  # doctest: +SKIP

    """
    load(work.network)
    candidates = {
        f"{name}{', compiled' if compiled else ''}": partial(work.make, name, compiled)
        for name in backends
        for compiled in (False, True)
    }
    failed: dict[str, str] = {}
    seconds = interleaved(candidates, rounds, calls=0, failed=failed, progress=progress)
    return seconds, failed


def interleaved(
    candidates: Mapping[str, Maker],
    rounds: int,
    calls: int,
    failed: dict[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, float]:
    """Return the median seconds per call of each candidate.

    Each round has another random order, because one candidate may leave the machine in a state that
    favors the next. The first moments of a turn are not timed.

    Args:
        candidates: functions that make the candidates, by name.
        rounds: the number of turns of each candidate.
        calls: the number of calls in a turn, 0 for as many as fill a fixed time.
        failed: if given, it receives the errors of candidates that cannot be made.
        progress: if given, it is called with a line of text before each part of the work.

    Raises:
        StateError: a candidate cannot be made, or its process ends.

    >>> anynet.bench.interleaved({"a": make_a, "b": make_b}, 10, calls=0)  # doctest: +SKIP
    {'a': 0.0012, 'b': 0.0034}

    """
    show = progress or (lambda line: None)
    connections: dict[str, Connection] = {}
    for name, maker in candidates.items():
        # One after the other, because a compiler may time alternatives.
        show(f"{name}: starting")
        connections[name] = _start(maker)
        error = _answer(connections[name], "its process ended")
        if error:
            if failed is None:
                raise StateError(f"{name}: {error}")
            failed[name] = error
            del connections[name]
    seconds: dict[str, list[float]] = {name: [] for name in connections}
    names = list(connections)
    generator = Random(0)
    for turn in range(rounds if names else 0):
        for name in generator.sample(names, len(names)):
            show(f"round {turn + 1} of {rounds}: {name}")
            connections[name].send(calls)
            found = _answer(connections[name], None)
            if found is None:
                raise StateError(f"{name}: its process ended")
            seconds[name].append(found)
    for connection in connections.values():
        connection.send(None)
    return {name: median(times) for name, times in seconds.items()}


def _start(maker: Maker) -> Connection:
    """Return the connection to a new process that makes a candidate."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, maker), daemon=True)
    with _without_interrupts():
        process.start()
    # The connection then ends with the process.
    theirs.close()
    return ours


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes that ignore Ctrl-C. The end of this process ends them."""
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or previous is None:
        # Only the main thread may set handlers, and only those of Python can be restored.
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _answer(connection: Connection, at_the_end: Any) -> Any:
    """Return the next message, or ``at_the_end`` if the connection has ended."""
    try:
        return connection.recv()
    except EOFError:
        return at_the_end


def _serve(connection: Connection, maker: Maker) -> None:
    # The user's file may have set a handler.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The connection ends with the process that asks.
    with suppress(ConnectionError, EOFError):
        _answer_calls(connection, maker)


def _answer_calls(connection: Connection, maker: Maker) -> None:
    """Make a candidate, and send the seconds of each turn until None arrives."""
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
