"""The errors that anynet raises. Each message contains the given value, the expected one and the
remedy.

Every class also derives from the built-in exception that callers usually catch.
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
    "GroupError",
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
    """The base of all errors that anynet raises.

    An error inside a network has the path of the layer as ``path``, such as ``layers.0``.

    >>> try:
    ...     anynet.get_backend("no_such_library")
    ... except anynet.errors.AnynetError as error:
    ...     print(type(error).__name__)
    BackendError

    """

    path = ""
    #: The outermost module that the error has left so far.
    module: Any = None

    def __str__(self) -> str:
        # KeyError would show the message in quotes.
        message = Exception.__str__(self)
        return f"{self.path}: {message}" if self.path else message


class BackendError(AnynetError, RuntimeError):
    """A backend is unknown, not installed, or has no working device. The message is one line.

    >>> anynet.get_backend("numpy:gpu")
    Traceback (most recent call last):
    anynet.errors.BackendError: numpy has no device 'gpu'; it has 'cpu': leave the device out

    """


class MissingPackageError(AnynetError, RuntimeError):
    """A package that a function needs is not installed.

    >>> issubclass(anynet.errors.MissingPackageError, RuntimeError)
    True

    """


class MixedArraysError(AnynetError, TypeError):
    """Arrays of two libraries, or on two devices, met in one call.

    >>> x = anynet.get_backend("array_api_strict").asarray([1.0])
    >>> anynet.losses.mean_squared_error(x, np.ones(1))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    anynet.errors.MixedArraysError: ...

    """


class ArgumentError(AnynetError, ValueError):
    """An argument is out of range, or a name is unknown.

    >>> layers.Dropout(1.5)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    anynet.errors.ArgumentError: rate is 1.5: wanted ...

    """


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument has the wrong type, such as a class in place of an object.

    >>> layers.Sequential(layers.ReLU)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    anynet.errors.ArgumentTypeError: ...

    """


class AttributeNameError(AnynetError, AttributeError):
    """An attribute does not exist, or can only be read.

    >>> issubclass(anynet.errors.AttributeNameError, AttributeError)
    True

    """


class PathError(AnynetError, KeyError, IndexError):
    """A network has nothing at a path or an index.

    >>> layers.Sequential(layers.ReLU())["layers.1"]  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    anynet.errors.PathError: ...

    """


class ShapeError(AnynetError, ValueError):
    """The shape of an array does not fit.

    >>> layers.Linear(3, 2).initialize(0, "numpy")(np.ones((1, 4)))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    anynet.errors.ShapeError: ...

    """


class DTypeError(AnynetError, TypeError):
    """The dtype of an array does not fit.

    >>> anynet.functions.softmax(np.arange(3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    anynet.errors.DTypeError: ...

    """


class NotInitializedError(AnynetError, RuntimeError):
    """A network was called before its parameters were initialized.

    >>> layers.Linear(3, 2)(np.ones((1, 3)))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    anynet.errors.NotInitializedError: ...

    """


class StateError(AnynetError, RuntimeError):
    """A call does not fit the state of an object.

    A layer stored an array of a computation as an attribute, where it would go stale, or an
    optimizer was called while its averages are in the network.

    >>> issubclass(anynet.errors.StateError, RuntimeError)
    True

    """


class DataError(AnynetError, ValueError):
    """Data cannot be read or trained on: a damaged file, a label out of range, a pixel that is NaN.

    >>> anynet.perceptron.learn(np.ones((0, 2)), np.ones(0))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    anynet.errors.DataError: x has shape (0, 2) and t (0,): wanted ...

    """


class DifferentiationError(AnynetError, TypeError):
    """A function, or an argument, cannot be differentiated.

    >>> anynet.grad(lambda x: x * 2)(np.ones(3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    anynet.errors.DifferentiationError: ...

    """


class NoRuleError(AnynetError, NotImplementedError):
    """A function of the standard has no derivative rule.

    >>> issubclass(anynet.errors.NoRuleError, NotImplementedError)
    True

    """


class CompilationError(AnynetError, TypeError):
    """A step cannot be recorded, because its operations depend on computed values.

    >>> anynet.compile(lambda x: x * 2 if x[0] > 0 else x)(np.ones(3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    anynet.errors.CompilationError: ...

    """


class GroupError(AnynetError, RuntimeError):
    """Ranks of a group do not work together: one failed, does not answer, or does something else.

    Every later call of the group raises the same error.

    >>> issubclass(anynet.errors.GroupError, RuntimeError)
    True

    """


class NonFiniteError(AnynetError, ArithmeticError):
    """A loss became infinite or NaN.

    >>> issubclass(anynet.errors.NonFiniteError, ArithmeticError)
    True

    """

    #: The run so far, an `anynet.History`, where `anynet.fit` raised the error.
    history: Any = None
