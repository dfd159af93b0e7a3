"""Optimizers: how gradients change parameters."""

from anynet.optimizers import schedules
from anynet.optimizers.adam import Adam, AdamW
from anynet.optimizers.base import Optimizer
from anynet.optimizers.clipping import (
    Clipping,
    clip_by_global_norm,
    clip_by_value,
    global_norm,
)
from anynet.optimizers.sgd import SGD, Momentum
from anynet.optimizers.wrapper import Wrapper

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Clipping",
    "Momentum",
    "Optimizer",
    "Wrapper",
    "clip_by_global_norm",
    "clip_by_value",
    "global_norm",
    "schedules",
]
