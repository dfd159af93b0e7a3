"""Layers: each its parameters and one expression, none with a derivative of its own.

Inputs are floating, and integers raise a `DTypeError`. Indices of an `Embedding` are of any integer
dtype. Arrays of 16 bits are computed in float32 where sums would overflow or lose their digits, and
rounded once. A batch of no examples gives an empty result, but for a `BatchNorm` in training.
"""

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
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Step,
    Tanh,
    activation,
)
from anynet.layers.attention import (
    MultiHeadAttention,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)
from anynet.layers.capture import capture
from anynet.layers.conv import Conv1d, Conv2d, Conv3d
from anynet.layers.conv_transpose import ConvTranspose1d, ConvTranspose2d
from anynet.layers.dropout import Dropout
from anynet.layers.embedding import Embedding
from anynet.layers.initialization import Uninitialized, parameter
from anynet.layers.linear import Linear
from anynet.layers.module import Module
from anynet.layers.norm import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from anynet.layers.pool import (
    AvgPool1d,
    AvgPool2d,
    Flatten,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    MaxPool1d,
    MaxPool2d,
)
from anynet.layers.recurrent import GRU, LSTM, RNN
from anynet.layers.residual import Residual
from anynet.layers.sequential import Sequential
from anynet.layers.summary import Summary, summary
from anynet.layers.upsample import Upsample

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "GroupNorm",
    "HardSigmoid",
    "Identity",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "Mish",
    "Module",
    "MultiHeadAttention",
    "PReLU",
    "RMSNorm",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Summary",
    "Tanh",
    "TransformerDecoderLayer",
    "TransformerEncoderLayer",
    "Uninitialized",
    "Upsample",
    "activation",
    "capture",
    "parameter",
    "summary",
]
