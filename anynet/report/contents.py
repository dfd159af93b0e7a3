"""The contents of a page: plain values of a run, gathered from its history, record and network."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from anynet import tree
from anynet.array import Array, dtype_name, is_array
from anynet.data.batches import Batches
from anynet.data.loader import Loader
from anynet.layers import Module
from anynet.layers.summary import Summary
from anynet.report.results import Results, results_on
from anynet.table import Table
from anynet.training.history import History
from anynet.training.settings import Settings


@dataclass
class Contents:
    """All that a page shows. A part that is None has a reason in ``missing``, by its name.

    Args:
        title: the heading of the page.
        ending: how the run ended, in a sentence.
        is_whole: whether the run ended as planned.
        history: the losses and scores.
        configuration: the settings of the run by name.
        sessions: the environment of each call of `fit`, by name.
        network: the table of the layers.
        norms: the norms of gradients, by epoch and by path.
        problem: why the norms of the last epochs are missing, "" if they are not.
        seconds: the time of each part of the run.
        results: the predictions on data.
        data: the data of the results, such as "test data".
        class_names: by index.
        missing: why a part is not there, by its name.

    """

    title: str
    ending: str
    is_whole: bool
    history: History
    configuration: dict[str, str] = field(default_factory=dict)
    sessions: list[dict[str, str]] = field(default_factory=list)
    network: Table | None = None
    norms: dict[int, dict[str, float]] = field(default_factory=dict)
    problem: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    results: Results | None = None
    data: str = ""
    class_names: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def network_table(net: Any, x: Any = None) -> Table:
    """Return the table of a network's layers, with their outputs if they run on zeros like x.

    Args:
        net: a network, or another tree of arrays.
        x: a batch of inputs, None for no outputs.

    """
    if not isinstance(net, Module):
        arrays = [[path, str(tuple(a.shape)), dtype_name(a.dtype)] for path, a in tree.leaves(net)]
        return Table(["array", "shape", "dtype"], arrays)
    return _summary(net, x).table()


def _summary(net: Module, x: Any) -> Summary:
    if is_array(x):
        try:
            return Summary(net, tuple(x.shape[1:]), dtype=x.dtype)
        except Exception:
            # Zeros need not be an input, for example of a network that divides by its norm.
            return Summary(net)
    return Summary(net)


def add_network(
    contents: Contents,
    net: Any,
    name: str,
    batches: Loader | Batches | None,
    loss: Callable[..., Array] | None = None,
) -> None:
    """Add the table of a network and its predictions on data, or why they are not there.

    Args:
        contents: of a page.
        net: the network.
        name: of the data, such as "test data".
        batches: the data, None if there are none.
        loss: of the training, None if it is not known.

    Raises:
        ArgumentError: the outputs are neither classes nor real numbers like the labels.

    """
    contents.data = name
    contents.network = network_table(net, None if batches is None else _inputs(batches))
    if batches is None:
        contents.missing["results"] = f"The {name} were not given, or are read only once."
    elif not callable(net):
        contents.missing["results"] = "The network cannot be called."
    else:
        contents.results = results_on(net, batches, loss)


def _inputs(batches: Loader | Batches) -> Any:
    """Return some inputs of data."""
    return batches.x if isinstance(batches, Loader) else batches.first()[0]


def without_network(settings: Settings) -> Settings:
    """Return the settings of a run, but for those of the layers."""
    return {name: text for name, text in settings.items() if not _is_of_network(name)}


def of_network(settings: Settings) -> Settings:
    """Return the settings of the layers, by their paths."""
    return {
        name.removeprefix("net.") if name != "net" else "(network)": text
        for name, text in settings.items()
        if _is_of_network(name)
    }


def _is_of_network(name: str) -> bool:
    return name == "net" or name.startswith("net.")


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, by default with an s if it is not 1.

    >>> from anynet.report.contents import counted
    >>> counted(1, "epoch"), counted(2, "epoch")
    ('1 epoch', '2 epochs')

    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
