"""Layers: each its parameters and one expression, none with a derivative of its own."""

from anynet.layers.activations import (
    ACTIVATIONS,
    ELU,
    GELU,
    SELU,
    HardSigmoid,
    Identity,
    LeakyReLU,
    LogSoftmax,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
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
    "ELU",
    "GELU",
    "SELU",
    "HardSigmoid",
    "Identity",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Mish",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Summary",
    "Tanh",
    "activation",
    "summary",
]
