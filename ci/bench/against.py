"""Two checkouts in one run, to see whether any row is slower than it was at another commit.

Both sides take turns, each in a process that stays alive, in random order within a round. A round
gives a ratio. A row has several pairs of processes, since a process may be slow to its end. Its
ratio is the median of its pairs' medians. A row above the threshold is measured again, with more
pairs and rounds, before it counts as slower. Where the interval of its ratio includes 1 even then,
the row is called unclear: the machine is too busy to tell.

Each checkout runs its own ``ci/bench``. A row that it defines differently is left out.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, TextIO

from rows import ROWS

from anynet.bench import SHARING
from anynet.errors import ArgumentError

ROOT = Path(__file__).resolve().parents[2]

#: Seconds of a turn, and of all turns of a pair of processes, unless single calls take longer.
TURN, PAIR = 0.1, 20.0

#: A row above the threshold is measured again with this many times as many pairs, at most this
#: often.
AGAIN, TIMES = 2, 2

RESAMPLES = 400


@dataclass(frozen=True)
class Work:
    """The meaning of a row. See `turns.make`."""

    title: str
    kind: str
    row: str = ""
    backend: str = "numpy"
    compiled: bool = False


@dataclass
class Comparison:
    """The seconds of both sides: for each pair of processes, (before, after) of each round."""

    pairs: list[list[tuple[float, float]]] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The time now in units of the time before."""
        return median(median(after / before for before, after in rounds) for rounds in self.pairs)

    def interval(self) -> tuple[float, float]:
        """Return the bounds of nine in ten ratios of pairs and rounds sampled with replacement
        (bootstrap).
        """
        generator = Random(0)
        ratios = sorted(
            Comparison(
                [
                    generator.choices(pair, k=len(pair))
                    for pair in generator.choices(self.pairs, k=len(self.pairs))
                ]
            ).ratio
            for _ in range(RESAMPLES)
        )
        return ratios[RESAMPLES // 20], ratios[-RESAMPLES // 20]

    def seconds(self, side: int) -> float:
        """Return the median seconds of a call before (0) or now (1)."""
        return median(times[side] for rounds in self.pairs for times in rounds)


class Failure(Exception):
    """A side that cannot do the work."""


class Side:
    """A process that runs the work of one row in one checkout."""

    def __init__(self, root: Path, work: Work, clock: str) -> None:
        self.root = root
        path = os.pathsep.join(map(str, (root, root / "backends", root / "ci/bench")))
        self._process = subprocess.Popen(
            # Without the script's folder, so that it imports the checkout's modules.
            [
                *(
                    sys.executable,
                    "-P",
                    str(Path(__file__).with_name("turns.py")),
                ),
                *(
                    str(root),
                    clock,
                    work.kind,
                    work.row,
                    work.backend,
                    "compiled" if work.compiled else "eager",
                ),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=SHARING | os.environ | {"PYTHONPATH": path},
        )
        error, self.row = self._answer()
        if error:
            self.close()
            raise Failure(error)

    def turn(self, calls: int) -> float:
        """Return the seconds that each of so many calls takes."""
        stream: Any = self._process.stdin
        stream.write(f"{calls}\n")
        stream.flush()
        return float(self._answer())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> Any:
        stream: Any = self._process.stdout
        line = stream.readline()
        if not line:
            raise Failure(f"its process ended with code {self._process.wait()}")
        return json.loads(line)


def works(names: Sequence[str], compiled: bool) -> list[Work]:
    """Return all that is compared on these backends."""
    ways = [(name, way) for name in names for way in ((True,) if compiled else (False, True))]

    def shown(what: str, name: str, way: bool) -> str:
        return f"{what}: {name}{', compiled' if way else ''}"

    found = [Work(shown(row.title, *way), "step", row.title, *way) for row in ROWS for way in ways]
    found += [Work(shown("an epoch of 784-50-10", *way), "epoch", "", *way) for way in ways]
    found += [
        Work(
            f"numerical gradient of 784-50-10: {name}",
            "numerical gradient",
            "",
            name,
        )
        for name in names
    ]
    return [
        *found,
        Work("gradient of a chain of multiplications", "tape"),
        Work("import anynet", "import"),
    ]


@contextlib.contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """Give a folder with the files of a commit of this repository, for as long as it is needed.

    Raises:
        ArgumentError: there is no such commit.

    """
    done = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=zip", revision, "--"],
        capture_output=True,
    )
    if done.returncode:
        raise ArgumentError(
            f"against is {revision!r}: wanted a commit of {ROOT}: {done.stderr.decode().strip()}"
        )
    with tempfile.TemporaryDirectory(prefix="anynet-bench-") as folder:
        with zipfile.ZipFile(io.BytesIO(done.stdout)) as archive:
            archive.extractall(folder)
        yield Path(folder).resolve()


def compare(
    found: Comparison,
    work: Work,
    before: Path,
    rounds: int,
    pairs: int,
    clock: str,
    generator: Random,
) -> None:
    """Add the rounds of this many pairs of processes to the results.

    Raises:
        Failure: a side cannot do the work.

    """
    for _ in range(pairs):
        with contextlib.ExitStack() as stack:
            sides = []
            for name, root in (("before", before), ("now", ROOT)):
                try:
                    sides.append(Side(root, work, clock))
                except Failure as failure:
                    raise Failure(f"{name}: {failure}") from None
                stack.callback(sides[-1].close)
            # Only the newer side has this field.
            if any(
                sides[0].row[name] != sides[1].row[name]
                for name in sides[0].row.keys() & sides[1].row.keys()
            ):
                raise Failure("before and now define this row differently")
            # The first turns only measure how many calls fill one.
            seconds = max(side.turn(calls) for calls in (1, 3) for side in sides)
            calls = max(1, round(TURN / max(seconds, 1e-9)))
            enough = max(
                min(3, rounds),
                min(rounds, int(PAIR / (2 * calls * max(seconds, 1e-9)))),
            )
            times = []
            for _ in range(enough):
                order = generator.sample((0, 1), 2)
                turns = {i: sides[i].turn(calls) for i in order}
                times.append((turns[0], turns[1]))
            found.pairs.append(times)


def main(
    revision: str,
    names: Sequence[str],
    *,
    only: Sequence[str] | None,
    compiled: bool,
    rounds: int,
    pairs: int,
    threshold: float,
    clock: str,
    about: dict[str, Any],
    path: Path | None,
    out: TextIO = sys.stdout,
) -> int:
    """Compare this checkout with a commit. Return 1 if a row is slower than the threshold allows,
    else 0.
    """
    chosen = [
        work
        for work in works(names, compiled)
        if not only or any(part in work.title for part in only)
    ]
    if not chosen:
        raise ArgumentError(f"only is {only}: wanted a part of a title, such as {ROWS[0].title!r}")
    generator = Random(0)
    rows: dict[str, dict[str, Any]] = {}
    verdicts: dict[str, list[str]] = {"slower": [], "unclear": []}
    failed: dict[str, str] = {}

    def write() -> None:
        if path:
            result = {
                **about,
                "threshold": threshold,
                "rows": rows,
                **verdicts,
                "failed": failed,
            }
            path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")

    with checkout(revision) as before:
        print(
            "\n| row | before, ms | now, ms | ratio | 90 % interval |\n|---|--:|--:|--:|--:|",
            file=out,
        )
        for work in chosen:
            found = Comparison()
            try:
                compare(
                    found,
                    work,
                    before,
                    max(1, rounds // pairs),
                    pairs,
                    clock,
                    generator,
                )
                for _ in range(TIMES):
                    if found.ratio > threshold:
                        compare(
                            found,
                            work,
                            before,
                            max(1, 2 * rounds // pairs),
                            AGAIN * pairs,
                            clock,
                            generator,
                        )
            except Failure as failure:
                failed[work.title] = str(failure)
                continue
            low, high = found.interval()
            rows[work.title] = {
                **{
                    "before": found.seconds(0),
                    "now": found.seconds(1),
                    "ratio": found.ratio,
                },
                **{
                    "interval": [low, high],
                    "by pair": [Comparison([pair]).ratio for pair in found.pairs],
                },
                "rounds": sum(map(len, found.pairs)),
            }
            verdict = "" if found.ratio <= threshold else "slower" if low > 1 else "unclear"
            if verdict:
                verdicts[verdict].append(work.title)
            times = " | ".join(f"{1000 * found.seconds(side):.3g}" for side in (0, 1))
            ratio = f"{found.ratio:.3f} {verdict}".strip()
            print(
                f"| {work.title} | {times} | {ratio} | {low:.3f} to {high:.3f} |",
                file=out,
                flush=True,
            )
            # After each row, so that a timeout loses only the last one.
            write()
    write()
    for verdict, titles in verdicts.items():
        if titles:
            print(
                f"\n{verdict}, above {threshold} × {revision}: {'; '.join(titles)}",
                file=out,
            )
    for title, reason in failed.items():
        print(f"\nleft out: {title}, {reason}", file=out)
    # A row that ran at the commit and fails in this checkout is worse than a slow one.
    lost = [title for title, reason in failed.items() if reason.startswith("now: ")]
    return 1 if verdicts["slower"] or lost else 0
