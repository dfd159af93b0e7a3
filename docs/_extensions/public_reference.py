"""The reference has every public name, each described once.

The directive ``public`` describes names of a module, all of them if it has no content. If
``__all__`` of several modules has a name, the first describes it, and the others link to it. The
build fails if a public name is described nowhere.
"""

import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).parents[2] / "ci"))

from public_names import public_modules  # found on the path of the line above

logger = logging.getLogger(__name__)

MODULES = public_modules()
# Autodoc imports a module by its public name, which differs from the name of its file for
# anynet.checkpoint.
sys.modules.update(MODULES)


def public_objects() -> dict[str, Any]:
    """Return the public objects that are no modules, by each of their dotted names."""
    return {
        f"{path}.{name}": value
        for path, module in MODULES.items()
        for name in module.__all__
        if not isinstance(value := getattr(module, name), ModuleType)
    }


def first_names() -> dict[str, str]:
    """Return for each public name the one where its object is described."""
    described: dict[int, str] = {}
    return {name: described.setdefault(id(value), name) for name, value in public_objects().items()}


class Public(SphinxDirective):
    """Describe names of a module, with a table of them before."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table and the descriptions."""
        path = self.arguments[0]
        module = MODULES[path]
        names = " ".join(self.content).split() or sorted(module.__all__, key=str.lower)
        values = {name: getattr(module, name) for name in names}
        members = {f"{path}.{k}": v for k, v in values.items() if not isinstance(v, ModuleType)}
        lines = [".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   {FIRST[name].removeprefix(f'{path}.')}" for name in members]
        for name, value in members.items():
            if FIRST[name] == name:
                lines += ["", *_description(name, value)]
        return self.parse_text_to_nodes(StringList(lines, source=self.get_source_info()[0]))


def _description(name: str, value: Any) -> list[str]:
    """Return the directive that describes an object."""
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        return [f".. {kind}:: {name}", "   :members:", "   :show-inheritance:"]
    if callable(value):
        return [f".. autofunction:: {name}"]
    module, _, last = name.rpartition(".")
    head = [f".. py:data:: {last}", f"   :module: {module}", ""]
    return head + [f"   {line}" for line in _comment(name, value)]


def _comment(name: str, value: Any) -> list[str]:
    """Return the comment ``#:`` above the definition of a value, whose file is not known."""
    last = name.rpartition(".")[2]
    for module in [*sys.modules.values()]:
        known = getattr(module, "__name__", "").startswith("anynet")
        if known and vars(module).get(last) is value:
            comments = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
            if ("", last) in comments:
                return comments["", last]
    logger.warning("no comment #: above the definition of %s", name, type="public_reference")
    return []


FIRST = first_names()


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Report public names that are not described, and enter the other names of those that are."""
    domain = env.domains.python_domain
    for name, first in FIRST.items():
        if first not in domain.objects:
            logger.warning("no page in docs/api describes %s", first, type="public_reference")
        elif name not in domain.objects:
            domain.objects[name] = domain.objects[first]._replace(aliased=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive and the check."""
    app.add_directive("public", Public)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
