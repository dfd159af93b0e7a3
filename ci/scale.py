"""Measure training in one and in two processes, and compare it with a model of its cost.

    python ci/scale.py [--rounds 5] [--out ci/results/scale.json]
    python ci/scale.py --table ci/results/scale.json

It needs mpiexec and torchrun. Every figure is the median of interleaved rounds, each in processes
of its own. The model takes the time of a step from one process, and the cost of a message from
`Group.exchange`: step(N) = compute · B / N + fixed + messages. The simulation draws the times of
the steps of N ranks from those that were measured, takes the longest, and adds a ring of messages
with the measured cost. It is no measurement of such machines.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anynet
from anynet import data, layers, optimizers
from anynet.array import array_namespace, size
from anynet.training.callback import Callback, RunView

#: Rows of MNIST in an epoch, which is a fifth of it.
ROWS = 12_000

#: Bytes of the messages that are timed.
SIZES = [1 << power for power in range(3, 25, 3)]

Json = dict[str, Any]


def wide() -> layers.Module:
    """Return the network 784-2048-2048-10."""
    return layers.Sequential(
        layers.Linear(784, 2048),
        layers.ReLU(),
        layers.Linear(2048, 2048),
        layers.ReLU(),
        layers.Linear(2048, 10),
    )


def small() -> layers.Module:
    """Return the network 784-50-10."""
    return layers.Sequential(layers.Linear(784, 50), layers.ReLU(), layers.Linear(50, 10))


def convolutions() -> layers.Module:
    """Return the network of chapter 7 of the book."""
    return layers.Sequential(
        layers.Conv2d(1, 30, 5),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Flatten(),
        layers.Linear(30 * 12 * 12, 100),
        layers.ReLU(),
        layers.Linear(100, 10),
    )


#: The networks by name, with the sizes of their batches. The model needs two.
NETWORKS = {
    "784-50-10": (small, [100, 1000]),
    "784-2048-2048-10": (wide, [100, 1000]),
    "conv30(5×5)-pool-100-10": (convolutions, [50, 100]),
}

#: Ways to train, with the number of processes and of the BLAS threads of each.
WAYS = {
    "1 process, 1 thread": (None, 1, 1),
    "1 process, 2 threads": (None, 1, 2),
    "2 ranks, MPI": ("mpi", 2, 1),
    "2 ranks, gloo": ("torch", 2, 1),
}


class Times(Callback):
    """The seconds of each step."""

    def __init__(self) -> None:
        self.last = 0.0
        self.seconds: list[float] = []

    def on_epoch_begin(self, run: RunView) -> None:
        """Begin to count."""
        self.last = time.perf_counter()

    def on_step_end(self, run: RunView) -> None:
        """Count a step."""
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now


def work(name: str, batch_size: int, file: str) -> None:
    """Train one network, and write the seconds of an epoch and of its steps. Run by each rank."""
    make, _ = NETWORKS[name]
    (x, t), _ = data.load_mnist(anynet.get_backend("numpy"))
    x, t = x[:ROWS, ...], t[:ROWS]
    if make is convolutions:
        x = array_namespace(x).reshape(x, (-1, 1, 28, 28))
    with anynet.open_group() as group:
        net = make().initialize(seed=0, backend="numpy")
        history = anynet.fit(
            net,
            (x, t),
            batch_size=batch_size,
            optimizer=optimizers.SGD(0.01),
            epochs=3,
            metric=None,
            compile=True,
            progress=False,
            group=group,
        )
        found: Json = {"epoch": min(epoch.seconds for epoch in history.epochs[1:])}
        if group.size == 1:
            times = Times()
            anynet.fit(
                net,
                (x, t),
                batch_size=batch_size,
                epochs=1,
                metric=None,
                callbacks=[times],
                compile=True,
                progress=False,
            )
            found["steps"] = times.seconds[2:]
        found["bytes"] = 4 * sum(size(p) for p in net.parameters().values())
        if group.is_first:
            Path(file).write_text(json.dumps(found))


def time_messages(file: str) -> None:
    """Time sums of several sizes, and write the median seconds of each. Run by each rank."""
    backend = anynet.get_backend("numpy")
    found: dict[int, float] = {}
    with anynet.open_group() as group:
        for length in SIZES:
            x = backend.xp.ones((length // 4,), dtype=backend.xp.float32)
            seconds = []
            for _ in range(max(10, min(200, (1 << 25) // length))):
                start = time.perf_counter()
                group.exchange([x])
                seconds.append(time.perf_counter() - start)
            found[length] = statistics.median(seconds[2:])
        if group.is_first:
            Path(file).write_text(json.dumps(found))


def start(way: tuple[str | None, int, int], *arguments: str) -> Json:
    """Run this file in a number of processes, and return what the first one wrote."""
    engine, processes, threads = way
    launcher = {
        None: [sys.executable],
        "mpi": ["mpiexec", "-n", str(processes), sys.executable, "-m", "mpi4py"],
        "torch": ["torchrun", "--standalone", "--nproc-per-node", str(processes)],
    }[engine]
    environment = os.environ | dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        subprocess.run(
            [*launcher, __file__, *arguments, "--file", str(file)],
            env=environment,
            check=True,
            timeout=600,
        )
        found: Json = json.loads(file.read_text())
    return found


def measure(rounds: int, out: Path) -> Json:
    """Return all figures, each a list with one value of each round. Write them after each round."""
    found: Json = {"messages": {}, "epochs": {}, "steps": {}, "bytes": {}}
    for number in range(rounds):
        for engine, processes in (("mpi", 2), ("mpi", 4), ("torch", 2), ("torch", 4)):
            costs = start((engine, processes, 1), "--messages")
            for length, seconds in costs.items():
                key = f"{engine} {processes}"
                found["messages"].setdefault(key, {}).setdefault(length, []).append(seconds)
        for name, (_, batches) in NETWORKS.items():
            for batch_size in batches:
                for title, way in WAYS.items():
                    print(f"round {number + 1}: {name}, {batch_size}, {title}", flush=True)
                    one = start(way, "--work", name, str(batch_size))
                    row = f"{name}, batch {batch_size}"
                    found["bytes"][name] = one["bytes"]
                    found["epochs"].setdefault(row, {}).setdefault(title, []).append(one["epoch"])
                    if title == "1 process, 1 thread":
                        found["steps"].setdefault(row, []).extend(one["steps"])
        out.write_text(json.dumps(found))
    return found


def cost_of(messages: Json, length: int) -> float:
    """Return the seconds of a message, interpolated between the sizes that were timed."""
    known: list[tuple[int, float]] = sorted(
        (int(key), statistics.median(values)) for key, values in messages.items()
    )
    smaller = [pair for pair in known if pair[0] <= length] or known[:1]
    larger = [pair for pair in known if pair[0] > length]
    (low, seconds) = smaller[-1]
    if not larger:
        # Above the largest size the bandwidth decides.
        return seconds * length / low
    (high, more) = larger[0]
    return seconds + (more - seconds) * (length - low) / (high - low)


def predicted(found: Json, name: str, batch_size: int, ranks: int, engine: str) -> float:
    """Return the seconds of an epoch by the model."""
    _, (few, many) = NETWORKS[name]
    short, long = [step_of(found, name, rows) for rows in (few, many)]
    compute = (long - short) / (many - few)
    fixed = max(0.0, short - compute * few)
    message = cost_of(found["messages"][f"{engine} {ranks}"], found["bytes"][name])
    steps = ROWS / batch_size
    return steps * (compute * batch_size / ranks + fixed + message)


def step_of(found: Json, name: str, batch_size: int) -> float:
    """Return the median seconds of a step in one process with one thread."""
    epochs: list[float] = found["epochs"][f"{name}, batch {batch_size}"]["1 process, 1 thread"]
    return statistics.median(epochs) / (ROWS / batch_size)


def simulated(
    found: Json,
    name: str,
    batch_size: int,
    ranks: int,
    engine: str,
) -> float:
    """Return how many times as fast N ranks make a step with N times the rows.

    Every rank computes as many rows as one process did.
    """
    draw = random.Random(0)
    steps = found["steps"][f"{name}, batch {batch_size}"]
    messages, length = found["messages"][f"{engine} 2"], found["bytes"][name]
    latency = cost_of(messages, 8) / 2
    per_byte = (cost_of(messages, 1 << 24) - cost_of(messages, 8)) / (1 << 24)
    ring = 2 * (ranks - 1) * latency + 2 * (ranks - 1) / ranks * length * per_byte
    alone = statistics.fmean(steps)
    together = [max(draw.choices(steps, k=ranks)) + ring for _ in range(400)]
    return ranks * alone / statistics.fmean(together)


def table(found: Json) -> str:
    """Return the tables of the documents."""
    lines = [
        "| network | 1 process, 2 threads | 2 ranks, MPI | model | 2 ranks, gloo | model |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, (_, batches) in NETWORKS.items():
        for batch_size in batches:
            row = f"{name}, batch {batch_size}"
            one, two, mpi, gloo = [statistics.median(found["epochs"][row][way]) for way in WAYS]
            models = [predicted(found, name, batch_size, 2, x) for x in ("mpi", "torch")]
            values = (two, mpi, models[0], gloo, models[1])
            cells = " | ".join(f"{value / one:.2f}" for value in values)
            lines.append(f"| {row} | {cells} |")
    lines += ["", "| bytes | MPI 2 | MPI 4 | gloo 2 | gloo 4 |", "|--:|--:|--:|--:|--:|"]
    for length in SIZES:
        every = found["messages"].values()
        cells = " | ".join(f"{1e6 * statistics.median(x[str(length)]):,.0f}" for x in every)
        lines.append(f"| {length:,} | {cells} |")
    lines += ["", "| network | 8 ranks, MPI | 64 ranks, MPI | 8 ranks, gloo | 64 ranks, gloo |"]
    lines.append("|---|--:|--:|--:|--:|")
    for name, (_, batches) in NETWORKS.items():
        for batch_size in batches:
            rows = [(n, x) for x in ("mpi", "torch") for n in (8, 64)]
            gains = [simulated(found, name, batch_size, n, x) for n, x in rows]
            cells = " | ".join(f"{gain:.1f}" for gain in gains)
            lines.append(f"| {name}, {batch_size} rows a rank | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, or print the tables of what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", default="ci/results/scale.json")
    parser.add_argument("--table", help="print the tables of a file of results")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--messages", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work[0], int(options.work[1]), options.file)
    elif options.messages:
        time_messages(options.file)
    elif options.table:
        print(table(json.loads(Path(options.table).read_text())))
    else:
        print(table(measure(options.rounds, Path(options.out))))


if __name__ == "__main__":
    main()
