"""Programs that run in the ranks of a group, each run in processes of its own with a time limit."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from typing import NamedTuple

import pytest
from programs import ROOT

#: What starts the ranks of each engine, before the program.
LAUNCHERS = {
    "mpi": ["mpiexec", "-n", "{ranks}", sys.executable],
    "torch": [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "{ranks}",
    ],
}

#: The module that each engine needs.
MODULES = {"mpi": "mpi4py", "torch": "torch"}


class Done(NamedTuple):
    """What a program printed, and how it ended."""

    code: int
    out: str
    seconds: float


def is_installed(engine):
    has_module = importlib.util.find_spec(MODULES[engine]) is not None
    return has_module and (engine != "mpi" or shutil.which("mpiexec") is not None)


def require(engine):
    """Skip a test whose engine is not installed."""
    if not is_installed(engine):
        pytest.skip(f"needs {MODULES[engine]}, with mpiexec" if engine == "mpi" else "needs torch")


def start(engine, ranks, program, *, before=(), **environment):
    """Start a program in ranks, alone for no engine. All of its processes are one process group.

    Args:
        engine: "mpi", "torch" or None.
        ranks: how many.
        program: the path of the program, and its arguments.
        before: more arguments of the launcher.
        environment: more variables.

    """
    launcher = [sys.executable] if engine is None else LAUNCHERS[engine]
    parts = [part.format(ranks=ranks) for part in launcher]
    return subprocess.Popen(
        [*parts, *before, *map(str, program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", **environment},
        start_new_session=True,
    )


def finish(process, timeout):
    """Return how the program ended, and kill all that is left of it after the time limit."""
    begin = time.monotonic()
    try:
        out, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        pytest.fail(f"the ranks did not end within {timeout} s:\n{out[-4000:]}")
    return Done(process.returncode, out, time.monotonic() - begin)


def run(engine, ranks, program, *, timeout=60, **environment):
    """Run a program in ranks."""
    return finish(start(engine, ranks, program, **environment), timeout)


def run_text(folder, engine, ranks, text, *arguments, timeout=60, **environment):
    """Run the text of a program in ranks."""
    path = folder / "program.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return run(engine, ranks, [path, *arguments], timeout=timeout, **environment)
