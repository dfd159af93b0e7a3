import math

import numpy as np
import pytest
from helpers import host

from anynet import initializers, random
from anynet.errors import ShapeError


@pytest.mark.parametrize(
    ("initializer", "deviation"),
    [
        (initializers.normal(), 0.01),
        (initializers.normal(0.5), 0.5),
        (initializers.xavier, math.sqrt(2 / 700)),
        (initializers.he, math.sqrt(2 / 300)),
        (initializers.zeros, 0.0),
    ],
)
def test_spread(backend, initializer, deviation):
    drawn = host(initializer(random.key(0, backend), (300, 400), backend.xp.float32))
    assert drawn.dtype == np.float32
    assert drawn.std() == pytest.approx(deviation, rel=0.01)
    assert abs(drawn.mean()) <= deviation * 0.01


def test_ones(backend):
    assert (host(initializers.ones(random.key(0, backend), (3,), backend.xp.float64)) == 1).all()


def test_a_fan_needs_a_matrix():
    with pytest.raises(ShapeError, match="wanted \\(in, out\\)"):
        initializers.he(random.key(0), (3,), np.float32)


def test_a_negative_deviation():
    with pytest.raises(ValueError, match="standard_deviation is -1"):
        initializers.normal(-1)
