"""Measure peak memory: of training the wide network, above the process's memory before, and of many
steps.
"""

import subprocess
import sys
from pathlib import Path

from ours import candidate
from peers import peers
from rows import ROWS

from anynet.bench import Maker

WIDE, SMALL = ROWS[3], ROWS[0]
STEPS = 10_000


def measure(backends: list[str]) -> dict[str, float]:
    """Return bytes by candidate, each in a process of its own."""
    names = [
        *_ours(backends),
        *(name for name in ("PyTorch eager", "JAX jit + optax") if name in peers(WIDE)),
    ]
    return {name: _in_a_process("wide", name) for name in names}


def growth(backends: list[str]) -> dict[str, float]:
    """Return the bytes that 10,000 steps of the small network add to the first 100."""
    return {name: _in_a_process("growth", name) for name in _ours(backends)}


def _ours(backends: list[str]) -> list[str]:
    return [f"anynet on {name}{end}" for name in backends for end in ("", ", compiled")]


def _in_a_process(what: str, name: str) -> float:
    done = subprocess.run(
        [sys.executable, __file__, what, name],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout.split()[-1])


def _maker(name: str) -> Maker:
    row = WIDE if sys.argv[1] == "wide" else SMALL
    if name in (there := peers(row)):
        return lambda: there[name](row)
    backend, _, compiled = name.removeprefix("anynet on ").partition(", ")
    return lambda: candidate(row, backend, bool(compiled))


def _status(field: str) -> int:
    """Return a number of bytes that the system keeps of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def main() -> None:
    """Print the bytes of one candidate."""
    run = _maker(sys.argv[2])()
    if sys.argv[1] == "wide":
        # The network, its data and the libraries are loaded. From here on the memory is the
        # training's own.
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
        before = _status("VmRSS")
        run(10)
        print(_status("VmHWM") - before)
    else:
        run(100)
        before = _status("VmRSS")
        run(STEPS)
        print(_status("VmRSS") - before)


if __name__ == "__main__":
    main()
