"""The counts of a small package whose text is known."""

import subprocess
import sys

import pytest
from prose import (
    LONG_SUBJECTS,
    count_package,
    count_repository,
    offences,
    outside_bounds,
    sentences,
    table,
)
from source import ROOT

MODULE = '''"""What a number is; a module of ``what; code``.

What happens? Nothing happens.
"""


def f(x):
    """Return x.

    >>> f("what; number")
    'what; number'
    >>> f(1)
    1

    A number of words e.g. these.
    """
    return x
'''


@pytest.fixture
def package(tmp_path):
    (tmp_path / "module.py").write_text(MODULE, encoding="utf-8")
    return tmp_path


def test_counts_of_docstrings(package):
    counts = count_package([package])
    words = 8 + 4 + 2 + 6
    assert counts["words of docstrings"] == words
    assert counts['"what" clauses in 1,000 words'] == pytest.approx(1000 / words)
    assert counts["semicolons in 1,000 words"] == pytest.approx(1000 / words)
    assert counts['"number(s)" in 1,000 words'] == pytest.approx(2000 / words)
    assert counts["docstrings with an example"] == 1
    assert counts["statements in examples"] == 2
    assert counts["tokens a code line"] == pytest.approx(8 / 2)


def test_offences_name_the_file_and_line(package):
    assert offences([package]) == [
        f"{package / 'module.py'}:1: What a number is; a module of code."
    ]


def test_sentences_end_with_paragraphs():
    assert sentences("One\ntwo. Three!\n\nFour\n") == [
        "One two.",
        "Three!",
        "Four",
    ]


def test_counts_of_documents_and_commits(tmp_path):
    (tmp_path / "README.md").write_text("# A title\n\nthree words here\n", encoding="utf-8")
    (tmp_path / "CONTRIBUTING.md").write_text("", encoding="utf-8")
    assert count_repository(tmp_path) == {
        "words of README.md": 6,
        "words of CONTRIBUTING.md": 0,
    }
    git = [
        "git",
        "-C",
        tmp_path,
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b.org",
    ]
    try:
        subprocess.run([*git, "init", "--quiet"], check=True)
    except FileNotFoundError:
        pytest.skip("needs git")
    for length in (72, 73):
        subprocess.run(
            [
                *git,
                "commit",
                "--quiet",
                "--allow-empty",
                "-m",
                "s" * length,
            ],
            check=True,
        )
    assert count_repository(tmp_path)[LONG_SUBJECTS] == 1


def test_bounds():
    inside = {
        "tokens a code line": 8.0,
        "docstrings with an example": 100,
        "words of docstrings": 10**6,
    }
    assert outside_bounds(inside) == []
    outside = {"tokens a code line": 8.01, "docstrings with an example": 99}
    assert outside_bounds(outside) == [
        "tokens a code line: 8.01, wanted at most 8",
        "docstrings with an example: 99, wanted at least 100",
    ]


def test_table_has_a_column_for_each_package():
    lines = table({"here": {"code lines": 1200}, "peer": {"tokens a code line": 5.04}}).splitlines()
    assert [line.split() for line in lines] == [
        ["here", "peer", "bound"],
        ["code", "lines", "1,200", "–"],
        ["tokens", "a", "code", "line", "–", "5.0", "≤", "8"],
    ]


def test_check_fails_outside_the_bounds(package):
    command = [sys.executable, ROOT / "ci/prose.py", package]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    checked = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 1
    assert "docstrings with an example: 1, wanted at least 100" in checked.stderr
