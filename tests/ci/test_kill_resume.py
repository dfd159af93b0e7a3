"""ci/kill_resume.py with few kills."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "ci" / "kill_resume.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks processes")
def test_killed_runs_end_as_a_whole_run():
    """It takes some seconds, because each run goes on to its end."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", "2"],
        timeout=240,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("2 kills: 0 failures")
