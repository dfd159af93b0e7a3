"""The epochs and steps as lines of JSON."""

import json
import math
import os
from typing import Any

from anynet.arguments import whole_number
from anynet.callbacks.monitor import values_of
from anynet.files import atomic_write, real_path
from anynet.state import check_state
from anynet.training.callback import Callback, RunView


class JSONLinesLog(Callback):
    """A callback that writes a line of JSON for each epoch, and for some of the steps.

    The line of an epoch has epoch, updates, loss, each score by its name in the table, and seconds.
    That of a step has epoch, step, updates and loss. Values that are NaN or infinite are null. A
    new run replaces the file. A run that goes on adds to it, after it has removed the lines of
    later updates.

    Args:
        path: the file.
        steps: write a line for each multiple of this many updates, None for epochs only.

    Raises:
        ArgumentError: steps is below 1.

    >>> import os, pathlib, tempfile
    >>> from anynet import callbacks
    >>> path = os.path.join(tempfile.mkdtemp(), "log.jsonl")
    >>> net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    >>> data = np.ones((4, 2), "float32"), np.asarray([0, 1, 0, 1])
    >>> log = callbacks.JSONLinesLog(path, steps=1)
    >>> _ = anynet.fit(net, data, batch_size=2, epochs=1, callbacks=[log], progress=False)
    >>> [json.loads(line)["updates"] for line in pathlib.Path(path).read_text().splitlines()]
    [1, 2, 2]

    """

    first_rank_only = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        steps: int | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.steps = None if steps is None else whole_number("steps", steps, 1)
        self._lines: list[str] = []
        if self.steps is not None:
            # An attribute of the object alone, so that a log without steps costs no time at steps.
            setattr(self, "on_step_end", self._add_step)  # noqa: B010

    def on_train_begin(self, run: RunView) -> None:
        """Create the file, or remove the lines of updates that will be made again."""
        path = real_path(self.path)
        written: list[str] = []
        if run.updates and path.exists():
            written = path.read_text("utf-8").splitlines()
        # Those that a checkpoint in the middle of an epoch has are written at its end.
        self._lines = [line for line in self._lines if run.updates and _is_kept(line, run)]
        waiting = {*self._lines}
        lines = [line for line in written if line not in waiting and _is_kept(line, run)]
        with atomic_write(path) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())

    def _add_step(self, run: RunView) -> None:
        assert self.steps is not None
        if run.updates % self.steps == 0:
            self._add({"epoch": run.epoch, "step": run.step}, run, {"loss": run.loss})

    def on_epoch_end(self, run: RunView) -> None:
        """Write the line of the epoch, after those of its steps."""
        epoch = run.history.epochs[-1]
        values = {**values_of(epoch), "seconds": epoch.seconds}
        self._add({"epoch": epoch.number}, run, values)
        self._write()

    def on_train_end(self, run: RunView) -> None:
        """Write the lines of an epoch that was cut short."""
        self._write()

    def state_dict(self) -> dict[str, Any]:
        """Return the lines that are not written yet."""
        return {"lines": [*self._lines]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned.

        Raises:
            ArgumentError: it is another callback's state. Nothing has changed then.

        """
        check_state("JSONLinesLog", state, ["lines"])
        self._lines = [*state["lines"]]

    def _add(
        self,
        numbers: dict[str, int],
        run: RunView,
        values: dict[str, float],
    ) -> None:
        finite = {name: x if math.isfinite(x) else None for name, x in values.items()}
        entry: dict[str, Any] = {**numbers, "updates": run.updates, **finite}
        self._lines.append(json.dumps(entry, ensure_ascii=False))

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        with real_path(self.path).open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)


def _is_kept(line: str, run: RunView) -> bool:
    """Return whether a line is complete, and of an update and epoch before the run goes on."""
    try:
        entry = json.loads(line)
        is_step = "step" in entry
        epochs = run.history.epochs
        return bool(entry["updates"] <= run.updates and (is_step or entry["epoch"] <= len(epochs)))
    except (ValueError, KeyError, TypeError):
        return False
