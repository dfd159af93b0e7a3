"""Images mixed with others of their batch, and the labels with them."""

import math
from typing import Any

from anynet import random
from anynet.arguments import whole_number
from anynet.array import Array, array_namespace, device, is_array, number
from anynet.data.augment.affine import indices
from anynet.data.augment.boxes import inside
from anynet.data.augment.call import (
    Augmentation,
    check_images,
    check_rows_of,
    uniform,
)
from anynet.errors import ArgumentError, DataError, DTypeError, ShapeError
from anynet.tracing.standard import STANDARD

#: The function of the standard, by a kernel if the backend has one.
_take = STANDARD["take"]


def mixup(*, alpha: float = 0.2, classes: int | None = None) -> Augmentation:
    """Return augment(key, x, t), which mixes each row with another one of its batch.

    x ← share · x + (1 - share) · x[order], and so are the labels mixed. The order is random, and
    the share of each row is drawn from the distribution Beta(alpha, alpha).

    Args:
        alpha: above 0. Above 1, most shares are near a half, below 1 near 0 and 1.
        classes: the number of classes. Class indices (N,) need it, and become rows (N, classes). A
            label that is out of range becomes a row of NaN. One-hot rows and real targets are
            floating, and keep their shape.

    Raises:
        ArgumentError: an argument is out of range, or class indices without classes.
        DTypeError: x is not floating, or the labels are neither integers nor floating.
        ShapeError: class indices are not (N,).

    Source: Zhang, Cissé, Dauphin and Lopez-Paz, mixup: beyond empirical risk minimization, ICLR
    2018.

    >>> from anynet import random
    >>> from anynet.data import mixup
    >>> x, t = np.ones((3, 1, 4, 4), "float32"), np.asarray([0, 1, 1])
    >>> x, rows = mixup(classes=2)(random.key(0, "numpy"), x, t)
    >>> rows.shape, np.allclose(rows.sum(axis=1), 1)
    ((3, 2), True)

    """
    alpha = _checked_alpha(alpha)
    classes = _checked_classes(classes)

    def augment(
        key: Array,
        x: Array,
        t: Array,
    ) -> tuple[Array, Array]:
        check_rows_of("mixup", x)
        t = _targets(t, x, classes)
        order = random.permutation(random.fold_in(key, 0), x.shape[0])
        share = _beta(random.fold_in(key, 1), alpha, x.shape[0], x)
        return _mix(share, x, order), _mix(share, t, order)

    return augment


def cutmix(*, alpha: float = 1.0, classes: int | None = None) -> Augmentation:
    """Return augment(key, x, t), which puts a box of another image of the batch into each image.

    The share of the other label is that of the box's area. The area is drawn from the distribution
    Beta(alpha, alpha), the center of the box from all pixels. A box ends at the edges of the image.

    Args:
        alpha: above 0. 1 draws all areas with the same probability.
        classes: as for `mixup`.

    Raises:
        ArgumentError: an argument is out of range, or class indices without classes.
        DTypeError: x is not floating, or the labels are neither integers nor floating.
        ShapeError: class indices are not (N,), or the images not (N, channels, height, width).

    Source: Yun et al., CutMix: regularization strategy to train strong classifiers with localizable
    features, ICCV 2019. The paper has one box for a batch.

    >>> from anynet import random
    >>> from anynet.data import cutmix
    >>> x, t = np.ones((3, 1, 4, 4), "float32"), np.asarray([0, 1, 1])
    >>> x, rows = cutmix(classes=2)(random.key(0, "numpy"), x, t)
    >>> rows.shape, np.allclose(rows.sum(axis=1), 1)
    ((3, 2), True)

    """
    alpha = _checked_alpha(alpha)
    classes = _checked_classes(classes)

    def augment(
        key: Array,
        x: Array,
        t: Array,
    ) -> tuple[Array, Array]:
        check_images("cutmix", x)
        t = _targets(t, x, classes)
        xp = array_namespace(x)
        rows, _, *shape = x.shape
        keys = [random.fold_in(key, i) for i in range(4)]
        order = random.permutation(keys[0], rows)
        area = _beta(keys[1], alpha, rows, x)
        tops, bottoms = _ends(keys[2], area, shape[0])
        lefts, rights = _ends(keys[3], area, shape[1])
        box = inside(tops, bottoms, lefts, rights, shape)
        kept = shape[0] * shape[1] - (bottoms - tops) * (rights - lefts)
        # The pixels of an image may be more than the largest value of float16.
        wide = xp.float64 if t.dtype == xp.float64 else xp.float32
        share = xp.astype(kept, wide) / (shape[0] * shape[1])
        return xp.where(box, _take(x, order, axis=0), x), _mix(share, t, order)

    return augment


def _checked_alpha(alpha: Any) -> float:
    value: float = number("alpha", alpha)
    if not 0 < value < math.inf:
        raise ArgumentError(f"alpha is {value}: wanted a finite number above 0")
    return value


def _checked_classes(classes: int | None) -> int | None:
    return None if classes is None else whole_number("classes", classes, 1)


def _targets(
    t: Any,
    x: Array,
    classes: int | None,
) -> Array:
    """Return labels as floating targets of one row for each row of x."""
    if not is_array(t) or t.ndim == 0 or t.shape[0] != x.shape[0]:
        shape = tuple(t.shape) if is_array(t) else type(t).__name__
        raise DataError(
            f"x has {x.shape[0]} rows and the labels are {shape}: wanted an array with one label "
            "for each row"
        )
    xp = array_namespace(x, t)
    if xp.isdtype(t.dtype, ("real floating", "complex floating")):
        return t
    if not xp.isdtype(t.dtype, "integral"):
        raise DTypeError(
            f"the labels are of dtype {t.dtype}: wanted class indices, or floating targets, by "
            "astype"
        )
    if classes is None:
        raise ArgumentError(
            "the labels are integers and classes is None: wanted the number of classes, as "
            "mixup(classes=10), or floating targets, by astype"
        )
    if t.ndim != 1:
        raise ShapeError(
            f"the labels are integers of shape {tuple(t.shape)}: wanted class indices (N,), or "
            "one-hot rows of a floating dtype, by astype"
        )
    return _one_hot(t, classes, like=x)


def _one_hot(
    t: Array,
    classes: int,
    like: Array,
) -> Array:
    """Return class indices as one-hot rows, and one that is out of range as a row of NaN.

    To read the labels would wait for the device.
    """
    xp = array_namespace(like)
    known = xp.arange(classes, device=device(t))
    # Some libraries do not compare unsigned integers.
    t = xp.astype(t, known.dtype)[:, None]
    rows = xp.astype(t == known, like.dtype)
    unknown = (t < 0) | (t >= classes)
    one_hot: Array = xp.where(unknown, xp.full_like(rows, math.nan), rows)
    return one_hot


def _mix(
    share: Array,
    x: Array,
    order: Array,
) -> Array:
    """Return share · x + (1 - share) · x[order]."""
    xp = array_namespace(x)
    share = xp.astype(share, x.dtype)
    share = xp.reshape(share, (-1,) + (1,) * (x.ndim - 1))
    mixed: Array = share * x + (1 - share) * _take(x, order, axis=0)
    return mixed


def _beta(
    key: Array,
    alpha: float,
    length: int,
    like: Array,
) -> Array:
    """Return samples of the distribution Beta(alpha, alpha), (N,), float64 like images of it, or
    float32.

    Source: Bailey, Polar generation of random variates with the t-distribution, 1994, and
    ½ + T / 2 √(2 alpha + T²), where T has the t-distribution of 2 alpha degrees of freedom.
    """
    if alpha == 1:
        return uniform(key, (length,), like)
    first, second = random.fold_in(key, 0), random.fold_in(key, 1)
    xp = array_namespace(key)
    # Above 0, because the uniform values are below 1.
    power = (1 - uniform(first, (length,), like)) ** (1 / alpha)
    cosine = xp.cos(2 * math.pi * uniform(second, (length,), like))
    square = (1 - power) * cosine**2
    root = xp.sqrt(square / xp.maximum(power + square, xp.full_like(power, 1e-30)))
    return 0.5 + 0.5 * xp.sign(cosine) * root


def _ends(
    key: Array,
    area: Array,
    length: int,
) -> tuple[Array, Array]:
    """Return the first pixel along one axis of each box, and the one after its last, (N,) int32.

    Args:
        key: for the centers.
        area: the share of the image's area in the box, whose root is that of each side.
        length: of the images, in pixels.

    """
    xp = array_namespace(area)
    # The rounded side of the box. Products and comparisons give the same integers on all
    # libraries, roots need not.
    middles = indices(length, like=area) + 0.5
    is_longer = (area * length**2)[:, None] >= middles * middles
    side = xp.sum(xp.astype(is_longer, xp.int32), axis=1, dtype=xp.int32)
    starts = random.integers(key, area.shape, 0, length) - side // 2
    ends = starts + side
    return xp.maximum(starts, xp.zeros_like(starts)), xp.minimum(ends, xp.full_like(ends, length))
