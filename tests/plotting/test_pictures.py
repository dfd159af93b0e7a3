"""Images, filters and feature maps show the values of their arrays."""

import io

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import layers, plotting
from anynet.errors import (
    AnynetError,
    ArgumentTypeError,
    DataError,
    DTypeError,
    NotInitializedError,
    PathError,
    ShapeError,
)

Figure = pytest.importorskip("matplotlib.figure", reason="needs matplotlib").Figure


def tiles(axes, shape, columns):
    """Return the pictures (N, h, w, 4) of a plot of N pictures."""
    canvas = np.asarray(axes.images[0].get_array())
    count, height, width = shape
    rows = -(-count // columns)
    high, wide = canvas.shape[0] // rows, canvas.shape[1] // columns
    places = [divmod(i, columns) for i in range(count)]
    return np.stack(
        [
            canvas[(r + 1) * high - height : (r + 1) * high, c * wide : c * wide + width]
            for r, c in places
        ]
    )


def titles(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_show_their_pixels(backend, channels):
    x = np.random.default_rng(0).random((5, channels, 4, 6)).astype("float32")
    axes = plotting.images(backend.asarray(x), columns=3)
    shown = tiles(axes, (5, 4, 6), 3)
    wanted = x.transpose(0, 2, 3, 1)
    if channels < 4:
        wanted = np.broadcast_to(wanted, (5, 4, 6, 3))
        assert (shown[..., 3] == 1).all()
        shown = shown[..., :3]
    np.testing.assert_array_equal(shown, wanted)


def test_images_of_integers_booleans_and_other_ranges():
    whole = np.asarray([[[0, 128], [255, 51]]], dtype="uint8")
    assert tiles(plotting.images(whole), (1, 2, 2), 1)[0, 1, 1, 0] == pytest.approx(0.2)
    yes = np.asarray([[[True, False]]])
    assert tiles(plotting.images(yes), (1, 1, 2), 1)[0, 0, :, 0].tolist() == [1.0, 0.0]
    centered = np.asarray([[[-1.0, 0.0], [1.0, 3.0]]])
    gray = tiles(plotting.images(centered), (1, 2, 2), 1)[0, ..., 0]
    assert gray.tolist() == [[0.0, 0.25], [0.5, 1.0]]
    huge = np.asarray([[[-1e300, 1e300]]])
    assert tiles(plotting.images(huge), (1, 1, 2), 1)[0, 0, :, 0].tolist() == [0.0, 1.0]
    same = np.full((1, 2, 2), 7.0)
    assert (tiles(plotting.images(same), (1, 2, 2), 1)[..., 0] == 0.5).all()


def test_narrow_floats(backend):
    if not hasattr(backend.xp, "bfloat16"):
        pytest.skip("the library has no bfloat16")
    x = backend.xp.astype(backend.asarray([[[0.0, 0.5]]]), backend.xp.bfloat16)
    assert tiles(plotting.images(x), (1, 1, 2), 1)[0, 0, :, 0].tolist() == [0.0, 0.5]


def test_titles_have_labels_and_predictions(backend):
    x = backend.asarray(np.zeros((3, 2, 2), dtype="float32"))
    labels = backend.asarray(np.asarray([0, 1, 2]))
    outputs = backend.asarray(
        np.asarray([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.0, np.nan, 1.0]], dtype="float32")
    )
    assert titles(plotting.images(x)) == []
    assert titles(plotting.images(x, labels)) == ["0", "1", "2"]
    axes = plotting.images(x, labels, outputs)
    assert titles(axes) == ["0", "0, not 1", "none, not 2"]
    assert len({text.get_color() for text in axes.texts[1:]}) == 1
    assert axes.texts[0].get_color() != axes.texts[1].get_color()
    names = ["cat", "dog", "ship"]
    one_hot = backend.asarray(np.eye(3, dtype="float32"))
    assert titles(plotting.images(x, one_hot, classes=names)) == names
    assert titles(plotting.images(x, predictions=[2, 1, 0], classes=names)) == names[::-1]


def test_more_images_than_shown_are_said():
    axes = plotting.images(np.zeros((1200, 2, 2)), most=7)
    assert axes.get_title() == "the first 7 of 1,200 images"
    assert plotting.images(np.zeros((7, 2, 2)), most=7).get_title() == ""


def test_given_axes_are_used():
    axes = Figure().add_subplot()
    assert plotting.images(np.zeros((2, 3, 3)), [1, 2], ax=axes) is axes
    assert len(axes.texts) == 2
    axes.figure.savefig(io.BytesIO())


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        (np.zeros((5, 784)), ShapeError, r"x has .*, such as reshape\(x, \(-1, 1, 28, 28\)\)$"),
        (np.zeros((28, 20)), ShapeError, r"x has shape \(28, 20\): .*; x\[None, ...\] is one im"),
        (np.zeros((5, 8, 8, 3)), ShapeError, r"x has .*permute_dims\(x, \(0, 3, 1, 2\)\)$"),
        (np.zeros((5, 17, 8, 8)), ShapeError, r"x has .*; feature_maps\(\) and x\[:, i, ...\] "),
        (np.zeros(()), ShapeError, r"x has shape \(\): wanted images, \(N, h, w\), or"),
        (np.zeros((0, 8, 8)), ShapeError, r"x has shape \(0, 8, 8\): wanted one or more along"),
        (np.zeros((1, 2, 2), complex), DTypeError, r"x has the dtype complex128: .* xp.abs\(x\)"),
        (np.asarray([[[0.0, np.nan]]]), DataError, r"x has nan at index \(0, 0, 1\), one of 1 va"),
        (np.asarray([[[np.inf, np.nan]]]), DataError, r"x has inf at index \(0, 0, 0\), one of 2"),
        (
            np.asarray([[[1e301]]]),
            DataError,
            r"x has 1e\+301 at index .* not finite or beyond 1e\+300",
        ),
        ("digits", ArgumentTypeError, "x is 'digits': wanted an array"),
        ([["a"]], ArgumentTypeError, "x is .*: wanted an array, or lists of numbers"),
    ],
)
def test_arrays_that_are_no_images_raise(x, kind, message):
    with pytest.raises(kind, match=f"^{message}"):
        plotting.images(x)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"labels": [1, 2, 3]}, r"labels has shape \(3,\): wanted class indices \(2,\), or a row"),
        ({"labels": [0.5, 1.0]}, "labels has the dtype float32 and shape .*: wanted class indices"),
        ({"predictions": np.zeros((2, 1))}, r"predictions has shape \(2, 1\): wanted class"),
        ({"labels": [0, 5], "classes": ["a", "b"]}, "class 5 has no name among 2 names, a, b: "),
        ({"classes": "ab"}, "classes is 'ab': wanted the names of the classes"),
        ({"columns": 0}, "columns is 0: wanted 1 or more"),
        ({"most": 0}, "most is 0: wanted 1 or more"),
        ({"most": 1.5}, "most is 1.5: wanted a whole number"),
        ({"ax": "left"}, "ax is 'left': wanted matplotlib's Axes"),
    ],
)
def test_wrong_arguments_of_images_raise(named, message):
    with pytest.raises(AnynetError, match=f"^{message}"):
        plotting.images(np.zeros((2, 2, 2)), **named)


def test_filters_of_one_channel_are_white_at_zero(backend):
    net = layers.Sequential(layers.Conv2d(1, 6, 3), seed=0, backend=backend)
    weight = host(net[0].weight)
    axes = plotting.filters(net[0], columns=3)
    shown = tiles(axes, (6, 3, 3), 3)
    red, blue = shown[..., 0], shown[..., 2]
    large = abs(weight[:, 0]) > 0.2 * abs(weight).max()
    np.testing.assert_array_equal((red > blue)[large], weight[:, 0][large] > 0)
    both = plotting.filters(net[0].weight, columns=3)
    np.testing.assert_array_equal(tiles(both, (6, 3, 3), 3), shown)
    limits = axes.figure.axes[1].get_ylim()
    assert limits == pytest.approx((-abs(weight).max(), abs(weight).max()))


@pytest.mark.parametrize(("channels", "count"), [(1, 4), (2, 8), (3, 4), (4, 16), (17, 68)])
def test_filters_of_many_channels(channels, count):
    weight = np.random.default_rng(0).normal(size=(4, channels, 3, 5))
    axes = plotting.filters(weight)
    columns = 4 if channels in (1, 3) else channels
    shown = tiles(axes, (count, 3, 5), columns)
    assert shown.shape == (count, 3, 5, 4)
    if channels == 3:
        largest = abs(weight).max()
        wanted = (weight.transpose(0, 2, 3, 1) / largest + 1) / 2
        np.testing.assert_allclose(shown[..., :3], wanted)
    axes.figure.savefig(io.BytesIO())


def test_many_filters_channels_and_images_are_said():
    weight = np.random.default_rng(0).normal(size=(30, 200, 3, 3))
    axes = plotting.filters(weight, most=20)
    assert axes.get_title() == "the first 20 of 30 filters, the first 20 of 200 input channels"
    net = layers.Sequential(layers.Conv2d(1, 3, 1), seed=0, backend="numpy")
    maps = plotting.feature_maps(net, np.ones((9, 1, 2, 2), dtype="float32"), "layers.0", most=2)
    assert maps.get_title() == "layers.0, the first 2 of 9 images, the first 2 of 3 channels"
    given = Figure().add_subplot()
    given.set_title("mine")
    plotting.images(np.zeros((2, 3, 3)), ax=given)
    assert given.get_title() == "mine"


def test_weights_that_are_no_filters_raise():
    net = layers.Sequential(layers.Conv2d(1, 2, 3), layers.Linear(3, 2), seed=0, backend="numpy")
    with pytest.raises(ShapeError, match=r"^the weight has shape \(3, 2\): wanted .* reshape\(w"):
        plotting.filters(net[1])
    with pytest.raises(ArgumentTypeError, match=r"no weight: wanted one layer.* net\['layers.0'\]"):
        plotting.filters(net)
    with pytest.raises(NotInitializedError, match=r"not initialized: call initialize\(seed=0\)"):
        plotting.filters(layers.Conv2d(1, 2, 3))
    with pytest.raises(DTypeError, match=r"^the weight has the dtype complex128: wanted real"):
        plotting.filters(np.zeros((1, 1, 2, 2), complex))
    with pytest.raises(DataError, match=r"^the weight has nan at index \(0, 0, 0, 0\)"):
        plotting.filters(np.full((1, 1, 2, 2), np.nan))


def small_cnn(backend):
    return layers.Sequential(
        layers.Conv2d(1, 3, 3),
        layers.ReLU(),
        layers.Flatten(),
        layers.Linear(3 * 6 * 6, 2),
        seed=0,
        backend=backend,
    )


def test_feature_maps_are_outputs_of_the_layer(backend):
    net = small_cnn(backend)
    x = np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype("float32")
    maps = host(anynet.capture(net, ["layers.1"])(backend.asarray(x))[1]["layers.1"])
    axes = plotting.feature_maps(net, backend.asarray(x), "layers.1")
    shown = tiles(axes, (6, 6, 6), 3)[..., 0]
    # The color map has 256 colors.
    np.testing.assert_allclose(shown, maps.reshape(6, 6, 6) / maps.max(), atol=1 / 255)
    assert axes.get_title() == "layers.1"
    frozen = plotting.feature_maps(net.freeze(), backend.asarray(x[:1]), "layers.0", most=2)
    assert frozen.get_title() == "layers.0, the first 2 of 3 channels"


def test_layers_without_feature_maps_raise():
    net = small_cnn("numpy")
    x = np.zeros((1, 1, 8, 8), dtype="float32")
    with pytest.raises(ShapeError, match=r"^the output of layers.3 has shape \(1, 2\): .*histogr"):
        plotting.feature_maps(net, x, "layers.3")
    with pytest.raises(PathError, match=r"^no module is at 'layers.9'"):
        plotting.feature_maps(net, x, "layers.9")
    with pytest.raises(ArgumentTypeError, match=r"^path is 0: wanted that of one layer"):
        plotting.feature_maps(net, x, 0)
    with pytest.raises(ArgumentTypeError, match=r"^net is .*: wanted a layers.Module"):
        plotting.feature_maps(anynet.compile(lambda x: net(x)), x, "layers.0")


class Twice(layers.Module):
    def __init__(self):
        self.conv = layers.Conv2d(1, 1, 1)

    def forward(self, x):
        return self.conv(self.conv(x))


def test_layer_that_runs_twice_raises():
    net = Twice().initialize(0, "numpy")
    with pytest.raises(
        ArgumentTypeError, match=r"^conv ran 2 times: wanted a layer that runs once"
    ):
        plotting.feature_maps(net, np.ones((1, 1, 2, 2), dtype="float32"), "conv")


def test_several_inputs_and_a_pattern():
    class Sum(layers.Module):
        def __init__(self):
            self.conv = layers.Conv2d(1, 2, 1)

        def forward(self, a, b):
            return self.conv(a + b)

    net = Sum().initialize(0, "numpy")
    x = np.ones((1, 1, 2, 2), dtype="float32")
    axes = plotting.feature_maps(net, (x, x), "conv")
    np.testing.assert_array_equal(
        axes.images[0].get_array(),
        plotting.feature_maps(net, (x + x, x * 0), "conv").images[0].get_array(),
    )
    with pytest.raises(
        AnynetError, match=r"^path is 'c\*', a pattern for conv: wanted that of one"
    ):
        plotting.feature_maps(net, (x, x), "c*")


def test_arrays_without_values_raise():
    ndonnx = pytest.importorskip("ndonnx", reason="needs ndonnx")
    x = ndonnx.argument(shape=("N", 3, 3), dtype=ndonnx.float32)
    with pytest.raises(DataError, match=r"^x is an array of ndonnx, which has no values: wanted"):
        plotting.images(x)
    with pytest.raises(DataError, match=r"^the array is an array of ndonnx, which has no values"):
        plotting.histograms(x)


def test_dollar_signs_in_names_of_classes():
    names = ["$\\frac", "a$b$"]
    axes = plotting.images(np.zeros((2, 3, 3)), [0, 1], classes=names)
    axes.figure.savefig(io.BytesIO())
    assert titles(axes) == names
    axes = plotting.confusion_matrix([0, 1], [0, 1], classes=names)
    axes.figure.savefig(io.BytesIO())
