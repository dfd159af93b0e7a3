"""Check the links of a built documentation site: each file and each anchor in it exists.

    python ci/check_links.py OUT

Links to other sites are not followed. Exits with status 1 if a link leads nowhere.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The anchors of a page, and the addresses that it links to or loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors = {"", "top"}
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Collect the attributes of a tag."""
        for name, value in attributes:
            if value is None:
                continue
            if name == "id":
                self.anchors.add(value)
            if name in ("href", "src"):
                self.links.append(value)


def dead_links(folder: Path) -> list[str]:
    """Return the links that lead nowhere, each after its page."""
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}
    dead = []
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            anchors = pages[target].anchors if target in pages else None
            missing = anchors is not None and unquote(parts.fragment) not in anchors
            if missing or not target.exists():
                dead.append(f"{path.relative_to(folder.resolve())}: {link}")
    return dead


def main(folder: Path) -> int:
    """Print the dead links and return the exit status."""
    dead = dead_links(folder)
    print("\n".join(dead) or f"all links inside {folder} lead somewhere")
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
