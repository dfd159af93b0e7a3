"""Uninitialized parameters, and how a network's parameters get their first values."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from anynet import random
from anynet.arguments import check_function, describe, whole_number
from anynet.array import Array, DType, dtype_name, is_array, is_floating
from anynet.backend import Backend, check_dtype, get_backend
from anynet.errors import ArgumentError, ArgumentTypeError, DTypeError

if TYPE_CHECKING:
    from anynet.layers.module import Module


class Uninitialized:
    """A placeholder of an array until `Module.initialize` draws it. `parameter` makes it.

    >>> layers.Linear(784, 50).weight
    Uninitialized((784, 50))

    """

    def __init__(
        self,
        shape: tuple[int, ...],
        initializer: Callable[..., Array],
    ) -> None:
        self.shape = shape
        self.initializer = initializer

    def __repr__(self) -> str:
        return f"Uninitialized({self.shape})"


def parameter(shape: tuple[int, ...], initializer: Callable[..., Array]) -> Array:
    """Return a value that stands for an array until `Module.initialize` draws it.

    A module keeps it in an attribute. It becomes a parameter, or a buffer if the attribute's name
    is in ``BUFFERS``. One value in two attributes becomes one array, which ties them.

    Args:
        shape: of the array, whole numbers of 0 or more.
        initializer: one of `anynet.initializers`, or a function of (key, shape, dtype).

    Raises:
        ArgumentTypeError: a shape that is no tuple, or an initializer that cannot be called.

    >>> weight = layers.parameter((784, 50), initializers.he)
    >>> weight
    Uninitialized((784, 50))

    """
    if not isinstance(shape, tuple | list):
        raise ArgumentTypeError(
            f"the shape of a parameter is {describe(shape)}: wanted a tuple, as (784, 50)"
        )
    check_function(
        "initializer",
        initializer,
        "one of anynet.initializers, or a function of key, shape and dtype",
    )
    lengths = [whole_number("an axis of a parameter", n, 0) for n in shape]
    return cast(Array, Uninitialized(tuple(lengths), initializer))


def has_shape(value: object) -> bool:
    """Return whether a value is an array, or stands for one that `initialize` has not drawn yet."""
    return is_array(value) or is_uninitialized(value)


def is_uninitialized(value: object) -> TypeGuard[Uninitialized]:
    """Return whether a value stands for an array that `initialize` has not drawn yet."""
    return type(value) is Uninitialized


def initialize(
    net: "Module",
    seed: int,
    backend: Backend | str | None,
    dtype: DType,
) -> None:
    """Draw all uninitialized parameters and buffers of a network, as `Module.initialize` says."""
    drawn = [*net.parameters().values()]
    backend = get_backend(drawn[0] if drawn and backend is None else backend)
    if dtype is not None:
        dtype = _own_dtype(dtype, backend)
    else:
        dtypes = [x.dtype for x in drawn if is_floating(x)]
        dtype = dtypes[0] if dtypes else backend.xp.float32
    check_dtype(backend.xp, dtype)
    # An uninitialized value in two places is tied, and drawn once.
    places: dict[Uninitialized, list[tuple[Any, str]]] = {}
    for _, module in net.modules():
        for name, value in vars(module).items():
            if is_uninitialized(value):
                places.setdefault(value, []).append((module, name))
    if drawn and not places:
        raise ArgumentError(
            "every parameter is initialized already: build a new network to draw new values"
        )
    key = random.key(seed, backend)
    if drawn:
        # A layer that was drawn before may have had the same seed. The new one must differ.
        key = random.fold_in(key, len(drawn))
    for i, (value, same) in enumerate(places.items()):
        array = value.initializer(random.fold_in(key, i), value.shape, dtype)
        for module, name in same:
            setattr(module, name, array)


def _own_dtype(dtype: DType, backend: Backend) -> DType:
    """Return the backend's dtype of the same name, if parameters can have it."""
    name = dtype_name(dtype)
    if not name.startswith(("float", "bfloat", "complex")) or not hasattr(backend.xp, name):
        raise DTypeError(
            f"dtype is {dtype!r:.80}: wanted a floating one of {backend.name}, such as 'float32'"
        )
    own: DType = getattr(backend.xp, name)
    return own
