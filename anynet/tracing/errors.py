"""The errors of traced arrays, and of user's functions that are called with them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anynet.errors import AnynetError, DifferentiationError, MixedArraysError


def differentiation_error(what: str) -> DifferentiationError:
    """Return the error for a number that is taken out of a traced array, in a trace that
    differentiates.
    """
    return DifferentiationError(
        f"{what} would cut it out of the derivative: use the functions of its namespace (where() "
        "for a choice), anynet.stop_gradient(x) if the numbers alone are meant, or "
        "anynet.custom_vjp for compiled code with a derivative of your own"
    )


def call(f: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """Call a user's function with traced arrays.

    Raises:
        MixedArraysError: it gave plain arrays beside traced ones to code that looks for one
            namespace.
        DifferentiationError: it gave traced arrays to a function of the library itself.

    """
    try:
        return f(*args, **named)
    except TypeError as error:
        explain(error)
        raise


def explain(error: TypeError) -> None:
    """Raise what is behind the error of a function that was called with traced arrays, if it is
    known; see `call`.
    """
    if isinstance(error, AnynetError):
        return
    if "Multiple namespaces" in str(error):
        raise MixedArraysError(
            f"a function was given traced arrays and plain ones ({error}): bring the plain ones to "
            "the traced, as xp = x.__array_namespace__(); y = xp.asarray(y)"
        ) from error
    if "Traced" in str(error):
        raise DifferentiationError(
            f"a function was given a traced array and takes none ({error}): use the functions of "
            "the array's namespace, as xp = x.__array_namespace__(); xp.exp(x), or "
            "anynet.custom_vjp for compiled code with a derivative of your own"
        ) from error
