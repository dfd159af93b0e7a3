import numpy as np
import pytest
from helpers import assert_close, host

from anynet import perceptron
from anynet.errors import DataError, DTypeError

TRUTH = {
    "AND": [0, 0, 0, 1],
    "NAND": [1, 1, 1, 0],
    "OR": [0, 1, 1, 1],
    "XOR": [0, 1, 1, 0],
}


@pytest.fixture(params=["float32", "float64"])
def corners(backend, request):
    return backend.asarray(np.array([[0, 0], [1, 0], [0, 1], [1, 1]], request.param))


@pytest.mark.parametrize("name", perceptron.GATES)
def test_gates_have_their_truth_tables(corners, name):
    assert_close(perceptron.gate(name, corners)(corners), TRUTH[name])
    assert_close(perceptron.gate(name, corners)(corners[3, ...]), TRUTH[name][3])


def test_xor_needs_two_layers(corners):
    assert_close(perceptron.xor(corners), TRUTH["XOR"], like=corners[:, 0])
    with pytest.raises(
        ValueError,
        match=r"unknown gate 'XOR': one perceptron can be AND, NAND, OR; for XOR see xor\(\)",
    ):
        perceptron.gate("XOR", corners)


def test_integer_arrays_raise(backend):
    """Weights would be rounded to 0."""
    corners = backend.asarray(np.array([[0, 0], [1, 1]]))
    for refused in (
        lambda: perceptron.gate("AND", corners),
        lambda: perceptron.learn(corners, corners[:, 0]),
    ):
        with pytest.raises(
            DTypeError,
            match=r"an array of .*int64 was given: wanted a floating dtype",
        ):
            refused()


@pytest.mark.parametrize("name", perceptron.GATES)
def test_learning_rule_finds_separable_gates(backend, corners, name):
    t = backend.asarray(TRUTH[name])
    net = perceptron.learn(corners, t)
    assert_close(net(corners), TRUTH[name])
    assert host(net.weights).any()


def test_learning_rule_raises_for_xor(backend, corners):
    with pytest.raises(
        perceptron.NotSeparableError,
        match=r"after 50 passes [1-4] of 4 examples are still wrong: no plane",
    ):
        perceptron.learn(corners, backend.asarray(TRUTH["XOR"]), passes=50)


def test_learning_rule_separates_points_in_the_plane(backend):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 2))
    x = x[np.abs(x @ [1, -2] + 0.3) > 0.3]
    t = (x @ [1, -2] + 0.3 > 0).astype("int32")
    net = perceptron.learn(backend.asarray(x), backend.asarray(t), learning_rate=0.5)
    assert_close(net(backend.asarray(x)), t)


def test_data_that_do_not_fit_raise(backend, corners):
    with pytest.raises(DataError, match=r"x has shape \(4, 2\) and t \(3,\)"):
        perceptron.learn(corners, backend.asarray([0, 1, 0]))
    with pytest.raises(DataError, match="N above 0"):
        perceptron.learn(corners[:0, ...], backend.asarray([0])[:0])
