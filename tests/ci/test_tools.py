"""The versions of ruff and mypy: one pin each, which the hooks and the scripts of CI use."""

import re
import subprocess
import tomllib

import pytest
from source import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINS = dict(
    re.findall(
        r"(ruff|mypy)==([\d.]+)",
        " ".join(PROJECT["project"]["optional-dependencies"]["dev"]),
    )
)
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")


def test_tools_are_pinned_once():
    assert PINS.keys() == {"ruff", "mypy"}
    assert PROJECT["tool"]["ruff"]["required-version"] == f"=={PINS['ruff']}"


def test_hooks_run_the_tools_of_the_environment():
    """No hook installs a version of its own, so CI and the hooks find the same faults."""
    languages = re.findall(r"language: (\w+)", HOOKS)
    assert set(languages) == {"system", "pygrep"}
    assert "additional_dependencies" not in HOOKS
    entries = " ".join(re.findall(r"entry: (.+)", HOOKS))
    for script in ("lint.sh", "types.sh"):
        commands = re.findall(
            r"^(ruff \w+|mypy)",
            (ROOT / "ci" / script).read_text(encoding="utf-8"),
            re.M,
        )
        assert commands
        for command in commands:
            assert command in entries or f"ci/{script}" in entries


@pytest.mark.parametrize("tool", PINS)
def test_installed_versions_are_the_pins(tool):
    """The extra ``dev`` installs them. Without it the test is skipped."""
    try:
        answer = subprocess.run(
            [tool, "--version"], capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        pytest.skip(f"needs {tool}")
    assert PINS[tool] in answer.split()
