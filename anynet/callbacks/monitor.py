"""The value that a callback watches: the loss or a score of the last epoch."""

import math
import re
from typing import Any

from anynet import losses
from anynet.arguments import describe
from anynet.array import number
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.spelling import did_you_mean
from anynet.state import check_count, check_state
from anynet.training.callback import Callback, RunView
from anynet.training.history import Epoch

#: The names of scores for which a higher value is better, and those for which a lower one is.
_HIGHER = re.compile(
    r"accuracy|binary_accuracy|top_\d+_accuracy|r2_score|(precision|recall|f1)(_(micro|weighted))?"
)
_LOWER = {"loss", "perplexity", "mean_squared_error", "mean_absolute_error", *losses.__all__}


def values_of(epoch: Epoch) -> dict[str, float]:
    """Return the loss and all scores of an epoch by name.

    >>> from anynet.training import Epoch
    >>> from anynet.callbacks.monitor import values_of
    >>> values_of(Epoch(1, 0.5, {"accuracy": 0.75}, {"accuracy": 0.5}, 2.0))
    {'loss': 0.5, 'train accuracy': 0.75, 'test accuracy': 0.5}

    """
    return {"loss": epoch.loss, **epoch.scores}


class Monitor(Callback):
    """The base of callbacks that watch whether a value improves.

    Args:
        monitor: "loss", or a name in the table of the history, such as "test accuracy". By default
            the first score on the test data, the first one on the training data if there is none,
            or the loss.
        mode: "min" if a lower value is better, "max" if a higher one is, or "auto", which knows the
            loss of training, and scores by `anynet.metrics` and `anynet.losses`.
        min_delta: the least improvement that counts, 0 or more.

    Raises:
        ArgumentError: an argument is out of range, or there is no such value (raised after the
            first epoch).

    """

    def __init__(
        self,
        monitor: str | None = None,
        *,
        mode: str = "auto",
        min_delta: float = 0.0,
    ) -> None:
        if monitor is not None and not isinstance(monitor, str):
            raise ArgumentTypeError(
                f"monitor is {describe(monitor)}: wanted 'loss' or the name of a score, such as "
                "'test accuracy'"
            )
        if mode not in ("auto", "min", "max"):
            raise ArgumentError(f"mode is {mode!r:.40}: wanted 'auto', 'min' or 'max'")
        if not 0 <= number("min_delta", min_delta) < math.inf:
            raise ArgumentError(f"min_delta is {min_delta!r}: wanted a finite number of 0 or more")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = float(min_delta)
        #: The best value so far, and the number of its epoch.
        self.best: float | None = None
        self.best_epoch = 0

    def on_train_begin(self, run: RunView) -> None:
        """Reset the best value for a new run. A continued run keeps it."""
        if not run.history.epochs:
            self.best, self.best_epoch = None, 0

    def improves(self, run: RunView) -> bool:
        """Take the value of the last epoch, and return whether it is the best one so far.

        NaN is no improvement.

        Raises:
            ArgumentError: the history has no such value, or the mode is unknown.

        """
        epoch = run.history.epochs[-1]
        name, value = self._value(epoch)
        sign = 1 if self._is_higher_better(name) else -1
        if math.isnan(value):
            return False
        if self.best is not None and sign * value <= sign * self.best + self.min_delta:
            return False
        self.best, self.best_epoch = value, epoch.number
        return True

    def _value(self, epoch: Epoch) -> tuple[str, float]:
        values = values_of(epoch)
        name = self.monitor
        if name is None:
            scores = [key for key in values if key.startswith("test ")] or [*epoch.scores]
            name = next(iter(scores), "loss")
        if name not in values:
            raise ArgumentError(
                f"monitor is {name!r}{did_you_mean(name, values)}: wanted one of "
                f"{', '.join(map(repr, values))}"
            )
        return name, values[name]

    def _is_higher_better(self, name: str) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        metric = name.removeprefix("train ").removeprefix("test ")
        if metric in _LOWER:
            return False
        if _HIGHER.fullmatch(metric):
            return True
        raise ArgumentError(
            f"mode is 'auto' and {name!r} is a score of your own: wanted mode='min' if a lower one "
            "is better, or mode='max'"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and its epoch."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned.

        Raises:
            ArgumentError: it is another callback's state. Nothing has changed then.
            ArgumentTypeError: the best value is no number. Nothing has changed then.

        """
        check_state(type(self).__name__, state, Monitor.state_dict(self))
        best = state["best"]
        if best is not None:
            best = number("best", best)
        self.best, self.best_epoch = best, check_count("best_epoch", state["best_epoch"])
