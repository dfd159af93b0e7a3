"""The names of ``import anynet``."""

import ast
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import pytest

import anynet

LAZY = "bench cli perceptron plotting report".split()


def test_all_public_names_exist():
    """Modules that are imported on first use have their names, too."""
    for name in anynet.__all__:
        assert getattr(anynet, name) is not None
        assert name in dir(anynet)


def test_modules_are_imported_on_first_use():
    program = (
        f"import sys, anynet; names = {LAZY}; full = ['anynet.' + name for name in names]; assert "
        "not any(name in sys.modules for name in full); [getattr(anynet, name) for name in names]; "
        "assert all(name in sys.modules for name in full)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert anynet.perceptron.gate.__name__ == "gate"
    assert anynet.plotting.learning_curves.__name__ == "learning_curves"


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("SGD", "optimizers"),
        ("Linear", "layers"),
        ("cross_entropy", "losses"),
        ("relu", "functions"),
        ("accuracy", "metrics"),
        ("Cosine", "optimizers.schedules"),
        ("Loader", "data"),
        ("he_uniform", "initializers"),
    ],
)
def test_error_names_the_module_that_has_the_name(name, home):
    with pytest.raises(
        AttributeError,
        match=f"^module 'anynet' has no attribute '{name}': wanted anynet.{home}.{name}$",
    ):
        getattr(anynet, name)
    assert hasattr(attrgetter(home)(anynet), name)


def test_error_of_an_unknown_name_suggests_a_public_one():
    """Python compares it with the names in ``dir(anynet)``."""
    with pytest.raises(AttributeError, match=r"^module 'anynet' has no attribute 'ftt'$") as caught:
        _ = anynet.ftt
    assert caught.value.name == "ftt"
    assert caught.value.obj is anynet
    assert not hasattr(anynet, "partial")
    assert not hasattr(anynet, "_Run")


def test_type_checkers_see_the_same_modules():
    tree = ast.parse(Path(anynet.__file__).read_text(encoding="utf-8"))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    assert [alias.name for alias in block.body[0].names] == LAZY
