"""`fit`, `evaluate` and a step by hand in a group, beside the same runs in one process."""

import json
from functools import cache

import pytest
from programs import ROOT
from ranks import require, run

PROGRAM = ROOT / "tests/distributed/programs/runs.py"

#: The ranks of each engine, with the runs of the program.
GROUPS = [
    ("mpi", 2, "all"),
    ("mpi", 3, "few"),
    ("mpi", 4, "few"),
    ("torch", 2, "few"),
    ("torch", 3, "fewest"),
    ("torch", 4, "fewest"),
]

TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "float16": 5e-3, "bfloat16": 5e-2}


def results(folder, engine, ranks, backend, which):
    """Return the results of the program by the titles of its runs."""
    file = folder / "found.json"
    done = run(engine, ranks, [PROGRAM, backend, file, which], timeout=120)
    assert done.code == 0, done.out
    return json.loads(file.read_text(encoding="utf-8"))


@cache
def _alone(folder, backend):
    return results(folder, None, 1, backend, "all")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("alone")


@pytest.mark.parametrize(("engine", "ranks", "which"), GROUPS)
def test_ranks_equal_one_process(engine, ranks, which, backend, folder, tmp_path):
    if backend.name not in ("numpy", "torch"):
        pytest.skip("a group takes arrays of other libraries by the host, see test_group.py")
    require(engine)
    alone = _alone(folder, backend.name)
    together = results(tmp_path, engine, ranks, backend.name, which)
    assert len(together) > (30 if which == "all" else 5)
    for title, (losses, scores, same) in together.items():
        expected, expected_scores, _ = alone[title]
        dtype = next(name for name in reversed(TOLERANCES) if name in title)
        tolerance = TOLERANCES[dtype] * max(1, *map(abs, expected))
        assert len(losses) == len(expected)
        assert losses == pytest.approx(expected, rel=0, abs=tolerance), title
        assert same, f"the ranks differ: {title}"
        if dtype == "float64":
            flat = [score for epoch in scores for score in epoch]
            wanted = [score for epoch in expected_scores for score in epoch]
            assert flat == pytest.approx(wanted, rel=1e-9, abs=1e-9), title


def test_same_run_gives_the_same_bits(tmp_path):
    require("mpi")
    first, second = [results(tmp_path, "mpi", 3, "numpy", "fewest") for _ in "ab"]
    assert first == second
