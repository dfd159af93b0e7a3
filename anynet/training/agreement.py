"""The agreement of the ranks of a group: that they train the same run, and when it ends."""

import warnings
from typing import Any

from anynet import losses
from anynet.array import array_namespace, is_array
from anynet.callables import show_call
from anynet.data.loader import Loader
from anynet.data.rows import map_rows, slice_rows
from anynet.distributed.comparison import texts_of, texts_of_rows
from anynet.distributed.group import Group
from anynet.state import state_of
from anynet.training.recipe import Recipe
from anynet.training.run import Run
from anynet.training.run_data import RunData
from anynet.training.tasks import settings_of

#: Rows by which a loss is tried.
TRIED_ROWS = 4


def check_beginning(group: Group, run: Run, recipe: Recipe, data: RunData) -> None:
    """Raise unless all ranks begin the same run with the same network, state and data.

    The data are compared by their shapes, their dtypes and some rows.

    Raises:
        ArgumentError: a batch would have fewer rows than there are ranks.
        GroupError: a rank has something else. The error names it.

    """
    if isinstance(run.batches, Loader) and run.group is not None:
        group.share(_fewest_rows(run.batches))
    texts = {
        **texts_of("the network's", run.net),
        **texts_of("the optimizer's", state_of(run.optimizer)),
        **{f"the setting {name}": text for name, text in recipe.settings(data).items()},
        "the number of epochs": str(recipe.epochs),
        "the position of the run": f"{len(run.history.losses)} steps, {_position(run)}",
        "the loss scale": "" if run.precision is None else str(run.precision.state_dict()),
    }
    for name, batches in {"train": run.batches, **data.measured}.items():
        if isinstance(batches, Loader):
            texts |= texts_of_rows(f"{name} data ", batches.parts)
    group.check(texts)
    if run.group is not None and group.is_first:
        _warn_of_sum(run, recipe, data)


def check_epoch(group: Group, run: Run) -> None:
    """Raise unless all ranks have the same network after an epoch.

    Raises:
        GroupError: a rank has another one.

    """
    group.check(texts_of(f"after epoch {run.epoch} the network's", run.net))


def _warn_of_sum(run: Run, recipe: Recipe, data: RunData) -> None:
    """Warn of a loss of a user's own that is no mean over rows.

    A mean is the same for rows that come twice.
    """
    function, _ = settings_of(recipe.loss)
    if getattr(losses, getattr(function, "__name__", ""), None) is function:
        return
    rows = slice_rows(data.first, slice(TRIED_ROWS))
    try:
        once, twice = [
            float(run.loss_of_batch(run.net, *batch)) for batch in (rows, map_rows(_twice, rows))
        ]
    except Exception:
        # It may take other batches only. The first step says so.
        return
    if abs(once - twice) > 1e-2 * abs(once):
        warnings.warn(
            f"loss is {show_call(recipe.loss)}, which is {once:.4g} for some rows and {twice:.4g} "
            "for the same rows twice. In a group a loss is a mean over rows: divide a sum by the "
            "number of rows, or see anynet.distributed.share_of",
            stacklevel=2,
        )


def _twice(x: Any) -> Any:
    return array_namespace(x).concat([x, x]) if is_array(x) else x


def _position(run: Run) -> str:
    if not isinstance(run.batches, Loader):
        return ""
    state = run.batches.state_dict()
    return ", ".join(f"{name} {value}" for name, value in state.items())


def _fewest_rows(loader: Loader) -> int:
    """Return the number of rows of the shortest batch."""
    rest = loader.rows % loader.batch_size
    return rest if rest and not loader.drop_last else loader.batch_size
