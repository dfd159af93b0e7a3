"""`write`: the report of a run that is over, from its history or its checkpoint."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from anynet import tree
from anynet.arguments import check_function, describe
from anynet.array import Array
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.report.contents import Contents, add_network, counted
from anynet.report.destination import page_path
from anynet.report.page import write_page
from anynet.report.results import Classification, Results
from anynet.report.saved import contents_of_checkpoint
from anynet.training import checkpoint
from anynet.training.history import History
from anynet.training.sample import copied
from anynet.training.sources import Data, batches_of, rows_of


def write(
    path: str | os.PathLike[str],
    run: History | str | os.PathLike[str],
    *,
    net: Any = None,
    test: Data | None = None,
    loss: Callable[..., Array] | None = None,
    class_names: Sequence[str] = (),
    title: str = "Training run",
) -> None:
    """Write a page of HTML about a run that is over.

    The page has the learning curves. With a network it has the layers, with test data too the
    confusions and misclassified rows, and from a checkpoint the settings of the run. It says which
    parts are not there. `anynet.fit` with the argument report writes a page with all parts.

    The page is one file. It loads nothing from elsewhere, and contains no script.

    Args:
        path: the file to write, such as ``run.html``.
        run: a history, or the file of a run that `fit` wrote as its checkpoint.
        net: the network. It stays as it is. From a checkpoint, the page shows a copy of it with the
            arrays of the file.
        test: (x, t), a loader, or an iterable of batches.
        loss: of the training. It decides whether outputs are classes, yes or no, or real numbers.
            By default their shapes and those of the labels do.
        class_names: the name of each class.
        title: the heading of the page.

    Raises:
        ArgumentTypeError: an argument has the wrong type.
        ArgumentError: the page cannot be written there, the number of names is not that of the
            classes, or the outputs are neither classes nor real numbers like the labels.
        DataError: the checkpoint is damaged, or is not that of a run.
        ShapeError: the checkpoint is that of another network.
        FileNotFoundError: there is no checkpoint at this path.

    >>> import os, tempfile
    >>> net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    >>> data = np.ones((4, 2), "float32"), np.asarray([0, 1, 1, 1])
    >>> history = anynet.fit(net, data, epochs=2, progress=False)
    >>> path = os.path.join(tempfile.mkdtemp(), "run.html")
    >>> anynet.report.write(path, history, net=net, test=data, class_names=["cat", "dog"])
    >>> os.path.exists(path)
    True

    """
    if not isinstance(title, str):
        raise ArgumentTypeError(f"title is {describe(title)}: wanted a text")
    if test is not None and net is None:
        raise ArgumentError("test was given without net: wanted both, or none of them")
    if loss is not None:
        check_function("loss", loss, "the loss of the training, such as losses.cross_entropy")
    if net is not None and next(tree.leaves(net), None) is None:
        raise ArgumentTypeError(f"net is {describe(net)}: wanted an initialized network")
    if isinstance(run, History):
        target = page_path(path)
        contents = _of_history(run)
    elif isinstance(run, str | os.PathLike):
        target = page_path(path, run)
        contents = contents_of_checkpoint(run)
        if net is not None:
            net = copied(net)
            checkpoint.load(net, run)
    else:
        raise ArgumentTypeError(
            f"run is {describe(run)}: wanted the History that fit returned, or the path of its "
            "checkpoint"
        )
    contents.title = title
    if net is not None:
        batches = None if test is None else rows_of(batches_of("test", test, net, 1))
        add_network(contents, net, "test data", batches, loss)
    contents.class_names = _checked_names(class_names, contents.results)
    write_page(target, contents)


def _checked_names(class_names: Sequence[str], results: Results | None) -> list[str]:
    """Return the names of classes, after a check that each class has one.

    Raises:
        ArgumentTypeError: they are one text.
        ArgumentError: there are more or less names than classes.

    """
    if isinstance(class_names, str):
        raise ArgumentTypeError(
            f"class_names is {describe(class_names)}: wanted a list, such as ['cat', 'dog']"
        )
    names = [*map(str, class_names)]
    if names and isinstance(results, Classification) and len(names) != results.classes:
        raise ArgumentError(
            f"class_names has {len(names)} names and the network {results.classes} classes: wanted "
            "a name for each class"
        )
    return names


def _of_history(history: History) -> Contents:
    ending = f"The history has {counted(len(history.epochs), 'epoch')}."
    if history.interrupted:
        ending += " Ctrl-C ended the run."
    parts = ("norms", "seconds", "configuration", "environment")
    absent = "A history does not have it. fit records it with the argument report."
    missing = {"network": "No network was given.", **dict.fromkeys(parts, absent)}
    return Contents("", ending, not history.interrupted, history, missing=missing)
