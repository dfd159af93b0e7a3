import math

import numpy as np
import pytest
from helpers import assert_close, host, numbers

from anynet import optimizers, schedulers


def test_sgd(backend):
    tree = {"w": numbers(backend, 3, 2), "deep": [numbers(backend, 2, seed=1)], "fixed": numbers(backend, 2)}
    before = {"w": host(tree["w"]).copy(), "deep": host(tree["deep"][0]).copy()}
    old, fixed = tree["w"], tree["fixed"]
    grads = {"w": numbers(backend, 3, 2, seed=2), "deep": [numbers(backend, 2, seed=3)], "fixed": None}
    optimizers.SGD(0.5).update(tree, grads)
    assert_close(tree["w"], before["w"] - 0.5 * host(grads["w"]), like=old)
    assert_close(tree["deep"][0], before["deep"] - 0.5 * host(grads["deep"][0]))
    assert tree["fixed"] is fixed
    np.testing.assert_array_equal(host(old), before["w"])


def test_a_schedule_is_asked_at_every_update(backend):
    asked = []

    def halving(step):
        asked.append(step)
        return 0.5**step

    point, gradient = [numbers(backend, 1)], [backend.asarray(np.ones(1))]
    start = host(point[0]).copy()
    optimizer = optimizers.SGD(halving)
    for _ in range(3):
        optimizer.update(point, gradient)
    assert asked == [0, 1, 2]
    assert_close(point[0], start - 1.75)
    assert "halving" in repr(optimizer)


def test_cosine():
    rate = schedulers.Cosine(0.2, 10)
    assert rate(0) == pytest.approx(0.2)
    assert rate(5) == pytest.approx(0.1)
    assert rate(10) == rate(99) == pytest.approx(0.0)
    assert all(rate(i) > rate(i + 1) for i in range(10))


@pytest.mark.parametrize("rate", [0, -0.1, math.nan, math.inf])
def test_a_learning_rate_that_cannot_be(rate):
    for make in (optimizers.SGD, lambda rate: schedulers.Cosine(rate, 10)):
        with pytest.raises(ValueError, match=r"learning_rate is .*: wanted a finite number above 0"):
            make(rate)


def test_a_schedule_of_no_steps():
    with pytest.raises(ValueError, match="steps is 0: wanted 1 or more"):
        schedulers.Cosine(0.1, 0)
