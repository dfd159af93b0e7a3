"""Write ci/constraints.txt: every package of pyproject.toml at the lowest version that it permits.

The tests pass with these versions (the job `lower-bounds` of the workflow). A package that is
pinned is written at that version. ``--check`` only compares, and fails where the file is out of
date.
"""

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "ci/constraints.txt"


def _number(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def constraints() -> str:
    """Return the file's text: one ``name==version`` a line."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
    ]
    lowest: dict[str, str] = {}
    for requirement in chain.from_iterable(groups):
        found = re.fullmatch(
            r"([\w.-]+)(?:\[[\w,]+\])?[>=]=([\w.]+)(?:,<\d+)?(?:;.*)?", requirement
        )
        if found:
            lowest[found[1]] = max(found[2], lowest.get(found[1], "0"), key=_number)
        elif not requirement.startswith(project["name"]):
            raise SystemExit(
                f"{requirement!r} in pyproject.toml has no lower bound: write name>=version"
            )
    lines = [f"{name}=={version}" for name, version in sorted(lowest.items())]
    return "\n".join(["# Written by ci/lower_bounds.py from pyproject.toml.", *lines, ""])


if __name__ == "__main__":
    if "--check" not in sys.argv[1:]:
        CONSTRAINTS.write_text(constraints(), encoding="utf-8")
    elif CONSTRAINTS.read_text(encoding="utf-8") != constraints():
        raise SystemExit(
            "ci/constraints.txt does not match pyproject.toml: run python ci/lower_bounds.py"
        )
