"""The surface of a loss along two directions of the parameters."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anynet import random, tree
from anynet.arguments import check_function, describe, whole_number
from anynet.array import Array, array_namespace, is_array, is_floating, number
from anynet.backend import get_backend
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    NotInitializedError,
    ShapeError,
)
from anynet.layers import Module
from anynet.layers.initialization import is_uninitialized
from anynet.plotting.axes import check_matplotlib, one_axes
from anynet.plotting.values import LARGEST, host_namespace, is_drawable, on_host

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Arrays by the path of a parameter.
Direction = dict[str, Array]


def loss_surface(
    loss: Callable[[Any], Any],
    net: Module,
    directions: tuple[Any, Any] | None = None,
    *,
    seed: int = 0,
    span: float = 1.0,
    steps: int = 21,
    ax: "Axes | None" = None,
) -> "Axes":
    """Return axes with the loss of networks along two directions from a network, which is in the
    middle.

    The color at (a, b) is loss(net + a · first direction + b · second direction). The network runs
    in inference mode, as a copy, and stays as it is. Frozen parameters do not move.

    By default the directions are random and filter-normalized: each filter of a direction is drawn
    from the normal distribution and then has the norm of the network's filter, so that surfaces of
    several networks can be compared. A filter is what one output of a layer is made of. Parameters
    of one axis, such as biases, do not move then.

    Args:
        loss: a function of a network that returns a real scalar, as ``lambda net:
            losses.cross_entropy(net(x), t)``.
        net: a network.
        directions: two trees like the network, such as gradients, or networks that `tree.map` made
            from the difference of two. None in place of an array does not move.
        seed: draws the random directions, the same ones on each library.
        span: a and b are from -span to span, above 0.
        steps: values of a and of b, 2 or more. An odd number has the network itself in the middle.
        ax: matplotlib's Axes. With ``projection="3d"`` the surface is drawn in space. The default
            is a new figure.

    Raises:
        ArgumentTypeError: an argument has the wrong type, or the loss is not a real scalar.
        ArgumentError: an argument is out of range, or no parameter moves.
        ShapeError: a direction and the network have different shapes, or the loss has axes.
        NotInitializedError: the network is not initialized.
        DataError: no loss is finite.
        MissingPackageError: matplotlib is not installed.

    >>> net = layers.Sequential(layers.Linear(2, 3), seed=0, backend="numpy")
    >>> x, t = np.eye(2, dtype="float32"), np.asarray([0, 1])
    >>> ax = anynet.plotting.loss_surface(lambda net: losses.cross_entropy(net(x), t), net)

    Source: Li et al., Visualizing the Loss Landscape of Neural Nets, 2018.

    """
    check_matplotlib()
    check_function("loss", loss, "a function of a network, as lambda net: mse(net(x), t)")
    if not isinstance(net, Module):
        raise ArgumentTypeError(
            f"net is {describe(net)}: wanted a layers.Module, such as layers.Sequential(…)"
        )
    steps = whole_number("steps", steps, 2)
    if not 0 < number("span", span) < float("inf"):
        raise ArgumentError(f"span is {span}: wanted a number above 0")
    if any(is_uninitialized(x) for _, module in net.modules() for x in vars(module).values()):
        raise NotInitializedError("net is not initialized: call initialize(seed=0) on it")
    moving = _moving(net)
    if directions is None:
        first, second = _random_directions(moving, seed)
    else:
        first, second = _checked(moving, directions)
    host = host_namespace()
    places = host.linspace(-span, span, steps)
    surface = host.asarray(
        [[_loss_at(loss, net, first, second, a, b) for a in places] for b in places]
    )
    return _draw(places, surface, ax)


def _moving(net: Module) -> Direction:
    """Return the floating parameters that are trained, by path."""
    trained: list[Array] = []

    def note(x: Array) -> Array:
        trained.append(x)
        return x

    tree.map(note, net, untrained=lambda x: x)
    return {
        path: x
        for path, x in net.parameters().items()
        if is_floating(x) and any(x is other for other in trained)
    }


def _random_directions(moving: Direction, seed: int) -> tuple[Direction, Direction]:
    """Return two random directions whose filters have the norms of the network's."""
    filters = {path: x for path, x in moving.items() if x.ndim > 1}
    if not filters:
        raise ArgumentError(
            "no parameter of two or more axes is trained, so no random direction moves: wanted "
            "directions=(first, second), or a network that is not frozen"
        )
    key = random.key(seed, get_backend(next(iter(filters.values()))))
    directions = []
    for i in range(2):
        own = random.fold_in(key, i)
        direction = {}
        for j, (path, x) in enumerate(filters.items()):
            direction[path] = _like_filters(random.fold_in(own, j), x)
        directions.append(direction)
    return directions[0], directions[1]


def _like_filters(key: Array, weight: Array) -> Array:
    """Return normal random values whose filters have the norms of the weight's filters."""
    xp = array_namespace(weight)
    drawn = random.normal(key, tuple(weight.shape))
    wide = xp.astype(weight, drawn.dtype, copy=False)
    # A matrix is (in, out), and the weight of a convolution (out, in, …).
    axes = (0,) if weight.ndim == 2 else tuple(range(1, weight.ndim))
    norm = xp.sqrt(xp.sum(wide * wide, axis=axes, keepdims=True))
    own = xp.sqrt(xp.sum(drawn * drawn, axis=axes, keepdims=True))
    return drawn * (norm / own)


def _checked(moving: Direction, directions: Any) -> tuple[Direction, Direction]:
    """Return given directions by the paths of the parameters."""
    if not isinstance(directions, tuple | list) or len(directions) != 2:
        raise ArgumentTypeError(
            f"directions is {describe(directions)}: wanted two trees like the network"
        )
    checked = []
    for i, direction in enumerate(directions):
        given = dict(tree.leaves(direction))
        known = {path: given[path] for path in moving if path in given}
        if not known:
            raise ArgumentError(
                f"directions[{i}] has no array at the path of a trained parameter, such as "
                f"{next(iter(moving), 'layers.0.weight')!r}: wanted a tree like the network"
            )
        for path, x in known.items():
            if tuple(x.shape) != tuple(moving[path].shape):
                raise ShapeError(
                    f"directions[{i}] has shape {tuple(x.shape)} at {path}: wanted that of the "
                    f"parameter, {tuple(moving[path].shape)}"
                )
        checked.append(known)
    return checked[0], checked[1]


def _loss_at(
    loss: Callable[[Any], Any],
    net: Module,
    first: Direction,
    second: Direction,
    a: float,
    b: float,
) -> float:
    """Return the loss of the network that is moved by a and b."""
    paths = iter([path for path, _ in tree.leaves(net)])

    def moved(x: Array) -> Array:
        path = next(paths)
        new = x
        for direction, share in ((first, a), (second, b)):
            if path in direction:
                new = new + direction[path] * float(share)
        return array_namespace(x).astype(new, x.dtype, copy=new is x)

    value = loss(tree.map(moved, net, defaults={"_differentiated": False}))
    if is_array(value) and value.ndim:
        raise ShapeError(
            f"the loss has shape {tuple(value.shape)}: wanted a scalar, such as its mean"
        )
    return float(number("the loss", on_host("the loss", value) if is_array(value) else value))


def _draw(
    places: Any,
    surface: Any,
    ax: "Axes | None",
) -> "Axes":
    host = host_namespace()
    finite = is_drawable(surface)
    if not finite.any():
        raise DataError("no loss is finite: wanted a smaller span, or other data")
    result = one_axes(ax, (5.2, 4.2))
    axes: Any = result
    shown = host.where(finite, surface, host.nan)
    if hasattr(axes, "plot_surface"):
        across, upward = host.meshgrid(places, places)
        axes.plot_surface(across, upward, shown, cmap="viridis", rstride=1, cstride=1)
        axes.set_zlabel("loss")
    else:
        mesh = axes.pcolormesh(places, places, shown, cmap="viridis", shading="nearest")
        axes.get_figure().colorbar(mesh, ax=axes, label="loss")
        if shown[finite].max() > shown[finite].min():
            lines = axes.contour(places, places, shown, 10, colors="white", linewidths=0.7)
            axes.clabel(lines, fontsize=7)
        axes.plot(0, 0, "r+", markersize=10)
    axes.set(xlabel="first direction", ylabel="second direction")
    left_out = int(surface.size - finite.sum())
    if left_out:
        is_large = host.isfinite(surface[~finite]).any()
        reason = f"beyond {LARGEST:g}" if is_large else "not finite"
        axes.set_title(f"{left_out} of {surface.size} losses are {reason}", fontsize=10)
    return result
