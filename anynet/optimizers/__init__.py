"""Optimizers: how gradients change parameters."""

from anynet.optimizers import schedules
from anynet.optimizers.adam import Adam, AdamW
from anynet.optimizers.base import Optimizer
from anynet.optimizers.sgd import SGD, Momentum

__all__ = ["SGD", "Adam", "AdamW", "Momentum", "Optimizer", "schedules"]
