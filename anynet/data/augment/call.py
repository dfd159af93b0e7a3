"""How augmentations are called, and the checks of their arguments."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from anynet import random
from anynet.arguments import describe, whole_number
from anynet.array import Array, array_namespace, check_floating, is_array, number
from anynet.callables import takes
from anynet.errors import ArgumentError, ArgumentTypeError, ShapeError

#: Takes a key and the inputs of a batch, and returns the inputs to train on. One that needs three
#: arguments takes the labels, too, and returns both.
Augmentation: TypeAlias = Callable[..., Any]

#: The same with labels in all cases.
WithLabels: TypeAlias = Callable[[Array, Any, Any], tuple[Any, Any]]


def needs_labels(name: str, augment: Any) -> bool:
    """Return whether an augmentation is called as augment(key, x, t), because it needs three
    arguments.

    Raises:
        ArgumentTypeError: it is not a function of two arguments or three.

    """
    if callable(augment) and not isinstance(augment, type):
        if takes(augment, 2):
            return False
        if takes(augment, 3):
            return True
    raise ArgumentTypeError(
        f"{name} is {describe(augment)}: wanted a function augment(key, x), such as "
        "data.random_affine(), or augment(key, x, t)"
    )


def with_labels(augment: Augmentation) -> WithLabels:
    """Return the augmentation as a function of a key, inputs and labels, which returns both.

    The function raises ArgumentTypeError where the augmentation returns something else.
    """
    if not needs_labels("augment", augment):
        return partial(_augmented, augment)

    def checked(
        key: Array,
        x: Any,
        t: Any,
    ) -> tuple[Any, Any]:
        both = augment(key, x, t)
        # An array of two rows would be taken for the two.
        if not isinstance(both, tuple | list) or len(both) != 2:
            raise ArgumentTypeError(
                f"augment(key, x, t) returned {describe(both)}: wanted both, as (x, t)"
            )
        return both[0], both[1]

    return checked


def _augmented(
    augment: Augmentation,
    key: Array,
    x: Any,
    t: Any,
) -> tuple[Any, Any]:
    """Return the augmented inputs, and the labels as they are."""
    new = augment(key, x)
    if new is None or is_array(x) is not is_array(new):
        raise ArgumentTypeError(
            f"augment(key, x) returned {describe(new)} for {describe(x)}: wanted the inputs to "
            "train on; one that changes labels takes them, as augment(key, x, t)"
        )
    return new, t


def check_rows_of(name: str, x: Any) -> None:
    """Raise unless x is a floating array with rows."""
    if not is_array(x) or x.ndim == 0:
        raise ArgumentTypeError(
            f"{name}: {describe(x)} was given: wanted an array with one row for each example; for "
            "inputs of several arrays write an augmentation of your own"
        )
    check_floating(name, x)


def check_images(name: str, x: Any) -> None:
    """Raise unless x are floating images (N, channels, height, width)."""
    check_rows_of(name, x)
    if x.ndim != 4:
        raise ShapeError(f"images of shape {tuple(x.shape)}: wanted (N, channels, height, width)")


def uniform(
    key: Array,
    shape: tuple[int, ...],
    like: Array,
    low: float = 0.0,
    high: float = 1.0,
) -> Array:
    """Return the values of `anynet.random.uniform` in float32, or in float64 like images of it.

    What is computed from them in float64 then agrees between libraries to its precision.
    """
    xp, drawn = array_namespace(like), random.uniform(key, shape, low=low, high=high)
    return xp.astype(drawn, xp.float64) if like.dtype == xp.float64 else drawn


def checked_probability(name: str, value: Any) -> float:
    """Return a number from 0 to 1.

    Raises:
        ArgumentTypeError: the value is no number.
        ArgumentError: it is out of range.

    """
    share: float = number(name, value)
    if not 0 <= share <= 1:
        raise ArgumentError(f"{name} is {share}: wanted a number from 0 to 1")
    return share


def checked_amount(
    name: str,
    value: Any,
    below: float,
) -> float:
    """Return a number of 0 or more and below a limit.

    Raises:
        ArgumentTypeError: the value is no number.
        ArgumentError: it is out of range.

    """
    most: float = number(name, value)
    if not 0 <= most < below:
        raise ArgumentError(f"{name} is {most}: wanted a number from 0 up to but not {below}")
    return most


def pair_of_sizes(name: str, size: Any) -> tuple[int, int]:
    """Return a height and a width, which one number gives both."""
    height, width = size if isinstance(size, tuple | list) and len(size) == 2 else (size, size)
    return whole_number(name, height, 1), whole_number(name, width, 1)
