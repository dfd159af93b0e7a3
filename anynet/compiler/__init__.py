"""Compiled steps: the calls of a step are recorded once, and replayed from then on."""

from anynet.compiler.compiled_step import CompiledStep, compile
from anynet.tracing.dynamic_scalars import DynamicValue, dynamic_scalars

__all__ = ["CompiledStep", "DynamicValue", "compile", "dynamic_scalars"]
