"""The compiler target of NumPy."""

from typing import Any

import numpy as np

from anynet.compiler.target import CompilerTarget
from anynet_numpy.memory import aligned


class NumpyTarget(CompilerTarget):
    """NumPy makes a step's calls one by one."""

    def shares_memory(self, x: Any, y: Any) -> bool:
        """Return whether the arrays have an element in common."""
        return bool(np.shares_memory(x, y))

    def empty(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        strides: Any,
    ) -> Any:
        """Return memory with the axes in the order of the strides, because sums of rows and of
        columns are rounded differently.
        """
        order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
        memory = aligned(tuple(shape[axis] for axis in order), dtype)
        return memory.transpose(np.argsort(order))
