"""The errors of traced arrays, and of user's functions that are called with them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anynet.errors import AnynetError, DifferentiationError, MixedArraysError


def differentiation_error(what: str) -> DifferentiationError:
    """Return the error for a value that is taken out of a traced array of a tape."""
    return DifferentiationError(
        f"{what} would cut it out of the derivative: use the functions of its namespace (where() "
        "for a choice), anynet.stop_gradient(x) if no derivative is wanted, or "
        "anynet.custom_vjp for compiled code with your own derivative"
    )


def call(
    f: Callable[..., Any],
    args: Sequence[Any],
    named: Mapping[str, Any],
) -> Any:
    """Call a user's function with traced arrays.

    Raises:
        MixedArraysError: it passed plain arrays beside traced arrays to code that takes arrays of
            one namespace.
        DifferentiationError: it passed traced arrays to a function of the library.

    """
    try:
        return f(*args, **named)
    except TypeError as error:
        explain(error)
        raise


def explain(error: TypeError) -> None:
    """Raise a better error for an error of a function that was called with traced arrays.

    Return if there is none.
    """
    if isinstance(error, AnynetError):
        return
    if "Multiple namespaces" in str(error):
        raise MixedArraysError(
            f"a function was given traced arrays and plain arrays ({error}): convert the plain "
            "arrays, as xp = x.__array_namespace__(); y = xp.asarray(y)"
        ) from error
    if "Traced" in str(error):
        raise DifferentiationError(
            f"a function was given a traced array, which it does not take ({error}): use the "
            "functions of the array's namespace, as xp = x.__array_namespace__(); xp.exp(x), or "
            "anynet.custom_vjp for compiled code with your own derivative"
        ) from error
