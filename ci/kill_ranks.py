"""Kill ranks of a group at random moments, restart them, and compare the losses.

    python ci/kill_ranks.py [--kills 20] [--seed 0]

For each engine a run is killed and restarted until it has had its kills, with 2 ranks each time.
Another run has another number of ranks after each kill. The losses must be those of a run in one
process that nothing stopped, to 1e-12.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/support"))
from kills import alone, killed  # type: ignore[import-not-found]  # tests are not typed

#: Epochs of a run for each kill: more than those until it comes.
EPOCHS = 5

#: The engine of each run, with the ranks of its starts, one after the other.
RUNS = [("mpi", [2]), ("mpi", [2, 4, 3, 1]), ("torch", [2])]


def main() -> None:
    """Kill, restart, compare, and print a line for each run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        expected = alone(Path(folder), EPOCHS * options.kills)
    worst = 0.0
    for engine, ranks in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            losses, hits = killed(
                Path(folder),
                engine,
                ranks,
                epochs=EPOCHS * options.kills,
                kills=options.kills,
                seed=options.seed,
            )
        pairs = zip(losses, expected, strict=True)
        difference = max(abs(one - other) for one, other in pairs)
        worst = max(worst, difference)
        print(
            f"{engine}, ranks {ranks}: {hits} kills, largest difference {difference:.1e}",
            flush=True,
        )
    if worst > 1e-12:
        raise SystemExit("the losses differ")


if __name__ == "__main__":
    main()
