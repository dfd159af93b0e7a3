"""Layers: each its parameters and one expression, none with a derivative of its own."""

from anynet.layers.activations import (
    ACTIVATIONS,
    Identity,
    LogSoftmax,
    ReLU,
    Sigmoid,
    Softmax,
    Step,
    Tanh,
    activation,
)
from anynet.layers.linear import Linear
from anynet.layers.module import Module, Parameter
from anynet.layers.sequential import Sequential
from anynet.layers.summary import Summary, summary

__all__ = [
    "ACTIVATIONS",
    "Identity",
    "Linear",
    "LogSoftmax",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Step",
    "Summary",
    "Tanh",
    "activation",
    "summary",
]
