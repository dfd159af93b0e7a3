"""Operators of ONNX, called with ndonnx's arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ndonnx import Array


def operator(
    name: str,
    *arrays: Array,
    **settings: Any,
) -> Any:
    """Return the result of an operator."""
    import ndonnx
    import spox.opset.ai.onnx.v21 as operators

    return ndonnx.asarray(getattr(operators, name)(*(x.unwrap_spox() for x in arrays), **settings))


def of_one_dtype(*arrays: Array) -> list[Any]:
    """Return arrays in the dtype to which the standard promotes them.

    An operator of ONNX takes one dtype.
    """
    import ndonnx

    dtype = ndonnx.result_type(*[x for x in arrays if x is not None])
    return [x if x is None or x.dtype == dtype else ndonnx.astype(x, dtype) for x in arrays]


def is_single(x: Array) -> bool:
    """Return whether runtimes have all operators for the dtype of an array."""
    import ndonnx

    return x.dtype in (ndonnx.float32, ndonnx.float16)


def in_single(
    name: str,
    x: Array,
    **settings: Any,
) -> Any:
    """Return the result of an operator that runtimes have for float32 only."""
    import ndonnx

    return operator(name, x, **settings) if x.dtype == ndonnx.float32 else NotImplemented
