"""anynet changes no setting of a program that uses it: of Python, the C library or the array
library.

Each test runs support/process_settings.py in a new process.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "support/process_settings.py"


@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "array_api_strict", "ndonnx"])
def test_using_anynet_changes_no_setting(library, monkeypatch):
    if find_spec(library) is None:
        pytest.skip(f"needs {library}")
    # tests/conftest.py sets it.
    monkeypatch.delenv("JAX_ENABLE_X64", raising=False)
    ran = subprocess.run(
        [sys.executable, PROGRAM, library],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
