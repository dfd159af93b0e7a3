"""Train in a group in which one rank fails.

    python faults.py FAULT FOLDER

What a rank prints goes to a file of the folder with its number.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

import anynet
from anynet import callbacks, layers, losses

#: The rank that fails, and the step after which it does.
FAILING, STEP = 1, 5

#: The seconds after which a rank that does not answer is given up.
TIMEOUT = 3.0


class Fault(callbacks.Callback):
    """Does something on one rank after some steps."""

    def __init__(self, fault, group):
        self.fault = fault if group.rank == FAILING else ""
        self.group = group

    def on_step_end(self, run):
        if run.updates != STEP:
            return
        if self.fault == "raise":
            raise OSError("the disk is full")
        if self.fault == "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "exit 0":
            sys.exit(0)
        if self.fault == "exit at once":
            os._exit(0)
        if self.fault == "sleep":
            time.sleep(1000)
        if self.fault == "other code":
            self.group.sum(np.ones(3))
        if self.fault == "NaN":
            run.net["layers.0.weight"] = run.net["layers.0.weight"] * np.float32("nan")
        if self.fault == "Ctrl-C":
            os.kill(os.getpid(), signal.SIGINT)
        if self.fault == "stop":
            run.stop()


def train(fault, group):
    """Return the history of a run in which a rank fails, or is another one from the beginning."""
    bad = group.rank == FAILING
    width = 7 if bad and fault == "other shapes" else 6
    net = layers.Sequential(layers.Linear(4, width), layers.ReLU(), layers.Linear(width, 3))
    net.initialize(
        seed=1 if bad and fault == "other seed" else 0,
        backend="numpy",
        dtype="float64" if bad and fault == "other dtype" else "float32",
    )
    x = np.linspace(-1, 1, 400, dtype="float32").reshape(100, 4)
    x = x * 2 if bad and fault == "other data" else x
    return anynet.fit(
        net,
        (x, np.arange(100) % 3),
        loss=losses.hinge if bad and fault == "other loss" else losses.cross_entropy,
        batch_size=10,
        epochs=2 if fault else 1,
        callbacks=[Fault(fault, group)],
        progress=False,
        group=group,
    )


def main():
    fault, folder = sys.argv[1:]
    with anynet.open_group(timeout=TIMEOUT) as group:
        file = (Path(folder) / f"{group.rank}.txt").open("w")
        sys.stdout = sys.stderr = file
        begin = time.monotonic()
        try:
            history = train(fault, group)
        finally:
            seconds = time.monotonic() - begin
            print(f"{seconds:.1f} s", flush=True)
        if fault == "sleep at the end" and group.rank == FAILING:
            time.sleep(1000)
        print(f"{len(history.losses)} steps, interrupted: {history.interrupted}", flush=True)


if __name__ == "__main__":
    main()
