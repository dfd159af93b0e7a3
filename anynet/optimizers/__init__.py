"""Optimizers: how gradients change parameters."""

from anynet.optimizers import schedules
from anynet.optimizers.accumulation import Accumulation
from anynet.optimizers.adagrad import AdaGrad
from anynet.optimizers.adam import Adam, AdamW
from anynet.optimizers.adamax import Adamax
from anynet.optimizers.averages import Averages, ExponentialAverage, StochasticAverage
from anynet.optimizers.base import Optimizer
from anynet.optimizers.clipping import (
    Clipping,
    clip_by_global_norm,
    clip_by_value,
    global_norm,
)
from anynet.optimizers.groups import Groups
from anynet.optimizers.lamb import LAMB
from anynet.optimizers.lion import Lion
from anynet.optimizers.muon import Muon
from anynet.optimizers.nadam import NAdam
from anynet.optimizers.rmsprop import RMSprop
from anynet.optimizers.sgd import SGD, Momentum
from anynet.optimizers.sharded import Sharded
from anynet.optimizers.wrapper import Wrapper

__all__ = [
    "LAMB",
    "SGD",
    "Accumulation",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Averages",
    "Clipping",
    "ExponentialAverage",
    "Groups",
    "Lion",
    "Momentum",
    "Muon",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "Sharded",
    "StochasticAverage",
    "Wrapper",
    "clip_by_global_norm",
    "clip_by_value",
    "global_norm",
    "schedules",
]
