"""The compiler target of NumPy."""

from typing import Any

import numpy as np

from anynet.compiler.target import CompilerTarget
from anynet_numpy.memory import aligned


class NumpyTarget(CompilerTarget):
    """NumPy makes a step's calls one by one."""

    def shares_memory(self, x: Any, y: Any) -> bool:
        """Ask NumPy."""
        return bool(np.shares_memory(x, y))

    def empty(self, shape: tuple[int, ...], dtype: Any, strides: Any) -> Any:
        """Put the axes in the order of the strides: sums of rows are rounded otherwise than sums of
        columns.
        """
        order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
        return aligned(tuple(shape[axis] for axis in order), dtype).transpose(np.argsort(order))
