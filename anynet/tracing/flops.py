"""Counting the multiply-adds of a computation while it runs once."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from anynet import tree
from anynet.array import Array, is_array, is_complex, is_floating
from anynet.tracing.errors import differentiation_error
from anynet.tracing.trace import Primitive, Traced, next_level, wrap

T = TypeVar("T")


class Counting:
    """A trace that evaluates, and counts the multiply-adds of matrix products and convolutions.

    Elementwise functions and sums count as zero, and so does a user's own code in
    `anynet.custom_vjp`. The caller sets ``part``, and ``counts`` has the count of each part.
    """

    batch_axes = 0
    keeps_decompositions = False
    error = staticmethod(differentiation_error)

    def __init__(self) -> None:
        self.level = next_level()
        self.part = ""
        self.counts: Counter[str] = Counter()

    def begin(self, argument: T) -> T:
        """Return the tree with traced arrays."""
        return tree.map(self._traced, argument)

    def apply(
        self,
        step: Primitive[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        """Evaluate the primitive and add its multiply-adds."""
        if step.inlined and step.name not in _OF_PRIMITIVES:
            return step.inline(args, settings)
        values = [
            arg.value if type(arg) is Traced and (arg.trace is self or arg.trace is None) else arg
            for arg in args
        ]
        out, _, _ = step.evaluate(values, settings)
        if step.name in _OF_PRIMITIVES:
            self.counts[self.part] += _OF_PRIMITIVES[step.name](out, *values, **settings)
        return tuple(map(self._traced, out)) if isinstance(out, tuple | list) else self._traced(out)

    def _traced(self, x: Any) -> Any:
        """Return an array of this trace. Integers and booleans become constants.

        So a function may use them as indices.
        """
        return Traced(x, self) if is_array(x) and (is_floating(x) or is_complex(x)) else wrap(x)


def _matmul(
    out: Array,
    x1: Array,
    x2: Array,
) -> int:
    return int(math.prod(out.shape) * x1.shape[-1])


def _vecdot(
    out: Array,
    x1: Array,
    x2: Array,
    *,
    axis: int = -1,
) -> int:
    return int(math.prod(out.shape) * x1.shape[axis])


def _affine(
    out: Array,
    x: Array,
    weight: Array,
    bias: Array | None,
) -> int:
    return int(math.prod(out.shape) * weight.shape[0])


def _conv2d(
    out: Array,
    x: Array,
    weight: Array,
    bias: Array | None,
    **settings: Any,
) -> int:
    return int(math.prod(out.shape) * math.prod(weight.shape[1:]))


def _conv2d_input_gradient(
    out: Array,
    g: Array,
    weight: Array,
    size: tuple[int, ...],
    **settings: Any,
) -> int:
    """Count every element of g with every weight.

    The reference also multiplies the zeros between the elements, which do not count.
    """
    return int(math.prod(g.shape) * math.prod(weight.shape[1:]))


def _conv2d_weight_gradient(
    out: Array,
    g: Array,
    x: Array,
    kernel: tuple[int, ...],
    **settings: Any,
) -> int:
    return int(math.prod(g.shape) * math.prod(out.shape[1:]))


#: By the name of the primitive. Every other primitive counts as the functions in its reference.
#: Padding counts, because its zeros are multiplied.
_OF_PRIMITIVES: dict[str, Callable[..., int]] = {
    "affine": _affine,
    "conv2d": _conv2d,
    "conv2d_input_gradient": _conv2d_input_gradient,
    "conv2d_weight_gradient": _conv2d_weight_gradient,
    "matmul": _matmul,
    "vecdot": _vecdot,
}
