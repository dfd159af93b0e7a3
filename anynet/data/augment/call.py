"""How augmentations are called, and the checks of their arguments."""

from collections.abc import Callable
from typing import Any, TypeAlias

from anynet.arguments import describe, whole_number
from anynet.array import Array, check_floating, is_array
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
    """Return the augmentation as a function of a key, inputs and labels, which returns both."""
    if needs_labels("augment", augment):
        return augment
    return lambda key, x, t: (augment(key, x), t)


def check_images(name: str, x: Any) -> None:
    """Raise unless x are floating images (N, channels, height, width)."""
    if not is_array(x):
        raise ArgumentTypeError(
            f"{name}: {describe(x)} was given: wanted an array of images (N, channels, height, "
            "width); for inputs of several arrays there is an augmentation of your own"
        )
    if x.ndim != 4:
        raise ShapeError(f"images of shape {tuple(x.shape)}: wanted (N, channels, height, width)")
    check_floating(name, x)


def check_probability(name: str, value: Any) -> None:
    """Raise ArgumentError unless a value is from 0 to 1."""
    if not 0 <= value <= 1:
        raise ArgumentError(f"{name} is {value}: wanted a number from 0 to 1")


def check_amount(
    name: str,
    value: float,
    below: float,
) -> None:
    """Raise ArgumentError unless an amount is 0 or more and below a limit."""
    if not 0 <= value < below:
        raise ArgumentError(f"{name} is {value}: wanted a number from 0 up to but not {below}")


def pair_of_sizes(name: str, size: Any) -> tuple[int, int]:
    """Return a height and a width, which one number gives both."""
    height, width = size if isinstance(size, tuple | list) and len(size) == 2 else (size, size)
    return whole_number(name, height, 1), whole_number(name, width, 1)
