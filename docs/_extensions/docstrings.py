"""Docstrings as reStructuredText, where they differ from it.

A docstring is plain text with names between backquotes. Signs that have a meaning in
reStructuredText are escaped. A name is looked up as Python does, in the class, its module and
anynet, and becomes a link if the reference describes the object. A name that leads nowhere fails
the build.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from docutils import nodes
from public_objects import MODULES, NAMES
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.util import logging

logger = logging.getLogger(__name__)

#: An example with its output, a literal, or a name.
NO_TEXT = re.compile(r"(^ *>>>.*?(?=^\s*$|\Z)|``.+?``|`[^`]+`)", re.DOTALL | re.MULTILINE)
#: Stars of arguments, bars of absolute values, an underscore at the end of a name.
SIGNS = re.compile(r"(?<!\\)(\*+(?=\w)|\||(?<=\w)_(?!\w))")
#: A page of the documents, as `help` shows it.
PAGE = re.compile(r"\bdocs/([\w/]+)\.md")
#: The source of a definition: a paragraph, which becomes a field.
SOURCE = re.compile(r"^( *)Source: (.*(?:\n *\S.*)*)", re.MULTILINE)

#: How sections such as "Args:" are shown.
SECTIONS = Config(
    napoleon_use_rtype=False, napoleon_custom_sections=[("Attributes", "params_style")]
)
MISSING = object()


def rewritten(text: str, where: str) -> str:
    """Return the docstring of a dotted name as reStructuredText."""
    parts = NO_TEXT.split(text)
    # Parts with odd indices are those that the pattern found.
    parts[::2] = [PAGE.sub(r":doc:`/\1`", SIGNS.sub(_escape, text)) for text in parts[::2]]
    parts[1::2] = [_link(part, where) for part in parts[1::2]]
    return SOURCE.sub(_field, "".join(parts))


def rewrite(
    app: Sphinx,
    what: str,
    name: str,
    value: Any,
    options: Any,
    lines: list[str],
) -> None:
    """Rewrite the lines of a docstring in place."""
    text = rewritten("\n".join(lines), name)
    # An attribute has no sections, and a colon in its text is not the end of a type.
    has_sections = what not in ("attribute", "data", "property")
    lines[:] = GoogleDocstring(text, SECTIONS).lines() if has_sections else text.split("\n")


def _escape(sign: re.Match[str]) -> str:
    return "".join(f"\\{character}" for character in sign[1])


def _field(source: re.Match[str]) -> str:
    text = " ".join(source[2].split())
    return f"{source[1]}:Source: {text}"


def _link(part: str, where: str) -> str:
    if not part.startswith("`") or part.startswith("``"):
        return part
    text = " ".join(part.strip("`").split())
    target = text.partition("(")[0]
    for scope in _scopes(where):
        found = _find(target, scope)
        if found is not None:
            public = _public_name(*found)
            return f":py:obj:`{text} <{public}>`" if public else f"``{text}``"
    logger.warning("docstring of %s: nothing has the name `%s`", where, text, type="docstrings")
    return f"``{text}``"


def _scopes(where: str) -> Iterator[Any]:
    """Yield the objects in which a name of a docstring is looked up, the closest one first."""
    package = MODULES["anynet"]
    around = [package]
    for part in where.split(".")[1:]:
        around.append(getattr(around[-1], part, None))
    for scope in reversed(around):
        yield scope
        yield sys.modules.get(getattr(scope, "__module__", None) or "")
    yield from MODULES.values()
    yield Root


class Root:
    """The scope of dotted names that begin with the package."""

    anynet = MODULES["anynet"]


def _find(target: str, scope: Any) -> tuple[Any, str, Any] | None:
    """Return the owner, the last name and the object of a dotted name, None if there is none."""
    owner, value, part = None, scope, ""
    for part in target.split("."):
        owner = value
        if isinstance(owner, ModuleType) and not hasattr(owner, part):
            value = sys.modules.get(f"{owner.__name__}.{part}", MISSING)
        else:
            value = getattr(owner, part, MISSING)
        if value is MISSING and part not in _annotations(owner):
            return None
    return owner, part, value


def _annotations(owner: Any) -> set[str]:
    """Return the attributes that a class declares."""
    classes = owner.__mro__ if inspect.isclass(owner) else ()
    return {name for cls in classes for name in vars(cls).get("__annotations__", ())}


def _public_name(owner: Any, part: str, value: Any) -> str | None:
    """Return the name under which the reference describes an object, or None."""
    if id(value) in NAMES:
        return NAMES[id(value)]
    for cls in owner.__mro__ if inspect.isclass(owner) else ():
        if part in vars(cls) and id(cls) in NAMES:
            return f"{NAMES[id(cls)]}.{part}"
    return None


def skip(app: Sphinx, what: str, name: str, value: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out the members that other libraries add to a class."""
    home = getattr(value, "__module__", None) or "anynet"
    return None if home.startswith("anynet") else True


def hide_signature(
    app: Sphinx, what: str, name: str, value: Any, options: Any, *signature: str | None
) -> tuple[str, None] | None:
    """Leave out the signature of a protocol, which nobody calls."""
    return ("", None) if getattr(value, "_is_protocol", False) and what == "class" else None


def write_dashes(app: Sphinx, page: nodes.document) -> None:
    """Write a dash between an argument and its description."""
    for text in list(page.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" – "))


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to autodoc."""
    app.connect("autodoc-process-docstring", rewrite)
    app.connect("autodoc-process-signature", hide_signature)
    app.connect("autodoc-skip-member", skip)
    app.connect("doctree-read", write_dashes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
