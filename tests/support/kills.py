"""Runs in a group whose ranks are killed at random moments, and restarted from their checkpoint."""

import json
import os
import random
import signal
import time
from contextlib import suppress

from programs import ROOT
from ranks import finish, start

PROGRAM = ROOT / "tests/distributed/programs/restarted.py"

#: Seconds of a step of a run that is killed. An epoch has 6 steps.
STEP = 0.02


def losses_of(folder):
    return json.loads((folder / "losses.json").read_text(encoding="utf-8"))


def alone(folder, epochs):
    """Return the losses of the run in one process, which nothing stops."""
    done = finish(start(None, 1, [PROGRAM, folder, epochs, 0]), 60)
    assert done.code == 0, done.out
    return losses_of(folder)


def killed(folder, engine, ranks, *, epochs, kills, seed=0):
    """Kill a random rank this many times, and restart with the next number of ranks after each.

    Return the losses, and how many of the kills hit a run that had not ended.
    """
    draw = random.Random(seed)
    hits = 0
    for attempt in range(kills + 1):
        size = ranks[attempt % len(ranks)]
        for file in folder.glob("*.pid"):
            file.unlink()
        last = attempt == kills
        process = start(engine, size, [PROGRAM, folder, epochs, 0 if last else STEP])
        if not last:
            kill_one(folder, size, draw)
        done = finish(process, 60)
        hits += done.code != 0
        if last:
            assert done.code == 0, done.out
    return losses_of(folder), hits


def kill_one(folder, size, draw):
    """Kill a random rank, some time after all ranks have begun."""
    files = [folder / f"{rank}.pid" for rank in range(size)]
    while not all(file.exists() and file.read_text() for file in files):
        time.sleep(0.01)
    time.sleep(draw.uniform(0.05, 0.6))
    with suppress(ProcessLookupError):
        os.kill(int(draw.choice(files).read_text()), signal.SIGKILL)
