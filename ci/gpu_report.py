"""Run tests and examples on one backend, and write the results and the machine's description to a
JSON file.
"""

import argparse
import datetime
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import anynet
from anynet import cli

ROOT = Path(__file__).parents[1]

#: The installed packages that the report lists.
PACKAGES = re.compile(
    r"anynet.*|numpy|cupy.*|torch|jax.*|array-api-.*|cuda-.*|nvidia-cu(blas|da-runtime|dnn|rand).*",
    re.IGNORECASE,
)

RUNS = {
    # The most informative first, because time may run out.
    "what a gpu shows": [
        "-m",
        "pytest",
        "--quiet",
        "--backend",
        "{backend}",
        "-m",
        "gpu",
    ],
    "gradient check": [
        "examples/gradient_check.py",
        "--backend",
        "{backend}",
    ],
    "mnist": [
        "examples/mnist.py",
        "--backend",
        "{backend}",
        "--plot",
        os.devnull,
    ],
    "inference": ["examples/mnist_inference.py", "--backend", "{backend}"],
    "tests": ["-m", "pytest", "--quiet", "--backend", "{backend}"],
    "mnist on numpy": [
        "examples/mnist.py",
        "--backend",
        "numpy",
        "--plot",
        os.devnull,
    ],
}

#: Seconds between an interrupt and a kill, in which pytest writes its summary.
GRACE = 30

#: The patterns to search in the output of the runs.
FINDINGS = {
    "passed": r"(\d+) passed",
    "failed": r"(\d+) failed",
    "data": r"^(.*): [\d,]+ images to train on",
    "final test accuracy": r"final test accuracy: ([\d.]+)",
    "test accuracy": r"^test accuracy: ([\d.]+)",
    "derivatives": r"^(all derivatives agree|\d+ wrong)",
}


def main() -> int:
    """Run, report, and return 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="cupy")
    parser.add_argument("--output", type=Path, default=ROOT / "ci/results/gpu-cupy.json")
    parser.add_argument(
        "--seconds",
        type=float,
        default=1200,
        help="limit of all runs together (default: 1200)",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        help="processes of the whole test suite, with pytest-xdist above 1 (default: 1)",
    )
    options = parser.parse_args()
    several = ["--numprocesses", str(options.processes)] if options.processes > 1 else []
    end = time.monotonic() + options.seconds
    backend = anynet.get_backend(options.backend)
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "backend": f"{backend.name} {backend.version}",
        "device": backend.device_name,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "packages": {
            d.name: d.version
            for d in sorted(distributions(), key=_name)
            if PACKAGES.fullmatch(d.name)
        },
        "runs": {},
    }
    for name, arguments in RUNS.items():
        report["runs"][name] = _run(
            [
                *(argument.format(backend=options.backend) for argument in arguments),
                *(several if name == "tests" else []),
            ],
            end,
        )
        options.output.parent.mkdir(parents=True, exist_ok=True)
        # After every run, so that a timeout loses only the last one.
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))
    return 1 if any(run["exit code"] != 0 for run in report["runs"].values()) else 0


def _run(arguments: list[str], end: float) -> dict[str, Any]:
    """Run Python until it ends or time runs out, and return the findings in its output."""
    print(f"python {' '.join(arguments)}", flush=True)
    start = time.monotonic()
    if start >= end:
        return {"exit code": None, "stopped": "no time left"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        in_time = _wait(process, end - start)
        seconds = round(time.monotonic() - start, 1)
        output.seek(0)
        text = output.read()
    print(text[-6000:], flush=True)
    found: dict[str, Any] = {
        "exit code": process.returncode,
        "seconds": seconds,
    }
    if not in_time:
        found["stopped"] = "time ran out"
    found |= {
        name: match[1]
        for name, pattern in FINDINGS.items()
        if (match := re.search(pattern, text, re.M))
    }
    failures = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.M)
    if failures:
        found["failures"] = failures
    epochs = [
        float(line.split()[-1])
        for line in text.splitlines()
        if re.match(r" +\d+( +[\d.]+){4}$", line)
    ]
    if epochs:
        found["seconds per epoch"] = sorted(epochs)[len(epochs) // 2]
    return found


def _wait(process: "subprocess.Popen[str]", seconds: float) -> bool:
    """Wait for a process, and end it after this many seconds. Return whether it ended before
    that.
    """
    for signal_number, limit in (
        (None, seconds),
        (signal.SIGINT, GRACE),
        (signal.SIGKILL, None),
    ):
        if signal_number is not None:
            process.send_signal(signal_number)
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            continue
        return signal_number is None
    return False


def _name(distribution: Any) -> str:
    return str(distribution.name).lower()


if __name__ == "__main__":
    cli.run(main)
