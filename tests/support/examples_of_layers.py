"""An example of each layer with its input, for tests of all layers."""

import math

import numpy as np

from anynet import layers
from anynet.array import array_namespace


class OnItself(layers.Module):
    """A decoder layer whose memory is its input, backwards."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x):
        return self.layer(x, array_namespace(x).flip(x, axis=1), causal=True)


#: Name: (function that returns the layer, shape of its input without the batch).
EXAMPLES = {
    "Linear": (lambda: layers.Linear(6, 3), (6,)),
    "Conv1d": (lambda: layers.Conv1d(2, 3, 3, padding=1, stride=2), (2, 7)),
    "Conv2d": (
        lambda: layers.Conv2d(2, 4, 3, padding="same", groups=2),
        (2, 5, 6),
    ),
    "Conv2d strided": (
        lambda: layers.Conv2d(2, 3, (2, 3), stride=2, padding=(0, 1), dilation=(1, 2)),
        (2, 6, 7),
    ),
    "ConvTranspose2d": (
        lambda: layers.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1),
        (2, 3, 4),
    ),
    "ConvTranspose2d same": (
        lambda: layers.ConvTranspose2d(2, 3, 3, stride=2, padding="same"),
        (2, 3, 4),
    ),
    "MaxPool2d": (
        lambda: layers.MaxPool2d(3, stride=2, padding=1),
        (2, 6, 5),
    ),
    "AvgPool2d": (lambda: layers.AvgPool2d(2), (2, 4, 5)),
    "GlobalAvgPool2d": (layers.GlobalAvgPool2d, (2, 4, 3)),
    "GlobalMaxPool2d": (layers.GlobalMaxPool2d, (2, 4, 3)),
    "Flatten": (layers.Flatten, (2, 3)),
    "BatchNorm": (lambda: layers.BatchNorm(3), (3, 2, 2)),
    "LayerNorm": (lambda: layers.LayerNorm(4), (3, 4)),
    "GroupNorm": (lambda: layers.GroupNorm(2, 4), (4, 3, 2)),
    "RMSNorm": (lambda: layers.RMSNorm(4), (3, 4)),
    "Dropout": (lambda: layers.Dropout(0.4), (6,)),
    "Embedding": (lambda: layers.Embedding(7, 3), (4,)),
    "MultiHeadAttention": (
        lambda: layers.MultiHeadAttention(4, 2, dropout=0.2),
        (3, 4),
    ),
    "TransformerEncoderLayer": (
        lambda: layers.TransformerEncoderLayer(4, 2, 6),
        (3, 4),
    ),
    "RNN": (lambda: layers.RNN(3, 4), (3, 3)),
    "LSTM": (lambda: layers.LSTM(3, 4), (3, 3)),
    "GRU": (lambda: layers.GRU(3, 4), (3, 3)),
    "Residual": (
        lambda: layers.Residual(layers.Linear(4, 4), layers.Tanh()),
        (4,),
    ),
    "LSTM of two layers": (
        lambda: layers.LSTM(3, 2, layers=2, bidirectional=True, dropout=0.3),
        (2, 3),
    ),
    "Conv3d": (
        lambda: layers.Conv3d(2, 4, (2, 3, 1), padding=(1, 0, 1), stride=(2, 1, 1), groups=2),
        (2, 2, 3, 2),
    ),
    "ConvTranspose1d": (
        lambda: layers.ConvTranspose1d(2, 3, 3, stride=2, padding=1, output_padding=1),
        (2, 4),
    ),
    "MaxPool1d": (lambda: layers.MaxPool1d(3, stride=2, padding=1), (2, 6)),
    "AvgPool1d": (lambda: layers.AvgPool1d(2), (2, 5)),
    "Upsample": (lambda: layers.Upsample(scale_factor=1.5), (2, 3, 4)),
    "Upsample linear": (
        lambda: layers.Upsample(scale_factor=(2, 1.5), mode="bilinear"),
        (2, 3, 4),
    ),
    "PReLU": (lambda: layers.PReLU(3), (3, 2)),
    "TransformerDecoderLayer": (
        lambda: OnItself(layers.TransformerDecoderLayer(4, 2, 6)),
        (3, 4),
    ),
}

#: Examples made of layers that are examples too.
COMPOSED = ("LSTM of two layers", "TransformerDecoderLayer")


def example(name, backend, dtype="float64", batch=2):
    """Return the layer, initialized, and an input."""
    make, _ = EXAMPLES[name]
    net = layers.Sequential(make(), seed=0, backend=backend, dtype=getattr(backend.xp, dtype))
    return net, input_of(name, backend, dtype, batch)


class Everything(layers.Module):
    """A network of all layers side by side: takes {name: input}, returns {name: output}."""

    def __init__(self, names):
        self.layers = {name: EXAMPLES[name][0]() for name in names}

    def forward(self, inputs):
        return {name: layer(inputs[name]) for name, layer in self.layers.items()}


def everything(backend, dtype="float32", batch=2):
    """Return the network of all layers, initialized, and its inputs."""
    # JAX compiles these for too long. Their parts are tested.
    left_out = COMPOSED if backend.name == "jax" else ()
    names = [name for name in EXAMPLES if name not in left_out]
    net = Everything(names).initialize(0, backend, getattr(backend.xp, dtype))
    return net, {name: input_of(name, backend, dtype, batch) for name in names}


def input_of(name, backend, dtype, batch):
    """Return an input of a layer: floats, and integers for the Embedding."""
    shape = EXAMPLES[name][1]
    generator = np.random.default_rng(0)
    if name == "Embedding":
        return backend.asarray(generator.integers(0, 7, (batch, *shape)))
    # All values differ by 1/7 or more, so that a small step does not move a maximum.
    values = generator.permutation(batch * math.prod(shape)) / 7 - 1.03
    return backend.asarray(values.reshape(batch, *shape).astype(dtype))
