"""Normalization: numbers brought to mean 0 and variance 1, then scaled and shifted by what is
learned.
"""

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
from anynet.errors import ArgumentError, ShapeError
from anynet.layers.initialization import parameter
from anynet.layers.module import Module
from anynet.primitives import batch_norm, scale_shift, standardize
from anynet.primitives.precision import rounded


class BatchNorm(Module):
    """Return weight · (x - mean) / √(variance + epsilon) + bias for each feature of x (N, features,
    …).

    In training mean and variance are those of the batch, and running ones follow them, running ← (1
    - momentum) · running + momentum · batch (with the unbiased variance); else the running ones are
    taken. Parameters and buffers are (features,); the buffers of a network narrower than float32
    are float32, for small changes would be lost, and large variances overflow. Source: Ioffe and
    Szegedy, Batch normalization, ICML 2015; Deep Learning from Scratch, chapter 6.3.
    """

    BUFFERS: ClassVar[tuple[str, ...]] = (
        "running_mean",
        "running_variance",
    )

    def __init__(self, features: int, *, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
        (features,) = sizes(features=features)
        epsilon = number("epsilon", epsilon)
        self.weight = parameter((features,), initializers.ones)
        self.bias = parameter((features,), initializers.zeros)
        self.running_mean = parameter((features,), _wide_zeros)
        self.running_variance = parameter((features,), _wide_ones)
        momentum = number("momentum", momentum)
        self.epsilon, self.momentum = epsilon, momentum

    def forward(self, x: Array) -> Array:
        """Normalize over the batch and all axes but the second."""
        features = self.weight.shape[0]
        if x.ndim < 2 or x.shape[1] != features:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted {features} features, (N, {features}, …)"
            )
        if not self.training:
            return scale_shift(
                x,
                self.running_mean,
                self.running_variance,
                self.weight,
                self.bias,
                self.epsilon,
            )
        n = math.prod(x.shape) // features
        if not n:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted at least one row, which training "
                "normalizes by"
            )
        y, mean, variance = batch_norm(x, self.weight, self.bias, self.epsilon)
        self.running_mean = self._follow(self.running_mean, mean)
        self.running_variance = self._follow(self.running_variance, variance * (n / max(1, n - 1)))
        return y

    def _follow(self, running: Array, of_batch: Array) -> Array:
        xp = array_namespace(running, of_batch)
        followed = xp.add((1 - self.momentum) * running, self.momentum * of_batch)
        return followed if followed.dtype == running.dtype else xp.astype(followed, running.dtype)


def _wide_zeros(key: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    return widened(initializers.zeros(key, shape, dtype))


def _wide_ones(key: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    return widened(initializers.ones(key, shape, dtype))


class LayerNorm(Module):
    """Return weight · (x - mean) / √(variance + epsilon) + bias over the last axis of x (…,
    features).

    Parameters are (features,). Source: Ba, Kiros and Hinton, Layer normalization, 2016.
    """

    def __init__(self, features: int, *, epsilon: float = 1e-5) -> None:
        (features,) = sizes(features=features)
        epsilon = number("epsilon", epsilon)
        self.weight = parameter((features,), initializers.ones)
        self.bias = parameter((features,), initializers.zeros)
        self.epsilon = epsilon

    def forward(self, x: Array) -> Array:
        """Normalize the last axis."""
        _check_last(x, self.weight.shape[0])
        return _scaled(
            standardize(x, (x.ndim - 1,), self.epsilon)[0],
            self.weight,
            self.bias,
        )


class GroupNorm(Module):
    """Return weight · (x - mean) / √(variance + epsilon) + bias over groups of channels of x (N,
    channels, …).

    Parameters are (channels,). Source: Wu and He, Group normalization, ECCV 2018.
    """

    def __init__(self, groups: int, channels: int, *, epsilon: float = 1e-5) -> None:
        (channels,), groups = (
            sizes(channels=channels),
            whole_number("groups", groups, 0),
        )
        if not groups or channels % groups:
            raise ArgumentError(
                f"{channels} channels in {groups} groups: wanted a number that the groups divide"
            )
        epsilon = number("epsilon", epsilon)
        self.weight = parameter((channels,), initializers.ones)
        self.bias = parameter((channels,), initializers.zeros)
        self.groups, self.epsilon = groups, epsilon

    def forward(self, x: Array) -> Array:
        """Normalize every group of every element of the batch."""
        xp = array_namespace(x)
        channels = self.weight.shape[0]
        if x.ndim < 2 or x.shape[1] != channels:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}: wanted {channels} channels, (N, {channels}, …)"
            )
        rows = xp.reshape(x, (-1, self.groups, math.prod(x.shape[1:]) // self.groups))
        y = xp.reshape(standardize(rows, (2,), self.epsilon)[0], (-1, *x.shape[1:]))
        return _scaled(y, self.weight, self.bias, x.ndim - 2)


class RMSNorm(Module):
    """Return weight · x / √(mean(x²) + epsilon) over the last axis of x (…, features).

    Weight is (features,). Source: Zhang and Sennrich, Root mean square layer normalization, NeurIPS
    2019.
    """

    def __init__(self, features: int, *, epsilon: float = 1e-5) -> None:
        (features,) = sizes(features=features)
        epsilon = number("epsilon", epsilon)
        self.weight = parameter((features,), initializers.ones)
        self.epsilon = epsilon

    def forward(self, x: Array) -> Array:
        """Scale the last axis."""
        _check_last(x, self.weight.shape[0])
        check_floating("RMSNorm", x)
        xp = array_namespace(x)
        wide = widened(x)
        y = rounded(
            wide / xp.sqrt(xp.mean(wide * wide, axis=-1, keepdims=True) + self.epsilon),
            x,
        )
        return array_namespace(y, self.weight).multiply(y, self.weight)


def _scaled(x: Array, weight: Array, bias: Array, axes_behind: int = 0) -> Array:
    """Return weight · x + bias for each feature; functions, for x may be a constant beside traced
    parameters.
    """
    xp = array_namespace(x, weight)
    if axes_behind:
        weight, bias = (xp.reshape(p, (-1,) + (1,) * axes_behind) for p in (weight, bias))
    return xp.add(xp.multiply(x, weight), bias)


def _check_last(x: Array, features: int) -> None:
    if x.shape[-1:] != (features,):
        raise ShapeError(
            f"input of shape {tuple(x.shape)}: wanted {features} features, (…, {features})"
        )
