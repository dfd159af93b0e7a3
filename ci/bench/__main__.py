"""Measure speed as ratios: training and inference with anynet, its peers, and the matrix products
alone.

    python ci/bench                    on NumPy, and on PyTorch and JAX where they are installed
    python ci/bench --gpu              on CuPy, PyTorch and JAX on a GPU, beside peers that use one
    python ci/bench --json FILE --plot FILE    write all figures, and a chart
    python ci/bench --against REV      anynet alone, now and at another commit

``--against`` exits with 1 if a row is slower. `ci/bench/charts.py` draws the charts of the page of
measurements.

Peers that are not installed are left out: pip install torch jax optax mygrad dezero autograd
scikit-learn. Only ratios of one run mean something: machines differ, and are busy with other things
at times.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import accuracy
import against
import bfloat16
import charts
import epoch
import memory
import numerical_gradient
import ours
import startup
import tape
from peers import ON_GPU, peers
from rows import ROWS

from anynet import cli
from anynet.backend import get_backend
from anynet.bench import Maker, interleaved, probe_all
from anynet.errors import BackendError

LIBRARIES = (
    "torch",
    "jax",
    "optax",
    "mygrad",
    "dezero",
    "autograd",
    "scikit-learn",
)
UNITS = ("PyTorch eager", "products")

Found = dict[str, dict[str, float]]


def main() -> int:
    """Measure, print Markdown tables, and write files where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--backend",
        action="append",
        help="may be repeated (default: numpy, and torch and jax if there)",
    )
    parser.add_argument(
        "--gpu",
        action="store_true",
        help="the backends and peers that use a GPU",
    )
    parser.add_argument(
        "--compiled",
        action="store_true",
        help="leave out steps of anynet that are not compiled",
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument(
        "--only",
        action="append",
        help="only what has this in its title; may be repeated",
    )
    parser.add_argument("--json", type=Path, help="write all that was measured to this file")
    parser.add_argument("--plot", type=Path, help="draw the times to this SVG file")
    parser.add_argument(
        "--against",
        metavar="REV",
        help="compare with this commit, such as main or HEAD~5",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=1.03,
        help="the ratio to REV above which a row is slower",
    )
    parser.add_argument(
        "--pairs",
        type=int,
        default=3,
        help="how many processes of each side share the rounds",
    )
    parser.add_argument(
        "--clock",
        choices=("wall", "processor"),
        default="wall",
        help="processor: on a busy machine",
    )
    options = parser.parse_args()
    usual = ("cupy", "torch:cuda", "jax:gpu") if options.gpu else ("numpy", "torch", "jax")
    reports = [
        report for report in probe_all(options.backend or usual) if report.works or options.backend
    ]
    names = [report.name for report in reports]
    for report in reports:
        if not report.works:
            raise BackendError(report.reason)
    about: dict[str, Any] = {
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}, {_cores()} cores",
        "python": platform.python_version(),
        "backends": [f"{report.name} {report.version} on {report.device}" for report in reports],
        **{
            name: version(name)
            for name in LIBRARIES
            if find_spec(name.replace("scikit-learn", "sklearn"))
        },
    }
    print("\n".join(f"{name}: {value}" for name, value in about.items()))
    if options.against:
        return against.main(
            options.against,
            names,
            only=options.only,
            compiled=options.compiled,
            rounds=options.rounds,
            pairs=options.pairs,
            threshold=options.threshold,
            clock=options.clock,
            about=about | {"against": options.against, "clock": options.clock},
            path=options.json,
        )
    rounds = options.rounds
    found: Found = {}
    failed: dict[str, str] = {}

    def measure(
        title: str, work: Callable[[], dict[str, float]], *units: str
    ) -> dict[str, float] | None:
        if options.only and not any(part in title for part in options.only):
            return None
        failed.clear()
        found[title] = work()
        _show(title, found[title], units)
        print("".join(f"\nleft out: {name}, {error}" for name, error in failed.items()))
        if failed:
            about.setdefault("failed", {})[title] = dict(failed)
        # After each row, so that a timeout loses only the last one.
        _write(options, about, found)
        return found[title]

    for row in ROWS:
        candidates: dict[str, Any] = {"products": partial(ours.products, row, names[0])}
        for name in names:
            if not options.compiled:
                candidates[f"anynet on {name}"] = partial(ours.candidate, row, name, False)
            candidates[f"anynet on {name}, compiled"] = partial(ours.candidate, row, name, True)
        for name, make in peers(row).items():
            if name in ON_GPU or not options.gpu:
                candidates[name] = partial(make, row)
        if options.gpu:
            # As many calls as fill a turn, because a call returns long before the device has
            # finished.
            work = partial(interleaved, candidates, rounds // 3, 0, failed)
        elif row.dense and not row.images and row.batch == 100:
            work = partial(_in_several_processes, candidates, rounds, 10)
        else:
            work = partial(interleaved, candidates, rounds // 3, 1, failed)
        measure(row.title, work, *UNITS)
    if options.gpu:
        _on_a_gpu(names, rounds, measure, failed)
        return 0
    measure(
        "an epoch of 784-50-10",
        partial(interleaved, epoch.epochs(names), max(1, rounds // 6), 1),
        UNITS[0],
    )
    if "numpy" in names:
        gradient = partial(
            numerical_gradient.measure,
            get_backend(names[0]),
            max(1, rounds // 8),
        )
        measure(
            "numerical gradient of all 39,760 parameters of 784-50-10, batch 100",
            gradient,
            "anynet",
        )
    title = f"gradient of a chain of {tape.LENGTH} multiplications of 4 numbers"
    if chain := measure(
        title,
        partial(interleaved, tape.chains(), rounds, 5),
        "NumPy, forwards only",
    ):
        beyond = (chain["anynet"] - chain["NumPy, forwards only"]) / tape.LENGTH
        print(
            f"\nrecording one and walking back takes {1e6 * beyond:.1f} µs more than computing it"
        )
    if start := measure(
        "start of a program",
        lambda: interleaved(startup.programs(), max(1, rounds // 2), 1),
        "python",
    ):
        overhead = 1000 * (start["import anynet"] - start["python"])
        print(f"\nimport anynet takes {overhead:.0f} ms more than Python alone")
    measure(
        "peak memory of 784-2048-2048-10 in bytes",
        partial(memory.measure, names),
        UNITS[0],
    )
    measure(
        f"bytes that {memory.STEPS:,} steps of 784-50-10 add",
        partial(memory.growth, names),
    )
    return 0


def _on_a_gpu(
    names: list[str],
    rounds: int,
    measure: Callable[..., Any],
    failed: dict[str, str],
) -> None:
    title = f"seconds to {accuracy.WANTED:.0%} of MNIST's test images, {accuracy.ROW.title}"
    measure(
        title,
        partial(
            interleaved,
            accuracy.trainings(names),
            max(1, rounds // 8),
            1,
            failed,
        ),
        UNITS[0],
    )
    title = f"{bfloat16.LAYERS} layers of {bfloat16.WIDTH}, batch {bfloat16.BATCH}, bfloat16"
    if seconds := measure(
        title,
        partial(
            interleaved,
            bfloat16.steps(names),
            max(1, rounds // 6),
            0,
            failed,
        ),
        UNITS[0],
    ):
        for name, share in bfloat16.shares(seconds).items():
            print(f"{name}: {share:.0%} of the rate of one product")


def _write(options: argparse.Namespace, about: dict[str, Any], found: Found) -> None:
    if options.json:
        options.json.write_text(
            json.dumps({**about, "medians": found}, indent=2) + "\n",
            encoding="utf-8",
        )
    rows = charts.times(found)
    if options.plot and rows:
        options.plot.write_text(charts.chart(rows), encoding="utf-8")


def _in_several_processes(
    candidates: dict[str, Maker], rounds: int, calls: int
) -> dict[str, float]:
    """Return the medians of three times as many processes: one in which a small step is slow may
    stay so to its end.
    """
    found = [interleaved(candidates, max(1, rounds // 3), calls) for _ in range(3)]
    return {name: median(medians[name] for medians in found) for name in candidates}


def _show(title: str, values: dict[str, float], units: tuple[str, ...]) -> None:
    units = tuple(unit for unit in units if unit in values)
    print(
        f"\n| {title} "
        f"|{''.join(f' × {unit} |' for unit in units) or ' |'}\n|---|{'--:|' * max(1, len(units))}"
    )
    for name, value in sorted(values.items(), key=lambda item: item[1]):
        shown = [f"{value / values[unit]:.2f}" for unit in units] or [f"{value:,.0f}"]
        print(f"| {name} | {' | '.join(shown)} |", flush=True)


def _processor() -> str:
    lines = (
        Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if Path("/proc/cpuinfo").exists()
        else []
    )
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")),
        platform.processor(),
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    cli.run(main)
