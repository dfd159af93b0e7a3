"""Write the repository's address from pyproject.toml into the documents that show it.

python ci/address.py                    write it
python ci/address.py --check            fail if a document shows another address
python ci/address.py --release v0.1.0   make README's links to files absolute, as the package
                                        index needs them
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ADDRESS = re.compile(r"https://github\.com/[\w.-]+/anynet\b")
#: The address, and the paths of the repository in Colab.
ANYWHERE = re.compile(
    r"(https://(?:colab\.research\.google\.com/)?github(?:\.com)?)/[\w.-]+/anynet\b"
)
DOCUMENTS = ("*.md", "docs/**/*.md", "examples/notebooks/*.md", "examples/notebooks/*.ipynb")
#: The owner until the repository has one.
PLACEHOLDER = "OWNER"


def address() -> str:
    """Return the address of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: str = project["urls"]["Repository"]
    if not ADDRESS.fullmatch(found):
        raise SystemExit(
            f"Repository in pyproject.toml is {found!r}: wanted https://github.com/NAME/anynet"
        )
    return found


def outdated() -> dict[Path, str]:
    """Return the documents that show another address, each with the text that it should have."""
    found = {}
    owner = address().split("/")[-2]
    for path in sorted(path for pattern in DOCUMENTS for path in ROOT.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        right = ANYWHERE.sub(rf"\g<1>/{owner}/anynet", text)
        if right != text:
            found[path] = right
    return found


def with_absolute_links(text: str, tag: str) -> str:
    """Return a document whose relative links point to the repository at a tag."""
    if f"/{PLACEHOLDER}/" in address():
        raise SystemExit(
            f"Repository in pyproject.toml is {address()}: put the owner in place of {PLACEHOLDER}"
        )
    return re.sub(
        r"\]\((?!https?:|#)([^)]+)\)",
        rf"]({address()}/blob/{tag}/\1)",
        text,
    )


def main(arguments: list[str]) -> None:
    """Write or check the documents."""
    if arguments[:1] == ["--release"]:
        readme = ROOT / "README.md"
        text = with_absolute_links(readme.read_text(encoding="utf-8"), arguments[1])
        readme.write_text(text, encoding="utf-8")
        return
    wrong = outdated()
    if arguments == ["--check"] and wrong:
        names = ", ".join(str(path.relative_to(ROOT)) for path in wrong)
        raise SystemExit(
            f"{names}: the address differs from the one in pyproject.toml: run python ci/address.py"
        )
    for path, text in wrong.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
