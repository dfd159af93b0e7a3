"""The file of a run: `anynet.fit` writes it, and goes on from it when the same call is made again.

It has the network, the states of the optimizer, the loader, the callbacks and the precision, the
history, and the settings of the run as texts. A run with other settings is an error.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anynet import tree
from anynet.arguments import describe, whole_number
from anynet.array import Array, is_array
from anynet.backend import Backend, get_backend
from anynet.data.batches import Batches
from anynet.data.host import on_backend
from anynet.data.loader import Loader
from anynet.errors import AnynetError, ArgumentError, ArgumentTypeError, DataError, NonFiniteError
from anynet.files import real_path, sweep
from anynet.state import stateful
from anynet.training.callback import Callback, RunView
from anynet.training.checkpoint import NETWORK, RUN, TIED, network_part, replace_arrays, tied_paths
from anynet.training.encoding import decode, encode
from anynet.training.finite import non_finite_parameter
from anynet.training.history import Epoch, History
from anynet.training.record import Record
from anynet.training.run import Run
from anynet.training.safetensors import Stored, read_arrays, write_arrays
from anynet.training.settings import Settings, differences, show_setting

#: The names of the states in a file.
_STATES = ("optimizer", "loader", "precision", "callbacks", "stopped", "step")

#: What code raises for a state of another form.
_MALFORMED = (
    AnynetError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class SavedRun:
    """The contents of a run's file.

    Args:
        path: the file.
        arrays: by name. Those of the network begin with ``net.``.
        tied: the path of the array that each other path of the network shares.
        settings: of the run, as texts.
        states: of the parts of the run, as JSON values, see `anynet.training.encoding`.
        history: the epochs and losses so far.

    """

    path: str
    arrays: dict[str, Stored]
    tied: dict[str, str]
    settings: Settings
    states: dict[str, Any]
    history: History

    def check(self, settings: Settings) -> None:
        """Raise ArgumentError if the settings of a call differ from those of the file."""
        wrong = differences(settings, self.settings)
        if wrong:
            raise ArgumentError(
                f"{self.path} is the checkpoint of a run with other settings: {'; '.join(wrong)}. "
                "Pass the settings of the file to go on with it, or another path to begin a run"
            )

    def is_stopped(self, epochs: int, callbacks: Sequence[Callback]) -> bool:
        """Return whether a callback ended the run, and the call has the same callbacks and number
        of epochs.
        """
        kinds = [saved["type"] for saved in self.states["callbacks"]]
        return self.states["stopped"] == epochs and kinds == [_kind(own) for own in callbacks]

    def restore(self, run: Run, callbacks: Sequence[Callback]) -> None:
        """Bring the parts of a run to the state of the file.

        Raises:
            DataError: a state is not one that the part takes.

        """
        try:
            states = self._decoded(self.states, _backend_of(run.net))
            self._restore(run, states)
            kinds = [saved["type"] for saved in states["callbacks"]]
        except _MALFORMED as error:
            raise self._misfit(error) from error
        for own, kind, saved in zip(callbacks, kinds, states["callbacks"], strict=False):
            if kind == _kind(own):
                try:
                    own.load_state_dict(saved["state"])
                except AnynetError as error:
                    raise self._misfit(error) from error

    def restore_record(self, record: Record) -> None:
        """Go on with the record of the file, which a run without a report does not have.

        Raises:
            DataError: it is another state.

        """
        state = self.states.get("record")
        if state is None:
            return
        try:
            record.load_state_dict(state)
        except _MALFORMED as error:
            raise self._misfit(error) from error

    def _restore(self, run: Run, states: dict[str, Any]) -> None:
        # Each of these changes nothing if it raises. The optimizer may be a user's.
        stateful("optimizer", run.optimizer).load_state_dict(states["optimizer"])
        if run.precision is not None:
            run.precision.load_state_dict(states["precision"])
        if isinstance(run.batches, Loader):
            run.batches.load_state_dict(states["loader"])
        replace_arrays(run.net, network_part(self.arrays), self.tied, self.path)

    def _misfit(self, error: Exception) -> DataError:
        return DataError(f"{self.path} does not fit the run: {error}")

    def _decoded(self, state: Any, backend: Backend) -> Any:
        def array(name: str) -> Array:
            if name not in self.arrays:
                raise DataError(f"{self.path} lacks the array {name!r:.60}")
            return on_backend(*self.arrays[name], backend)

        return decode(state, array)


class RunFile:
    """The file of a run, and its contents if it exists. See `open_run`."""

    def __init__(self, path: Path, every: int | None) -> None:
        self.path = path
        self.every = every
        self.saved = _contents_of(path)

    def history(self, own: History) -> History:
        """Return the history of the file, or the given one if there is no file.

        Raises:
            ArgumentError: the given one has losses that the file does not begin with.

        """
        if self.saved is None:
            return own
        history = self.saved.history
        if own.losses != history.losses[: len(own.losses)]:
            raise ArgumentError(
                f"history has {len(own.losses)} losses, and {self.path} does not begin with them: "
                "leave history out, because the file has one"
            )
        return history

    def begin(self, history: History) -> None:
        """Bring a history to that of the file."""
        found = self.history(history)
        history.epochs[:], history.losses[:] = found.epochs, found.losses

    def writer(
        self,
        settings: Settings,
        callbacks: Sequence[Callback],
        epochs: int,
        batches: Any,
        record: Record | None = None,
    ) -> "Checkpoint":
        """Return the callback that writes the file, and create its folder.

        Args:
            settings: of the run.
            callbacks: those of the user.
            epochs: how many the run has.
            batches: the training data.
            record: for a report, written to the file too.

        Raises:
            ArgumentError: the file has other settings.

        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.saved is not None:
            self.saved.check(settings)
        arguments = self.path, settings, callbacks, epochs, self.saved, record
        if self.every is None or not isinstance(batches, Loader):
            return Checkpoint(*arguments)
        return StepCheckpoint(*arguments, every=self.every)


def open_run(path: str | os.PathLike[str] | None, every: int | None) -> RunFile | None:
    """Return the file of a run, None for no path.

    Args:
        path: the file.
        every: after how many steps it is written, None for the end of each epoch.

    Raises:
        DataError: the file is damaged, is not of a run, or was written in a newer format; or there
            is only the previous file.
        ArgumentError: the path is that of a folder or a device, or there are steps without a path.

    """
    if every is not None:
        every = whole_number("checkpoint_every", every, 1)
    if path is None:
        if every is not None:
            raise ArgumentError(
                f"checkpoint_every is {every} without checkpoint: wanted a file as well, such as "
                'checkpoint="run.safetensors"'
            )
        return None
    if not isinstance(path, str | os.PathLike):
        raise ArgumentTypeError(
            f"checkpoint is {describe(path)}: wanted a file, such as 'run.safetensors'"
        )
    return RunFile(real_path(path), every)


def read_run(path: str | os.PathLike[str]) -> SavedRun:
    """Return the contents of a run's file.

    Raises:
        DataError: the file is damaged, or is not that of a run.
        FileNotFoundError: the file does not exist.

    """
    return _read(real_path(path))


def _contents_of(path: Path) -> SavedRun | None:
    if path.exists() and not path.is_file():
        raise ArgumentError(f"checkpoint is {path}, which is no file: wanted the path of a file")
    previous = previous_path(path)
    if path.parent.is_dir():
        sweep(path.parent)
    if not path.exists():
        if previous.exists():
            raise DataError(
                f"{path} does not exist, and {previous.name} does: rename it to {path.name} to go "
                "on from it, or remove it to begin a run"
            )
        return None
    try:
        return _read(path)
    except DataError as error:
        if not previous.exists():
            raise
        raise DataError(
            f"{error}. {previous} is the checkpoint before it: rename it to {path.name} to go on "
            "from it"
        ) from error


def previous_path(path: Path) -> Path:
    """Return the path of the checkpoint before the last one, as run.previous.safetensors."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def _read(path: Path) -> SavedRun:
    arrays, texts = read_arrays(path)
    if RUN not in texts:
        raise DataError(
            f"{path} is not the checkpoint of a run: it has no entry {RUN!r} in its metadata. "
            "anynet.load reads the arrays of a network"
        )
    try:
        return _parse(path, arrays, texts)
    except _MALFORMED as error:
        raise DataError(
            f"{path} is not the checkpoint of a run, or a damaged one: {error!r:.80}"
        ) from error


def _parse(path: Path, arrays: dict[str, Stored], texts: dict[str, str]) -> SavedRun:
    run = json.loads(texts[RUN])
    epochs = [Epoch(**epoch) for epoch in run["epochs"]]
    losses = [float(loss) for loss in arrays["history.losses"][0]]
    settings = run["settings"]
    states = {name: run["states"][name] for name in _STATES}
    states["record"] = run["states"].get("record")
    for saved in states["callbacks"]:
        saved["type"], saved["state"]
    counts = [states["step"], len(losses) - states["step"], len(states["callbacks"])]
    if min(counts) < 0 or not all(isinstance(text, str) for text in settings.values()):
        raise ValueError("the settings or the counts are of another form")
    values = [x for epoch in epochs for x in (epoch.loss, epoch.seconds, *epoch.scores.values())]
    if not all(isinstance(value, int | float) for value in values):
        raise ValueError("the epochs are of another form")
    if [epoch.number for epoch in epochs] != list(range(1, len(epochs) + 1)):
        raise ValueError("the numbers of the epochs are not 1, 2, …")
    history = History(epochs, losses)
    return SavedRun(str(path), arrays, tied_paths(path, texts), settings, states, history)


class Checkpoint(Callback):
    """Writes the file of a run at the end of each epoch, and brings a run to the state of a file.

    It is the last callback of the run, so that the file has the states of the others after the same
    moment.

    Args:
        path: the file.
        settings: of the run.
        callbacks: the others.
        epochs: how many the run has.
        saved: the contents of the file to go on with, None for a new run.
        record: the record of the run for a report, None for no report.

    """

    _part = "checkpoint"

    def __init__(
        self,
        path: Path,
        settings: Settings,
        callbacks: Sequence[Callback],
        epochs: int,
        saved: SavedRun | None,
        record: Record | None = None,
    ) -> None:
        self.path = path
        self._settings = settings
        self._callbacks = callbacks
        self._epochs = epochs
        self._saved = saved
        self._record = record
        #: Whether the run is in a state to write: Ctrl-C may cut a restore.
        self._is_ready = False
        #: The position of the run in the last file.
        self._written: tuple[int, int, bool] | None = None
        #: How many epochs have ended, also for the other callbacks, and how many losses are finite.
        self._ended = 0
        self._finite = 0
        #: How many batches were read beside those of the updates.
        self._offset = 0

    def resume(self, run: Run, progress: bool) -> None:
        """Bring the run to the state of the file, if there is one, and print where it goes on."""
        if self._saved is None:
            return
        run.is_stopping = self._saved.is_stopped(self._epochs, self._callbacks)
        self._restore(run)
        if self._record is not None:
            self._saved.restore_record(self._record)
        run.resumed_step = self._saved.states["step"]
        if isinstance(run.batches, Batches) and run.steps_per_epoch is not None:
            run.batches.skip(run.updates)
        if progress:
            print(f"{self.path.name}: {self._where(run)}")

    def _where(self, run: Run) -> str:
        epochs = len(run.history.epochs)
        if run.is_stopping:
            return f"a callback ended the run after epoch {epochs}"
        if epochs >= self._epochs:
            return f"the run is complete, with {epochs} epochs"
        step = run.resumed_step
        return f"going on with epoch {epochs + 1}" + (f" after step {step}" if step else "")

    def _restore(self, run: Run) -> None:
        if self._saved is not None:
            self._is_ready = False
            self._saved.restore(run, self._callbacks)
            self._written = _position(run)
            self._ended = len(run.history.epochs)
        self._is_ready = True
        self._count(run)

    def _count(self, run: Run) -> None:
        """Keep how many batches were read beside those of the updates."""
        if isinstance(run.batches, Loader):
            self._offset = _batches_read(run) - run.updates

    def on_train_begin(self, run: RunView) -> None:
        """Restore what the other callbacks changed."""
        assert isinstance(run, Run)
        self._restore(run)

    def on_epoch_begin(self, run: RunView) -> None:
        """Restore what the other callbacks changed, if the run goes on inside the epoch."""
        assert isinstance(run, Run)
        if run.step:
            self._restore(run)
        self._saved = None

    def on_epoch_end(self, run: RunView) -> None:
        """Write the file."""
        assert isinstance(run, Run)
        self._end_epoch(run)
        self.write(run)

    def _end_epoch(self, run: Run) -> None:
        self._ended = run.epoch
        # A run that a callback ends leaves out the rest of a pass.
        self._count(run)

    def finish(self, run: Run) -> None:
        """Write the file at the end of the run, also one that Ctrl-C ended.

        Ctrl-C may cut a restore, the end of an epoch, or for the second time a step. The run is
        in no state to write then.
        """
        is_whole = _is_inside(run) or self._ended == len(run.history.epochs)
        if self._is_ready and is_whole and not run.in_step:
            self.write(run)

    def write(self, run: Run) -> None:
        """Write the file, unless a loss is not finite, which ends the run, or the data have no
        position to go on from.

        Raises:
            NonFiniteError: a parameter is not finite. The file is as it was.
            OSError: the file cannot be written.

        """
        position = _position(run)
        if position == self._written or (_is_inside(run) and self._loader_state(run) is None):
            return
        run.read_losses()
        if not all(map(math.isfinite, run.history.losses[self._finite :])):
            return
        self._finite = len(run.history.losses)
        _check_parameters(run)
        # The state of an optimizer may be that of all ranks.
        arrays, texts = self._contents(run)
        if run.is_first:
            write_arrays(self.path, arrays, texts, previous_path(self.path))
        self._written = position

    def _loader_state(self, run: Run) -> dict[str, Any] | None:
        """Return the state of the loader, None for another iterable, or if a batch was loaded that
        the run did not use.
        """
        if not isinstance(run.batches, Loader):
            return None
        if _batches_read(run) - run.updates != self._offset:
            return None
        state = run.batches.state_dict()
        if _is_inside(run) and run.steps_per_epoch is None and state["batch"] == 0:
            # The last batch ended the pass of the loader, but not yet the epoch of the run.
            state |= {"epoch": state["epoch"] - 1, "batch": run.step}
        return state

    def _contents(self, run: Run) -> tuple[dict[str, Array], dict[str, str]]:
        arrays = {f"{NETWORK}{path}": x for path, x in tree.leaves(run.net)}
        parts = {
            "optimizer": stateful("optimizer", run.optimizer).state_dict(),
            "loader": self._loader_state(run),
            "precision": None if run.precision is None else run.precision.state_dict(),
            "callbacks": [
                {"type": _kind(own), "state": own.state_dict()} for own in self._callbacks
            ],
            "stopped": self._epochs if run.is_stopping else None,
            "step": run.step if _is_inside(run) else 0,
        }
        if self._record is not None:
            parts["record"] = self._record.state_dict()
        states = {name: encode(name, part, arrays) for name, part in parts.items()}
        host = get_backend("numpy")
        arrays["history.losses"] = host.xp.asarray(run.history.losses, dtype=host.xp.float64)
        epochs = [asdict(epoch) for epoch in run.history.epochs]
        contents = {"settings": self._settings, "states": states, "epochs": epochs}
        return arrays, {RUN: json.dumps(contents), TIED: json.dumps(tree.ties(run.net))}


class StepCheckpoint(Checkpoint):
    """Writes the file after every N steps too. See `Checkpoint`."""

    def __init__(self, *args: Any, every: int) -> None:
        super().__init__(*args)
        self.every: int = every

    def on_step_end(self, run: RunView) -> None:
        """Write the file, if it is due."""
        assert isinstance(run, Run)
        # A run that a callback ends is written at its end.
        if run.updates % self.every == 0 and not run.is_stopping:
            self.write(run)

    def on_epoch_end(self, run: RunView) -> None:
        """Write nothing."""
        assert isinstance(run, Run)
        self._end_epoch(run)


def _position(run: Run) -> tuple[int, int, bool]:
    return run.updates, len(run.history.epochs), run.is_stopping


def _is_inside(run: Run) -> bool:
    """Return whether steps of the epoch were made, and its scores are not in the history."""
    return run.step > 0 and run.epoch > len(run.history.epochs)


def _batches_read(run: Run) -> int:
    """Return how many batches of the loader were read, over all epochs."""
    assert isinstance(run.batches, Loader)
    return run.batches.epoch * len(run.batches) + run.batches.batch


def _check_parameters(run: Run) -> None:
    """Raise NonFiniteError if a parameter that is trained has a value that is not finite."""
    path = non_finite_parameter(run.net)
    if path is not None:
        error = NonFiniteError(
            f"the parameter {path} has values that are not finite after epoch {run.epoch}, step "
            f"{run.step}: lower the learning rate ({run.optimizer!r}), or look for inputs or "
            "labels out of range. The checkpoint is as it was before"
        )
        error.history = run.history
        raise error


def _kind(callback: Callback) -> str:
    return show_setting(type(callback))


def _backend_of(net: Any) -> Backend:
    return next(get_backend(x) for _, x in tree.leaves(net) if is_array(x))
