"""Operators of ONNX, called with ndonnx's arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ndonnx import Array


def operator(name: str, *arrays: Array, **settings: Any) -> Any:
    """Return the result of an operator."""
    import ndonnx
    import spox.opset.ai.onnx.v21 as operators

    return ndonnx.asarray(getattr(operators, name)(*(x.unwrap_spox() for x in arrays), **settings))


def of_one_dtype(*arrays: Array) -> list[Any]:
    """Return arrays in the dtype that they have together, since an operator of ONNX takes one."""
    import ndonnx

    dtype = ndonnx.result_type(*[x for x in arrays if x is not None])
    return [x if x is None or x.dtype == dtype else ndonnx.astype(x, dtype) for x in arrays]


def is_single(x: Array) -> bool:
    """Tell whether an array is of a dtype for which programs that run ONNX files have all
    operators.
    """
    import ndonnx

    return x.dtype in (ndonnx.float32, ndonnx.float16)


def in_single(name: str, x: Array, **settings: Any) -> Any:
    """Take the operator for float32 only: ONNX has it for float64 too, programs that run ONNX files
    mostly not.
    """
    import ndonnx

    return operator(name, x, **settings) if x.dtype == ndonnx.float32 else NotImplemented
