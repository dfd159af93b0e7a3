"""Networks to and from other programs. Each module is imported when it is first used.

The array library that a module works with need not be that of the other program.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anynet.interop import book, onnx, sklearn, torch

__all__ = ["book", "onnx", "sklearn", "torch"]

# Type checkers find these names above, and report all others.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in __all__:
            return importlib.import_module(f"{__name__}.{name}")
        here = sys.modules[__name__]
        raise AttributeError(
            f"module 'anynet.interop' has no attribute {name!r}; it has {', '.join(__all__)}",
            name=name,
            obj=here,
        )

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
