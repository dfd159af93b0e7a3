"""Schedules that are made of other schedules."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from anynet.arguments import describe
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.optimizers.schedules.base import (
    Base,
    Schedule,
    check_schedule,
    rate_of,
    schedule,
)
from anynet.optimizers.schedules.decay import steps_in_order
from anynet.state import check_state, load_states, state_of


@schedule
class Warmup(Base):
    """A schedule that rises in equal steps to the first rate of another one, then follows it.

    rate(step) = schedule(0) · (step + 1) / (steps + 1) while step < steps, then
    schedule(step - steps). The first step already has a rate above 0. The other schedule counts
    its steps from the end of the warm-up.

    Args:
        schedule: the schedule after the warm-up, or a learning rate, a finite number above 0.
        steps: the length of the warm-up, 0 or more.

    Raises:
        ArgumentError: an argument is out of range, or the other schedule has no rate for a step.
        ArgumentTypeError: the schedule is something else.

    Source: Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour, 2017, section
    2.2.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.Warmup(schedules.Cosine(0.3, steps=10), steps=2)
    >>> [round(rate(step), 3) for step in (0, 1, 2, 7, 12)]
    [0.1, 0.2, 0.3, 0.15, 0.0]

    """

    schedule: float | Schedule
    steps: int

    def __post_init__(self) -> None:
        self._set("schedule", check_schedule("schedule", self.schedule))
        self._check_count("steps", 0)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the other schedule, None if it has none."""
        return {"schedule": state_of(self.schedule)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned.

        Raises:
            ArgumentError: it is no state of such a schedule. Nothing has changed then.

        """
        check_state("Warmup", state, ("schedule",))
        load_states([(self.schedule, state["schedule"])])

    def _rate(self, step: int) -> float:
        if step < self.steps:
            return rate_of(self.schedule, 0) * (step + 1) / (self.steps + 1)
        return rate_of(self.schedule, step - self.steps)


@schedule
class Joined(Base):
    """A schedule of several schedules, one after the other.

    Each part counts its steps from its own start. The last one continues, if it has no end.

    Args:
        schedules: two or more schedules. A number is a constant rate.
        boundaries: the first step of each part but the first one, in increasing order.

    Raises:
        ArgumentError: the boundaries are not in order, there is not one less of them than there
            are schedules, a schedule ends before its boundary, or a step past the end is wanted.
        ArgumentTypeError: a schedule is something else.

    Source: PyTorch's SequentialLR.

    >>> from anynet.optimizers import schedules
    >>> rate = schedules.Joined((schedules.Linear(0.3, 3), schedules.Step(0.3, 2)), (3,))
    >>> [round(rate(step), 3) for step in range(7)]
    [0.1, 0.167, 0.233, 0.3, 0.3, 0.03, 0.03]

    """

    schedules: Sequence[float | Schedule]
    boundaries: Sequence[int]

    def __post_init__(self) -> None:
        if not isinstance(self.schedules, Sequence):
            raise ArgumentTypeError(
                f"schedules is {describe(self.schedules)}: wanted a tuple of schedules"
            )
        parts = tuple([check_schedule("one of schedules", part) for part in self.schedules])
        boundaries = steps_in_order("boundaries", self.boundaries, least=1)
        if len(boundaries) != len(parts) - 1 or not boundaries:
            raise ArgumentError(
                f"there are {len(parts)} schedules and {len(boundaries)} boundaries: wanted two "
                "or more schedules, and the first step of each but the first one"
            )
        if len(set(boundaries)) < len(boundaries):
            raise ArgumentError(f"boundaries is {boundaries}: wanted different steps")
        self._set("schedules", parts)
        self._set("boundaries", boundaries)
        starts = 0, *boundaries
        for part, start, end in zip(parts, starts, boundaries, strict=False):
            if isinstance(part, Base):
                # An error in the middle of the training would come late.
                part(end - start - 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each schedule, None for one that has none."""
        return {str(i): state_of(part) for i, part in enumerate(self.schedules)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned.

        Raises:
            ArgumentError: it is no state of such a schedule. Nothing has changed then.

        """
        parts = {str(i): part for i, part in enumerate(self.schedules)}
        check_state("Joined", state, parts)
        load_states([(part, state[name]) for name, part in parts.items()])

    def _rate(self, step: int) -> float:
        i = bisect_right(self.boundaries, step)
        start = self.boundaries[i - 1] if i else 0
        return rate_of(self.schedules[i], step - start)
