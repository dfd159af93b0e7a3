"""Pages whose files are outside docs/: the notebooks and the documents of the project.

They are copied into docs/notebooks and docs/project, which git ignores, before the build reads its
files. A link from a page to a file outside of the site leads to the repository.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = {
    "README.ja.md": "project/readme_ja",
    "CONTRIBUTING.md": "project/contributing",
    "CHANGELOG.md": "project/changelog",
    "examples/notebooks/README.md": "notebooks/index",
}
LINK = re.compile(r"(!?)(\[[^\]]*\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def origins() -> dict[str, Path]:
    """Return the file of each page from outside, by the name of the page."""
    documents = {page: ROOT / name for name, page in DOCUMENTS.items()}
    notebooks = {
        f"notebooks/{path.stem}": path
        for path in sorted((ROOT / "examples" / "notebooks").glob("*.md"))
        if path.stem != "README"
    }
    return {page: path for page, path in (documents | notebooks).items() if path.exists()}


def copy_pages(app: Sphinx) -> None:
    """Copy the pages, and remove those of files that are gone."""
    pages = origins()
    wanted = {DOCS / f"{page}.md" for page in pages}
    for folder in ("project", "notebooks"):
        (DOCS / folder).mkdir(exist_ok=True)
        for path in set((DOCS / folder).glob("*.md")) - wanted:
            path.unlink()
    for page, path in pages.items():
        text, copy = path.read_text(encoding="utf-8"), DOCS / f"{page}.md"
        # A file that did not change keeps its time, by which Sphinx decides what to read again.
        if not copy.exists() or copy.read_text(encoding="utf-8") != text:
            copy.write_text(text, encoding="utf-8")


def rewrite_links(app: Sphinx, page: str, source: list[str]) -> None:
    """Let the links of a page lead to other pages, or to the repository."""
    paths = origins()
    pages = {path: name for name, path in paths.items()}
    pages |= {path.with_suffix(".ipynb"): name for name, path in paths.items()}
    here = paths.get(page, DOCS / f"{page}.md").parent

    def rewrite(link: re.Match[str]) -> str:
        image, text, target, anchor = link.groups(default="")
        path = Path(os.path.normpath(here / target))
        if image:
            return f"!{text}/{os.path.relpath(path, DOCS)})"
        return f"{text}{_target(path, pages) or target}{anchor})"

    source[0] = LINK.sub(rewrite, source[0])


def _target(path: Path, pages: dict[Path, str]) -> str | None:
    """Return the link to a file, or None for one that the build reports as missing."""
    if path in pages:
        return f"/{pages[path]}.md"
    if path.is_relative_to(DOCS):
        return f"/{path.relative_to(DOCS).as_posix()}"
    if not path.exists():
        return None
    kind = "tree" if path.is_dir() else "blob"
    return f"{_address()}/{kind}/main/{path.relative_to(ROOT).as_posix()}"


def _address() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address: str = project["urls"]["Repository"]
    return address


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to the build."""
    app.connect("builder-inited", copy_pages)
    app.connect("source-read", rewrite_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
