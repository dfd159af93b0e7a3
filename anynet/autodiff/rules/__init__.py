"""The derivative table: one rule per function of the standard, one file per chapter of the standard.

A rule is called as ``rule(xp, out, *args, **settings)`` with the values of a call and returns its pullbacks (see
`anynet.autodiff.trace.Primitive`). A rule never mentions broadcasting and never casts: the walker in ``backward.py``
brings every cotangent to its argument's shape and dtype.
"""

from collections.abc import Callable
from typing import Any

from anynet.autodiff.rules import elementwise, indexing, linear_algebra, manipulation, searching, statistical
from anynet.autodiff.rules.chapters import CHAPTERS, WITHOUT_DERIVATIVE
from anynet.autodiff.trace import STANDARD, Primitive, Rule
from anynet.errors import NoRuleError

__all__ = ["RULES"]

RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **indexing.RULES,
    **linear_algebra.RULES,
    **manipulation.RULES,
    **searching.RULES,
    **statistical.RULES,
}


def _missing(name: str, chapter: str) -> Callable[..., Any]:
    def rule(*args: Any, **settings: Any) -> Any:
        raise NoRuleError(
            f"no derivative rule for {name!r}: add one to anynet/autodiff/rules/{chapter}.py, "
            "or wrap the argument in anynet.stop_gradient"
        )

    return rule


STANDARD.update(
    {
        name: Primitive(name, None if name in WITHOUT_DERIVATIVE else RULES.get(name) or _missing(name, chapter))
        for chapter, names in CHAPTERS.items()
        for name in names
    }
)
STANDARD.update({primitive.name: primitive for primitive in (indexing.getitem, *manipulation.SEQUENCE_PRIMITIVES)})
