"""Rules of indexing: `getitem` with integers, slices, None and an ellipsis, and its transpose `place`."""

import operator
from typing import Any

from anynet.array import Array, Namespace, array_namespace, device, is_array
from anynet.autodiff.rules.table import Table
from anynet.autodiff.trace import Primitive
from anynet.errors import NoRuleError

RULES = rule = Table()


def _getitem_rule(xp: Namespace, out: Array, x: Array, key: Any) -> Any:
    """Put the cotangent back where the slice was taken, zeros elsewhere."""
    if any(is_array(part) for part in (key if isinstance(key, tuple) else (key,))):
        raise NoRuleError(
            "no derivative rule for indexing with an array: add one to anynet/autodiff/rules/indexing.py, "
            "or choose with where()"
        )
    shape = x.shape
    return lambda g: place(g, key, shape), None


def _place_rule(xp: Namespace, out: Array, g: Array, key: Any, shape: Any) -> Any:
    return lambda h: getitem(h, key), None, None


def _place(g: Array, key: Any, shape: tuple[int, ...]) -> Array:
    """Return zeros of the shape, with ``g`` at ``key``."""
    xp = array_namespace(g)
    out = xp.zeros(shape, dtype=g.dtype, device=device(g))
    # The standard has None in keys for reading only; the axes it adds hold nothing.
    key = tuple(part for part in (key if isinstance(key, tuple) else (key,)) if part is not None)
    out[key] = xp.reshape(g, out[key].shape)
    return out


getitem = Primitive("getitem", _getitem_rule, operator.getitem)
place = Primitive("place", _place_rule, _place)
