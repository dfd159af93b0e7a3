"""Measure the time of `import anynet` beyond starting Python."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial

from anynet.bench import Maker


def programs() -> dict[str, Maker]:
    """Return the candidates: Python alone, and with the import."""
    return {
        "python": partial(_program, "pass"),
        "import anynet": partial(_program, "import anynet"),
    }


def _program(source: str) -> Callable[[int], None]:
    # With cached bytecode, as from the second start on, whatever the environment says.
    folder = tempfile.TemporaryDirectory()
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }

    def run(calls: int) -> None:
        for _ in range(calls):
            settings = environment | {"PYTHONPYCACHEPREFIX": folder.name}
            subprocess.run([sys.executable, "-c", source], check=True, env=settings)

    return run
