"""The mutants of a file, and the tests that each of them runs."""

import pytest

mutate = pytest.importorskip("mutate", reason="the runner of mutants needs POSIX's processes")

SOURCE = '''"""A docstring with a 1."""

def f(x: "a + b", y: int = 2) -> "c < d":
    """Return 3."""
    if x < 4 and not y:
        raise ValueError(f"x is {x + 1}: wanted {1 - 1}")
    self.é = y
    return g(x, y, axis=-1) + (5 if y else 0.5)
'''

EXPECTED = [
    ("constant", 'def f(x: "a + b", y: int = (3)) -> "c < d":'),
    ("constant", 'def f(x: "a + b", y: int = (1)) -> "c < d":'),
    ("and/or", "    if (x < 4 or not y):"),
    ("dropped condition", "    if (not y):"),
    ("dropped condition", "    if (x < 4):"),
    ("comparison", "    if (x <= 4) and not y:"),
    ("comparison", "    if (x >= 4) and not y:"),
    ("constant", "    if x < (5) and not y:"),
    ("constant", "    if x < (3) and not y:"),
    ("dropped operator", "    if x < 4 and (y):"),
    ("dropped statement", "        pass"),
    ("dropped statement", "    pass"),
    ("operator", "    return (g(x, y, axis=-1) - (5 if y else 0.5))"),
    (
        "swapped arguments",
        "    return (g(y, x, axis=-1)) + (5 if y else 0.5)",
    ),
    ("dropped argument", "    return (g(x, y)) + (5 if y else 0.5)"),
    (
        "dropped operator",
        "    return g(x, y, axis=(1)) + (5 if y else 0.5)",
    ),
    ("constant", "    return g(x, y, axis=-(2)) + (5 if y else 0.5)"),
    ("constant", "    return g(x, y, axis=-(0)) + (5 if y else 0.5)"),
    ("branches", "    return g(x, y, axis=-1) + ((0.5 if y else 5))"),
    ("constant", "    return g(x, y, axis=-1) + ((6) if y else 0.5)"),
    ("constant", "    return g(x, y, axis=-1) + ((4) if y else 0.5)"),
    ("constant", "    return g(x, y, axis=-1) + (5 if y else (1.0))"),
]


def test_mutants_of_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(mutate, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text(SOURCE, encoding="utf-8")
    mutants = list(mutate.mutants(tmp_path / "a.py"))
    assert [(mutant.kind, mutant.diff().rpartition("\n+")[2]) for mutant in mutants] == EXPECTED
    assert all(mutant.source == SOURCE and mutant.path == "a.py" for mutant in mutants)


def test_tests_that_reach_a_mutant(monkeypatch, tmp_path):
    monkeypatch.setattr(mutate, "ROOT", tmp_path)
    source = "def f(x, n=1):\n    if x:\n        return g(\n            2)\n"
    for name, text in {
        "anynet/data/a.py": source,
        "anynet/b.py": source,
        "tests/data/test_a.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    slow, quick = "tests/data/test_a.py::slow", "tests/data/test_a.py::quick"
    other, signatures = "b::z", "b::y"
    seconds = {slow: 2.0, quick: 1.0, other: 0.5, signatures: 3.0}
    lines = {"2": [slow, other], "3": [slow, signatures], "4": [slow]}
    record = mutate.Record(seconds, {"anynet/data/a.py": lines})

    def tests_of(name, text):
        for mutant in mutate.mutants(tmp_path / name):
            if mutant.diff().endswith(text):
                return record.tests(mutant)
        raise AssertionError(f"no mutant ends with {text}")

    # The tests of the module's own file come first. Those that reach the line lead.
    assert tests_of("anynet/data/a.py", "(3))") == [[slow, quick], [signatures]]
    # All tests reach code that runs at import.
    assert tests_of("anynet/data/a.py", "n=(2)):") == [[slow, quick], [other, signatures]]
    # The record does not have this module.
    assert tests_of("anynet/b.py", "(3))") == [[], []]
