"""Losses with a weight for each row."""

from collections.abc import Callable
from typing import Any

from anynet import losses
from anynet.array import Array, array_namespace, is_array, widened
from anynet.callables import show_call, signature_of
from anynet.distributed.share import share_of
from anynet.errors import ArgumentError, ShapeError
from anynet.primitives.precision import in_wide_dtype, rounded
from anynet.training.tasks import settings_of

#: The losses whose mean over class indices is divided by the weights of the labels.
_BY_LABEL = (losses.cross_entropy, losses.negative_log_likelihood)


def weighted(loss: Callable[..., Array]) -> Callable[[Array, Array, Array], Array]:
    """Return loss(outputs, labels, weights): the mean of the losses of rows, weighted.

    It is sum(w · l) / sum(w) for weights w and losses l of rows, where the loss is a mean. The loss
    of a row with several elements is the mean over these. A loss that is a sum becomes sum(w · l).
    Labels that the loss ignores, or weights by their class, count in the divisor as they do without
    weights of rows, so that weights of 1 change nothing.

    Args:
        loss: of `anynet.losses`, or another that takes ``reduction="none"`` and then returns an
            array of losses with one row for each row of the outputs. Settings are given by
            `functools.partial`.

    Raises:
        ArgumentError: the loss has no reduction.
        ShapeError: its losses have other rows than the outputs (raised when it is called).

    >>> from anynet.training.weights import weighted
    >>> loss = weighted(losses.mean_squared_error)
    >>> outputs, labels = np.asarray([[1.0], [3.0]]), np.zeros((2, 1))
    >>> loss(outputs, labels, np.asarray([3.0, 1.0]))
    np.float64(3.0)

    """
    reduction = _reduction(loss)
    function, settings = settings_of(loss)
    by_label = {name: settings[name] for name in ("weight", "ignore_index") if name in settings}

    @in_wide_dtype
    def of_rows(outputs: Array, labels: Array, weights: Array) -> Array:
        wide = widened(outputs) if is_array(outputs) else outputs
        values = loss(wide, labels, reduction="none")
        if not is_array(values) or tuple(values.shape[:1]) != tuple(weights.shape):
            given = tuple(values.shape) if is_array(values) else type(values).__name__
            raise ShapeError(
                f"{show_call(loss)} returns {given} with reduction='none': wanted one loss for "
                f"each row, ({weights.shape[0]}, …)"
            )
        xp = array_namespace(values, weights)
        shape = (-1, *(1,) * (values.ndim - 1))
        w = xp.reshape(xp.astype(weights, values.dtype, copy=False), shape)
        total = xp.sum(w * values)
        share = share_of(outputs)
        if reduction == "mean":
            counts = xp.ones_like(values)
            if by_label and function in _BY_LABEL and labels.ndim < outputs.ndim:
                # A surprise of 1 for each class counts what the mean is divided by.
                surprise = xp.ones_like(wide)
                counts = losses.negative_log_likelihood(
                    -surprise, labels, reduction="none", **by_label
                )
            count = xp.sum(w * counts)
            total = total / (count if share is None else share.divisor(count))
        elif share is not None:
            # In a group a loss is weighted as a mean over rows.
            total = total / share.weight
        return rounded(total, outputs)

    return of_rows


def _reduction(loss: Callable[..., Array]) -> Any:
    """Return the reduction of a loss, "mean" or "sum".

    Raises:
        ArgumentError: it has another one, or none.

    """
    signature = signature_of(loss)
    parameter = None if signature is None else signature.parameters.get("reduction")
    if parameter is None or parameter.kind is parameter.POSITIONAL_ONLY:
        raise ArgumentError(
            f"the data have weights and the loss is {show_call(loss)}, which has no reduction: "
            "wanted a loss of anynet.losses, a loss(outputs, labels, reduction='mean') that "
            "returns the loss of each row for reduction='none', or a loss(net, x, t, weights)"
        )
    if parameter.default not in ("mean", "sum"):
        raise ArgumentError(
            f"the data have weights and the loss has the reduction {parameter.default!r}: wanted "
            "'mean' or 'sum'"
        )
    return parameter.default
