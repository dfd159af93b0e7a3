"""Losses: from outputs and what they ought to be to one scalar.

Each takes a ``reduction``: ``"mean"`` of all losses, their ``"sum"``, or ``"none"`` for an array of
them. The last axis is that of the classes, or of the features of a vector; all axes before it run
over examples.

Outputs are floating: integers, booleans and complex numbers raise a `DTypeError`. Class indices are
of any integer dtype. Targets and weights of other dtypes, integers and booleans too, are brought to
the dtype of the outputs, which is that of the loss. Sums over 16-bit outputs are computed in
float32, and rounded once. The mean of no example is NaN, the sum 0.
"""

import math
from numbers import Number

from anynet.array import (
    Array,
    array_namespace,
    as_indices,
    check_floating,
    device,
    is_array,
    is_complex,
    is_narrow,
    widened,
)
from anynet.errors import ArgumentError, DTypeError, ShapeError
from anynet.primitives import (
    log_softmax,
    relu,
    softmax_cross_entropy,
    softplus,
)
from anynet.primitives.cross_entropy import mean, targets
from anynet.primitives.precision import rounded


def cross_entropy(
    logits: Array,
    labels: Array,
    *,
    weight: Array | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """Return -sum(weight · targets · log softmax(logits)), stable for logits of any size, and fused
    without settings.

    Args:
        logits: floating, (…, classes).
        labels: class indices, integers (…), or probabilities such as one-hot rows, of the logits'
            shape.
        weight: of each class, (classes,). The mean over class indices is then a weighted one,
            divided by the sum of the labels' weights; the mean over rows of probabilities is
            divided by their number.
        label_smoothing: from 0 to 1, the share of the targets that is spread evenly over all
            classes.
        ignore_index: a class index, in 0 … classes - 1 or not, whose examples do not count, neither
            in the sum nor in what the mean is divided by; the mean of no example is NaN.
        reduction: "mean", "sum" or "none", which gives one loss for each example, (…).

    Raises:
        ShapeError: labels or a weight of another shape.
        ArgumentError: a setting out of range, or an index to ignore among labels that are
            probabilities.
        DTypeError: logits that are not floating, or complex labels.
        DataError: class indices that are not integers; a label that is no class, where the library
            can tell without waiting for a device; elsewhere the loss is then NaN.

    Source: Deep Learning from Scratch, chapter 4.2.4 and appendix A; smoothing: Szegedy, Vanhoucke,
    Ioffe, Shlens and Wojna, Rethinking the Inception architecture for computer vision, CVPR 2016,
    section 7. With settings it is PyTorch's CrossEntropyLoss, but for the axis of the classes.

    """
    if reduction == "mean" and weight is None and ignore_index is None and label_smoothing == 0:
        _check_fit("cross_entropy", logits, labels)
        # It looks at the dtypes itself.
        loss: Array = softmax_cross_entropy(logits, labels)[0]
        return loss
    _check_labels("cross_entropy", logits, labels)
    log_p = log_softmax(widened(logits))
    loss = _of_log_probabilities(
        "cross_entropy",
        log_p,
        labels,
        weight,
        label_smoothing,
        ignore_index,
        reduction,
    )
    return rounded(loss, logits)


def negative_log_likelihood(
    log_probabilities: Array,
    labels: Array,
    *,
    weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """Return -sum(weight · targets · log_probabilities), for outputs that went through
    `log_softmax` already.

    Shapes, settings and errors as for `cross_entropy`; a label that is no class makes the loss NaN.
    Source: PyTorch's NLLLoss, but for the axis of the classes.
    """
    name = "negative_log_likelihood"
    _check_labels(name, log_probabilities, labels)
    log_p = widened(log_probabilities)
    loss = _of_log_probabilities(name, log_p, labels, weight, 0.0, ignore_index, reduction)
    return rounded(loss, log_probabilities)


def cross_entropy_of_probabilities(
    probabilities: Array,
    labels: Array,
    delta: float = 1e-7,
    *,
    reduction: str = "mean",
) -> Array:
    """Return -sum(targets · log(probabilities + delta)), for outputs that went through softmax
    already.

    Shapes as for `cross_entropy`. The small delta keeps the logarithm of a probability of zero
    finite. Source: Deep Learning from Scratch, chapter 4.2.2.
    """
    _check_labels("cross_entropy_of_probabilities", probabilities, labels)
    xp = array_namespace(probabilities, labels)
    wide = widened(probabilities)
    return _reduce(
        -xp.sum(targets(labels, wide) * xp.log(wide + delta), axis=-1),
        reduction,
        probabilities,
    )


def binary_cross_entropy_with_logits(
    logits: Array,
    labels: Array,
    *,
    pos_weight: Array | float | None = None,
    reduction: str = "mean",
) -> Array:
    """Return -(pos_weight · t · log σ(x) + (1 - t) · log(1 - σ(x))) of every element, stable for
    logits of any size.

    Args:
        logits: x, floating, of any shape; every element is a question of its own.
        labels: t, of the same shape, in 0 … 1, mostly 0 or 1.
        pos_weight: above 1 it makes misses dearer, below 1 false alarms; a number, or one for each
            of the last axis.
        reduction: "mean" or "sum" of all elements, or "none".

    Raises:
        ShapeError: labels or weights of another shape.
        ArgumentError: an unknown reduction.

    Source: PyTorch's BCEWithLogitsLoss.

    """
    name = "binary_cross_entropy_with_logits"
    x, t = _alike(name, logits, labels)
    missed = t * softplus(-x)
    if isinstance(pos_weight, int | float | Number):
        # As Python's, for NumPy's would have a dtype of its own.
        missed = float(pos_weight) * missed
    elif pos_weight is not None:
        missed = missed * _class_weight(name, pos_weight, x)
    return _reduce(missed + (1 - t) * softplus(x), reduction, x)


def sum_of_squares(outputs: Array, labels: Array, *, reduction: str = "mean") -> Array:
    """Return ½ · sum((outputs - labels)²) over the last axis.

    Outputs are (…, units); labels are of the same shape, or class indices, which count as one-hot.
    Source: Deep Learning from Scratch, chapter 4.2.1.
    """
    _check_labels("sum_of_squares", outputs, labels)
    xp = array_namespace(outputs, labels)
    wide = widened(outputs)
    difference = wide - targets(labels, wide)
    return _reduce(0.5 * xp.sum(xp.square(difference), axis=-1), reduction, outputs)


def mean_squared_error(outputs: Array, labels: Array, *, reduction: str = "mean") -> Array:
    """Return (outputs - labels)² of every element; both are of one shape.

    Source: PyTorch's MSELoss.
    """
    outputs, labels = _alike("mean_squared_error", outputs, labels)
    return _reduce(
        array_namespace(outputs).square(outputs - labels),
        reduction,
        outputs,
    )


def mean_absolute_error(outputs: Array, labels: Array, *, reduction: str = "mean") -> Array:
    """Return |outputs - labels| of every element, with a derivative of 0 at 0; both are of one
    shape.

    Source: PyTorch's L1Loss.
    """
    outputs, labels = _alike("mean_absolute_error", outputs, labels)
    return _reduce(array_namespace(outputs).abs(outputs - labels), reduction, outputs)


def huber(
    outputs: Array,
    labels: Array,
    *,
    delta: float = 1.0,
    reduction: str = "mean",
) -> Array:
    """Return ½ · d² where |d| ≤ delta and delta · (|d| - ½ · delta) elsewhere, d = outputs -
    labels, of every element.

    Both arrays are of one shape; delta is above 0. Source: Huber, Robust estimation of a location
    parameter, Annals of mathematical statistics 35, 1964.
    """
    _check_above_zero("delta", delta)
    outputs, labels = _alike("huber", outputs, labels)
    xp = array_namespace(outputs)
    difference = outputs - labels
    bounded = xp.where(xp.abs(difference) > delta, delta * xp.sign(difference), difference)
    # Both pieces in one, and no square that would overflow.
    return _reduce(
        0.5 * xp.square(bounded) + delta * xp.abs(difference - bounded),
        reduction,
        outputs,
    )


def hinge(
    outputs: Array,
    labels: Array,
    *,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Array:
    """Return max(0, margin + the largest output of the other classes - that of the label), by
    Crammer and Singer.

    Shapes as for `cross_entropy`; rows of labels are one-hot. It is scikit-learn's hinge_loss;
    PyTorch's multi_margin_loss is another one, see `multi_margin`. Source: Crammer and Singer, On
    the algorithmic implementation of multiclass kernel-based vector machines, JMLR 2, 2001.
    """
    _check_labels("hinge", outputs, labels)
    _check_above_zero("margin", margin)
    xp, x = array_namespace(outputs, labels), widened(outputs)
    wanted = targets(labels, x)
    lowest = xp.full((), -math.inf, dtype=x.dtype, device=device(x))
    others = xp.max(xp.where(wanted > 0, lowest, x), axis=-1)
    return _reduce(
        relu(margin + others - xp.sum(_at_labels(wanted, x), axis=-1)),
        reduction,
        outputs,
    )


def multi_margin(
    outputs: Array,
    labels: Array,
    *,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Array:
    """Return the sum over the other classes of max(0, margin + their output - that of the label),
    by the classes.

    Shapes as for `cross_entropy`; rows of labels are one-hot. Source: Weston and Watkins, Support
    vector machines for multi-class pattern recognition, ESANN 1999; PyTorch's MultiMarginLoss with
    p=1.
    """
    _check_labels("multi_margin", outputs, labels)
    _check_above_zero("margin", margin)
    xp, x = array_namespace(outputs, labels), widened(outputs)
    wanted = targets(labels, x)
    at_label = xp.sum(_at_labels(wanted, x), axis=-1, keepdims=True)
    return _reduce(
        xp.mean((1 - wanted) * relu(margin + x - at_label), axis=-1),
        reduction,
        outputs,
    )


def kl_divergence(log_probabilities: Array, labels: Array, *, reduction: str = "mean") -> Array:
    """Return sum(labels · (log(labels) - log_probabilities)) over the last axis, where 0 · log(0)
    is 0.

    Both arrays are of one shape, (…, classes); the labels are probabilities. The mean is the one
    over examples, which PyTorch's KLDivLoss calls "batchmean". Source: Kullback and Leibler, On
    information and sufficiency, Annals of mathematical statistics 22, 1951.
    """
    log_p, t = map(widened, _alike("kl_divergence", log_probabilities, labels))
    xp = array_namespace(t)
    possible = t > 0
    logarithms = xp.log(xp.where(possible, t, xp.ones_like(t)))
    # Chosen before the product: 0 · infinity would be no number.
    return _reduce(
        xp.sum(
            t * xp.where(possible, logarithms - log_p, xp.zeros_like(t)),
            axis=-1,
        ),
        reduction,
        log_probabilities,
    )


def cosine(x1: Array, x2: Array, *, reduction: str = "mean") -> Array:
    """Return 1 - cos(x1, x2) of vectors along the last axis, in [0, 2]; both are of one shape, (…,
    features).
    """
    return _reduce(1 - _cosine("cosine", x1, x2), reduction, x1)


def cosine_embedding(
    x1: Array,
    x2: Array,
    labels: Array,
    *,
    margin: float = 0.0,
    reduction: str = "mean",
) -> Array:
    """Return 1 - cos(x1, x2) of pairs that belong together, and max(0, cos(x1, x2) - margin) of
    those that do not.

    Vectors are (…, features), both of one shape; labels are (…), above 0 (as 1) for pairs that
    belong together and 0 or less (as -1) for the others. Source: PyTorch's CosineEmbeddingLoss.
    """
    cosines = _cosine("cosine_embedding", x1, x2)
    if labels.shape != cosines.shape:
        raise ShapeError(
            f"cosine_embedding: pairs of shape {tuple(x1.shape)} were given with labels of shape "
            f"{tuple(labels.shape)}: wanted {tuple(cosines.shape)}"
        )
    _check_real("cosine_embedding", labels)
    xp = array_namespace(cosines, labels)
    # As floating numbers: some libraries compare no booleans, or not all integers.
    together = xp.astype(labels, cosines.dtype, copy=False) > 0
    return _reduce(
        xp.where(together, 1 - cosines, relu(cosines - margin)),
        reduction,
        x1,
    )


def triplet_margin(
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Array:
    """Return max(0, ‖anchor - positive‖ - ‖anchor - negative‖ + margin) of vectors along the last
    axis.

    All three arrays are of one shape, (…, features). Source: Schroff, Kalenichenko and Philbin,
    FaceNet, CVPR 2015; PyTorch's TripletMarginLoss, whose small shift of the differences, 1e-6,
    keeps the derivative finite where two vectors are equal.
    """
    _check_above_zero("margin", margin)
    anchor, positive, negative = _alike("triplet_margin", anchor, positive, negative)
    return _reduce(
        relu(_distance(anchor, positive) - _distance(anchor, negative) + margin),
        reduction,
        anchor,
    )


def _of_log_probabilities(
    name: str,
    log_p: Array,
    labels: Array,
    weight: Array | None,
    label_smoothing: float,
    ignore_index: int | None,
    reduction: str,
) -> Array:
    """Return the negative logarithms at the labels, or the mean of them by rows of probabilities,
    with all settings.
    """
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(
            f"label_smoothing is {label_smoothing}: wanted a number from 0 to 1, such as 0.1"
        )
    xp = array_namespace(log_p, labels)
    of_index = labels.ndim < log_p.ndim
    counted = None
    if of_index:
        labels = as_indices("labels", labels)
    if ignore_index is not None:
        if not of_index:
            raise ArgumentError(
                f"{name}: ignore_index is {ignore_index} and the labels are probabilities of shape "
                f"{tuple(labels.shape)}: wanted class indices {tuple(log_p.shape[:-1])}; a row of "
                "zeros counts 0"
            )
        counted = labels != ignore_index
        labels = xp.where(counted, labels, xp.zeros_like(labels))
        counted = xp.astype(xp.expand_dims(counted, axis=-1), log_p.dtype)
    wanted = targets(labels, log_p)
    shares = wanted if counted is None else wanted * counted
    wanted = shares
    if label_smoothing:
        spread = label_smoothing / log_p.shape[-1]
        wanted = (1 - label_smoothing) * wanted + (spread if counted is None else spread * counted)
    if weight is not None:
        weight = _class_weight(name, weight, log_p)
        wanted, shares = wanted * weight, shares * weight
    # Chosen before the product: a class that is not wanted may have a probability of 0, and 0 ·
    # infinity is NaN.
    impossible = xp.logical_and(wanted == 0, xp.isinf(log_p))
    losses = xp.sum(wanted * xp.where(impossible, xp.zeros_like(log_p), -log_p), axis=-1)
    if reduction != "mean" or not of_index:
        return _reduce(losses, reduction, log_p)
    total = xp.sum(shares)
    nothing = total == 0
    mean = xp.sum(losses) / xp.where(nothing, xp.ones_like(total), total)
    return xp.where(nothing, xp.full_like(mean, math.nan), mean)


def _class_weight(name: str, weight: Array, outputs: Array) -> Array:
    given, wanted = (
        getattr(weight, "shape", type(weight).__name__),
        outputs.shape[-1:],
    )
    if given != wanted:
        given = tuple(given) if isinstance(given, tuple) else given
        raise ShapeError(
            f"{name}: outputs of shape {tuple(outputs.shape)} were given with a weight of {given}: "
            f"wanted an array of {tuple(wanted)}, one number for each class"
        )
    _check_real(name, weight)
    return array_namespace(outputs, weight).astype(weight, outputs.dtype, copy=False)


def _alike(loss: str, *arrays: Array) -> list[Array]:
    """Return arrays of one shape, all of them traced where one is, and of the first one's dtype."""
    first = arrays[0]
    _check_outputs(loss, first)
    for x in arrays[1:]:
        _check_real(loss, x)
        if x.shape != first.shape:
            raise ShapeError(
                f"{loss}: arrays of shapes {tuple(first.shape)} and {tuple(x.shape)} were given: "
                "wanted one shape, for elements that are broadcast would count several times"
            )
    xp = array_namespace(*arrays)
    return [xp.astype(x, first.dtype, copy=False) for x in arrays]


def _at_labels(wanted: Array, outputs: Array) -> Array:
    """Return the outputs where they are wanted, and 0 elsewhere, whatever the other outputs are."""
    xp = array_namespace(wanted, outputs)
    return wanted * xp.where(wanted == 0, xp.zeros_like(outputs), outputs)


def _cosine(loss: str, x1: Array, x2: Array) -> Array:
    x1, x2 = map(widened, _alike(loss, x1, x2))
    xp = array_namespace(x1)
    # A vector of zeros has no direction; with the small number its cosine is 0.
    squares = [xp.sum(x * x, axis=-1) + 1e-12 for x in (x1, x2)]
    return xp.sum(x1 * x2, axis=-1) / xp.sqrt(squares[0] * squares[1])


def _distance(x1: Array, x2: Array) -> Array:
    xp = array_namespace(x1)
    difference = widened(x1) - widened(x2) + 1e-6
    return xp.sqrt(xp.sum(difference * difference, axis=-1))


def _reduce(losses: Array, reduction: str, outputs: Array) -> Array:
    """Return the losses, their mean or their sum, in the dtype of the outputs."""
    if reduction == "mean":
        losses = mean(losses)
    elif reduction == "sum":
        xp = array_namespace(losses)
        losses = xp.sum(losses, dtype=xp.float32) if is_narrow(losses) else xp.sum(losses)
    elif reduction != "none":
        raise ArgumentError(f"reduction is {reduction!r}: wanted 'mean', 'sum' or 'none'")
    return losses if losses.dtype == outputs.dtype else rounded(losses, outputs)


def _check_outputs(loss: str, x: Array) -> None:
    _check_array(loss, x)
    check_floating(loss, x)


def _check_array(loss: str, x: Array) -> None:
    if not is_array(x):
        raise DTypeError(
            f"{loss}: {type(x).__name__} was given: wanted an array, as get_backend().asarray(x)"
        )


def _check_real(loss: str, x: Array) -> None:
    _check_array(loss, x)
    if is_complex(x):
        raise DTypeError(
            f"{loss}: labels or weights of {x.dtype} were given: wanted real numbers, as xp.real(x)"
        )


def _check_above_zero(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ArgumentError(f"{name} is {value}: wanted a finite number above 0")


def _check_labels(loss: str, outputs: Array, labels: Array) -> None:
    _check_outputs(loss, outputs)
    _check_real(loss, labels)
    _check_fit(loss, outputs, labels)


def _check_fit(loss: str, outputs: Array, labels: Array) -> None:
    try:
        given, wanted = labels.shape, outputs.shape
    except AttributeError:
        _check_array(loss, outputs)
        _check_array(loss, labels)
        raise
    if given != wanted[:-1] and given != wanted:
        raise ShapeError(
            f"{loss}: outputs of shape {tuple(wanted)} were given with labels of shape "
            f"{tuple(given)}; wanted class indices of shape {tuple(wanted[:-1])} or one-hot rows of "
            f"{tuple(wanted)}"
        )
