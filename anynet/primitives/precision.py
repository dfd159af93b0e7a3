"""Precision: references compute arrays of 16 bits in float32."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from anynet.array import (
    Array,
    array_namespace,
    is_array,
    is_narrow,
    widened,
)

#: The kinds of dtypes, see `anynet.tracing.trace.Primitive`.
REAL = "real floating"
REAL_OR_COMPLEX = "real floating", "complex floating"

F = TypeVar("F", bound=Callable[..., Any])


def in_float32(reference: F) -> F:
    """Return the reference so that arrays narrower than float32 are computed in float32, and its
    result rounded once.

    The first argument decides. Sums over many elements overflow float16, and lose their digits in
    bfloat16; PyTorch computes in float32 too.
    """

    @wraps(reference)
    def rounded_once(x: Array, *args: Any, **settings: Any) -> Any:
        if not is_array(x) or not is_narrow(x):
            return reference(x, *args, **settings)
        out = reference(
            widened(x),
            *[widened(arg) if is_array(arg) else arg for arg in args],
            **settings,
        )
        return (
            tuple([rounded(part, x) for part in out]) if isinstance(out, tuple) else rounded(out, x)
        )

    return cast(F, rounded_once)


def rounded(x: Array, like: Array) -> Array:
    """Return an array in the dtype of another one."""
    return array_namespace(x).astype(x, like.dtype, copy=False)
