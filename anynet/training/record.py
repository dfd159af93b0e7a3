"""The record of a run: the facts that a report shows and a history does not have."""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from anynet import tree
from anynet.arguments import describe
from anynet.array import array_namespace
from anynet.backend import get_backend
from anynet.errors import ArgumentError
from anynet.optimizers.clipping import global_norm
from anynet.state import check_state
from anynet.training.callback import Callback, RunView
from anynet.training.environment import environment_of
from anynet.training.sample import gradients_on, sample_of
from anynet.training.settings import Settings
from anynet.training.stopwatch import Stopwatch

#: The norms of the gradients of one epoch, by the paths of the parameters.
Norms = dict[str, float]


class Record(Callback):
    """A callback that records the settings, environment, gradient norms and time of a run.

    The norms are those of the gradients of the loss after each epoch, on the first 100 rows of the
    training data or the last batch of an iterable. They are computed on a copy of the network in
    its own dtype, also in mixed precision, so the run stays as it is, bit by bit. A checkpoint has
    the record, so that a run that goes on has the record of the whole run.

    Args:
        settings: returns the settings of the run. It is called when the run begins, because it
            reads the first batch of an iterable, which is then the next one.

    >>> from anynet.training.record import Record
    >>> sorted(Record().state_dict())
    ['norms', 'seconds', 'sessions']

    """

    _part = "gradient norms"

    def __init__(self, settings: Callable[[], Settings] = dict) -> None:
        self._settings = settings
        #: The settings of the run, None before it has begun.
        self.settings: Settings | None = None
        self.clock = Stopwatch()
        #: The norms by the number of the epoch.
        self.norms: dict[int, Norms] = {}
        #: The environment of each call of `fit` that trained, with its time and first epoch.
        self.sessions: list[dict[str, str]] = []
        #: The seconds of the parts of earlier calls of `fit` that a checkpoint has.
        self.earlier: dict[str, float] = {}
        #: Why the norms of the last epoch are missing, "" if they are not.
        self.problem = ""

    def on_train_begin(self, run: RunView) -> None:
        """Record the settings and the environment."""
        self.settings = self._settings()
        now = datetime.now().astimezone()
        session = {
            "begun": now.isoformat(" ", "seconds"),
            "first epoch": str(len(run.history.epochs) + 1),
        }
        self.sessions.append({**session, **environment_of(run.net)})

    def on_epoch_end(self, run: RunView) -> None:
        """Record the norms of the gradients."""
        try:
            self.norms[run.epoch] = _norms(run)
            self.problem = ""
        except Exception as error:
            # A report must not end a run that trains.
            self.problem = f"{type(error).__name__}: {error}"

    def state_dict(self) -> dict[str, Any]:
        """Return the record so far."""
        return {
            "sessions": [dict(session) for session in self.sessions],
            # Lists, because a path may be no key of a state.
            "norms": [[epoch, [*norms], [*norms.values()]] for epoch, norms in self.norms.items()],
            "seconds": self.clock.read(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the record of an earlier run.

        Raises:
            ArgumentError: it is another state. Nothing has changed then.

        """
        check_state("Record", state, ("sessions", "norms", "seconds"))
        sessions, norms, seconds = (state[name] for name in ("sessions", "norms", "seconds"))
        texts = [text for session in sessions for text in session.values()]
        if not all(isinstance(text, str) for text in texts):
            raise ArgumentError(f"the sessions of a record are {describe(sessions)}: wanted texts")
        by_epoch = {
            int(epoch): dict(zip(map(str, paths), map(float, values), strict=True))
            for epoch, paths, values in norms
        }
        times = {str(name): float(value) for name, value in seconds.items()}
        if not all(0 <= value < math.inf for value in times.values()):
            raise ArgumentError(f"the seconds of a record are {times}: wanted 0 or more")
        self.clock.add(times)
        self.earlier = times
        self.norms = by_epoch
        self.sessions = [dict(session) for session in sessions]


def _norms(run: RunView) -> Norms:
    """Return the norm of the gradient of each trained parameter, read in one transfer."""
    batch = sample_of(run)
    if batch is None:
        return {}
    by_path = {path: global_norm(g) for path, g in tree.leaves(gradients_on(run, batch))}
    norms = [*by_path.values()]
    if not norms:
        return {}
    xp = array_namespace(*norms)
    stacked = xp.stack([xp.astype(norm, xp.float32, copy=False) for norm in norms])
    values = get_backend(stacked).to_host(stacked).tolist()
    return dict(zip(by_path, values, strict=True))
