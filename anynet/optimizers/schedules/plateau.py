"""A schedule that follows a score."""

import math
from dataclasses import field
from typing import Any

from anynet.array import number
from anynet.errors import ArgumentError
from anynet.optimizers.schedules.base import Base, check_learning_rate, schedule
from anynet.spelling import did_you_mean
from anynet.state import check_count, check_state

_STATE = ("rate", "best", "bad", "cooldown")


@schedule
class Plateau(Base):
    """A schedule that multiplies the learning rate by a factor when a score improves no more.

    `step` takes the score of an epoch. As a callback of `anynet.fit`, the schedule takes it from
    the history. All steps have the current rate, also in compiled steps.

    Args:
        learning_rate: the first rate, a finite number above 0.
        mode: "min" if a lower score is better, "max" if a higher one is.
        factor: above 0 and below 1.
        patience: how many epochs in a row without improvement leave the rate as it is, 0 or more.
        threshold: the least improvement that counts, 0 or more.
        threshold_mode: "rel" for a share of the best score, "abs" for a difference.
        cooldown: how many epochs after a change do not count as bad, 0 or more.
        min_lr: the lowest rate, 0 or more.
        eps: a change of the rate that is not above this is left out.
        monitor: the score that a callback reads, "loss" or the name of one in the table of the
            history, such as "test accuracy".

    Raises:
        ArgumentError: an argument is out of range.

    Source: PyTorch's ReduceLROnPlateau.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.Plateau(0.2, factor=0.5, patience=1)
    >>> for loss in (1.0, 0.9, 0.9, 0.9):
    ...     rate.step(loss)
    >>> rate(4)
    0.1

    """

    learning_rate: float
    mode: str = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float = 0.0
    eps: float = 1e-8
    monitor: str = "loss"
    _state: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check_rate()
        self._check_positive("factor")
        self._check_not_negative("threshold", "min_lr", "eps")
        self._check_count("patience", 0)
        self._check_count("cooldown", 0)
        if self.factor >= 1:
            raise ArgumentError(f"factor is {self.factor}: wanted a number above 0 and below 1")
        for name, known in (("mode", ("min", "max")), ("threshold_mode", ("rel", "abs"))):
            value = getattr(self, name)
            if value not in known:
                raise ArgumentError(f"{name} is {value!r}: wanted {known[0]!r} or {known[1]!r}")
        best = math.inf if self.mode == "min" else -math.inf
        self._state.update(rate=self.learning_rate, best=best, bad=0, cooldown=0)

    def _rate(self, step: int) -> float:
        return self._state["rate"]  # type: ignore[no-any-return]

    def step(self, value: float) -> None:
        """Take the score of an epoch. NaN counts as no improvement.

        Args:
            value: a number, or an array without axes.

        Raises:
            ArgumentTypeError: the score is something else.

        """
        value = float(number("the score", value))
        state = self._state
        if self._is_better(value, state["best"]):
            state.update(best=value, bad=0)
        else:
            state["bad"] += 1
        if state["cooldown"]:
            state["cooldown"] -= 1
            state["bad"] = 0
        if state["bad"] > self.patience:
            rate = max(state["rate"] * self.factor, self.min_lr)
            if state["rate"] - rate > self.eps:
                state["rate"] = rate
            state.update(bad=0, cooldown=self.cooldown)

    def _is_better(self, value: float, best: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "abs":
            return sign * value < sign * best - self.threshold
        return sign * value < sign * (best * (1 - sign * self.threshold))

    def on_epoch_end(self, run: Any) -> None:
        """Take the score of the last epoch of a run, as a callback of `anynet.fit`.

        Raises:
            ArgumentError: the history has no score of the name ``monitor``.

        """
        epoch = run.history.epochs[-1]
        scores = {"loss": epoch.loss, **epoch.scores}
        if self.monitor not in scores:
            raise ArgumentError(
                f"monitor is {self.monitor!r}{did_you_mean(self.monitor, scores)}: wanted one of "
                f"{', '.join(map(repr, scores))}"
            )
        self.step(scores[self.monitor])

    def state_dict(self) -> dict[str, Any]:
        """Return the current rate, the best score, and the counts of bad epochs and of cooldown.

        >>> from anynet.optimizers import schedules
        >>> schedules.Plateau(0.2).state_dict()
        {'rate': 0.2, 'best': inf, 'bad': 0, 'cooldown': 0}

        """
        return dict(self._state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned.

        Raises:
            ArgumentError: it is no state of a plateau. Nothing has changed then.

        """
        check_state("Plateau", state, _STATE)
        new = {
            "rate": check_learning_rate(state["rate"], "the rate of Plateau"),
            "best": number("the best score of Plateau", state["best"]),
            "bad": check_count("the bad epochs of Plateau", state["bad"]),
            "cooldown": check_count("the cooldown of Plateau", state["cooldown"]),
        }
        self._state.update(new)
