"""A program that imports and uses anynet keeps its settings: Python's, the C library's and the
array library's.

Each test runs a process of its own, which imports the library, notes the settings, trains, and
compares."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "support/settings_of_a_process.py"


@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "array_api_strict", "ndonnx"])
def test_settings_of_the_process_stay_as_they_are(library, monkeypatch):
    if find_spec(library) is None:
        pytest.skip(f"needs {library}")
    # The tests themselves set it.
    monkeypatch.delenv("JAX_ENABLE_X64", raising=False)
    ran = subprocess.run(
        [sys.executable, PROGRAM, library],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
