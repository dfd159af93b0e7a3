"""The derivative table: a rule for each function of the standard, a file for each chapter.

A rule is called as ``rule(xp, out, *args, **settings)`` with the values of a call. It returns its
pullbacks; see `anynet.tracing.trace.Primitive`. A rule does not broadcast and does not cast. The
walker in ``tape.py`` gives every cotangent the shape and the dtype of its argument.
"""

from collections.abc import Callable
from typing import Any

from anynet.autodiff.rules import (
    creation,
    elementwise,
    fourier,
    indexing,
    linear_algebra,
    manipulation,
    searching,
    sets,
    sorting,
    statistical,
)
from anynet.errors import NoRuleError
from anynet.tracing.standard import CHAPTERS, STANDARD, WITHOUT_DERIVATIVE
from anynet.tracing.trace import Primitive, Rule

__all__ = ["DECOMPOSITIONS", "RULES"]

#: The derivative rule of each function, by name.
RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **fourier.RULES,
    **indexing.RULES,
    **linear_algebra.RULES,
    **manipulation.RULES,
    **searching.RULES,
    **statistical.RULES,
}

#: Functions that are composed of others. Their derivative follows from the derivatives of these.
DECOMPOSITIONS: dict[str, Callable[..., Any]] = {
    **creation.DECOMPOSITIONS,
    **fourier.DECOMPOSITIONS,
    **linear_algebra.DECOMPOSITIONS,
    **manipulation.DECOMPOSITIONS,
    **sets.DECOMPOSITIONS,
    **sorting.DECOMPOSITIONS,
    **statistical.DECOMPOSITIONS,
}


def _missing(name: str, chapter: str) -> Callable[..., Any]:
    def rule(*args: Any, **settings: Any) -> Any:
        raise NoRuleError(
            f"no derivative rule for {name!r}: add one to anynet/autodiff/rules/{chapter}.py, "
            "or wrap the argument in anynet.stop_gradient"
        )

    return rule


def _rule(name: str, chapter: str) -> Rule | None:
    if name in WITHOUT_DERIVATIVE or name in DECOMPOSITIONS:
        return None
    return RULES.get(name) or _missing(name, chapter)


STANDARD.update(
    {
        name: Primitive(
            name,
            _rule(name, chapter),
            decomposition=DECOMPOSITIONS.get(name),
        )
        for chapter, names in CHAPTERS.items()
        for name in names
    }
)
STANDARD.update({step.name: step for step in manipulation.SEQUENCE_PRIMITIVES})
# In the extension too, under the same names.
for _name in ("matmul", "matrix_transpose", "tensordot", "vecdot"):
    STANDARD[f"linalg.{_name}"] = STANDARD[_name]
