"""Images with their labels, filters of convolutions, and the feature maps that they make."""

from typing import TYPE_CHECKING, Any

from anynet.arguments import describe, listed, whole_number
from anynet.array import Array, array_namespace, is_array
from anynet.errors import ArgumentError, ArgumentTypeError, NotInitializedError, ShapeError
from anynet.layers import Module, capture
from anynet.layers.initialization import is_uninitialized
from anynet.plotting.axes import check_matplotlib
from anynet.plotting.tiles import (
    BAR,
    add_colorbar,
    add_title,
    check_sizes,
    columns_of,
    draw_tiles,
    in_colors,
    scaled,
    with_opacity,
)
from anynet.plotting.values import (
    check_values,
    class_indices,
    class_names,
    finite_values,
    name_of_class,
    on_host,
)
from anynet.training.inputs import call_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The most tiles that a plot shows by default.
_MOST = 100

#: Negative values are blue, positive ones red, zero is white.
_SIGNED = "RdBu_r"


def images(
    x: Array,
    labels: Array | None = None,
    predictions: Array | None = None,
    *,
    classes: list[str] | None = None,
    columns: int | None = None,
    most: int = _MOST,
    ax: "Axes | None" = None,
) -> "Axes":
    """Return axes with images in a grid, and over each its label and the prediction.

    The title of a wrong prediction is red and contains both, as in "5, not 3". Floating values from
    0 to 1 and integers from 0 to 255 are shown as they are. Otherwise the smallest and the largest
    value of all shown images become black and white.

    Args:
        x: real, (N, h, w), (N, 1, h, w), (N, 3, h, w) with red, green and blue, or (N, 4, h, w)
            with an opacity.
        labels: class indices (N,), or one-hot rows (N, classes).
        predictions: class indices (N,), or outputs of a network (N, classes).
        classes: the names of the classes. By default titles have the indices.
        columns: of the grid.
        most: how many images to show, the first ones. The title says if there are more.
        ax: matplotlib's Axes. The default is a new figure.

    Raises:
        ShapeError: another shape.
        DTypeError: complex images, or class indices of a floating dtype.
        DataError: a pixel is not finite, or a class has no name.
        ArgumentTypeError, ArgumentError: another argument has the wrong type, or is out of range.
        MissingPackageError: matplotlib is not installed.

    >>> x = np.linspace(0, 1, 2 * 28 * 28, dtype="float32").reshape(2, 1, 28, 28)
    >>> ax = anynet.plotting.images(x, labels=np.asarray([3, 4]), predictions=np.asarray([3, 9]))
    >>> [text.get_text() for text in ax.texts]
    ['3', '9, not 4']

    """
    check_matplotlib()
    shape = _shape("x", x)
    is_grey = len(shape) == 3
    if not is_grey and (len(shape) != 4 or shape[1] not in (1, 3, 4)):
        raise ShapeError(f"x has shape {shape}: wanted images, {_remedy(shape)}")
    check_sizes("x", shape)
    rows = shape[0]
    names = class_names(classes)
    right = None if labels is None else class_indices("labels", labels, rows, one_hot=True)
    answers = None if predictions is None else class_indices("predictions", predictions, rows)
    count = min(rows, whole_number("most", most, 1))
    # The others stay on the device.
    given = on_host("x", x[:count, ...] if is_array(x) else x[:count])
    pixels = finite_values("x", given)
    pixels = scaled(pixels, *_limits(pixels, given))
    grid = columns_of(count, columns)
    titles = _titles(count, right, answers, names)
    wrong = None if right is None or answers is None else right[:count] != answers[:count]
    axes = draw_tiles(_as_colors(pixels), ax, grid, titles, wrong)
    add_title(axes, _first(count, rows, "images"))
    return axes


def filters(
    layer_or_weight: Module | Array,
    *,
    most: int = _MOST,
    columns: int | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Return axes with the filters of a two-dimensional convolution.

    Filters of one input channel are in a grid. Filters of three channels are in a grid in color,
    where grey is zero. Otherwise each row has a filter, and each column an input channel. Without
    color, positive values are red and negative ones blue.

    Args:
        layer_or_weight: a layer such as `Conv2d`, whose weight is drawn, or a real array (filters,
            channels, height, width).
        most: how many filters, and how many input channels of each, to show, the first ones. The
            title says if there are more.
        columns: of a grid.
        ax: matplotlib's Axes. The default is a new figure.

    Raises:
        ShapeError: another shape.
        DTypeError: a complex weight.
        DataError: a value is not finite.
        NotInitializedError: the layer has no weight yet.
        ArgumentTypeError, ArgumentError: another argument has the wrong type, or is out of range.
        MissingPackageError: matplotlib is not installed.

    >>> net = layers.Sequential(layers.Conv2d(1, 16, 5), layers.ReLU(), seed=0, backend="numpy")
    >>> ax = anynet.plotting.filters(net[0])

    Source: Deep Learning from Scratch, figure 7-24.

    """
    check_matplotlib()
    weight = _weight(layer_or_weight)
    shape = _shape("the weight", weight)
    if len(shape) != 4:
        raise ShapeError(
            f"the weight has shape {shape}: wanted (filters, channels, height, width); the weight "
            "of a Linear layer on images has reshape(weight.T, (-1, channels, height, width))"
        )
    check_sizes("the weight", shape)
    values = finite_values("the weight", weight)
    total, channels = shape[:2]
    most = whole_number("most", most, 1)
    count, shown = min(total, most), min(channels, most)
    values = values[:count, :shown]
    if channels == 3 == shown:
        largest = float(abs(values).max())
        colors = scaled(values, -largest, largest)
        axes = draw_tiles(_as_colors(colors), ax, columns_of(count, columns))
    else:
        grid = columns_of(count, columns) if channels == 1 else shown
        axes = _signed_tiles(values.reshape(-1, *shape[2:]), ax, grid)
        if channels > 1:
            axes.set(xlabel="input channel", ylabel="filter")
    add_title(axes, _first(count, total, "filters"), _first(shown, channels, "input channels"))
    return axes


def feature_maps(
    net: Module,
    x: Array,
    path: str,
    *,
    most: int = _MOST,
    columns: int | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Return axes with the feature maps of a layer, which are its output for images.

    The maps of one image are in a grid. Otherwise each row has an image, and each column a channel.
    All maps have one scale. It has white at zero where there are negative values.

    Args:
        net: a network.
        x: the input of the network, such as images (N, channels, height, width), or several in a
            tuple or dict.
        path: of the layer, such as "layers.0".
        most: how many images, and how many channels of each, to show, the first ones. The title
            says if there are more.
        columns: of the grid of one image.
        ax: matplotlib's Axes. The default is a new figure.

    Raises:
        ShapeError: the output of the layer is not (N, channels, height, width).
        PathError: no layer is at the path.
        StateError: the layer did not run.
        DTypeError, DataError: the output is complex, or not finite.
        ArgumentTypeError, ArgumentError: another argument has the wrong type, the path is a
            pattern, or the layer ran several times.
        MissingPackageError: matplotlib is not installed.

    >>> net = layers.Sequential(layers.Conv2d(1, 8, 3), layers.ReLU(), seed=0, backend="numpy")
    >>> x = np.ones((1, 1, 28, 28), dtype="float32")
    >>> ax = anynet.plotting.feature_maps(net, x, "layers.1")

    """
    check_matplotlib()
    if not isinstance(path, str):
        raise ArgumentTypeError(
            f"path is {describe(path)}: wanted that of one layer, as 'layers.0'"
        )
    _, activations = call_network(capture(net, [path]), x)
    if path not in activations:
        raise ArgumentError(
            f"path is {path!r}, a pattern for {listed([*activations])}: wanted that of one layer"
        )
    output = activations[path]
    name = f"the output of {path or 'the network'}"
    if isinstance(output, list):
        raise ArgumentTypeError(
            f"{path} ran {len(output)} times: wanted a layer that runs once; images() shows the "
            "outputs that capture() returns"
        )
    shape = _shape(name, output)
    if len(shape) != 4:
        raise ShapeError(
            f"{name} has shape {shape}: wanted feature maps (N, channels, height, width); "
            "histograms() shows the values of other layers"
        )
    check_sizes(name, shape)
    values = finite_values(name, output)
    most = whole_number("most", most, 1)
    count, rows = min(shape[1], most), min(shape[0], most)
    values = values[:rows, :count].reshape(-1, *shape[2:])
    grid = columns_of(count, columns) if shape[0] == 1 else count
    if values.min() < 0:
        axes = _signed_tiles(values, ax, grid)
    else:
        largest = float(values.max())
        axes = draw_tiles(in_colors(scaled(values, 0.0, largest), "gray"), ax, grid, bar=BAR)
        add_colorbar(axes, 0.0, largest or 1.0, "gray")
    if shape[0] > 1:
        axes.set(xlabel="channel", ylabel="image")
    add_title(
        axes,
        path or "output",
        _first(rows, shape[0], "images"),
        _first(count, shape[1], "channels"),
    )
    return axes


def _shape(name: str, x: Any) -> tuple[int, ...]:
    """Return the shape of an array that has values, or of nested lists."""
    if not is_array(x):
        x = on_host(name, x)
    check_values(name, x)
    return tuple(x.shape)


def _first(
    count: int,
    total: int,
    what: str,
) -> str:
    """Return how many of all are shown, "" if it is all."""
    return f"the first {count:,} of {total:,} {what}" if count < total else ""


def _remedy(shape: tuple[int, ...]) -> str:
    """Return the shapes that `images` takes, and a reshape that gives one of them."""
    wanted = "(N, h, w), or (N, channels, h, w) with 1, 3 or 4 channels"
    if len(shape) == 2 and shape[1] == round(shape[1] ** 0.5) ** 2 > 1:
        side = round(shape[1] ** 0.5)
        return f"{wanted}, such as reshape(x, (-1, 1, {side}, {side}))"
    if len(shape) == 2:
        return f"{wanted}; x[None, ...] is one image"
    if len(shape) == 4 and shape[3] in (1, 3, 4):
        return f"{wanted}, such as permute_dims(x, (0, 3, 1, 2))"
    if len(shape) == 4:
        return f"{wanted}; feature_maps() and x[:, i, ...] show single channels"
    return wanted


def _limits(pixels: Any, given: Any) -> tuple[float, float]:
    """Return the values of black and white."""
    low, high = float(pixels.min()), float(pixels.max())
    is_integer = array_namespace(given).isdtype(given.dtype, "integral")
    white = 255.0 if is_integer else 1.0
    return (0.0, white) if low >= 0 and high <= white else (low, high)


def _as_colors(pixels: Any) -> Any:
    """Return (N, h, w) or (N, channels, h, w) from 0 to 1 as (N, h, w, 4)."""
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    channels = pixels.transpose(0, 2, 3, 1)
    if channels.shape[3] == 4:
        return channels
    if channels.shape[3] == 1:
        channels = channels.repeat(3, axis=3)
    return with_opacity(channels)


def _titles(
    count: int,
    labels: Any,
    predictions: Any,
    names: list[str] | None,
) -> list[str] | None:
    if labels is None and predictions is None:
        return None
    titles = []
    for i in range(count):
        label = None if labels is None else name_of_class(int(labels[i]), names)
        answer = None if predictions is None else name_of_class(int(predictions[i]), names)
        if answer is None or label is None:
            titles.append(str(label if answer is None else answer))
        else:
            titles.append(answer if labels[i] == predictions[i] else f"{answer}, not {label}")
    return titles


def _weight(layer_or_weight: Any) -> Any:
    """Return the weight of a layer, or the array itself."""
    weight = layer_or_weight
    if isinstance(weight, Module):
        weight = vars(weight).get("weight")
        if is_uninitialized(weight):
            raise NotInitializedError(
                f"{layer_or_weight!r} is not initialized: call initialize(seed=0) on its network"
            )
        if weight is None:
            paths = [
                path
                for path, module in layer_or_weight.modules()
                if len(getattr(vars(module).get("weight"), "shape", ())) == 4
            ]
            such = f", such as net[{paths[0]!r}]" if paths else ""
            raise ArgumentTypeError(
                f"a {type(layer_or_weight).__name__} has no weight: wanted one layer, as Conv2d"
                f"{such}, or an array"
            )
    return weight


def _signed_tiles(
    values: Any,
    ax: "Axes | None",
    columns: int,
) -> "Axes":
    """Draw pictures (N, h, w) of values around zero, and a bar with the values of the colors."""
    largest = float(abs(values).max())
    axes = draw_tiles(in_colors(scaled(values, -largest, largest), _SIGNED), ax, columns, bar=BAR)
    add_colorbar(axes, -(largest or 1.0), largest or 1.0, _SIGNED)
    return axes
