"""What `import anynet` costs beyond starting Python."""

import subprocess
import sys
from collections.abc import Callable


def programs() -> dict[str, Callable[[], object]]:
    """Return the candidates: Python alone, and with the import."""
    return {"python": _program("pass"), "import anynet": _program("import anynet")}


def _program(source: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", source], check=True)
