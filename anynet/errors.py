"""The errors anynet raises: each says what was given, what was wanted, and the remedy.

Every one also derives from the built-in exception that a caller would catch anyway.
"""

from typing import Any

__all__ = [
    "AnynetError",
    "ArgumentError",
    "ArgumentTypeError",
    "AttributeNameError",
    "BackendError",
    "CompilationError",
    "DTypeError",
    "DataError",
    "DifferentiationError",
    "MissingPackageError",
    "MixedArraysError",
    "NoRuleError",
    "NonFiniteError",
    "NotInitializedError",
    "PathError",
    "ShapeError",
    "StateError",
]


class AnynetError(Exception):
    """The common base, to catch everything that anynet itself raises.

    Raised inside a network, it says where: ``path`` is the way to the layer, such as ``layers.0``.
    """

    path = ""
    #: The outermost module that the error has left so far.
    module: Any = None

    def __str__(self) -> str:
        # KeyError would show the message in quotes.
        message = Exception.__str__(self)
        return f"{self.path}: {message}" if self.path else message


class BackendError(AnynetError, RuntimeError):
    """A backend that is unknown, not installed, or without a device that works; the message is one
    line.
    """


class MissingPackageError(AnynetError, RuntimeError):
    """A package that a function needs is not installed."""


class MixedArraysError(AnynetError, TypeError):
    """Arrays of two libraries, or on two devices, met in one call."""


class ArgumentError(AnynetError, ValueError):
    """A number out of range, or a name that is unknown, where a setting was wanted."""


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument of a type that is not accepted, such as a class in place of an object."""


class AttributeNameError(AnynetError, AttributeError):
    """An attribute that does not exist, or can only be read."""


class PathError(AnynetError, KeyError, IndexError):
    """A path, or an index, at which a network has nothing."""


class ShapeError(AnynetError, ValueError):
    """An array whose shape does not fit where it was given."""


class DTypeError(AnynetError, TypeError):
    """An array whose dtype does not fit where it was given."""


class NotInitializedError(AnynetError, RuntimeError):
    """A network was called before its parameters had numbers."""


class StateError(AnynetError, RuntimeError):
    """State that would be kept where it does harm without a word: an array of a computation as a
    layer's attribute.
    """


class DataError(AnynetError, ValueError):
    """Data that cannot be trained on or read: a damaged file, a label out of range, a pixel that is
    not a number.
    """


class DifferentiationError(AnynetError, TypeError):
    """A function or an argument that cannot be differentiated as asked."""


class NoRuleError(AnynetError, NotImplementedError):
    """A function of the standard for which the table has no rule yet."""


class CompilationError(AnynetError, TypeError):
    """A step that cannot be recorded, for what it does depends on the numbers it computes."""


class NonFiniteError(AnynetError, ArithmeticError):
    """A loss became infinite or NaN."""

    #: The run so far, an `anynet.History`, where `anynet.fit` raised the error.
    history: Any = None
