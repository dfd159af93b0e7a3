"""Write the repository's address, which pyproject.toml has, into the documents that show it.

``--check`` only compares, and fails where a document shows another address.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ADDRESS = re.compile(r"https://github\.com/[\w.-]+/anynet\b")


def outdated() -> dict[Path, str]:
    """Return the documents that show another address, each with the text that it should have."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project["urls"]["Repository"]
    if not ADDRESS.fullmatch(address):
        raise SystemExit(f"Repository in pyproject.toml is {address!r}: wanted https://github.com/OWNER/anynet")
    found = {}
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]):
        text = path.read_text(encoding="utf-8")
        right = ADDRESS.sub(address, text)
        if right != text:
            found[path] = right
    return found


if __name__ == "__main__":
    wrong = outdated()
    if "--check" in sys.argv[1:] and wrong:
        names = ", ".join(str(path.relative_to(ROOT)) for path in wrong)
        raise SystemExit(f"{names}: another address than in pyproject.toml: run python ci/address.py")
    for path, text in wrong.items():
        path.write_text(text, encoding="utf-8")
