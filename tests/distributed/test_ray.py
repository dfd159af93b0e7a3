"""The example for Ray Train: workers that die are restarted, and the run goes on."""

import importlib.util
import os
import signal
import time

import pytest
from programs import ROOT
from ranks import finish, start

PROGRAM = ROOT / "examples/ray_train.py"
#: Ray takes about a second to report one.
EPOCHS = 6


def losses_of(folder):
    text = (folder / "digits/losses.txt").read_text(encoding="utf-8")
    return [float(line) for line in text.split()]


def workers_of(folder):
    """Return the process of each worker so far, and the epoch that it went on after."""
    lines = (folder / "digits/workers.txt").read_text(encoding="utf-8").splitlines()
    return [(int(line.split()[1]), int(line.split()[-1])) for line in lines]


@pytest.fixture(autouse=True)
def _needs_ray():
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs ray[train]")


def command(folder):
    return [PROGRAM, "--epochs", EPOCHS, "--storage", folder]


def test_killed_worker_changes_no_loss(tmp_path):
    done = finish(start(None, 1, command(tmp_path / "whole")), 120)
    assert done.code == 0, done.out
    expected = losses_of(tmp_path / "whole")

    folder = tmp_path / "killed"
    process = start(None, 1, command(folder))
    while not (folder / "digits/run.safetensors").exists() and process.poll() is None:
        time.sleep(0.01)
    workers = workers_of(folder)
    assert [epoch for _, epoch in workers] == [0, 0]
    os.kill(workers[-1][0], signal.SIGKILL)
    assert not (folder / "digits/losses.txt").exists(), "the run ended before the kill"
    done = finish(process, 120)
    assert done.code == 0, done.out
    later = workers_of(folder)[2:]
    assert len(later) == 2
    assert all(epoch > 0 for _, epoch in later), "the workers began again"
    assert losses_of(folder) == pytest.approx(expected, rel=0, abs=1e-12)
