"""Decision regions have the class of each point of the plane."""

import io

import numpy as np
import pytest

import anynet
from anynet import layers, perceptron, plotting
from anynet.array import array_namespace
from anynet.errors import AnynetError

Figure = pytest.importorskip("matplotlib.figure", reason="needs matplotlib").Figure


CORNERS = np.asarray([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype="float32")


def plane(axes):
    """Return the points of the plane and whether each has the color of each class."""
    colors = np.asarray(axes.images[0].get_array())
    left, right, bottom, top = axes.images[0].get_extent()
    rows, columns = colors.shape[:2]
    across = left + (np.arange(columns) + 0.5) / columns * (right - left)
    upward = bottom + (np.arange(rows) + 0.5) / rows * (top - bottom)
    return np.stack(np.meshgrid(across, upward), axis=-1), colors


def check(axes, function):
    """Check that points have one color exactly where a function is true."""
    points, colors = plane(axes)
    flat = colors.reshape(-1, 4)
    inside = function(points.reshape(-1, 2))
    assert inside.any()
    assert len(np.unique(flat[inside], axis=0)) == 1
    if not inside.all():
        assert not (flat[~inside] == flat[inside][0]).all(axis=1).any()


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gate_divides_the_plane(backend, compile, dtype):
    if not hasattr(backend.xp, dtype):
        pytest.skip("the library lacks the dtype")
    x = backend.asarray(CORNERS.astype(dtype))
    gate = perceptron.gate("AND", x)
    called = anynet.compile(lambda x: gate(x)) if compile else gate
    t = backend.asarray(np.asarray([0, 0, 0, 1]))
    axes = plotting.decision_regions(called, x, t, resolution=20, classes=["off", "on"])
    # No point of the plane is as near to the line as float32 rounds.
    check(axes, lambda points: points @ [0.5, 0.5] - 0.7 > 0)
    assert [text.get_text() for text in axes.get_legend().texts] == ["off", "on"]
    offsets = [collection.get_offsets().tolist() for collection in axes.collections]
    assert offsets == [CORNERS[:3].tolist(), CORNERS[3:].tolist()]


def test_network_of_three_classes(backend):
    net = layers.Sequential(
        layers.Linear(2, 8),
        layers.BatchNorm(8),
        layers.Tanh(),
        layers.Linear(8, 3),
        seed=0,
        backend=backend,
    )
    x = backend.asarray(CORNERS)
    axes = plotting.decision_regions(net, x, backend.asarray(np.eye(4, dtype="float32")[:, :3]))
    points, _ = plane(axes)
    outputs = net(backend.asarray(points.reshape(-1, 2).astype("float32")))
    answers = np.asarray(backend.to_host(outputs)).argmax(axis=1)
    check(axes, lambda points: answers == answers[0])
    assert [text.get_text() for text in axes.get_legend().texts] == ["none", "0", "1", "2"]


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_logits_and_indices(shape):
    def logits(x):
        return (x[:, 0] - 0.5).reshape(shape)

    def indices(x):
        return 2 * (x[:, 0] > 0.5).astype("int64").reshape(shape)

    for net in (logits, indices):
        axes = plotting.decision_regions(net, CORNERS)
        check(axes, lambda points: points[:, 0] > 0.5)
        check(axes, lambda points: points[:, 0] < 0.5)
        assert axes.get_legend() is None


def test_points_without_a_class_are_white():
    def net(x):
        xp = array_namespace(x)
        return xp.where(x[:, 0] > 0.5, x[:, 1], xp.nan)

    _, colors = plane(plotting.decision_regions(net, CORNERS, resolution=10))
    assert (colors[:, :5, 3] == 0).all()
    assert (colors[:, 5:, 3] > 0).all()
    nothing = plotting.decision_regions(lambda x: x[:, 0] * np.nan, CORNERS, resolution=10)
    assert (plane(nothing)[1][..., 3] == 0).all()


@pytest.mark.parametrize(
    "x",
    [
        CORNERS[:1],
        CORNERS * np.float32(0),
        np.asarray([[-1e300, 0.0], [1e300, 1.0]]),
        CORNERS * np.float32(3e38),
    ],
)
def test_extreme_points_are_drawn(x):
    axes = plotting.decision_regions(lambda x: x, x, np.arange(len(x)), resolution=10)
    axes.figure.savefig(io.BytesIO())


def test_thousand_classes_and_given_axes():
    def net(x):
        xp = array_namespace(x)
        return xp.astype(xp.abs(x[:, 0]) * 900, xp.int64)

    axes = Figure().add_subplot()
    assert plotting.decision_regions(net, CORNERS, [0, 1, 2, 999], resolution=30, ax=axes) is axes
    axes.figure.savefig(io.BytesIO())


@pytest.mark.parametrize(
    ("net", "x", "named", "message"),
    [
        (abs, np.zeros((4, 3)), {}, r"x has shape \(4, 3\): wanted points of two features"),
        (abs, np.zeros((0, 2)), {}, r"x has shape \(0, 2\): wanted points of two features, \(N, 2"),
        (abs, np.zeros((4, 2), int), {}, "x has the dtype int64: wanted a real floating dtype"),
        (abs, [[0.0, 1.0]], {}, "x is .*: wanted an array of points"),
        (abs, np.full((1, 2), np.nan), {}, r"x has nan at index \(0, 0\), one of 2 values"),
        (3, CORNERS, {}, "net is 3: wanted a network, or a function of points"),
        (layers.ReLU, CORNERS, {}, "net is the class ReLU: wanted a network"),
        (lambda x: 1.0, CORNERS, {}, "net returned 1.0: wanted an array of outputs"),
        (lambda x: x[:5], CORNERS, {}, r"the result of net has shape \(5, 2\): wanted class ind"),
        (lambda x: x * 1j, CORNERS, {}, "the result of net has the dtype complex64: wanted real"),
        (lambda x: x[:, 0] * 1j, CORNERS, {}, "net returned the dtype complex64: wanted real"),
        (abs, CORNERS, {"t": [0, 1]}, r"t has shape \(2,\): wanted class indices \(4,\)"),
        (abs, CORNERS, {"t": [0, 1, 2, 0], "classes": ["a"]}, "class 1 has no name among 1 names"),
        (abs, CORNERS, {"resolution": 1}, "resolution is 1: wanted 2 or more"),
    ],
)
def test_wrong_arguments_raise(net, x, named, message):
    with pytest.raises(AnynetError, match=rf"^{message}"):
        plotting.decision_regions(net, x, **named)
