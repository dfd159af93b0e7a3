"""Count habits of style in docstrings, code, documents and commit subjects.

    python ci/prose.py                          anynet and its backends
    python ci/prose.py anynet/layers            one part of it
    python ci/prose.py --peers DIR DIR          other packages in columns beside it
    python ci/prose.py --list                   every sentence with a "what" clause or a semicolon
    python ci/prose.py --check                  fail where a bound is exceeded

- A "what" clause is the word "what" in a docstring outside of a question ("what happens?").
  Indirect questions ("says what was given") count too.
- A literal between backquotes is one word. Examples (``>>>``), their output and fenced code do not
  count.
- A code line holds at least one token. Comments, docstrings, line ends and indentation are not
  tokens here.
- Words of a document are counted as ``wc -w`` counts them, code and tables included.
"""

import argparse
import re
import shutil
import subprocess
from pathlib import Path

from source import ROOT, Docstring, Size, docstrings, python_files, size

SUBJECTS = 40
LONGEST_SUBJECT = 72
LONG_SUBJECTS = f"subjects over {LONGEST_SUBJECT} characters, of {SUBJECTS}"

AT_MOST = {
    '"what" clauses in 1,000 words': 1.0,
    "semicolons in 1,000 words": 4.0,
    "tokens a code line": 8.0,
    "words of README.md": 900.0,
    "words of CONTRIBUTING.md": 1800.0,
    LONG_SUBJECTS: 4.0,
}
AT_LEAST = {"docstrings with an example": 100.0}


def prose(docstring: str) -> str:
    """Return a docstring without its examples and with the word ``code`` for every literal."""
    text = re.sub(r"```.*?```", "", docstring, flags=re.S)
    # An example ends at the next empty line, as it does for doctest.
    text = re.sub(r"^ *>>>.*?(?=^\s*$|\Z)", "", text, flags=re.S | re.M)
    return re.sub(r"``[^`]+``|`[^`\n]+`", "code", text)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, each on one line."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        line = " ".join(paragraph.split())
        found += re.split(r"(?<=[.?!]) ", line) if line else []
    return found


def what_clauses(sentence: str) -> int:
    """Return how often "what" stands in a sentence that is not a question."""
    return 0 if sentence.endswith("?") else len(re.findall(r"\bwhat\b", sentence, re.I))


def count_docstrings(found: list[Docstring]) -> dict[str, float]:
    """Return the counts of docstrings by name."""
    parts = [part for docstring in found for part in sentences(prose(docstring.text))]
    text = " ".join(parts)
    words = len(text.split())
    statements = [len(re.findall(r"^ *>>>", docstring.text, re.M)) for docstring in found]
    thousands = max(words, 1) / 1000
    return {
        "words of docstrings": words,
        '"what" clauses in 1,000 words': sum(map(what_clauses, parts)) / thousands,
        "semicolons in 1,000 words": text.count(";") / thousands,
        '"number(s)" in 1,000 words': len(re.findall(r"\bnumbers?\b", text, re.I)) / thousands,
        "docstrings with an example": sum(map(bool, statements)),
        "statements in examples": sum(statements),
    }


def count_code(files: list[Path]) -> dict[str, float]:
    """Return the counts of code by name."""
    total = sum(map(size, files), Size())
    return {
        "code lines": total.lines,
        "tokens a code line": total.tokens / max(total.lines, 1),
    }


def count_package(paths: list[Path]) -> dict[str, float]:
    """Return the counts of docstrings and code in these files and folders."""
    files = python_files(paths)
    found = [docstring for path in files for docstring in docstrings(path)]
    return count_docstrings(found) | count_code(files)


def count_repository(root: Path) -> dict[str, float]:
    """Return the counts of documents and, in a clone, of the latest commit subjects."""
    counts: dict[str, float] = {}
    for name in ("README.md", "CONTRIBUTING.md"):
        counts[f"words of {name}"] = len((root / name).read_text(encoding="utf-8").split())
    if (root / ".git").exists() and shutil.which("git"):
        command = [
            "git",
            "log",
            "--no-merges",
            f"-{SUBJECTS}",
            "--format=%s",
        ]
        log = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
        long = [subject for subject in log.splitlines() if len(subject) > LONGEST_SUBJECT]
        counts[LONG_SUBJECTS] = len(long)
    return counts


def outside_bounds(counts: dict[str, float]) -> list[str]:
    """Return in words each count that is outside its bound."""
    found: list[str] = []
    for name, value in counts.items():
        if value > AT_MOST.get(name, value):
            found.append(f"{name}: {value:,.2f}, wanted at most {AT_MOST[name]:,.0f}")
        if value < AT_LEAST.get(name, value):
            found.append(f"{name}: {value:,.0f}, wanted at least {AT_LEAST[name]:,.0f}")
    return found


def offences(paths: list[Path]) -> list[str]:
    """Return every sentence with a "what" clause or a semicolon, after its file and line."""
    found: list[str] = []
    for path in python_files(paths):
        for docstring in docstrings(path):
            parts = sentences(prose(docstring.text))
            counted = [part for part in parts if what_clauses(part) or ";" in part]
            found += [f"{path}:{docstring.line}: {part}" for part in counted]
    return found


def table(columns: dict[str, dict[str, float]]) -> str:
    """Return the counts of each column as text, with the bounds in a last column."""
    names = list(dict.fromkeys(name for counts in columns.values() for name in counts))
    rows = [["", *columns, "bound"]]
    for name in names:
        values = [_shown(counts.get(name)) for counts in columns.values()]
        rows.append([name, *values, _bound(name)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _bound(name: str) -> str:
    if name in AT_MOST:
        return f"≤ {AT_MOST[name]:,.0f}"
    return f"≥ {AT_LEAST[name]:,.0f}" if name in AT_LEAST else ""


def main() -> None:
    """Print the counts, or with ``--check`` fail where one is outside its bound."""
    parser = argparse.ArgumentParser(description="Count habits of style.")
    ours = [ROOT / "anynet", ROOT / "backends"]
    parser.add_argument("paths", nargs="*", type=Path, default=ours, metavar="PATH")
    parser.add_argument("--peers", nargs="+", type=Path, default=[], metavar="DIR")
    parser.add_argument("--list", action="store_true", help="show the sentences that count")
    parser.add_argument(
        "--check",
        action="store_true",
        help="fail where a bound is exceeded",
    )
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(offences(arguments.paths)))
        return
    counts = count_package(arguments.paths)
    if arguments.paths == ours:
        counts |= count_repository(ROOT)
    print(table({"here": counts} | {path.name: count_package([path]) for path in arguments.peers}))
    problems = outside_bounds(counts)
    if arguments.check and problems:
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    main()
