"""Accumulation: an update with the gradients of several batches."""

from functools import partial
from typing import Any, ClassVar, NamedTuple

from anynet import tree
from anynet.array import Array, array_namespace, is_array, widened
from anynet.errors import ArgumentError
from anynet.optimizers.base import gradient_like, in_order
from anynet.optimizers.checks import positive_integer
from anynet.optimizers.wrapper import Wrapper
from anynet.primitives.precision import rounded
from anynet.state import State, check_count, check_state
from anynet.tracing.dynamic_scalars import DynamicValue


class _Progress(NamedTuple):
    #: How many calls are left until the update, this one included.
    remaining: int
    #: How many calls make this update.
    steps: int
    #: The paths of sums that have had no gradient since the last update.
    stale: frozenset[str]


class Accumulation(Wrapper):
    """An optimizer that updates at every ``steps``-th call, with the mean of the gradients.

    A batch that is split into equal parts has the same update as the whole batch, in less memory. A
    gradient that is None counts as zero, unless all of them are None, which stays None. A schedule
    counts the updates, and not the calls. Gradients after the last update are kept for the next
    one.

    Args:
        optimizer: makes the updates.
        steps: how many calls make an update, 1 or more. A new value counts from the next update.

    Raises:
        ArgumentError: ``steps`` is out of range.
        ArgumentTypeError: the optimizer is something else.

    >>> import numpy as np
    >>> from anynet.optimizers import SGD, Accumulation
    >>> net, optimizer = {"w": np.array([1.0])}, Accumulation(SGD(0.5), steps=2)
    >>> for gradient in (1.0, 3.0):
    ...     optimizer.update(net, {"w": np.array([gradient])})
    ...     print(net["w"])
    [1.]
    [0.]

    """

    SETTINGS = ("steps",)
    CHECKS: ClassVar = {"steps": positive_integer}

    #: The sum of the gradients of each parameter by its path, None before the first one.
    sums: dict[str, Array | None]
    _progress: DynamicValue
    #: Whether the paths of the sums are in the order of the network's. Loaded ones may not be.
    _is_in_order: bool = True

    def __init__(self, optimizer: Any, steps: int) -> None:
        super().__init__(optimizer)
        self.steps = steps
        self.sums = {}
        start = _Progress(self.steps, self.steps, frozenset())
        self._progress = DynamicValue(start, "the progress of the accumulation")

    def update(self, net: Any, grads: Any) -> None:
        """Add the gradients, and update the parameters at every ``steps``-th call.

        Args:
            net: a network, or another tree of arrays.
            grads: a tree of the same structure, with None for a parameter that does not change.

        Raises:
            ArgumentError: the network and the gradients differ in structure, or the network has
                other parameters than the one of the first call. Nothing has changed then.
            ShapeError: a gradient has another shape than its parameter.
            StateError: the averages of an optimizer inside are in the network.

        """
        self.check_not_swapped()
        if not self.sums:
            # The calls before the first update then have the program of all others.
            self.begin(net, grads)
        pairs = tree.pairs(net, grads)
        before = self._sums(net, len(pairs))
        sums = dict(before)
        given: set[str] = set()
        for path, (_, _, parameter, gradient) in zip(sums, pairs, strict=True):
            if gradient is None:
                continue
            if gradient.dtype != parameter.dtype or gradient.shape != parameter.shape:
                gradient = gradient_like(path, parameter, gradient)
            wide, total = widened(gradient), sums[path]
            # A copy, because the caller may write into the gradient.
            xp = array_namespace(wide)
            sums[path] = xp.astype(wide, wide.dtype) if total is None else total + wide
            given.add(path)
        like = pairs[0][2] if pairs else None
        # None until the call of the update, so that the calls before have one program.
        due = self._progress.branch(partial(_due, steps=self.steps), like=like)
        if due is not None:
            stale = due.stale - given
            self._update_inside(net, pairs, sums, stale, due.steps)
            for path, total in sums.items():
                if total is not None and path not in stale:
                    sums[path] = array_namespace(total).zeros_like(total)
        # The same dict, because compiled steps flatten their arguments again where one is new.
        before.update(sums)
        if before is not self.sums:
            self.sums = before
            vars(self).pop("_is_in_order", None)
        summed = frozenset(path for path, total in sums.items() if total is not None)
        advance = partial(
            _advance,
            steps=self.steps,
            summed=summed,
            given=frozenset(given),
        )
        self._progress.advance(advance, like=like)

    def _sums(self, net: Any, count: int) -> dict[str, Array | None]:
        """Return the sum of each of ``count`` parameters by its path, in order.

        Raises:
            ArgumentError: the network has other parameters than that of the first call.

        """
        if count == len(self.sums) and self._is_in_order:
            return self.sums
        paths = [path for path, _ in tree.leaves(net)]
        return in_order(self.sums or dict.fromkeys(paths), paths, net)

    def check_schedule(self, calls: int) -> None:
        """Raise an error if a schedule ends before this many further calls of `update`.

        Args:
            calls: 1 or more. Each ``steps`` of them make one update.

        Raises:
            ArgumentError: a schedule has no rate for the last update.

        """
        remaining = _begun(self._progress.peek(), self.steps).remaining
        if calls >= remaining:
            super().check_schedule(1 + (calls - remaining) // self.steps)

    def _update_inside(
        self,
        net: Any,
        pairs: list[tuple[Any, Any, Array, Any]],
        sums: dict[str, Array | None],
        stale: frozenset[str],
        steps: int,
    ) -> None:
        means: list[Array | None] = []
        for (path, total), (_, _, parameter, _) in zip(sums.items(), pairs, strict=True):
            if total is None or path in stale:
                means.append(None)
            else:
                means.append(rounded(total / steps, parameter))
        self.optimizer.update(net, tree.unflatten(net, means))

    def own_state(self) -> State:
        """Return the sums, the calls until the update and those that make it, and the paths of sums
        that have had no gradient since the last one.
        """
        progress = _begun(self._progress.peek(), self.steps)
        return {
            "sums": dict(self.sums),
            "remaining": progress.remaining,
            "steps": progress.steps,
            "stale": sorted(progress.stale),
        }

    def load_own_state(self, state: State) -> None:
        """Go on from a state that `own_state` returned, or raise and change nothing."""
        sums, remaining, stale = state["sums"], state["remaining"], state["stale"]
        check_state("the sums of Accumulation", sums, (), sums)
        wrong = [path for path, x in sums.items() if x is not None and not is_array(x)]
        if wrong:
            raise ArgumentError(f"the sum of Accumulation for {wrong[0]} is no array")
        check_count("the remaining calls of Accumulation", remaining)
        steps = check_count("the steps of Accumulation", state["steps"])
        if not 1 <= remaining <= steps:
            raise ArgumentError(
                f"the state of Accumulation has {remaining} remaining calls: wanted 1 to "
                f"{steps}, which is steps"
            )
        if not isinstance(stale, list) or not set(stale) <= set(sums):
            raise ArgumentError(
                f"the stale sums of Accumulation are {stale!r:.60}: wanted paths of sums"
            )
        self.sums = dict(sums)
        self._is_in_order = False
        self._progress.value = _Progress(remaining, steps, frozenset(stale))


def _begun(progress: _Progress, steps: int) -> _Progress:
    """Return the progress, with a new number of steps where no call has been made yet."""
    if progress.remaining < progress.steps:
        return progress
    return progress._replace(remaining=steps, steps=steps)


def _due(progress: _Progress, steps: int) -> _Progress | None:
    """Return what this call's update needs, None if it makes none."""
    progress = _begun(progress, steps)
    return progress._replace(remaining=0) if progress.remaining <= 1 else None


def _advance(
    progress: _Progress,
    steps: int,
    summed: frozenset[str],
    given: frozenset[str],
) -> _Progress:
    """Return the progress after a call.

    Args:
        progress: before the call.
        steps: how many calls make an update.
        summed: the paths that have sums.
        given: the paths that had a gradient in this call.

    """
    progress = _begun(progress, steps)
    if progress.remaining <= 1:
        return _Progress(steps, steps, summed)
    return progress._replace(
        remaining=progress.remaining - 1,
        stale=progress.stale - given,
    )
