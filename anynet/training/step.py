"""The training step: the gradient of a loss, and an update of the optimizer."""

from collections.abc import Callable
from typing import Any, Protocol

from anynet import losses
from anynet.arguments import describe, example
from anynet.array import Array
from anynet.autodiff import value_and_grad
from anynet.callables import show_call, takes
from anynet.data.loader import batch
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.layers import Module
from anynet.precision import MixedPrecision


class SupportsUpdate(Protocol):
    """An object that changes the parameters of a network by their gradients."""

    def update(self, net: Any, grads: Any) -> None:
        """Replace the parameters by new ones."""


#: Trains a network on one batch and returns the loss: step(net, optimizer, x, t).
Step = Callable[[Module, SupportsUpdate, Array, Array], Array]


def training_step(
    loss: Callable[..., Array],
    *,
    precision: MixedPrecision | None = None,
) -> Step:
    """Return step(net, optimizer, x, t), which trains the network on one batch and returns the
    loss.

    Args:
        loss: called as loss(net(x), t) or, if it needs three arguments, as loss(net, x, t).
        precision: computes the loss and its gradient in mixed precision.

    Raises:
        ArgumentTypeError: the loss is not a function, or the precision is no policy.
        ArgumentError: the loss takes neither two arguments nor three.

    >>> import numpy as np
    >>> from anynet import losses, optimizers
    >>> from anynet.training import training_step
    >>> net = layers.Sequential(layers.Linear(2, 1), seed=0, backend="numpy")
    >>> x, t = np.ones((4, 2), "float32"), np.zeros((4, 1), "float32")
    >>> step, optimizer = training_step(losses.mean_squared_error), optimizers.SGD(0.1)
    >>> first, second = step(net, optimizer, x, t), step(net, optimizer, x, t)
    >>> bool(second < first)
    True

    """
    if precision is not None and not isinstance(precision, MixedPrecision):
        raise ArgumentTypeError(
            f"precision is {describe(precision)}: wanted anynet.MixedPrecision('bfloat16') or None"
        )
    both = value_and_grad(
        loss if takes_network(loss) else lambda net, x, t: loss(net(x), t),
        precision=precision,
    )

    def step(
        net: Module,
        optimizer: SupportsUpdate,
        x: Array,
        t: Array,
    ) -> Array:
        value: Array
        value, grads = both(net, x, t)
        optimizer.update(net, grads)
        return value

    def guarded_step(
        net: Module,
        optimizer: SupportsUpdate,
        x: Array,
        t: Array,
    ) -> Array:
        assert precision is not None
        value: Array
        value, grads = both(net, x, t)
        precision.update(optimizer, net, grads)
        return value

    return step if precision is None else guarded_step


def on_rows(step: Step) -> Callable[..., Array]:
    """Return step(net, optimizer, x, t, rows), which trains on the rows of x and t at these
    indices.

    A compiled step of this form repeats on the device, see `anynet.compiler.CompiledStep.for_each`.

    >>> import numpy as np
    >>> from anynet.training import on_rows
    >>> x, t = np.asarray([1.0, 2.0, 3.0]), np.asarray([0, 1, 2])
    >>> on_rows(lambda net, optimizer, x, t: (x, t))(None, None, x, t, np.asarray([2, 0]))
    (array([3., 1.]), array([2, 0]))

    """
    return lambda net, optimizer, x, t, rows: step(net, optimizer, *batch(x, t, rows))


def takes_network(loss: Callable[..., Array]) -> bool:
    """Return whether a loss is called as loss(net, x, t), because it needs three arguments.

    Raises:
        ArgumentTypeError: the loss is not a function.
        ArgumentError: the loss takes neither two arguments nor three.

    """
    if not callable(loss) or isinstance(loss, type):
        wanted = example(loss, losses, default="losses.cross_entropy")
        raise ArgumentTypeError(
            f"loss is {describe(loss)}: wanted a function loss(outputs, labels), such as {wanted}"
        )
    if takes(loss, 2):
        return False
    if takes(loss, 3):
        return True
    raise ArgumentError(
        f"loss is {show_call(loss)}: wanted loss(outputs, labels) or loss(net, x, t)"
    )
