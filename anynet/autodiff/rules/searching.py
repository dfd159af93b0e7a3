"""Rules of the standard's searching functions."""

from typing import Any

from anynet.array import Array, Namespace
from anynet.autodiff.rules.table import Table

RULES = rule = Table()


@rule
def where(
    xp: Namespace,
    out: Array,
    condition: Array,
    x1: Array,
    x2: Array,
) -> Any:
    return (
        None,
        lambda g: xp.where(condition, g, xp.zeros_like(g)),
        lambda g: xp.where(condition, xp.zeros_like(g), g),
    )
