"""Write reports of runs of several kinds, which pages.sh looks at.

    python ci/pages/reports.py FOLDER

They are a classification of images, a regression, text of a thousand classes, a run that an error
ended, a run that Ctrl-C ended, and a checkpoint alone. The data are random.
"""

import argparse
import signal
from pathlib import Path
from typing import Any

import anynet
from anynet import callbacks, layers, losses, optimizers, random, report
from anynet.errors import NonFiniteError

BACKEND = anynet.get_backend("numpy")


def uniform(seed: int, *shape: int) -> Any:
    """Return random values from 0 to 1."""
    return random.uniform(random.key(seed, BACKEND), shape)


def integers(seed: int, rows: int, below: int) -> Any:
    """Return random integers."""
    return random.integers(random.key(seed, BACKEND), (rows,), 0, below)


def classifier(inputs: int, classes: int) -> layers.Module:
    """Return a network for images or rows."""
    return layers.Sequential(
        layers.Flatten(),
        layers.Linear(inputs, 16),
        layers.ReLU(),
        layers.Linear(16, classes),
        seed=0,
        backend=BACKEND,
    )


class Interrupt(callbacks.Callback):
    """Presses Ctrl-C in the fifth step."""

    def on_step_end(self, run: Any) -> None:
        """Send the signal."""
        if run.updates == 5:
            signal.raise_signal(signal.SIGINT)


def write_reports(folder: Path) -> None:
    """Write a report of each kind into a folder."""
    images = uniform(0, 200, 1, 12, 12), integers(1, 200, 10)
    anynet.fit(
        classifier(144, 10),
        images,
        images,
        epochs=4,
        callbacks=[callbacks.EarlyStopping(patience=9)],
        checkpoint=folder / "run.safetensors",
        report=folder / "images.html",
        progress=False,
    )
    report.write(folder / "checkpoint.html", folder / "run.safetensors", title="A <checkpoint>")
    x = uniform(2, 200, 3)
    anynet.fit(
        classifier(3, 1),
        (x, x[:, :1]),
        loss=losses.mean_squared_error,
        epochs=30,
        report=folder / "regression.html",
        progress=False,
    )
    words = layers.Sequential(
        layers.Embedding(50, 4),
        layers.Flatten(),
        layers.Linear(24, 1000),
        seed=0,
        backend=BACKEND,
    )
    texts = random.integers(random.key(3, BACKEND), (300, 6), 0, 50), integers(4, 300, 1000)
    anynet.fit(words, texts, epochs=2, report=folder / "words.html", progress=False)
    try:
        anynet.fit(
            classifier(144, 10),
            images,
            optimizer=optimizers.SGD(1e20),
            report=folder / "error.html",
            progress=False,
        )
    except NonFiniteError as error:
        print(f"as wanted, {error}")
    anynet.fit(
        classifier(144, 10),
        images,
        callbacks=[Interrupt()],
        report=folder / "interrupted.html",
        progress=False,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    write_reports(parser.parse_args().folder)
