"""The floor of branch coverage, in a package of one branch that is half covered."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from source import ROOT

pytest.importorskip("coverage", reason="needs coverage, of the extra dev")

CODE = """
def sign(x):
    if x > 0:
        return 1
    return -1
"""
TEST = """
import anynet

def test_positive():
    assert anynet.sign(2) == 1
"""
CONFTEST = """
def pytest_addoption(parser):
    parser.addoption("--backend")
"""
CONFIGURATION = """
[tool.coverage.run]
branch = true
source = ["anynet"]
[tool.coverage.report]
precision = 1
fail_under = {floor}
"""


# Covered: three of four statements and one of two branches, (3 + 1) / (4 + 2).
@pytest.mark.skipif(sys.platform == "win32", reason="the script runs in bash")
@pytest.mark.parametrize(
    ("floor", "code", "message"),
    [
        (67, 2, "is less than fail-under=67"),
        (60, 0, "raise fail_under in pyproject.toml from 60 to 66.2"),
    ],
)
def test_floor(tmp_path, floor, code, message):
    files = {
        "anynet/__init__.py": CODE,
        "tests/conftest.py": CONFTEST,
        "tests/test_sign.py": TEST,
        "pyproject.toml": CONFIGURATION.format(floor=floor),
        "ci/coverage.sh": (ROOT / "ci/coverage.sh").read_text(encoding="utf-8"),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8", newline="\n")
    # The script calls ``python``, which may be another one where no environment is active.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.run(
        ["bash", tmp_path / "ci/coverage.sh"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code, run.stderr
    assert message in run.stdout
