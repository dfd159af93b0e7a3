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
    """Gather at the labels instead of multiplying with one-hot rows; a GPU would not survive a
    label out of range.
    """
    place = devices.device_type(logits)
    if labels.ndim != 1 or not is_integer(labels) or place not in ("cpu", "cuda"):
        return NotImplemented
    if place == "cuda" and (logits.dtype not in WIDE or not len(logits)):
        return NotImplemented
    logarithms = log_softmax(logits)
    if place == "cuda":
        rows, classes = logits.shape
        # Of one dtype: a loop that converts takes several times as long.
        given = (
            logarithms,
            labels.to(logits.dtype).unsqueeze(-1),
            _numbers(classes, logits.dtype, logits.device),
        )
        difference, surprise = elementwise("cross_entropy", *given, classes=classes, share=1 / rows)
        surprise = surprise.reshape(-1)
        return torch.dot(surprise, ones(len(surprise), surprise.dtype, surprise.device)), difference
    at_labels = labels.long().unsqueeze(-1)
    difference = logarithms.exp()
    difference.scatter_add_(
        -1,
        at_labels,
        difference.new_full((1, 1), -1.0).expand(at_labels.shape),
    )
    return -torch.mean(torch.gather(logarithms, -1, at_labels)), difference


@cache
def _numbers(classes: int, dtype: Any, device: Any) -> Any:
    return torch.arange(classes, dtype=dtype, device=device)
