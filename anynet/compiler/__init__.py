"""Compiled steps: a step is recorded once, as a program of library calls, and replayed later."""

from anynet.compiler.compiled_step import CompiledStep, compile
from anynet.compiler.target import CompilerTarget
from anynet.tracing.dynamic_scalars import DynamicValue, dynamic_scalars

__all__ = ["CompiledStep", "CompilerTarget", "DynamicValue", "compile", "dynamic_scalars"]
