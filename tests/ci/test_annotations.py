"""Parameters annotated as ``Any`` in small packages."""

import subprocess
import sys

import pytest
from annotations import measure, share
from source import ROOT

ARRAYS = """
from typing import Any, TypeAlias

Array: TypeAlias = Any
Matrix = Array
Shape = tuple
"""

FUNCTIONS = """
class Layer:
    def forward(self, x: Array, *rest: "Matrix", axis: int, **settings: typing.Any) -> Any:
        def inner(shape: Shape, y, z: list[Array] | None): ...
"""


@pytest.fixture
def folders(tmp_path):
    for name, text in (("core", ARRAYS), ("plug_in", FUNCTIONS)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "module.py").write_text(text, encoding="utf-8")
    return [tmp_path / "core", tmp_path / "plug_in"]


def test_parameters_that_are_any(folders):
    found = measure(folders)
    assert found["core"] == []
    assert {
        parameter.name: (parameter.is_any, parameter.holds_any) for parameter in found["plug_in"]
    } == {
        "x": (True, True),
        "rest": (True, True),
        "axis": (False, False),
        "settings": (True, True),
        "shape": (False, False),
        "z": (False, True),
    }
    assert share(found["core"]) == 0
    assert share(found["plug_in"]) == pytest.approx(3 / 6)


def test_check_compares_with_the_bound_of_the_folder(folders):
    anynet = folders[1].rename(folders[1].with_name("anynet"))
    command = [
        sys.executable,
        ROOT / "ci/annotations.py",
        "--check",
        folders[0],
    ]
    subprocess.run(command, capture_output=True, check=True)
    checked = subprocess.run([*command, anynet], capture_output=True, text=True, check=False)
    assert checked.returncode == 1
    assert "anynet: 50.0% of the parameters are Any, wanted at most 15%" in checked.stderr
