"""The time of `fit` over that of a compiled loop by hand, with two callbacks.

    python ci/bench/fit.py [BACKEND] [ROUNDS]

Both train 784-50-10 on batches of 100, in turns. It prints the median of the ratios of a round.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from typing import Any

import numpy as np

import anynet
from anynet import callbacks, layers, losses, optimizers
from anynet.data import Loader
from anynet.training import training_step

ROWS = 60_000
EPOCHS = 2


class Steps(callbacks.Callback):
    """Counts steps, as a callback with a moment after each."""

    def __init__(self) -> None:
        self.count = 0

    def on_step_end(self, run: Any) -> None:
        """Count a step."""
        self.count += 1


def main(name: str = "numpy", rounds: str = "9") -> None:
    """Print the ratios."""
    backend = anynet.configure(name)
    generator = np.random.default_rng(0)
    x = backend.asarray(generator.random((ROWS, 784), "float32"))
    t = backend.asarray(generator.integers(0, 10, ROWS))
    step: Any = anynet.compile(training_step(losses.cross_entropy))
    log = Path(mkdtemp()) / "log.csv"

    def network() -> layers.Sequential:
        return layers.Sequential(
            layers.Linear(784, 50),
            layers.ReLU(),
            layers.Linear(50, 10),
            seed=0,
            backend=backend,
        )

    def by_hand() -> None:
        net, optimizer, loader = network(), optimizers.SGD(0.1), Loader(x, t, 100)
        for _ in range(EPOCHS):
            kept = [step(net, optimizer, *batch) for batch in loader]
            sum(float(loss) for loss in kept)

    def fit(*given: callbacks.Callback) -> None:
        anynet.fit(
            network(),
            Loader(x, t, 100),
            optimizer=optimizers.SGD(0.1),
            epochs=EPOCHS,
            metric=None,
            callbacks=given,
            compile=True,
            progress=False,
        )

    runs: dict[str, Callable[[], None]] = {
        "by hand": by_hand,
        "fit": fit,
        "fit, two callbacks of epochs": lambda: fit(
            callbacks.CSVLog(log), callbacks.EarlyStopping("loss", 99)
        ),
        "fit, and one of steps": lambda: fit(callbacks.CSVLog(log), Steps()),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(int(rounds) + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            backend.synchronize()
            # The first round compiles. The time of the processor is that of a quiet machine.
            if number:
                times[name].append(time.process_time() - start)
    for name, seconds in times.items():
        ratios = [own / hand for own, hand in zip(seconds, times["by hand"], strict=True)]
        step_us = median(seconds) / EPOCHS / (ROWS / 100) * 1e6
        print(f"{name:30} {step_us:8.1f} µs a step, ratio {median(ratios):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
