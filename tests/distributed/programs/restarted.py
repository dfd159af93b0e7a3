"""Train with a checkpoint and write the losses at the end. The ranks may be killed and restarted.

    python restarted.py FOLDER EPOCHS SECONDS_OF_A_STEP

Each rank writes its process ID to a file of the folder.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

import anynet
from anynet import callbacks, layers, optimizers


class Slow(callbacks.Callback):
    """Sleep at each step, so that there is time to kill a rank."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_step_end(self, run):
        time.sleep(self.seconds)


def main():
    folder, epochs, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    with anynet.open_group(timeout=10) as group:
        (folder / f"{group.rank}.pid").write_text(str(os.getpid()))
        net = layers.Sequential(
            layers.Linear(4, 6, bias=False),
            layers.BatchNorm(6),
            layers.ReLU(),
            layers.Dropout(0.2),
            layers.Linear(6, 3),
        ).initialize(seed=0, backend="numpy", dtype="float64")
        x = np.sin(np.arange(4 * 53.0)).reshape(53, 4)
        history = anynet.fit(
            net,
            (x, np.arange(53) % 3),
            optimizer=optimizers.Adam(1e-2),
            batch_size=10,
            epochs=epochs,
            callbacks=[Slow(seconds)],
            checkpoint=folder / "run.safetensors",
            checkpoint_every=1,
            progress=False,
            group=group,
        )
        if group.is_first:
            (folder / "losses.json").write_text(json.dumps(history.losses))


if __name__ == "__main__":
    main()
