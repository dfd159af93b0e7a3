"""Clipping: bounds for gradients."""

import math
from typing import Any, ClassVar, TypeVar

from anynet import tree
from anynet.array import Array, array_namespace, device, is_complex, widened
from anynet.errors import ArgumentError, DTypeError, NonFiniteError
from anynet.optimizers.checks import positive
from anynet.optimizers.wrapper import Wrapper
from anynet.primitives.precision import rounded

T = TypeVar("T")

#: Keeps the quotient finite where all gradients are 0, as in PyTorch.
_TINY = 1e-6


def global_norm(grads: object) -> Any:
    """Return the norm of all gradients together: √Σ |g|², an array without axes.

    A tied parameter counts once, None counts as nothing. Complex gradients count by their modulus.
    The norm of gradients narrower than float32 is computed in float32. Without any gradient it is
    0.0.

    Args:
        grads: a tree of floating or complex arrays, as from `anynet.value_and_grad`.

    >>> import numpy as np
    >>> from anynet import optimizers
    >>> float(optimizers.global_norm({"w": np.array([3.0, 0.0]), "b": [np.array([4.0]), None]}))
    5.0

    """
    norm = _norm(grads)
    return 0.0 if norm is None else norm


def _norm(grads: object) -> Array | None:
    """Return the norm, None where there is no gradient."""
    squares = [_squares(gradient) for _, gradient in tree.leaves(grads)]
    if not squares:
        return None
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    return array_namespace(total).sqrt(total)


def _squares(x: Array) -> Array:
    """Return the sum of the squares, in float32 or wider."""
    xp = array_namespace(x)
    flat = xp.reshape(widened(x), (-1,))
    squares = xp.vecdot(flat, flat)
    return xp.real(squares) if is_complex(x) else squares


def clip_by_global_norm(
    grads: T,
    max_norm: float,
    *,
    error_if_nonfinite: bool = False,
) -> T:
    """Return gradients whose norm together is at most ``max_norm``, all scaled by one factor.

    g ← g · min(1, max_norm / (norm + 10⁻⁶)), where norm is `global_norm`.

    If the norm is infinite or NaN, all gradients become NaN, which `anynet.fit` reports.

    Args:
        grads: a tree of floating or complex arrays, as from `anynet.value_and_grad`. It does not
            change.
        max_norm: a finite number above 0.
        error_if_nonfinite: raise where the norm is infinite or NaN. This waits for the device, so
            it does not work in a compiled step.

    Raises:
        ArgumentError: the bound is out of range.
        NonFiniteError: the norm is not finite, and ``error_if_nonfinite`` is set.

    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks,
    ICML 2013, section 3.2; PyTorch's clip_grad_norm_.

    >>> import numpy as np
    >>> from anynet import optimizers
    >>> optimizers.clip_by_global_norm({"w": np.array([3.0]), "b": np.array([4.0])}, max_norm=2.5)
    {'w': array([1.4999997]), 'b': array([1.9999996])}

    """
    max_norm = positive("max_norm", max_norm)
    norm = _norm(grads)
    if norm is None:
        return grads
    if error_if_nonfinite and not math.isfinite(float(norm)):
        raise NonFiniteError(
            f"the norm of the gradients is {float(norm)}: lower the learning rate, or look for "
            "inputs or labels out of range"
        )
    xp = array_namespace(norm)
    factor = max_norm / (norm + _TINY)
    one = xp.ones_like(norm)
    factor = xp.where(xp.isfinite(norm), xp.minimum(factor, one), one * math.nan)
    return tree.map(lambda x: _scaled(x, factor), grads)


def _scaled(x: Array, factor: Array) -> Array:
    wide = widened(x)
    return rounded(wide * array_namespace(x).astype(factor, wide.dtype), x)


def clip_by_value(grads: T, max_value: float) -> T:
    """Return gradients whose elements are between -max_value and max_value. NaN stays NaN.

    Args:
        grads: a tree of floating arrays, as from `anynet.value_and_grad`. It does not change.
        max_value: a finite number above 0.

    Raises:
        ArgumentError: the bound is out of range.
        DTypeError: a gradient is complex.

    Source: PyTorch's clip_grad_value_.

    >>> import numpy as np
    >>> from anynet import optimizers
    >>> optimizers.clip_by_value({"w": np.array([-3.0, 0.5])}, max_value=1.0)
    {'w': array([-1. ,  0.5])}

    """
    max_value = positive("max_value", max_value)
    return tree.map(lambda x: _clipped(x, max_value), grads)


def _clipped(x: Array, bound: float) -> Array:
    if is_complex(x):
        raise DTypeError(
            f"clip_by_value: a gradient of {x.dtype} was given: wanted real ones, because complex "
            "numbers have no order; clip_by_global_norm takes them"
        )
    xp, wide = array_namespace(x), widened(x)
    high = xp.full((), bound, dtype=wide.dtype, device=device(x))
    return rounded(xp.minimum(xp.maximum(wide, -high), high), x)


def _bound(name: str, value: Any) -> float | None:
    return None if value is None else float(positive(name, value))


class Clipping(Wrapper):
    """An optimizer whose gradients are clipped first, by value, by their norm together, or both.

    With both bounds `clip_by_value` comes before `clip_by_global_norm`.

    Args:
        optimizer: makes the updates.
        max_norm: the bound of `clip_by_global_norm`, None for no such bound.
        max_value: the bound of `clip_by_value`, None for no such bound.

    Raises:
        ArgumentError: a bound is out of range, or there is none.
        ArgumentTypeError: the optimizer is something else.
        DTypeError: a gradient is complex, and there is a ``max_value`` (raised by ``update``).

    >>> import numpy as np
    >>> from anynet.optimizers import SGD, Clipping
    >>> net = {"w": np.array([1.0, 2.0])}
    >>> Clipping(SGD(0.5), max_value=1.0).update(net, {"w": np.array([100.0, 0.5])})
    >>> net["w"]
    array([0.5 , 1.75])

    """

    SETTINGS = ("max_norm", "max_value")
    CHECKS: ClassVar = {"max_norm": _bound, "max_value": _bound}

    def __init__(
        self,
        optimizer: Any,
        max_norm: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__(optimizer)
        if max_norm is None and max_value is None:
            raise ArgumentError(
                "Clipping has no bound: give max_norm=1.0 or max_value=1.0, or leave it out"
            )
        self.max_norm = max_norm
        self.max_value = max_value

    def update(self, net: Any, grads: Any) -> None:
        """Clip the gradients and update the parameters.

        Args:
            net: a network, or another tree of arrays.
            grads: a tree of the same structure, with None for a parameter that does not change.

        """
        if self.max_value is not None:
            grads = clip_by_value(grads, self.max_value)
        if self.max_norm is not None:
            grads = clip_by_global_norm(grads, self.max_norm)
        self.optimizer.update(net, grads)
