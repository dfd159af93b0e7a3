"""Softmax and cross-entropy, with a gather at the labels."""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Kernels
from anynet_torch import devices
from anynet_torch.constants import ones
from anynet_torch.dtypes import WIDE, is_integer
from anynet_torch.elementwise import elementwise
from anynet_torch.kernels.activation import log_softmax

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def softmax_cross_entropy(logits: Tensor, labels: Tensor) -> Any:
    """Gather at the labels on a CPU. Compare with all classes on a GPU.

    A gather with a label out of range would end the process on a GPU.
    """
    device = devices.device_type(logits)
    if labels.ndim != 1 or not is_integer(labels) or device not in ("cpu", "cuda"):
        return NotImplemented
    if device == "cpu":
        return _gathered(log_softmax(logits), labels)
    if logits.dtype not in WIDE or not len(logits):
        return NotImplemented
    return _compared(log_softmax(logits), labels)


def _gathered(logarithms: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean loss and the gradient from logarithms of probabilities."""
    at_labels = labels.long().unsqueeze(-1)
    difference = logarithms.exp()
    less_one = difference.new_full((1, 1), -1.0).expand(at_labels.shape)
    difference.scatter_add_(-1, at_labels, less_one)
    return -torch.mean(torch.gather(logarithms, -1, at_labels)), difference


def _compared(logarithms: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same in one loop, with NaN for labels out of range."""
    rows, classes = logarithms.shape
    dtype, device = logarithms.dtype, logarithms.device
    # A loop over several dtypes takes several times as long.
    column = labels.to(dtype).unsqueeze(-1)
    arrays = logarithms, column, _range(classes, dtype, device)
    difference, losses = elementwise("cross_entropy", *arrays, classes=classes, share=1 / rows)
    losses = losses.reshape(-1)
    return torch.dot(losses, ones(len(losses), dtype, device)), difference


@cache
def _range(
    classes: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    return torch.arange(classes, dtype=dtype, device=device)
