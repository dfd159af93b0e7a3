"""Run everything on one backend and write what came out, and what it ran on, to a JSON file."""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import time
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import anynet
from anynet import cli

ROOT = Path(__file__).parents[1]

#: What is reported of the packages that are installed.
PACKAGES = re.compile(r"anynet|numpy|cupy.*|array-api-.*|cuda-.*|nvidia-cu(blas|da-runtime|rand).*", re.IGNORECASE)

RUNS = {
    "tests": ["-m", "pytest", "--quiet", "--backend", "{backend}"],
    "gradient check": ["examples/gradient_check.py", "--backend", "{backend}"],
    "mnist": ["examples/mnist.py", "--backend", "{backend}", "--plot", os.devnull],
    "mnist on numpy": ["examples/mnist.py", "--backend", "numpy", "--plot", os.devnull],
    "inference": ["examples/mnist_inference.py", "--backend", "{backend}"],
}

#: What to read from the output of the runs.
FINDINGS = {
    "passed": r"(\d+) passed",
    "failed": r"(\d+) failed",
    "data": r"^(.*): [\d,]+ images to train on",
    "final test accuracy": r"final test accuracy: ([\d.]+)",
    "test accuracy": r"^test accuracy: ([\d.]+)",
    "derivatives": r"^(all derivatives agree|\d+ wrong)",
}


def main() -> int:
    """Run, report, and return 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="cupy")
    parser.add_argument("--output", type=Path, default=ROOT / "ci/results/gpu.json")
    options = parser.parse_args()
    backend = anynet.get_backend(options.backend)
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "backend": f"{backend.name} {backend.version}",
        "device": backend.device_name,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "packages": {d.name: d.version for d in sorted(distributions(), key=_name) if PACKAGES.fullmatch(d.name)},
        "runs": {},
    }
    for name, arguments in RUNS.items():
        report["runs"][name] = _run([argument.format(backend=options.backend) for argument in arguments])
        options.output.parent.mkdir(parents=True, exist_ok=True)
        # After every run: what is known stays, also when time runs out.
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))
    return 1 if any(run["exit code"] for run in report["runs"].values()) else 0


def _run(arguments: list[str]) -> dict[str, Any]:
    print(f"python {' '.join(arguments)}", flush=True)
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = round(time.perf_counter() - start, 1)
    print(done.stdout[-4000:], done.stderr[-2000:], sep="\n", flush=True)
    found = {name: match[1] for name, pattern in FINDINGS.items() if (match := re.search(pattern, done.stdout, re.M))}
    epochs = [float(line.split()[-1]) for line in done.stdout.splitlines() if re.match(r" +\d+( +[\d.]+){4}$", line)]
    if epochs:
        found["seconds per epoch"] = sorted(epochs)[len(epochs) // 2]
    return {"exit code": done.returncode, "seconds": seconds, **found}


def _name(distribution: Any) -> str:
    return str(distribution.name).lower()


if __name__ == "__main__":
    cli.run(main)
