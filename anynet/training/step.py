"""The training step: the gradient of a loss, and an update of the optimizer."""

from collections.abc import Callable
from typing import Any, Protocol

from anynet import losses
from anynet.arguments import describe, example
from anynet.array import Array
from anynet.autodiff import value_and_grad
from anynet.callables import show_call, signature_of, takes
from anynet.data.rows import Rows, take_rows
from anynet.distributed.group import Group
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.layers import Module
from anynet.precision import MixedPrecision
from anynet.training.inputs import call_network
from anynet.training.weights import weighted


class SupportsUpdate(Protocol):
    """An object that changes the parameters of a network by their gradients."""

    def update(self, net: Any, grads: Any) -> None:
        """Replace the parameters by new ones."""


#: Trains a network on one batch and returns the loss: step(net, optimizer, x, t), with the weights
#: of the rows as a last argument where the data have them.
Step = Callable[..., Array]


def training_step(
    loss: Callable[..., Array],
    *,
    precision: MixedPrecision | None = None,
    group: Group | None = None,
) -> Step:
    """Return step(net, optimizer, x, t), which trains the network on one batch and returns the
    loss.

    With weights of the rows, step(net, optimizer, x, t, weights), the loss is the weighted mean
    sum(w · l) / sum(w) over the losses l of rows.

    Args:
        loss: called as loss(net(x), t) or, if it needs three arguments, as loss(net, x, t). If x is
            a tuple or a dict, a network with several arguments is called with all of it. A loss of
            four arguments is called as loss(net, x, t, weights).
        precision: computes the loss and its gradient in mixed precision.
        group: the ranks that share the rows of each batch, see `anynet.open_group`. The step is
            called with the whole batch, and returns its loss, on all ranks.

    Raises:
        ArgumentTypeError: the loss is not a function, or the precision is no policy.
        ArgumentError: the loss takes another number of arguments, or it cannot be weighted (raised
            by a step with weights).

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
    both = value_and_grad(loss_of_batch(loss), precision=precision, group=group)

    def step(
        net: Module,
        optimizer: SupportsUpdate,
        *batch: Any,
    ) -> Array:
        value: Array
        value, grads = both(net, *batch)
        optimizer.update(net, grads)
        return value

    def guarded_step(
        net: Module,
        optimizer: SupportsUpdate,
        *batch: Any,
    ) -> Array:
        assert precision is not None
        value: Array
        value, grads = both(net, *batch)
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

    def step_on_rows(
        net: Module,
        optimizer: SupportsUpdate,
        *parts: Any,
    ) -> Array:
        *data, rows = parts
        return step(net, optimizer, *[take_rows(part, rows) for part in data])

    return step_on_rows


def loss_of_batch(loss: Callable[..., Array]) -> Callable[..., Array]:
    """Return f(net, *batch), the loss of a network on a batch with weights or without."""
    if takes_network(loss):
        return loss

    def of_batch(
        net: Module,
        x: Rows,
        t: Rows,
        *weights: Array,
    ) -> Array:
        outputs = call_network(net, x)
        return weighted(loss)(outputs, t, *weights) if weights else loss(outputs, t)

    return of_batch


def check_loss(loss: Callable[..., Array], has_weights: bool) -> None:
    """Raise unless a loss takes the batches of the data.

    Args:
        loss: see `training_step`.
        has_weights: whether the data have weights.

    Raises:
        ArgumentTypeError: the loss is not a function.
        ArgumentError: the loss takes another number of arguments, or cannot be weighted.

    """
    if not takes_network(loss):
        if has_weights:
            weighted(loss)
    elif not has_weights and not takes(loss, 3):
        raise ArgumentError(
            f"loss is {show_call(loss)}: wanted loss(outputs, labels) or loss(net, x, t); "
            "loss(net, x, t, weights) is for data with weights, (x, t, weights)"
        )
    elif has_weights and not _takes_weights(loss):
        raise ArgumentError(
            f"the data have weights and the loss is {show_call(loss)}: wanted loss(net, x, t, "
            "weights), or a loss of outputs and labels"
        )


def takes_network(loss: Callable[..., Array]) -> bool:
    """Return whether a loss is called as loss(net, x, t), because it needs three arguments, or as
    loss(net, x, t, weights).

    Raises:
        ArgumentTypeError: the loss is not a function.
        ArgumentError: the loss takes another number of arguments.

    """
    if not callable(loss) or isinstance(loss, type):
        wanted = example(loss, losses, default="losses.cross_entropy")
        raise ArgumentTypeError(
            f"loss is {describe(loss)}: wanted a function loss(outputs, labels), such as {wanted}"
        )
    if takes(loss, 2):
        return False
    if takes(loss, 3) or takes(loss, 4):
        return True
    raise ArgumentError(
        f"loss is {show_call(loss)}: wanted loss(outputs, labels) or loss(net, x, t)"
    )


def _takes_weights(loss: Callable[..., Array]) -> bool:
    """Return whether the fourth argument of a loss is no setting with a default."""
    signature = signature_of(loss)
    if signature is None or not takes(loss, 4):
        return signature is None
    (*_, last) = signature.bind(*range(4)).arguments
    default = signature.parameters[last].default
    return default is signature.empty or default is None
