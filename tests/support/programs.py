"""The folder of the repository, and Python programs that run in it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*arguments, **environment):
    """Run Python with arguments and return (exit code, standard output, standard error)."""
    inherited = {name: value for name, value in os.environ.items() if name != "ANYNET_BACKEND"}
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=inherited | environment,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr
