"""Dotted names in pages become links to the reference: ``layers.Linear``, ``anynet.fit(…)``."""

from typing import Any

from docutils import nodes
from public_objects import MODULES, OBJECTS
from sphinx import addnodes
from sphinx.application import Sphinx


def link_names(app: Sphinx, page: nodes.document, where: str) -> None:
    """Wrap the names of a page in links."""
    domain = app.env.domains.python_domain
    for literal in list(page.findall(nodes.literal)):
        target = _target(literal)
        if target:
            wanted = addnodes.pending_xref()
            link = domain.resolve_xref(
                app.env, where, app.builder, "obj", target, wanted, literal.deepcopy()
            )
            if link is not None:
                literal.replace_self(link)


def _target(literal: nodes.literal) -> str | None:
    """Return the dotted name of a public object, or None for other text."""
    name = literal.astext().partition("(")[0]
    if isinstance(literal.parent, nodes.reference | nodes.title):
        return None
    # The page of all public names has their modules as its headings.
    section = literal.parent.parent
    heading = section.next_node(nodes.title) if isinstance(section, nodes.section) else None
    module = heading.astext() if heading is not None else ""
    names = [f"{module}.{name}"] if module in MODULES else []
    if "." in name:
        names += [name, f"anynet.{name}"]
    known = OBJECTS.keys() | MODULES.keys()
    return next((name for name in names if name in known), None)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to the build."""
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
