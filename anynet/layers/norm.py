"""Normalization: x is brought to mean 0 and variance 1, then scaled and shifted by parameters."""

import math
from typing import ClassVar

from anynet import initializers
from anynet.arguments import sizes, whole_number
from anynet.array import (
    Array,
    DType,
    array_namespace,
    check_floating,
    number,
    widened,
)
from anynet.distributed.moments import count_of, moments
from anynet.distributed.share import share_of
from anynet.errors import ArgumentError, ShapeError
from anynet.layers.initialization import parameter
from anynet.layers.module import Module
from anynet.primitives import batch_norm, scale_shift, standardize
from anynet.primitives.precision import rounded


class BatchNorm(Module):
    """Return weight · (x - mean) / √(variance + epsilon) + bias for each feature.

    Input is (N, features, …), and so is the output. In training, mean and variance are those of the
    batch, and the running ones follow them: running ← (1 - momentum) · running + momentum · batch,
    with the unbiased variance. In inference they are the running ones.

    Args:
        features: the length of the second axis, 1 or more.
        epsilon: is added to the variance.
        momentum: the weight of a batch in the running statistics.

    Attributes:
        weight, bias: parameters (features,).
        running_mean, running_variance: buffers (features,), float32 at least. Small changes would
            be lost in narrower dtypes, and large variances would overflow.

    Raises:
        ShapeError: when called, an input of another number of features, or in training one of no
            rows.

    >>> layer = layers.BatchNorm(1, epsilon=0.0).initialize(seed=0, backend="numpy")
    >>> x = np.asarray([[1.0], [3.0]], dtype="float32")
    >>> layer.set_training(True)(x)
    array([[-1.],
           [ 1.]], dtype=float32)
    >>> layer.running_mean
    array([0.2], dtype=float32)

    Source: Ioffe and Szegedy, Batch normalization, ICML 2015; Deep Learning from Scratch, chapter
    6.3.

    """

    BUFFERS: ClassVar[tuple[str, ...]] = ("running_mean", "running_variance")

    def __init__(
        self,
        features: int,
        *,
        epsilon: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        (features,) = sizes(features=features)
        self.weight = parameter((features,), initializers.ones)
        self.bias = parameter((features,), initializers.zeros)
        self.running_mean = parameter((features,), _wide_zeros)
        self.running_variance = parameter((features,), _wide_ones)
        self.epsilon = number("epsilon", epsilon)
        self.momentum = number("momentum", momentum)

    def forward(self, x: Array) -> Array:
        """Return x normalized over the batch and all axes but the second."""
        features = self.weight.shape[0]
        _check_second(x, features, "features")
        if not self.training:
            mean, variance = self.running_mean, self.running_variance
            return scale_shift(x, mean, variance, self.weight, self.bias, self.epsilon)
        n = math.prod(x.shape) // features
        if not n:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted at least one row, which training "
                "normalizes by"
            )
        share = share_of(self)
        if share is None:
            y, mean, variance = batch_norm(x, self.weight, self.bias, self.epsilon)
        else:
            mean, variance = moments(x, share=share)
            n = count_of(x, share)
            y = scale_shift(x, mean, variance, self.weight, self.bias, self.epsilon)
        unbiased = variance * (n / max(1, n - 1))
        self.running_mean = self._follow(self.running_mean, mean)
        self.running_variance = self._follow(self.running_variance, unbiased)
        return y

    def _follow(self, running: Array, batch: Array) -> Array:
        xp = array_namespace(running, batch)
        followed = xp.add((1 - self.momentum) * running, self.momentum * batch)
        return followed if followed.dtype == running.dtype else xp.astype(followed, running.dtype)


def _wide_zeros(
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    return widened(initializers.zeros(key, shape, dtype))


def _wide_ones(
    key: Array,
    shape: tuple[int, ...],
    dtype: DType,
) -> Array:
    return widened(initializers.ones(key, shape, dtype))


class LayerNorm(Module):
    """Return weight · (x - mean) / √(variance + epsilon) + bias over the last axis.

    Input is (…, features), and so is the output.

    Args:
        features: the length of the last axis, 1 or more.
        epsilon: is added to the variance.

    Attributes:
        weight, bias: parameters (features,).

    Raises:
        ShapeError: when called, an input of another number of features.

    >>> layer = layers.LayerNorm(2, epsilon=0.0).initialize(seed=0, backend="numpy")
    >>> layer(np.asarray([[1.0, 3.0]], dtype="float32"))
    array([[-1.,  1.]], dtype=float32)

    Source: Ba, Kiros and Hinton, Layer normalization, 2016.

    """

    def __init__(
        self,
        features: int,
        *,
        epsilon: float = 1e-5,
    ) -> None:
        (features,) = sizes(features=features)
        self.weight = parameter((features,), initializers.ones)
        self.bias = parameter((features,), initializers.zeros)
        self.epsilon = number("epsilon", epsilon)

    def forward(self, x: Array) -> Array:
        """Return x normalized over the last axis."""
        _check_last(x, self.weight.shape[0])
        y = standardize(x, (x.ndim - 1,), self.epsilon)[0]
        return _scaled(y, self.weight, self.bias)


class GroupNorm(Module):
    """Return weight · (x - mean) / √(variance + epsilon) + bias over groups of channels.

    Input is (N, channels, …), and so is the output. Mean and variance are those of the channels of
    a group in one example.

    Args:
        groups: a number that divides the channels.
        channels: the length of the second axis, 1 or more.
        epsilon: is added to the variance.

    Attributes:
        weight, bias: parameters (channels,).

    Raises:
        ArgumentError: the groups do not divide the channels.
        ShapeError: when called, an input of another number of channels.

    >>> layer = layers.GroupNorm(1, 2, epsilon=0.0).initialize(seed=0, backend="numpy")
    >>> layer(np.asarray([[1.0, 3.0]], dtype="float32"))
    array([[-1.,  1.]], dtype=float32)

    Source: Wu and He, Group normalization, ECCV 2018.

    """

    def __init__(
        self,
        groups: int,
        channels: int,
        *,
        epsilon: float = 1e-5,
    ) -> None:
        (channels,) = sizes(channels=channels)
        groups = whole_number("groups", groups, 0)
        if not groups or channels % groups:
            raise ArgumentError(
                f"{channels} channels in {groups} groups: wanted a number that the groups divide"
            )
        self.weight = parameter((channels,), initializers.ones)
        self.bias = parameter((channels,), initializers.zeros)
        self.groups = groups
        self.epsilon = number("epsilon", epsilon)

    def forward(self, x: Array) -> Array:
        """Return x normalized over every group of every example."""
        _check_second(x, self.weight.shape[0], "channels")
        xp = array_namespace(x)
        per_group = math.prod(x.shape[1:]) // self.groups
        rows = xp.reshape(x, (-1, self.groups, per_group))
        y = standardize(rows, (2,), self.epsilon)[0]
        y = xp.reshape(y, (-1, *x.shape[1:]))
        return _scaled(y, self.weight, self.bias, x.ndim - 2)


class RMSNorm(Module):
    """Return weight · x / √(mean(x²) + epsilon) over the last axis.

    Input is (…, features), and so is the output.

    Args:
        features: the length of the last axis, 1 or more.
        epsilon: is added to the mean of the squares.

    Attributes:
        weight: a parameter (features,).

    Raises:
        ShapeError: when called, an input of another number of features.

    >>> layer = layers.RMSNorm(2, epsilon=0.0).initialize(seed=0, backend="numpy")
    >>> layer(np.asarray([[3.0, -3.0]], dtype="float32"))
    array([[ 1., -1.]], dtype=float32)

    Source: Zhang and Sennrich, Root mean square layer normalization, NeurIPS 2019.

    """

    def __init__(
        self,
        features: int,
        *,
        epsilon: float = 1e-5,
    ) -> None:
        (features,) = sizes(features=features)
        self.weight = parameter((features,), initializers.ones)
        self.epsilon = number("epsilon", epsilon)

    def forward(self, x: Array) -> Array:
        """Return x scaled by the root mean square of the last axis."""
        _check_last(x, self.weight.shape[0])
        check_floating("RMSNorm", x)
        xp = array_namespace(x)
        wide = widened(x)
        squares = xp.mean(wide * wide, axis=-1, keepdims=True)
        y = rounded(wide / xp.sqrt(squares + self.epsilon), x)
        return array_namespace(y, self.weight).multiply(y, self.weight)


def _scaled(
    x: Array,
    weight: Array,
    bias: Array,
    axes_behind: int = 0,
) -> Array:
    """Return weight · x + bias for each feature, which has that many axes behind it."""
    # Functions and no operators, because x may be a constant beside traced parameters.
    xp = array_namespace(x, weight)
    if axes_behind:
        shape = (-1,) + (1,) * axes_behind
        weight, bias = xp.reshape(weight, shape), xp.reshape(bias, shape)
    return xp.add(xp.multiply(x, weight), bias)


def _check_second(
    x: Array,
    length: int,
    noun: str,
) -> None:
    if x.ndim < 2 or x.shape[1] != length:
        raise ShapeError(
            f"input of shape {tuple(x.shape)}: wanted {length} {noun}, (N, {length}, …)"
        )


def _check_last(x: Array, features: int) -> None:
    if x.shape[-1:] != (features,):
        raise ShapeError(
            f"input of shape {tuple(x.shape)}: wanted {features} features, (…, {features})"
        )
