"""pyproject.toml, the files generated from it, the packages and the documents agree."""

import re
import subprocess
import sys
import tomllib

import pytest
from programs import ROOT

import anynet

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("script", ["address.py", "lower_bounds.py"])
def test_generated_files_are_current(script):
    done = subprocess.run(
        [sys.executable, ROOT / "ci" / script, "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_outdated_bounds_and_addresses_are_detected(tmp_path):
    for name in (
        "ci/address.py",
        "ci/lower_bounds.py",
        "ci/constraints.txt",
        "README.md",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    changed = re.sub(
        r"numpy>=[\d.]+",
        "numpy>=2.7",
        re.sub(r"(?<=github.com/)[\w.-]+", "someone", text),
    )
    (tmp_path / "pyproject.toml").write_text(changed, encoding="utf-8")
    (tmp_path / "README.md").write_text("https://github.com/OWNER/anynet.git", encoding="utf-8")
    notebook = tmp_path / "examples/notebooks/one.ipynb"
    notebook.parent.mkdir(parents=True)
    badge = "https://colab.research.google.com/github/{}/anynet/blob/main/one.ipynb"
    notebook.write_text(badge.format("OWNER"), encoding="utf-8")
    for script, name, wanted in (
        (
            "address.py",
            "README.md",
            "https://github.com/someone/anynet.git",
        ),
        ("lower_bounds.py", "ci/constraints.txt", "numpy==2.7"),
    ):
        command = [sys.executable, tmp_path / "ci" / script]
        checked = subprocess.run(
            [*command, "--check"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 1
        assert f"run python ci/{script}" in checked.stderr
        subprocess.run(command, check=True)
        assert wanted in (tmp_path / name).read_text(encoding="utf-8").splitlines()
        subprocess.run([*command, "--check"], check=True)
    assert notebook.read_text(encoding="utf-8") == badge.format("someone")


def test_release_needs_an_owner_and_makes_links_absolute(tmp_path):
    for name in ("ci/address.py", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    readme, project = tmp_path / "README.md", tmp_path / "pyproject.toml"
    readme.write_text("[a](docs/a.md) [b](https://b.org) [c](#c)", encoding="utf-8")
    command = [
        sys.executable,
        tmp_path / "ci/address.py",
        "--release",
        "v0.1.0",
    ]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    if "/OWNER/" in project.read_text(encoding="utf-8"):
        assert "put the owner in place of OWNER" in refused.stderr
        project.write_text(
            project.read_text(encoding="utf-8").replace("/OWNER/", "/someone/"),
            encoding="utf-8",
        )
        subprocess.run(command, check=True)
    assert re.fullmatch(
        r"\[a\]\(https://github.com/[\w.-]+/anynet/blob/v0.1.0/docs/a.md\) "
        r"\[b\]\(https://b.org\) \[c\]\(#c\)",
        readme.read_text(encoding="utf-8"),
    )


def test_wheel_has_all_packages():
    listed = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    there = sorted(
        path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("backends/*/__init__.py")
    )
    assert listed == ["anynet", *there]


def test_changelog_starts_with_the_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", text, re.M)[0] == anynet.__version__
