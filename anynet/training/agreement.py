"""The agreement of the ranks of a group: that they train the same run, and when it ends."""

import zlib
from typing import Any

from anynet import tree
from anynet.array import Array, dtype_name, is_array
from anynet.backend import get_backend
from anynet.data.loader import Loader
from anynet.data.rows import named_parts
from anynet.distributed.group import Group
from anynet.state import stateful
from anynet.training.recipe import Recipe
from anynet.training.run import Run
from anynet.training.run_data import RunData

#: Rows of the data that are compared, evenly spaced.
COMPARED_ROWS = 64


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
        **_texts_of("the network's", run.net),
        **_texts_of("the optimizer's", stateful("optimizer", run.optimizer).state_dict()),
        **{f"the setting {name}": text for name, text in recipe.settings(data).items()},
        "the number of epochs": str(recipe.epochs),
        "the position of the run": f"{len(run.history.losses)} steps, {_position(run)}",
        "the loss scale": "" if run.precision is None else str(run.precision.state_dict()),
    }
    for name, batches in {"train": run.batches, **data.measured}.items():
        if isinstance(batches, Loader):
            for part, x in named_parts(f"{name} data ", batches.parts):
                texts[part] = _text_of_rows(x)
    group.check(texts)


def check_epoch(group: Group, run: Run) -> None:
    """Raise unless all ranks have the same network after an epoch.

    Raises:
        GroupError: a rank has another one.

    """
    group.check(_texts_of(f"after epoch {run.epoch} the network's", run.net))


def _position(run: Run) -> str:
    if not isinstance(run.batches, Loader):
        return ""
    state = run.batches.state_dict()
    return ", ".join(f"{name} {value}" for name, value in state.items())


def _fewest_rows(loader: Loader) -> int:
    """Return the number of rows of the shortest batch."""
    rest = loader.rows % loader.batch_size
    return rest if rest and not loader.drop_last else loader.batch_size


def _texts_of(whose: str, root: Any) -> dict[str, str]:
    return {f"{whose} {path}": _text(x) for path, x in tree.leaves(root) if is_array(x)}


def _text_of_rows(x: Array) -> str:
    step = max(1, x.shape[0] // COMPARED_ROWS)
    return f"{x.shape[0]} rows, such as {_text(x[::step, ...])}"


def _text(x: Array) -> str:
    """Return the shape, the dtype and a checksum of an array."""
    contents = get_backend(x).to_host(x).tobytes()
    return f"{tuple(x.shape)} of {dtype_name(x.dtype)} with checksum {zlib.crc32(contents):08x}"
