"""What `import anynet` costs beyond starting Python."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial

from anynet.bench import Maker


def programs() -> dict[str, Maker]:
    """Return the candidates: Python alone, and with the import."""
    return {"python": partial(_program, "pass"), "import anynet": partial(_program, "import anynet")}


def _program(source: str) -> Callable[[int], None]:
    def run(calls: int) -> None:
        for _ in range(calls):
            subprocess.run([sys.executable, "-c", source], check=True)

    return run
