"""Normalization: numbers brought to mean 0 and variance 1, then scaled and shifted by what is learned."""

from typing import ClassVar

from anynet import initializers
from anynet.array import Array, array_namespace
from anynet.errors import ArgumentError, ShapeError
from anynet.layers.module import Module, Parameter
from anynet.primitives import standardize


class BatchNorm(Module):
    """Return weight · (x - mean) / √(variance + epsilon) + bias for each feature of x (N, features, …).

    In training mean and variance are those of the batch, and running ones follow them, running ← (1 - momentum) ·
    running + momentum · batch (with the unbiased variance); else the running ones are taken. Parameters and buffers
    are (features,). Source: Ioffe and Szegedy, Batch normalization, ICML 2015; Deep Learning from Scratch, chapter 6.3.
    """

    BUFFERS: ClassVar[tuple[str, ...]] = ("running_mean", "running_variance")

    def __init__(self, features: int, *, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
        self.weight: Array = Parameter((features,), initializers.ones)
        self.bias: Array = Parameter((features,), initializers.zeros)
        self.running_mean: Array = Parameter((features,), initializers.zeros)
        self.running_variance: Array = Parameter((features,), initializers.ones)
        self.epsilon, self.momentum = epsilon, momentum

    def forward(self, x: Array) -> Array:
        """Normalize over the batch and all axes but the second."""
        xp = array_namespace(x)
        features = self.weight.shape[0]
        if x.ndim < 2 or x.shape[1] != features:
            raise ShapeError(f"input of shape {tuple(x.shape)}: wanted {features} features, (N, {features}, …)")
        shape = (features,) + (1,) * (x.ndim - 2)
        weight, bias = (xp.reshape(p, shape) for p in (self.weight, self.bias))
        if not self.training:
            scale = weight / xp.sqrt(xp.reshape(self.running_variance, shape) + self.epsilon)
            return x * scale + (bias - xp.reshape(self.running_mean, shape) * scale)
        y, mean, variance = standardize(x, (0, *range(2, x.ndim)), self.epsilon)
        n = x.size // features
        self.running_mean = self._follow(self.running_mean, mean)
        self.running_variance = self._follow(self.running_variance, variance * (n / max(1, n - 1)))
        return y * weight + bias

    def _follow(self, running: Array, of_batch: Array) -> Array:
        return (1 - self.momentum) * running + self.momentum * array_namespace(of_batch).reshape(of_batch, (-1,))


class LayerNorm(Module):
    """Return weight · (x - mean) / √(variance + epsilon) + bias over the last axis of x (…, features).

    Parameters are (features,). Source: Ba, Kiros and Hinton, Layer normalization, 2016.
    """

    def __init__(self, features: int, *, epsilon: float = 1e-5) -> None:
        self.weight: Array = Parameter((features,), initializers.ones)
        self.bias: Array = Parameter((features,), initializers.zeros)
        self.epsilon = epsilon

    def forward(self, x: Array) -> Array:
        """Normalize the last axis."""
        _check_last(x, self.weight.shape[0])
        return standardize(x, (x.ndim - 1,), self.epsilon)[0] * self.weight + self.bias


class GroupNorm(Module):
    """Return weight · (x - mean) / √(variance + epsilon) + bias over groups of channels of x (N, channels, …).

    Parameters are (channels,). Source: Wu and He, Group normalization, ECCV 2018.
    """

    def __init__(self, groups: int, channels: int, *, epsilon: float = 1e-5) -> None:
        if groups < 1 or channels % groups:
            raise ArgumentError(f"{channels} channels in {groups} groups: wanted a number that the groups divide")
        self.weight: Array = Parameter((channels,), initializers.ones)
        self.bias: Array = Parameter((channels,), initializers.zeros)
        self.groups, self.epsilon = groups, epsilon

    def forward(self, x: Array) -> Array:
        """Normalize every group of every element of the batch."""
        xp = array_namespace(x)
        channels = self.weight.shape[0]
        if x.ndim < 2 or x.shape[1] != channels:
            raise ShapeError(f"input of shape {tuple(x.shape)}: wanted {channels} channels, (N, {channels}, …)")
        y = standardize(xp.reshape(x, (x.shape[0], self.groups, -1)), (2,), self.epsilon)[0]
        shape = (channels,) + (1,) * (x.ndim - 2)
        return xp.reshape(y, x.shape) * xp.reshape(self.weight, shape) + xp.reshape(self.bias, shape)


class RMSNorm(Module):
    """Return weight · x / √(mean(x²) + epsilon) over the last axis of x (…, features).

    Weight is (features,). Source: Zhang and Sennrich, Root mean square layer normalization, NeurIPS 2019.
    """

    def __init__(self, features: int, *, epsilon: float = 1e-5) -> None:
        self.weight: Array = Parameter((features,), initializers.ones)
        self.epsilon = epsilon

    def forward(self, x: Array) -> Array:
        """Scale the last axis."""
        _check_last(x, self.weight.shape[0])
        xp = array_namespace(x)
        return x / xp.sqrt(xp.mean(x * x, axis=-1, keepdims=True) + self.epsilon) * self.weight


def _check_last(x: Array, features: int) -> None:
    if x.shape[-1:] != (features,):
        raise ShapeError(f"input of shape {tuple(x.shape)}: wanted {features} features, (…, {features})")
