"""Losses: functions of outputs and labels that return one scalar.

Each takes a ``reduction``: "mean" of all losses, their "sum", or "none" for an array of them. The
last axis is that of the classes, or of the features of a vector. All axes before it run over
examples.

Outputs are floating. Integers, booleans and complex numbers raise a `DTypeError`. Class indices are
of any integer dtype. Labels and weights of other dtypes are cast to the dtype of the outputs, which
is that of the loss. Sums over 16-bit outputs are computed in float32 and rounded once, or not at
all under `anynet.MixedPrecision`. The mean of no example is NaN, the sum 0.
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
from anynet.distributed.share import share_of
from anynet.errors import ArgumentError, DTypeError, ShapeError
from anynet.primitives import (
    log_softmax,
    relu,
    softmax_cross_entropy,
    softplus,
)
from anynet.primitives.cross_entropy import mean, targets
from anynet.primitives.precision import in_wide_dtype, rounded

__all__ = [
    "binary_cross_entropy_with_logits",
    "cosine",
    "cosine_embedding",
    "cross_entropy",
    "cross_entropy_of_probabilities",
    "hinge",
    "huber",
    "kl_divergence",
    "mean_absolute_error",
    "mean_squared_error",
    "multi_margin",
    "negative_log_likelihood",
    "sum_of_squares",
    "triplet_margin",
]


@in_wide_dtype
def cross_entropy(
    logits: Array,
    labels: Array,
    *,
    weight: Array | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """Return -sum(weight · targets · log softmax(logits)) over the last axis.

    It is stable for logits of any size. Without settings it is one fused step.

    Args:
        logits: floating, (…, classes).
        labels: class indices, integers (…), or probabilities such as one-hot rows, of the logits'
            shape.
        weight: of each class, (classes,). The mean over class indices is then divided by the sum of
            the labels' weights. The mean over rows of probabilities is divided by their number.
        label_smoothing: in 0 … 1, the part of the targets that is spread evenly over all classes.
        ignore_index: a class index, in 0 … classes - 1 or not, whose examples count neither in the
            sum nor in the divisor of the mean.
        reduction: "mean", "sum", or "none", which gives one loss for each example, (…).

    Raises:
        ShapeError: labels or a weight of another shape.
        ArgumentError: a setting out of range, or an index to ignore among labels that are
            probabilities.
        DTypeError: logits that are not floating, or complex labels.
        DataError: class indices that are not integers, or a label that is no class. Where finding
            that out would wait for a device, the loss is NaN.

    >>> logits = np.asarray([[0.0, 0.0], [2.0, 0.0]])
    >>> labels = np.asarray([1, 0])
    >>> round(float(losses.cross_entropy(logits, labels)), 4)
    0.41
    >>> losses.cross_entropy(logits, labels, reduction="none").round(4)
    array([0.6931, 0.1269])

    Source: Deep Learning from Scratch, chapter 4.2.4 and appendix A; smoothing: Szegedy, Vanhoucke,
    Ioffe, Shlens and Wojna, Rethinking the Inception architecture for computer vision, CVPR 2016,
    section 7. With settings it is PyTorch's CrossEntropyLoss, but for the axis of the classes.

    """
    name = "cross_entropy"
    if reduction == "mean" and weight is None and ignore_index is None and label_smoothing == 0:
        # The fused step checks the dtypes itself.
        _check_fit(name, logits, labels)
        loss: Array = softmax_cross_entropy(logits, labels)[0]
        return loss
    _check_labels(name, logits, labels)
    log_p = log_softmax(widened(logits))
    loss = _of_log_probabilities(
        name, log_p, labels, weight, label_smoothing, ignore_index, reduction
    )
    return rounded(loss, logits)


@in_wide_dtype
def negative_log_likelihood(
    log_probabilities: Array,
    labels: Array,
    *,
    weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """Return -sum(weight · targets · log_probabilities) over the last axis.

    Args:
        log_probabilities: floating, (…, classes), such as the output of `log_softmax`.
        labels: class indices (…), or probabilities of the outputs' shape. A label that is no class
            makes the loss NaN.
        weight: of each class, (classes,), as for `cross_entropy`.
        ignore_index: a class index whose examples do not count, as for `cross_entropy`.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: labels or a weight of another shape.
        ArgumentError: an unknown reduction, or an index to ignore among probabilities.
        DTypeError: outputs that are not floating, or complex labels.
        DataError: class indices that are not integers.

    >>> log_p = np.log([[0.5, 0.5], [0.8, 0.2]])
    >>> losses.negative_log_likelihood(log_p, np.asarray([1, 0]), reduction="none").round(4)
    array([0.6931, 0.2231])

    Source: PyTorch's NLLLoss, but for the axis of the classes.

    """
    name = "negative_log_likelihood"
    _check_labels(name, log_probabilities, labels)
    log_p = widened(log_probabilities)
    loss = _of_log_probabilities(name, log_p, labels, weight, 0.0, ignore_index, reduction)
    return rounded(loss, log_probabilities)


@in_wide_dtype
def cross_entropy_of_probabilities(
    probabilities: Array,
    labels: Array,
    delta: float = 1e-7,
    *,
    reduction: str = "mean",
) -> Array:
    """Return -sum(targets · log(probabilities + delta)) over the last axis.

    Args:
        probabilities: floating, (…, classes), such as the output of `softmax`.
        labels: class indices (…), or probabilities of the outputs' shape.
        delta: keeps the logarithm of a probability of 0 finite.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: labels of another shape.
        ArgumentError: an unknown reduction.
        DTypeError: outputs that are not floating, or complex labels.

    >>> p = np.asarray([[0.5, 0.5], [0.8, 0.2]])
    >>> round(float(losses.cross_entropy_of_probabilities(p, np.asarray([1, 0]))), 4)
    0.4581

    Source: Deep Learning from Scratch, chapter 4.2.2.

    """
    _check_labels("cross_entropy_of_probabilities", probabilities, labels)
    xp = array_namespace(probabilities, labels)
    wide = widened(probabilities)
    logarithms = xp.log(wide + delta)
    losses = -xp.sum(targets(labels, wide) * logarithms, axis=-1)
    return _reduce(losses, reduction, probabilities)


@in_wide_dtype
def binary_cross_entropy_with_logits(
    logits: Array,
    labels: Array,
    *,
    pos_weight: Array | float | None = None,
    reduction: str = "mean",
) -> Array:
    """Return -(pos_weight · t · log σ(x) + (1 - t) · log(1 - σ(x))) of every element.

    It is stable for logits of any size.

    Args:
        logits: x, floating, of any shape. Every element is one binary prediction.
        labels: t, of the same shape, in 0 … 1, mostly 0 or 1.
        pos_weight: a scalar, or an array with a weight for each index of the last axis. Above 1 it
            penalizes false negatives more, below 1 false positives.
        reduction: "mean" or "sum" of all elements, or "none".

    Raises:
        ShapeError: labels or weights of another shape.
        ArgumentError: an unknown reduction.
        DTypeError: logits that are not floating, or complex labels.

    >>> logits, labels = np.asarray([0.0, 2.0]), np.asarray([1.0, 0.0])
    >>> losses.binary_cross_entropy_with_logits(logits, labels, reduction="none").round(4)
    array([0.6931, 2.1269])

    Source: PyTorch's BCEWithLogitsLoss.

    """
    name = "binary_cross_entropy_with_logits"
    x, t = _alike(name, logits, labels)
    missed = t * softplus(-x)
    if isinstance(pos_weight, int | float | Number):
        # As Python's, because NumPy's scalar would have a dtype of its own.
        missed = float(pos_weight) * missed
    elif pos_weight is not None:
        missed = missed * _class_weight(name, pos_weight, x)
    return _reduce(missed + (1 - t) * softplus(x), reduction, x)


@in_wide_dtype
def sum_of_squares(
    outputs: Array,
    labels: Array,
    *,
    reduction: str = "mean",
) -> Array:
    """Return ½ · sum((outputs - labels)²) over the last axis.

    Args:
        outputs: floating, (…, units).
        labels: of the outputs' shape, or class indices (…), which count as one-hot rows.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: labels of another shape.
        ArgumentError: an unknown reduction.
        DTypeError: outputs that are not floating, or complex labels.

    >>> outputs = np.asarray([[1.0, 2.0]])
    >>> float(losses.sum_of_squares(outputs, np.asarray([[0.0, 0.0]])))
    2.5

    Source: Deep Learning from Scratch, chapter 4.2.1.

    """
    _check_labels("sum_of_squares", outputs, labels)
    xp = array_namespace(outputs, labels)
    wide = widened(outputs)
    squares = xp.square(wide - targets(labels, wide))
    return _reduce(0.5 * xp.sum(squares, axis=-1), reduction, outputs)


@in_wide_dtype
def mean_squared_error(
    outputs: Array,
    labels: Array,
    *,
    reduction: str = "mean",
) -> Array:
    """Return (outputs - labels)² of every element.

    Args:
        outputs: floating, of any shape.
        labels: real, of the same shape.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: labels of another shape.
        ArgumentError: an unknown reduction.
        DTypeError: outputs that are not floating, or complex labels.

    >>> float(losses.mean_squared_error(np.asarray([1.0, 2.0]), np.asarray([0.0, 0.0])))
    2.5

    Source: PyTorch's MSELoss.

    """
    outputs, labels = _alike("mean_squared_error", outputs, labels)
    squares = array_namespace(outputs).square(outputs - labels)
    return _reduce(squares, reduction, outputs)


@in_wide_dtype
def mean_absolute_error(
    outputs: Array,
    labels: Array,
    *,
    reduction: str = "mean",
) -> Array:
    """Return |outputs - labels| of every element, whose derivative is 0 at 0.

    Args:
        outputs: floating, of any shape.
        labels: real, of the same shape.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: labels of another shape.
        ArgumentError: an unknown reduction.
        DTypeError: outputs that are not floating, or complex labels.

    >>> float(losses.mean_absolute_error(np.asarray([1.0, 2.0]), np.asarray([0.0, 0.0])))
    1.5

    Source: PyTorch's L1Loss.

    """
    outputs, labels = _alike("mean_absolute_error", outputs, labels)
    return _reduce(array_namespace(outputs).abs(outputs - labels), reduction, outputs)


@in_wide_dtype
def huber(
    outputs: Array,
    labels: Array,
    *,
    delta: float = 1.0,
    reduction: str = "mean",
) -> Array:
    """Return ½ d² where |d| ≤ delta and delta (|d| - ½ delta) elsewhere, d = outputs - labels.

    Args:
        outputs: floating, of any shape.
        labels: real, of the same shape.
        delta: above 0.
        reduction: "mean" or "sum" of all elements, or "none".

    Raises:
        ShapeError: labels of another shape.
        ArgumentError: an unknown reduction, or a delta out of range.
        DTypeError: outputs that are not floating, or complex labels.

    >>> losses.huber(np.asarray([1.0, 3.0]), np.asarray([0.0, 0.0]), reduction="none")
    array([0.5, 2.5])

    Source: Huber, Robust estimation of a location parameter, Annals of mathematical statistics 35,
    1964.

    """
    _check_above_zero("delta", delta)
    outputs, labels = _alike("huber", outputs, labels)
    xp = array_namespace(outputs)
    difference = outputs - labels
    is_large = xp.abs(difference) > delta
    bounded = xp.where(is_large, delta * xp.sign(difference), difference)
    # Both pieces in one expression, without a square that could overflow.
    losses = 0.5 * xp.square(bounded) + delta * xp.abs(difference - bounded)
    return _reduce(losses, reduction, outputs)


@in_wide_dtype
def hinge(
    outputs: Array,
    labels: Array,
    *,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Array:
    """Return max(0, margin + largest output of the other classes - output of the label).

    Args:
        outputs: floating, (…, classes).
        labels: class indices (…), or one-hot rows of the outputs' shape.
        margin: above 0.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: labels of another shape.
        ArgumentError: an unknown reduction, or a margin out of range.
        DTypeError: outputs that are not floating, or complex labels.

    >>> outputs = np.asarray([[2.0, 0.0, 1.5]])
    >>> float(losses.hinge(outputs, np.asarray([0])))
    0.5

    Source: Crammer and Singer, On the algorithmic implementation of multiclass kernel-based vector
    machines, JMLR 2, 2001; scikit-learn's hinge_loss. PyTorch's multi_margin_loss is
    `multi_margin`.

    """
    _check_labels("hinge", outputs, labels)
    _check_above_zero("margin", margin)
    xp, x = array_namespace(outputs, labels), widened(outputs)
    wanted = targets(labels, x)
    lowest = xp.full(
        (),
        -math.inf,
        dtype=x.dtype,
        device=device(x),
    )
    others = xp.max(xp.where(wanted > 0, lowest, x), axis=-1)
    at_label = xp.sum(_at_labels(wanted, x), axis=-1)
    return _reduce(relu(margin + others - at_label), reduction, outputs)


@in_wide_dtype
def multi_margin(
    outputs: Array,
    labels: Array,
    *,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Array:
    """Return sum(max(0, margin + output - output of the label)) / classes over the other classes.

    Args:
        outputs: floating, (…, classes).
        labels: class indices (…), or one-hot rows of the outputs' shape.
        margin: above 0.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: labels of another shape.
        ArgumentError: an unknown reduction, or a margin out of range.
        DTypeError: outputs that are not floating, or complex labels.

    >>> outputs = np.asarray([[2.0, 1.25, 1.5, 0.0]])
    >>> float(losses.multi_margin(outputs, np.asarray([0])))
    0.1875

    Source: Weston and Watkins, Support vector machines for multi-class pattern recognition, ESANN
    1999; PyTorch's MultiMarginLoss with p=1.

    """
    _check_labels("multi_margin", outputs, labels)
    _check_above_zero("margin", margin)
    xp, x = array_namespace(outputs, labels), widened(outputs)
    wanted = targets(labels, x)
    at_label = xp.sum(_at_labels(wanted, x), axis=-1, keepdims=True)
    of_classes = (1 - wanted) * relu(margin + x - at_label)
    return _reduce(xp.mean(of_classes, axis=-1), reduction, outputs)


@in_wide_dtype
def kl_divergence(
    log_probabilities: Array,
    labels: Array,
    *,
    reduction: str = "mean",
) -> Array:
    """Return sum(labels · (log(labels) - log_probabilities)) over the last axis, with 0 log 0 = 0.

    Args:
        log_probabilities: floating, (…, classes).
        labels: probabilities of the same shape.
        reduction: "mean" over examples, which PyTorch calls "batchmean", "sum" or "none".

    Raises:
        ShapeError: labels of another shape.
        ArgumentError: an unknown reduction.
        DTypeError: outputs that are not floating, or complex labels.

    >>> log_p = np.log([[0.5, 0.5]])
    >>> round(float(losses.kl_divergence(log_p, np.asarray([[1.0, 0.0]]))), 4)
    0.6931

    Source: Kullback and Leibler, On information and sufficiency, Annals of mathematical statistics
    22, 1951; PyTorch's KLDivLoss.

    """
    log_p, t = map(widened, _alike("kl_divergence", log_probabilities, labels))
    xp = array_namespace(t)
    possible = t > 0
    logarithms = xp.log(xp.where(possible, t, xp.ones_like(t)))
    # Chosen before the product, because 0 · infinity is NaN.
    difference = xp.where(possible, logarithms - log_p, xp.zeros_like(t))
    return _reduce(xp.sum(t * difference, axis=-1), reduction, log_probabilities)


@in_wide_dtype
def cosine(
    x1: Array,
    x2: Array,
    *,
    reduction: str = "mean",
) -> Array:
    """Return 1 - cos(x1, x2) of vectors along the last axis, in 0 … 2.

    Args:
        x1: floating, (…, features).
        x2: real, of the same shape.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: arrays of two shapes.
        ArgumentError: an unknown reduction.
        DTypeError: the first array is not floating, or the second is complex.

    >>> float(losses.cosine(np.asarray([[1.0, 0.0]]), np.asarray([[0.0, 2.0]])))
    1.0

    """
    return _reduce(1 - _cosine("cosine", x1, x2), reduction, x1)


@in_wide_dtype
def cosine_embedding(
    x1: Array,
    x2: Array,
    labels: Array,
    *,
    margin: float = 0.0,
    reduction: str = "mean",
) -> Array:
    """Return 1 - cos(x1, x2) of pairs that belong together, max(0, cos(x1, x2) - margin) of others.

    Args:
        x1: floating, (…, features).
        x2: real, of the same shape.
        labels: real, (…), above 0 (as 1) for pairs that belong together, 0 or less (as -1) for
            others.
        margin: a number.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: arrays of two shapes, or labels of another one.
        ArgumentError: an unknown reduction.
        DTypeError: the first array is not floating, or another is complex.

    >>> x1, x2 = np.asarray([[1.0, 0.0]]), np.asarray([[0.0, 2.0]])
    >>> float(losses.cosine_embedding(x1, x2, np.asarray([1])))
    1.0

    Source: PyTorch's CosineEmbeddingLoss.

    """
    cosines = _cosine("cosine_embedding", x1, x2)
    if labels.shape != cosines.shape:
        raise ShapeError(
            f"cosine_embedding: pairs of shape {tuple(x1.shape)} were given with labels of shape "
            f"{tuple(labels.shape)}: wanted {tuple(cosines.shape)}"
        )
    _check_real("cosine_embedding", labels)
    xp = array_namespace(cosines, labels)
    # Floating, because some libraries do not compare booleans, or not all integers.
    together = xp.astype(labels, cosines.dtype, copy=False) > 0
    losses = xp.where(together, 1 - cosines, relu(cosines - margin))
    return _reduce(losses, reduction, x1)


@in_wide_dtype
def triplet_margin(
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Array:
    """Return max(0, ‖anchor - positive‖ - ‖anchor - negative‖ + margin) along the last axis.

    Differences are shifted by 1e-6, which keeps the derivative finite where two vectors are equal.

    Args:
        anchor: floating, (…, features).
        positive: of the same shape, to be near the anchor.
        negative: of the same shape, to be far from the anchor.
        margin: above 0.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: arrays of several shapes.
        ArgumentError: an unknown reduction, or a margin out of range.
        DTypeError: the anchor is not floating, or another array is complex.

    >>> anchor, negative = np.asarray([[0.0, 0.0]]), np.asarray([[0.5, 0.0]])
    >>> round(float(losses.triplet_margin(anchor, anchor, negative)), 4)
    0.5

    Source: Schroff, Kalenichenko and Philbin, FaceNet, CVPR 2015; PyTorch's TripletMarginLoss.

    """
    _check_above_zero("margin", margin)
    anchor, positive, negative = _alike("triplet_margin", anchor, positive, negative)
    nearer = _distance(anchor, positive) - _distance(anchor, negative)
    return _reduce(relu(nearer + margin), reduction, anchor)


def _of_log_probabilities(
    name: str,
    log_p: Array,
    labels: Array,
    weight: Array | None,
    label_smoothing: float,
    ignore_index: int | None,
    reduction: str,
) -> Array:
    """Return the cross-entropy of log-probabilities, with all settings."""
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(
            f"label_smoothing is {label_smoothing}: wanted a number from 0 to 1, such as 0.1"
        )
    xp = array_namespace(log_p, labels)
    has_indices = labels.ndim < log_p.ndim
    if has_indices:
        labels = as_indices("labels", labels)
    counted: Array | None = None
    if ignore_index is not None:
        if not has_indices:
            raise ArgumentError(
                f"{name}: ignore_index is {ignore_index} and the labels are probabilities of shape "
                f"{tuple(labels.shape)}: wanted class indices {tuple(log_p.shape[:-1])}; a row of "
                "zeros counts 0"
            )
        is_counted = labels != ignore_index
        labels = xp.where(is_counted, labels, xp.zeros_like(labels))
        counted = xp.astype(xp.expand_dims(is_counted, axis=-1), log_p.dtype)
    shares = targets(labels, log_p)
    if counted is not None:
        shares = shares * counted
    wanted = shares
    if label_smoothing:
        spread = label_smoothing / log_p.shape[-1]
        spread_over = spread if counted is None else spread * counted
        wanted = (1 - label_smoothing) * shares + spread_over
    if weight is not None:
        weight = _class_weight(name, weight, log_p)
        wanted, shares = wanted * weight, shares * weight
    # Chosen before the product: a class that is not wanted may have a probability of 0, and 0 ·
    # infinity is NaN.
    impossible = xp.logical_and(wanted == 0, xp.isinf(log_p))
    surprise = xp.where(impossible, xp.zeros_like(log_p), -log_p)
    losses = xp.sum(wanted * surprise, axis=-1)
    if reduction != "mean" or not has_indices:
        return _reduce(losses, reduction, log_p)
    total = xp.sum(shares)
    share = share_of(log_p)
    if share is not None:
        total = share.divisor(total)
    nothing = total == 0
    mean = xp.sum(losses) / xp.where(nothing, xp.ones_like(total), total)
    return xp.where(nothing, xp.full_like(mean, math.nan), mean)


def _class_weight(
    name: str,
    weight: Array,
    outputs: Array,
) -> Array:
    given = getattr(weight, "shape", type(weight).__name__)
    wanted = outputs.shape[-1:]
    if given != wanted:
        given = tuple(given) if isinstance(given, tuple) else given
        raise ShapeError(
            f"{name}: outputs of shape {tuple(outputs.shape)} were given with a weight of {given}: "
            f"wanted an array of {tuple(wanted)}, one number for each class"
        )
    _check_real(name, weight)
    return array_namespace(outputs, weight).astype(weight, outputs.dtype, copy=False)


def _alike(loss: str, *arrays: Array) -> list[Array]:
    """Return arrays of one shape with the first one's dtype, all of them traced if one is."""
    first = arrays[0]
    _check_outputs(loss, first)
    for x in arrays[1:]:
        _check_real(loss, x)
        if x.shape != first.shape:
            raise ShapeError(
                f"{loss}: arrays of shapes {tuple(first.shape)} and {tuple(x.shape)} were given: "
                "wanted one shape, because elements that are broadcast would count several times"
            )
    xp = array_namespace(*arrays)
    return [xp.astype(x, first.dtype, copy=False) for x in arrays]


def _at_labels(wanted: Array, outputs: Array) -> Array:
    """Return the outputs where they are wanted, and 0 elsewhere, also for infinite outputs."""
    xp = array_namespace(wanted, outputs)
    return wanted * xp.where(wanted == 0, xp.zeros_like(outputs), outputs)


def _cosine(
    loss: str,
    x1: Array,
    x2: Array,
) -> Array:
    x1, x2 = map(widened, _alike(loss, x1, x2))
    xp = array_namespace(x1)
    # A vector of zeros has no direction. The small constant makes its cosine 0.
    square1 = xp.sum(x1 * x1, axis=-1) + 1e-12
    square2 = xp.sum(x2 * x2, axis=-1) + 1e-12
    return xp.sum(x1 * x2, axis=-1) / xp.sqrt(square1 * square2)


def _distance(x1: Array, x2: Array) -> Array:
    xp = array_namespace(x1)
    difference = widened(x1) - widened(x2) + 1e-6
    return xp.sqrt(xp.sum(difference * difference, axis=-1))


def _reduce(
    losses: Array,
    reduction: str,
    outputs: Array,
) -> Array:
    """Return the losses, their mean or their sum, in the dtype of the outputs."""
    if reduction == "mean":
        losses = mean(losses)
    elif reduction == "sum":
        xp = array_namespace(losses)
        share = share_of(losses)
        losses = xp.sum(losses, dtype=xp.float32) if is_narrow(losses) else xp.sum(losses)
        if share is not None:
            # In a group a loss is weighted as a mean over rows.
            losses = losses / share.weight
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
            f"{loss}: labels or weights of {x.dtype} were given: wanted a real dtype, as xp.real(x)"
        )


def _check_above_zero(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ArgumentError(f"{name} is {value}: wanted a finite number above 0")


def _check_labels(
    loss: str,
    outputs: Array,
    labels: Array,
) -> None:
    _check_outputs(loss, outputs)
    _check_real(loss, labels)
    _check_fit(loss, outputs, labels)


def _check_fit(
    loss: str,
    outputs: Array,
    labels: Array,
) -> None:
    try:
        given, wanted = labels.shape, outputs.shape
    except AttributeError:
        _check_array(loss, outputs)
        _check_array(loss, labels)
        raise
    if given != wanted[:-1] and given != wanted:
        raise ShapeError(
            f"{loss}: outputs of shape {tuple(wanted)} were given with labels of shape "
            f"{tuple(given)}; wanted class indices of shape {tuple(wanted[:-1])} or one-hot rows "
            f"of {tuple(wanted)}"
        )
