"""Let one of three ranks fail in every way, with every engine, and print a table of what happened.

    python ci/faults.py [--fault NAME] [--json FILE]

A cell has the last line that each rank printed, the exit code of the launcher, and the seconds
until all processes had ended, without those of the start.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "tests/distributed/programs/faults.py"

FAULTS = [
    "raise",
    "SIGKILL",
    "exit 0",
    "exit at once",
    "sleep",
    "sleep at the end",
    "other dtype",
    "other shapes",
    "other seed",
    "other data",
    "other loss",
    "other code",
    "NaN",
    "Ctrl-C",
    "stop",
]

LAUNCHERS = {
    "mpiexec": ["mpiexec", "-n", "3", sys.executable],
    "mpiexec, -m mpi4py": ["mpiexec", "-n", "3", sys.executable, "-m", "mpi4py"],
    "torchrun": ["torchrun", "--standalone", "--nproc-per-node", "3"],
}

#: Seconds after which a program hangs.
LIMIT = 25


def run(fault: str, launcher: list[str]) -> dict[str, Any]:
    """Return how a run with a fault ended, "" for none."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        process = subprocess.Popen(
            [*launcher, str(PROGRAM), fault, folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        try:
            out, _ = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out = "it hangs"
            process.communicate()
        seconds = time.monotonic() - begin
        files = sorted(Path(folder).glob("*.txt"))
        lines = {path.stem: path.read_text().strip().split("\n")[-1] for path in files}
    return {"code": process.returncode, "seconds": seconds, "ranks": lines, "launcher": out}


def cell(found: dict[str, Any], start: float) -> str:
    """Return the text of a cell."""
    ranks = "; ".join(f"{rank}: {line:.160}" for rank, line in found["ranks"].items())
    return f"{ranks} (exit {found['code']}, {found['seconds'] - start:.1f} s)"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fault", action="append", choices=FAULTS)
    parser.add_argument("--json", help="a file for all that was printed")
    options = parser.parse_args()
    starts = {name: run("", launcher)["seconds"] for name, launcher in LAUNCHERS.items()}
    found: dict[str, Any] = {}
    for fault in options.fault or FAULTS:
        print(f"\n## {fault}\n", flush=True)
        for name, launcher in LAUNCHERS.items():
            result = found[f"{fault}, {name}"] = run(fault, launcher)
            print(f"- {name}: {cell(result, starts[name])}", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
