"""References compute arrays of 16 bits in float32."""

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
from anynet.tracing.mixed import is_mixed_precision
from anynet.tracing.trace import Traced

#: Kinds of dtypes; see `anynet.tracing.trace.Primitive`.
REAL = "real floating"
REAL_OR_COMPLEX = "real floating", "complex floating"

F = TypeVar("F", bound=Callable[..., Any])


def in_float32(reference: F) -> F:
    """Return a reference that computes arrays narrower than float32 in float32.

    The dtype of the first argument decides. The result is rounded once. Sums over many elements
    overflow float16 and lose digits in bfloat16. PyTorch computes in float32 too.
    """

    @wraps(reference)
    def rounded_once(
        x: Array,
        *args: Any,
        **settings: Any,
    ) -> Any:
        if not is_array(x) or not is_narrow(x):
            return reference(x, *args, **settings)
        wide = [widened(arg) if is_array(arg) else arg for arg in args]
        out = reference(widened(x), *wide, **settings)
        if isinstance(out, tuple):
            return tuple([rounded(part, x) for part in out])
        return rounded(out, x)

    return cast(F, rounded_once)


def in_wide_dtype(loss: F) -> F:
    """Return a loss that takes the outputs and labels of mixed precision in float32.

    Then its result is float32, too.
    """

    @wraps(loss)
    def of_wide(*args: Any, **settings: Any) -> Any:
        return loss(
            *map(_unmixed, args),
            **{name: _unmixed(x) for name, x in settings.items()},
        )

    return cast(F, of_wide)


def _unmixed(x: Any) -> Any:
    return widened(x) if type(x) is Traced and is_mixed_precision(x) else x


def rounded(x: Array, like: Array) -> Array:
    """Return an array in the dtype of another."""
    return array_namespace(x).astype(x, like.dtype, copy=False)
