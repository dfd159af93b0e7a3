"""Compiled steps: the calls of a step are recorded once, and replayed from then on."""

from anynet.compiler.compiled_step import CompiledStep, compile

__all__ = ["CompiledStep", "compile"]
