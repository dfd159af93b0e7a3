"""One side of a comparison: a process that runs the work of one row of its checkout, one turn for
each request.

PYTHONPATH chooses the checkout. Requests are lines on standard input, answers are lines of JSON on
standard output.
"""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Seconds at the start of a turn that are not timed, because the other side has just filled the
#: caches.
SETTLE = 0.03

Run = Callable[[int], None]

CLOCKS = {"wall": time.perf_counter, "processor": lambda: _processor_time()}


def make(kind: str, title: str, backend: str, compiled: bool) -> tuple[Run, dict[str, Any]]:
    """Return the work as this checkout's own benchmark does it, and its row."""
    if kind == "step":
        import ours
        from rows import ROWS

        row = next(row for row in ROWS if row.title == title)
        return ours.candidate(row, backend, compiled), dataclasses.asdict(row)
    if kind == "epoch":
        import epoch

        return epoch.epochs([backend])[
            f"anynet on {backend}{', compiled' if compiled else ''}"
        ](), {}
    if kind == "tape":
        import tape

        return tape.chains()["anynet"](), {}
    if kind == "import":
        import startup

        return startup.programs()["import anynet"](), {}
    return _numerical_gradient(backend), {}


def _numerical_gradient(backend_name: str) -> Run:
    """Return the numerical gradient of a row's parameters. Older benchmarks time it in a separate
    loop.
    """
    from rows import ROWS, times

    import anynet
    from anynet import functions, losses
    from anynet.primitives import affine

    backend, row = anynet.configure(backend_name), ROWS[0]
    x, t = map(backend.asarray, row.data())
    parameters = [backend.asarray(p) for pair in row.parameters() for p in pair or ()]

    def loss(p: list[Any]) -> Any:
        return losses.cross_entropy(affine(functions.relu(affine(x, p[0], p[1])), p[2], p[3]), t)

    return times(
        lambda: anynet.numerical_gradient(loss, parameters),
        backend.synchronize,
    )


def _processor_time() -> float:
    """Return the seconds of all threads, and of the programs that this process has run."""
    # Windows lacks it, and measures the wall time.
    import resource

    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def turn(run: Run, calls: int, clock: Callable[[], float]) -> float:
    """Return the seconds that each of so many calls takes."""
    end = time.perf_counter() + SETTLE
    while time.perf_counter() < end:
        run(1)
    start = clock()
    run(calls)
    return (clock() - start) / calls


def _belongs(root: Path) -> str:
    """Return why the checkout is not the one that is imported, or nothing."""
    import anynet_numpy

    import anynet

    for module in (anynet, anynet_numpy):
        if root not in Path(module.__file__ or "").resolve().parents:
            return f"{module.__name__} is {module.__file__}, not that of {root}"
    return ""


def main() -> None:
    """Make the work, say so, and take turns until there is no more to read."""
    # Output of a library goes to standard error. Standard output carries only the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    root, clock, kind, title, backend, compiled = sys.argv[1:]
    try:
        error = _belongs(Path(root))
        run, row = make(kind, title, backend, compiled == "compiled")
        run(1)
    except Exception as reason:
        error, run, row = (
            f"{type(reason).__name__}: {reason}",
            lambda calls: None,
            {},
        )
    answers.write(json.dumps([error, row]) + "\n")
    for line in sys.stdin:
        answers.write(json.dumps(turn(run, int(line), CLOCKS[clock])) + "\n")


if __name__ == "__main__":
    main()
