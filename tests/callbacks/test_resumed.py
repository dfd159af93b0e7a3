"""Callbacks of a run that goes on from its checkpoint have the state of a run without a break."""

import json

import numpy as np
import pytest

import anynet
from anynet import callbacks, layers, optimizers
from anynet.optimizers import schedules

BACKEND = anynet.get_backend("numpy")


class Break(callbacks.Callback):
    def __init__(self, updates, moment):
        setattr(self, moment, lambda run: self._raise(run, updates))

    def _raise(self, run, updates):
        if run.updates == updates:
            raise ZeroDivisionError


def rows():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(50, 2)).astype("float32")
    return x, generator.integers(0, 2, 50), np.linspace(0.1, 1, 50, dtype="float32")


def run(folder, compile, *others):
    net = layers.Sequential(
        layers.Linear(2, 4),
        layers.BatchNorm(4),
        layers.Dropout(0.2),
        layers.Linear(4, 2),
        seed=0,
        backend=BACKEND,
    )
    plateau = schedules.Plateau(0.05, patience=0, factor=0.5, mode="max")
    optimizer = optimizers.ExponentialAverage(optimizers.Adam(plateau), 0.9)
    given = [
        callbacks.EarlyStopping("train accuracy", 5),
        callbacks.BestWeights("loss"),
        callbacks.CSVLog(folder / "log.csv"),
        callbacks.JSONLinesLog(folder / "log.jsonl", steps=1),
        callbacks.Histograms(bins=3),
    ]
    history = anynet.fit(
        net,
        rows(),
        validation_split=0.2,
        batch_size=10,
        epochs=5,
        optimizer=optimizer,
        callbacks=[*given, *others],
        checkpoint=folder / "run.safetensors",
        checkpoint_every=3,
        compile=compile,
        progress=False,
    )
    arrays = {name: x.copy() for name, x in (net.parameters() | net.buffers()).items()}
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("seconds", None)
    states = [given[0].state_dict(), given[1].best, given[4].state_dict(), plateau.state_dict()]
    numbers = [line.split(",")[0] for line in (folder / "log.csv").read_text().splitlines()]
    return arrays, history.losses, lines, states, numbers


@pytest.mark.parametrize("compile", [False, True])
def test_callbacks_go_on_as_if_nothing_had_happened(tmp_path, compile):
    arrays, *expected = run(tmp_path / "whole", compile)
    for updates, moment in (
        (5, "on_step_end"),
        (8, "on_epoch_end"),
        (9, "on_step_end"),
        (20, "on_epoch_end"),
    ):
        folder = tmp_path / f"{updates}"
        with pytest.raises(ZeroDivisionError):
            run(folder, compile, Break(updates, moment))
        own, *found = run(folder, compile)
        assert found == expected
        for name, x in own.items():
            np.testing.assert_array_equal(x, arrays[name])
