"""Histograms of weights, gradients and activations."""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from anynet import tree
from anynet.arguments import describe, whole_number
from anynet.array import is_array
from anynet.errors import ArgumentError, ArgumentTypeError, DataError, NotInitializedError
from anynet.histogram import Histogram, histogram, host_values
from anynet.layers import Module
from anynet.layers.initialization import is_uninitialized
from anynet.plotting.axes import OnAxes, Panels, add_legend, legend_label, result, several_axes
from anynet.plotting.values import LARGEST, check_values, host_namespace, is_drawable, on_host

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (3.2, 2.3)

#: The most panels that a plot shows by default.
_MOST = 24


class _Panel(NamedTuple):
    """A histogram, and the number of values that are not finite."""

    name: str
    histogram: Histogram
    left_out: int = 0

    @property
    def title(self) -> str:
        return f"{self.name} ({self.left_out} not finite)" if self.left_out else self.name


def histograms(
    values: Any,
    *,
    bins: int = 30,
    most: int = _MOST,
    ax: OnAxes = None,
) -> "Axes | Panels":
    """Return axes with a histogram of each array of weights, gradients or activations.

    Values that are not finite are left out, and the title counts them. A complex value counts by
    its modulus.

    Args:
        values: a network for its parameters, the gradients that `value_and_grad` returns, the
            activations that `capture` returns, the histograms of an epoch of
            `callbacks.Histograms`, any other tree of arrays, or one array.
        bins: of each histogram, 1 or more.
        most: how many histograms to show, the first ones. The title says if there are more.
        ax: matplotlib's Axes for everything, or one for each array. The default is a new figure.

    Returns:
        The Axes, or a tuple with one for each array. A notebook shows it as a picture.

    Raises:
        ArgumentTypeError: an argument has the wrong type.
        ArgumentError: there are no arrays, or an argument is out of range.
        DataError: a value is beyond 1e300.
        NotInitializedError: a network has no parameters yet.
        MissingPackageError: matplotlib is not installed.

    >>> net = layers.Sequential(layers.Linear(3, 8), layers.Tanh(), seed=0, backend="numpy")
    >>> x = np.ones((5, 3), dtype="float32")
    >>> weight, bias = anynet.plotting.histograms(net)
    >>> _, activations = anynet.capture(net, ["layers.1"])(x)
    >>> ax = anynet.plotting.histograms(activations)
    >>> int(sum(bar.get_height() for bar in ax.patches))
    40

    Source: Deep Learning from Scratch, figures 6-10 to 6-14.

    """
    bins = whole_number("bins", bins, 1)
    most = whole_number("most", most, 1)
    panels = _panels(values, bins, most)
    every = several_axes(ax, len(panels), _SIZE)
    shared = len(panels) > 1 and len(set(every)) == 1
    for panel, axes in zip(panels, every, strict=True):
        counts, edges = panel.histogram
        if shared:
            axes.stairs(counts, edges, label=legend_label(panel.title))
        else:
            widths = [right - left for left, right in pairwise(edges)]
            axes.bar(edges[:-1], counts, widths, align="edge")
            axes.set_title(panel.title, fontsize=9, parse_math=False)
        axes.tick_params(labelsize=8)
    if shared:
        add_legend(every[0], fontsize=8)
    return result(ax, every)


def _panels(
    values: Any,
    bins: int,
    most: int,
) -> list[_Panel]:
    """Return the histograms of the first arrays. The name of the last one says how many follow."""
    if isinstance(values, Histogram):
        values = {"": values}
    if isinstance(values, Mapping) and all(isinstance(x, Histogram) for x in values.values()):
        panels = [_Panel(str(name), x) for name, x in values.items()]
        total = len(panels)
        panels = panels[:most]
    else:
        arrays = _arrays(values)
        total = len(arrays)
        panels = [_panel(name, x, bins) for name, x in arrays[:most]]
    if not panels:
        raise ArgumentError(
            f"values is {describe(values)}, without an array: wanted a network, gradients or "
            "activations"
        )
    if total > most:
        last = panels[-1]
        name = f"{last.name}, and {total - most} more"
        panels[-1] = last._replace(name=name)
    return panels


def _arrays(values: Any) -> list[tuple[str, Any]]:
    """Return the arrays by their paths."""
    if is_array(values):
        return [("", values)]
    if isinstance(values, Module):
        for path, module in values.modules():
            if any(map(is_uninitialized, vars(module).values())):
                raise NotInitializedError(
                    f"{path or 'the network'} is not initialized: call initialize(seed=0) on the "
                    "network"
                )
        return [*values.parameters().items()]
    if values is None or isinstance(values, str) or tree.is_setting(values):
        raise ArgumentTypeError(
            f"values is {describe(values)}: wanted a network, gradients, activations or an array"
        )
    arrays = [*tree.leaves(values)]
    if not arrays and isinstance(values, list | tuple) and values:
        return [("", on_host("values", values))]
    return arrays


def _panel(
    name: str,
    x: Any,
    bins: int,
) -> _Panel:
    check_values(name or "the array", x)
    values = host_values([x])
    finite = values[host_namespace().isfinite(values)]
    if not is_drawable(finite).all():
        raise DataError(
            f"{name or 'the array'} has values beyond {LARGEST:g}: wanted smaller ones, such as "
            "x / 1e10"
        )
    return _Panel(name, histogram(finite, bins), len(values) - len(finite))
