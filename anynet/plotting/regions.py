"""Decision regions: the class that a network gives to each point of a plane."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anynet.arguments import check_function, describe, whole_number
from anynet.array import Array, array_namespace, dtype_name, is_array, is_complex, is_floating
from anynet.backend import get_backend
from anynet.errors import ArgumentTypeError, DTypeError, ShapeError
from anynet.plotting.axes import add_legend, check_matplotlib, legend_label, one_axes
from anynet.plotting.values import (
    class_indices,
    class_names,
    finite_values,
    host_namespace,
    name_of_class,
    on_host,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Points that the network gets in one call.
_BATCH = 4000
#: How far the plane goes beyond the points, as a share of their range.
_MARGIN = 0.1
#: Classes differ without their colors, too.
_MARKERS = "osD^v<>Ph*"


def decision_regions(
    net: Callable[[Array], Array],
    x: Array,
    t: Array | None = None,
    *,
    classes: list[str] | None = None,
    resolution: int = 200,
    ax: "Axes | None" = None,
) -> "Axes":
    """Return axes with the class that a network gives to each point around the data, and the data.

    A point without a class, for which the network returns NaN, stays white.

    Args:
        net: a network, or another function of points (N, 2). It returns outputs (N, classes), of
            which the largest is the class, or logits (N,) or (N, 1), where a logit above 0 is class
            1, or class indices (N,) of an integer dtype.
        x: the points of the data, floating, (N, 2).
        t: their classes, indices (N,) or one-hot rows (N, classes). They choose the colors.
        classes: the names of the classes for the legend. By default it has the indices.
        resolution: points of the plane along each axis, 2 or more.
        ax: matplotlib's Axes. The default is a new figure.

    Raises:
        ShapeError: points of more or fewer than 2 features, or outputs of another shape.
        DTypeError: points that are not floating, or complex outputs.
        DataError: a feature is not finite, or a class has no name.
        ArgumentTypeError, ArgumentError: another argument has the wrong type, or is out of range.
        MissingPackageError: matplotlib is not installed.

    >>> x = np.asarray([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> gate = anynet.perceptron.gate("AND", x)
    >>> ax = anynet.plotting.decision_regions(gate, x, np.asarray([0, 0, 0, 1]))

    Source: Deep Learning from Scratch, figures 2-6 to 2-8.

    """
    check_matplotlib()
    check_function("net", net, "a network, or a function of points (N, 2)")
    if isinstance(net, type):
        raise ArgumentTypeError(f"net is {describe(net)}: wanted a network, as layers.Linear(2, 3)")
    resolution = whole_number("resolution", resolution, 2)
    points = _points(x)
    names = class_names(classes)
    right = None if t is None else class_indices("t", t, points.shape[0], one_hot=True)
    lows, highs = _frame(points, float(array_namespace(x).finfo(x.dtype).max))
    answers = _classes_of_plane(net, x, lows, highs, resolution)
    axes = one_axes(ax, (5.2, 4.2))
    count = max(1, int(answers.max()) + 1)
    if right is not None and len(right):
        count = max(count, int(right.max()) + 1)
    colors = _colors(count)
    host = host_namespace()
    plane = host.concatenate([colors, host.full((count, 1), 0.35)], axis=1)
    # The last row is that of points without a class.
    plane = host.concatenate([plane, host.zeros((1, 4))])
    axes.imshow(
        plane[answers],
        origin="lower",
        extent=(lows[0], highs[0], lows[1], highs[1]),
        aspect="auto",
        interpolation="nearest",
    )
    _draw_points(axes, points, right, colors, names)
    axes.set(xlim=(lows[0], highs[0]), ylim=(lows[1], highs[1]), xlabel="x₁", ylabel="x₂")
    return axes


def _points(x: Any) -> Any:
    """Return the points of the data in main memory."""
    if not is_array(x):
        raise ArgumentTypeError(f"x is {describe(x)}: wanted an array of points (N, 2)")
    shape = tuple(x.shape)
    if len(shape) != 2 or shape[1] != 2 or shape[0] == 0:
        raise ShapeError(
            f"x has shape {shape}: wanted points of two features, (N, 2) with one or more; a "
            "function that adds the other features shows a plane through more of them"
        )
    if not is_floating(x):
        raise DTypeError(
            f"x has the dtype {x.dtype}: wanted a real floating dtype, as xp.astype(x, xp.float32)"
        )
    return finite_values("x", x)


def _frame(points: Any, largest: float) -> tuple[list[float], list[float]]:
    """Return the lowest and the highest value of each feature that the plane shows.

    Args:
        points: in main memory.
        largest: value of their dtype.

    """
    lows, highs = [], []
    for i in range(2):
        low, high = float(points[:, i].min()), float(points[:, i].max())
        # Halves, because the difference of the largest values would overflow.
        margin = 2 * _MARGIN * (high / 2 - low / 2) or max(1.0, abs(low)) * 0.5
        lows.append(max(low - margin, -largest))
        highs.append(min(high + margin, largest))
    return lows, highs


def _classes_of_plane(
    net: Callable[[Array], Any],
    like: Array,
    lows: list[float],
    highs: list[float],
    resolution: int,
) -> Any:
    """Return the classes of the points of the plane, (resolution, resolution), -1 for none."""
    host = host_namespace()
    # The middle of each pixel.
    steps = (host.arange(resolution) + 0.5) / resolution
    across = lows[0] * (1 - steps) + highs[0] * steps
    upward = lows[1] * (1 - steps) + highs[1] * steps
    plane = host.stack(host.meshgrid(across, upward), axis=-1).reshape(-1, 2)
    backend, xp = get_backend(like), array_namespace(like)
    wide = "float64" if dtype_name(like.dtype) == "float64" else "float32"
    # All batches have one shape, for a compiled network.
    lines = max(1, _BATCH // resolution)
    while resolution % lines:
        lines -= 1
    answers = []
    for start in range(0, resolution**2, lines * resolution):
        points = backend.asarray(plane[start : start + lines * resolution].astype(wide))
        outputs = net(xp.astype(points, like.dtype, copy=False))
        answers.append(_answers(outputs, lines * resolution))
    return host.concatenate(answers).reshape(resolution, resolution)


def _answers(outputs: Any, rows: int) -> Any:
    """Return the class of each row of outputs."""
    if not is_array(outputs):
        raise ArgumentTypeError(f"net returned {describe(outputs)}: wanted an array of outputs")
    shape = tuple(outputs.shape)
    if shape not in ((rows,), (rows, 1)):
        return class_indices("the result of net", outputs, rows)
    if is_complex(outputs):
        raise DTypeError(f"net returned the dtype {outputs.dtype}: wanted real outputs")
    values = on_host("outputs", outputs).reshape(rows)
    host = host_namespace()
    if not is_floating(outputs):
        return host.maximum(values.astype("int64"), -1)
    return host.where(host.isnan(values), -1, (values > 0).astype("int64"))


def _colors(count: int) -> Any:
    """Return a color of each class, (count, 3)."""
    from matplotlib import colormaps

    host = host_namespace()
    palette = colormaps["tab10"] if count <= 10 else colormaps["turbo"]
    places = host.arange(count)
    chosen = palette(places) if count <= 10 else palette(places / (count - 1))
    return chosen[:, :3]


def _draw_points(
    axes: "Axes",
    points: Any,
    right: Any,
    colors: Any,
    names: list[str] | None,
) -> None:
    style: dict[str, Any] = {"s": 18, "edgecolors": "black", "linewidths": 0.5}
    if right is None:
        axes.scatter(*points.T, color="white", **style)
        return
    known = sorted({int(i) for i in right})
    for i in known:
        axes.scatter(
            *points[right == i].T,
            color=[colors[i] if i >= 0 else "white"],
            marker=_MARKERS[i % len(_MARKERS)],
            label=legend_label(name_of_class(i, names)),
            **style,
        )
    if len(known) <= 12:
        add_legend(axes, title="class", fontsize=8)
