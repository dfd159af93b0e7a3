"""A run whose ranks are killed goes on from its checkpoint, also with other numbers of ranks."""

import os
import signal
import time

import pytest
from kills import PROGRAM, STEP, alone, killed, losses_of
from ranks import finish, require, start

#: Epochs of a run, which two kills do not reach the end of.
EPOCHS = 10


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return alone(tmp_path_factory.mktemp("alone"), EPOCHS)


@pytest.mark.parametrize(
    ("engine", "ranks"),
    [
        ("mpi", [2, 3, 1]),
        ("torch", [2]),
    ],
)
def test_killed_run_ends_as_one_that_was_not(engine, ranks, expected, tmp_path):
    require(engine)
    losses, hits = killed(tmp_path, engine, ranks, epochs=EPOCHS, kills=2)
    assert hits >= 1
    assert losses == pytest.approx(expected, rel=0, abs=1e-12)


def test_torchrun_restarts_the_ranks_itself(expected, tmp_path):
    require("torch")
    process = start(
        "torch",
        2,
        [PROGRAM, tmp_path, EPOCHS, STEP],
        before=["--max-restarts=2"],
        TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1",
    )
    file = tmp_path / "1.pid"
    deadline = time.monotonic() + 30
    while not (file.exists() and file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(int(file.read_text()), signal.SIGKILL)
    done = finish(process, 60)
    assert done.code == 0, done.out
    assert losses_of(tmp_path) == pytest.approx(expected, rel=0, abs=1e-12)
