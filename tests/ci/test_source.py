"""Tokens, lines and docstrings of small files with known counts."""

import pytest
from source import Size, docstrings, functions_decorated, python_files, size

MODULE = '''"""A module."""

import os  # a comment


class Layer(os.PathLike):
    """A class.

    Two paragraphs.
    """

    @kernel.lowering(fast=True)
    def call(self, x):
        """Return x."""
        text = """two
        lines"""
        return f"{x} {text!r}"


@functools.cache
def twice(x):
    return 2 * x
'''


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "package" / "module.py"
    path.parent.mkdir()
    path.write_text(MODULE, encoding="utf-8")
    return path


def test_tokens_and_lines_of_definitions(path):
    assert size(path, "twice") == Size(tokens=4 + 6 + 4, lines=3)
    assert functions_decorated(path, "lowering") == Size(tokens=9 + 8 + 3 + 2, lines=5)
    assert functions_decorated(path, "cache") == size(path, "twice")
    assert size(path, "Layer") == functions_decorated(path, "lowering") + Size(tokens=8, lines=1)
    assert size(path) == size(path, "Layer") + size(path, "twice") + Size(tokens=2, lines=1)


def test_docstrings_with_their_lines(path):
    found = sorted((docstring.line, docstring.text) for docstring in docstrings(path))
    assert found == [
        (1, "A module."),
        (7, "A class.\n\nTwo paragraphs."),
        (14, "Return x."),
    ]


def test_files_of_overlapping_paths(path):
    assert python_files([path.parent, path, path.parents[1]]) == [path]


def test_errors_for_missing_files_and_names(path, tmp_path):
    with pytest.raises(SystemExit, match="holds no Python file"):
        python_files([tmp_path / "nothing"])
    with pytest.raises(SystemExit, match="does not define Conv"):
        size(path, "Conv")
