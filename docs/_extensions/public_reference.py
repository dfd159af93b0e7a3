"""The reference has every public name, each described once.

The directive ``public`` describes names of a module, all of them if it has no content, below a
table of their first sentences. If ``__all__`` of several modules has a name, the first describes
it, and the others link to it. The build fails if a public name is described nowhere.
"""

import inspect
import re
import sys
from typing import Any

from docstrings import rewritten
from docutils import nodes
from docutils.statemachine import StringList
from public_objects import MODULES, NAMES, OBJECTS
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

TABLE = """
.. list-table::
   :class: names
   :widths: auto
"""


class Public(SphinxDirective):
    """Describe names of a module."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table and the descriptions."""
        path = self.arguments[0]
        names = " ".join(self.content).split() or sorted(MODULES[path].__all__, key=str.lower)
        dotted = [f"{path}.{name}" for name in names]
        values = {name: OBJECTS[name] for name in dotted if name in OBJECTS}
        lines = TABLE.splitlines()
        for name, value in values.items():
            lines += ["", *_row(name, value)]
        for name, value in values.items():
            if NAMES[id(value)] == name:
                lines += ["", *_description(name, value)]
        return self.parse_text_to_nodes(StringList(lines, source=self.get_source_info()[0]))


def _row(name: str, value: Any) -> list[str]:
    """Return a row of the table: the name and the first sentence."""
    paragraph = " ".join(_text(name, value)).partition("  ")[0]
    sentence = re.split(r"(?<=\.)\s", paragraph)[0]
    last = name.rpartition(".")[2]
    return [f"   * - :py:obj:`{last} <{NAMES[id(value)]}>`", f"     - {rewritten(sentence, name)}"]


def _description(name: str, value: Any) -> list[str]:
    """Return the directive that describes an object."""
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        lines = [f".. {kind}:: {name}", "   :members:"]
        return [*lines, "   :show-inheritance:"] if _public_bases(value) else lines
    if callable(value):
        return [f".. autofunction:: {name}"]
    module, _, last = name.rpartition(".")
    text = rewritten("\n".join(_text(name, value)), name).split("\n")
    return [f".. py:data:: {last}", f"   :module: {module}", "", *(f"   {line}" for line in text)]


def _public_bases(cls: type) -> list[type]:
    """Return the closest bases that the reference or Python's documentation describes."""
    found: list[type] = []
    for base in cls.__bases__:
        is_known = id(base) in NAMES or base.__module__ == "builtins"
        found += [base] if is_known else _public_bases(base)
    return [base for base in found if base is not object]


def show_bases(app: Sphinx, name: str, cls: type, options: Any, bases: list[type]) -> None:
    """Show public bases only."""
    bases[:] = _public_bases(cls)


def _text(name: str, value: Any) -> list[str]:
    """Return the lines of a docstring, or of the comment ``#:`` above a value."""
    if callable(value):
        return (inspect.getdoc(value) or "").splitlines()
    last = name.rpartition(".")[2]
    # The file of a value is not known.
    for module in [*sys.modules.values()]:
        known = getattr(module, "__name__", "").startswith("anynet")
        if known and vars(module).get(last) is value:
            comments = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
            if ("", last) in comments:
                return comments["", last]
    logger.warning("no comment #: above the definition of %s", name, type="public_reference")
    return []


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Report public names that are not described, and enter the other names of those that are."""
    described = env.domains.python_domain.objects
    for name, value in OBJECTS.items():
        first = NAMES[id(value)]
        if first not in described:
            logger.warning("no page in docs/api describes %s", first, type="public_reference")
        elif name not in described:
            described[name] = described[first]._replace(aliased=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive and the check."""
    app.add_directive("public", Public)
    app.connect("autodoc-process-bases", show_bases)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
