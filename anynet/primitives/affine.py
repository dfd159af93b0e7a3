"""The affine map of a fully connected layer."""

import math
from typing import Any

from anynet.array import Array, Namespace, array_namespace
from anynet.errors import ShapeError
from anynet.primitives.precision import REAL_OR_COMPLEX
from anynet.tracing.standard import STANDARD
from anynet.tracing.trace import primitive


def _affine_rule(
    xp: Namespace,
    out: Array,
    x: Array,
    weight: Array,
    bias: Array | None,
) -> Any:
    matmul = STANDARD["matmul"]

    def to_weight(g: Array) -> Array:
        rows = x if x.ndim == 2 else xp.reshape(x, (-1, x.shape[-1]))
        cotangents = g if x.ndim == 2 else xp.reshape(g, (-1, g.shape[-1]))
        product: Array = matmul(rows.T, cotangents)
        return product

    return lambda g: matmul(g, weight.T), to_weight, lambda g: g


def _explain(
    x: Array,
    weight: Array,
    bias: Array | None,
) -> None:
    """Raise an error that names the shapes, and says whether flattening some axes would help."""
    given, wanted = tuple(x.shape), weight.shape[0]
    if given[-1:] == (wanted,):
        return
    message = (
        f"input of shape {given} does not fit weights of shape {tuple(weight.shape)}: "
        f"wanted (…, {wanted})"
    )
    for axis in range(len(given)):
        # The batch of an ONNX graph has no length.
        if None not in given[axis:] and math.prod(given[axis:]) == wanted:
            raise ShapeError(f"{message}; flattened to {(*given[:axis], wanted)} it would")
    raise ShapeError(message)


@primitive(_affine_rule, _explain, kind=REAL_OR_COMPLEX)
def affine(
    x: Array,
    weight: Array,
    bias: Array | None,
) -> Array:
    """Return x @ weight + bias, (…, m).

    Args:
        x: (…, n), floating or complex.
        weight: (n, m).
        bias: (m,), or None for 0.

    Raises:
        ShapeError: the last axis of x is not of length n.

    Source: Deep Learning from Scratch, chapter 5.6.

    >>> import numpy as np
    >>> from anynet.primitives import affine
    >>> affine(np.ones((2, 3)), np.ones((3, 1)), np.array([0.5]))
    array([[3.5],
           [3.5]])

    """
    y = array_namespace(x, weight).matmul(x, weight)
    return y if bias is None else y + bias
