"""The affine map, the heart of a fully connected layer."""

from typing import Any

from anynet.array import Array, Namespace, array_namespace
from anynet.autodiff.trace import primitive


def _affine_rule(xp: Namespace, out: Array, x: Array, weight: Array, bias: Array | None) -> Any:
    def to_weight(g: Array) -> Array:
        if x.ndim == 2:
            return x.T @ g
        return xp.reshape(x, (-1, x.shape[-1])).T @ xp.reshape(g, (-1, g.shape[-1]))

    return lambda g: g @ weight.T, to_weight, lambda g: g


@primitive(_affine_rule)
def affine(x: Array, weight: Array, bias: Array | None) -> Array:
    """Return x @ weight + bias, for x (…, n), weight (n, m) and bias (m,) or None; the result is (…, m).

    Source: Deep Learning from Scratch, chapter 5.6.
    """
    y = array_namespace(x, weight).matmul(x, weight)
    return y if bias is None else y + bias
