"""The site: the reference has every public name, and the check of links finds dead ones."""

import re
import subprocess
import sys

import pytest
from programs import ROOT
from public_names import public_modules

PAGES = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/api/*.rst"))]
DIRECTIVE = re.compile(r"^\.\. public:: (\S+)\n((?:\n?   .+\n)*)", re.MULTILINE)


def described() -> dict[str, set[str]]:
    """Return the names that the pages describe, by module."""
    modules = public_modules()
    found: dict[str, set[str]] = {}
    for path, names in (match for page in PAGES for match in DIRECTIVE.findall(page)):
        found.setdefault(path, set()).update(names.split() or modules[path].__all__)
    return found


@pytest.mark.parametrize("path", public_modules())
def test_reference_describes_public_names(path):
    modules = public_modules()
    own = {
        name
        for name in modules[path].__all__
        if getattr(modules[path], name) not in modules.values()
    }
    assert described().get(path, set()) >= own, f"add the names to docs/api, below {path}"


def test_dead_links_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="b.html#there">1</a><a href="b.html#gone">2</a>'
        '<a href="#here">3</a><a href="c.html">4</a><a href="https://example.org/c">5</a>'
        '<img src="d.png">',
        encoding="utf-8",
    )
    (tmp_path / "b.html").write_text('<p id="there">', encoding="utf-8")
    command = [sys.executable, ROOT / "ci" / "check_links.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[:-1] == [
        "a.html: b.html#gone",
        "a.html: c.html",
        "a.html: d.png",
    ]
    assert done.returncode == 1
    (tmp_path / "a.html").unlink()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
