"""Schedules: the learning rate as a function of the step.

A schedule is a callable ``rate(step)``. Steps count from 0. Any function of the step works.
"""

from anynet.optimizers.schedules.base import Schedule as Schedule
from anynet.optimizers.schedules.base import check_learning_rate as check_learning_rate
from anynet.optimizers.schedules.combined import Joined, Warmup
from anynet.optimizers.schedules.cosine import Cosine, CosineRestarts, OneCycle
from anynet.optimizers.schedules.decay import (
    Constant,
    Exponential,
    Linear,
    MultiStep,
    Polynomial,
    Step,
)
from anynet.optimizers.schedules.plateau import Plateau

__all__ = [
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "Joined",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Plateau",
    "Polynomial",
    "Step",
    "Warmup",
]
