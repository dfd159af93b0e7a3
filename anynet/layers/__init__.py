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
from anynet.layers.conv import Conv1d, Conv2d, ConvTranspose2d
from anynet.layers.dropout import Dropout
from anynet.layers.linear import Linear
from anynet.layers.module import Module, Parameter
from anynet.layers.norm import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from anynet.layers.pool import AvgPool2d, Flatten, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from anynet.layers.sequential import Sequential
from anynet.layers.summary import Summary, summary

__all__ = [
    "ACTIVATIONS",
    "AvgPool2d",
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "GroupNorm",
    "Identity",
    "LayerNorm",
    "Linear",
    "LogSoftmax",
    "MaxPool2d",
    "Module",
    "Parameter",
    "RMSNorm",
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
