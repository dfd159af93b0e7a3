"""A rank that fails: all ranks end, and say which one it was."""

import pytest
from programs import ROOT
from ranks import require, run

PROGRAM = ROOT / "tests/distributed/programs/faults.py"

#: The seconds that a fault may take: the timeout of the group, a start, and two more.
LIMIT = 3 + 10 + 2


def lines_of(folder, engine, fault):
    """Return how a run of three ranks ended, and the last line of each rank."""
    require(engine)
    done = run(engine, 3, [PROGRAM, fault, folder], timeout=LIMIT + 15)
    files = sorted(folder.glob("*.txt"))
    return done, [file.read_text(encoding="utf-8").strip().split("\n")[-1] for file in files]


@pytest.mark.parametrize("engine", ["mpi", "torch"])
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("raise", "rank 1 failed: OSError: the disk is full"),
        ("exit 0", "rank 1 failed: SystemExit: 0"),
        ("sleep", "rank 1 does not answer"),
        ("sleep at the end", "rank 1 does not answer"),
    ],
)
def test_others_name_the_rank_that_failed(engine, fault, text, tmp_path):
    done, (first, _, last) = lines_of(tmp_path, engine, fault)
    assert done.code != 0
    assert text in first, done.out
    assert text in last
    assert done.seconds < LIMIT


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("other dtype", "rank 1 trains something else than rank 0: the network's layers.0.weight"),
        ("other shapes", "the network's layers.0.weight is (4, 7)"),
        ("other seed", "the network's layers.0.weight is (4, 6)"),
        ("other data", "train data [0] is 100 rows, such as (100, 4) of float32"),
        ("other loss", "the setting loss is anynet.losses.hinge there"),
    ],
)
def test_all_ranks_begin_the_same_run(fault, text, tmp_path):
    done, lines = lines_of(tmp_path, "mpi", fault)
    assert done.code != 0
    assert len(lines) == 3
    for line in lines:
        assert "rank 1" in line
        assert text in line


def test_message_that_meets_another_one(tmp_path):
    done, (first, _, last) = lines_of(tmp_path, "mpi", "other code")
    assert done.code != 0
    for line in (first, last):
        assert "rank 1 sums 3 numbers of float64" in line, done.out
        assert "each of the others sums 3 numbers of int32" in line


@pytest.mark.parametrize("engine", ["mpi", "torch"])
def test_killed_rank_ends_all(engine, tmp_path):
    done, _ = lines_of(tmp_path, engine, "SIGKILL")
    assert done.code != 0
    assert done.seconds < LIMIT
    # torchrun names the rank. mpiexec of MPICH names the process, and kills the others.
    wanted = "rank      : 1 (local_rank: 1)\n  exitcode  : -9" if engine == "torch" else "CODE: 9"
    assert wanted in done.out


@pytest.mark.parametrize("engine", ["mpi", "torch"])
def test_nan_ends_all_ranks_at_the_same_step(engine, tmp_path):
    done, lines = lines_of(tmp_path, engine, "NaN")
    assert done.code != 0
    for line in lines:
        assert "NonFiniteError: the loss became nan in epoch 1, step 6" in line, done.out


@pytest.mark.parametrize("engine", ["mpi", "torch"])
@pytest.mark.parametrize("fault", ["Ctrl-C", "stop"])
def test_one_rank_stops_all_at_the_same_step(engine, fault, tmp_path):
    done, lines = lines_of(tmp_path, engine, fault)
    assert done.code == 0, done.out
    assert lines == [f"5 steps, interrupted: {fault == 'Ctrl-C'}"] * 3
