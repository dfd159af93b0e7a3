"""Times that can be compared: all candidates take turns, and the median of many rounds counts."""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from statistics import median

#: Makes a candidate: a function that does its work so many times, and waits until it is done.
Maker = Callable[[], Callable[[int], None]]

#: Seconds of a turn that are not timed.
SETTLE = 0.1


def interleaved(candidates: Mapping[str, Maker], rounds: int, calls: int) -> dict[str, float]:
    """Return the median seconds per call of each candidate.

    Each lives in a process of its own, for the threads that one library keeps waiting would take the cores from the
    next; each round gives every one its turn, each time another one first. The first moments of a turn are not timed.
    """
    context = multiprocessing.get_context("spawn")
    connections: dict[str, Connection] = {}
    for name, maker in candidates.items():
        connections[name], theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, maker), daemon=True).start()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            connections[name].send(calls)
            seconds[name].append(connections[name].recv())
    for connection in connections.values():
        connection.send(0)
    return {name: median(found) for name, found in seconds.items()}


def _serve(connection: Connection, maker: Maker) -> None:
    run = maker()
    while calls := connection.recv():
        settled = time.perf_counter() + SETTLE
        while time.perf_counter() < settled:
            run(1)
        start = time.perf_counter()
        run(calls)
        connection.send((time.perf_counter() - start) / calls)
