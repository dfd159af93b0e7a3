"""Data and networks of the runs that the tests report on."""

import numpy as np

from anynet import layers


def blobs(backend, n=60, classes=3, seed=0):
    """Return points around as many corners as there are classes."""
    generator = np.random.default_rng(seed)
    t = generator.integers(0, classes, n)
    x = np.stack([np.cos(t), np.sin(t)], axis=1) * 3 + generator.normal(size=(n, 2)) * 0.8
    return backend.asarray(x.astype("float32")), backend.asarray(t)


def network(backend, outputs=3, inputs=2):
    return layers.Sequential(
        layers.Linear(inputs, 8),
        layers.ReLU(),
        layers.Linear(8, outputs),
        seed=0,
        backend=backend,
    )


def stateful_network(backend):
    """Return a network with running statistics and random numbers."""
    return layers.Sequential(
        layers.Linear(2, 8),
        layers.BatchNorm(8),
        layers.ReLU(),
        layers.Dropout(0.2),
        layers.Linear(8, 3),
        seed=0,
        backend=backend,
    )
