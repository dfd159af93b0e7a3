"""Corrections of the pages for screen readers, which axe-core reports otherwise."""

import re
from typing import Any

from sphinx.application import Sphinx

#: The parameters of a signature, one a line: a list whose items have no term.
PARAMETERS = re.compile(r'(<span class="sig-paren">\(</span>\s*)<dl>(.*?)</dl>', re.DOTALL)
#: The text that stands for the picture of a cell, in a comment that readers of the file do not see.
ALTERNATIVE = re.compile(r"<!-- alt: (.*) -->\n(```\{code-cell\}.*\n)")
#: A picture without one has its address in its place.
UNNAMED = re.compile(r'alt="[./]*_images/[^"]*"')
#: The pages that are not in English.
LANGUAGES = {"project/readme_ja": "ja"}


def name_pictures(app: Sphinx, page: str, source: list[str]) -> None:
    """Turn the comments into metadata of the cells, as MyST-NB reads them."""
    metadata = r"\2---\nmystnb:\n  image:\n    alt: '\1'\n---\n"
    source[0] = ALTERNATIVE.sub(metadata, source[0])


def _no_list(parameters: re.Match[str]) -> str:
    items = parameters[2].replace("<dd>", '<dd role="none">')
    return f'{parameters[1]}<dl role="none">{items}</dl>'


def correct(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    document: Any,
) -> None:
    """Correct the parts of a page in its context."""
    body = PARAMETERS.sub(_no_list, context.get("body") or "")
    # A label replaces the text that is shown.
    body = UNNAMED.sub('alt="The picture that the cell above draws"', body)
    context["body"] = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    navigation = context.get("furo_navigation_tree") or ""
    context["furo_navigation_tree"] = navigation.replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )
    context["language"] = LANGUAGES.get(page, context["language"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to the build, to the pages after the theme."""
    app.connect("source-read", name_pictures)
    app.connect("html-page-context", correct, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
