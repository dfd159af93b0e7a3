"""The runner of mutants: what it changes, and what it leaves alone."""

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

WANTED = [
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


def test_the_changes_of_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(mutate, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text(SOURCE, encoding="utf-8")
    found = list(mutate.mutants(tmp_path / "a.py"))
    assert [(mutant.kind, mutant.diff().rpartition("\n+")[2]) for mutant in found] == WANTED
    assert all(mutant.source == SOURCE and mutant.path == "a.py" for mutant in found)


def test_the_tests_that_reach_a_mutant(monkeypatch, tmp_path):
    monkeypatch.setattr(mutate, "ROOT", tmp_path)
    source = "def f(x, n=1):\n    if x:\n        return g(\n            2)\n"
    for name, text in {
        "anynet/data/a.py": source,
        "anynet/b.py": source,
        "tests/data/test_a.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    slow, quick, other, signatures = (
        "tests/data/test_a.py::slow",
        "tests/data/test_a.py::quick",
        "b::z",
        "b::y",
    )
    seconds = {slow: 2.0, quick: 1.0, other: 0.5, signatures: 3.0}
    record = mutate.Record(
        seconds,
        {
            "anynet/data/a.py": {
                "2": [slow, other],
                "3": [slow, signatures],
                "4": [slow],
            }
        },
    )

    def tests_of(name, text):
        return next(
            record.tests(x) for x in mutate.mutants(tmp_path / name) if x.diff().endswith(text)
        )

    # Those of the module's own file come first, and of these the ones that reach the line.
    assert tests_of("anynet/data/a.py", "(3))") == [
        [slow, quick],
        [signatures],
    ]
    # What runs at import is reached by all.
    assert tests_of("anynet/data/a.py", "n=(2)):") == [
        [slow, quick],
        [other, signatures],
    ]
    # Nothing is known of this module.
    assert tests_of("anynet/b.py", "(3))") == [[], []]
