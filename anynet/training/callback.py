"""The base of callbacks, and the moments at which `anynet.fit` calls them."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from anynet.arguments import describe, whole_number
from anynet.array import Array
from anynet.data.rows import Batch
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.layers import Module
from anynet.training.history import History
from anynet.training.step import SupportsUpdate
from anynet.training.stopwatch import Stopwatch

#: The methods of a callback, in the order of a run.
MOMENTS = ("on_train_begin", "on_epoch_begin", "on_step_end", "on_epoch_end", "on_train_end")


class RunView(Protocol):
    """What a callback reads of a run, and how it ends one."""

    @property
    def net(self) -> Module:
        """The network."""

    @property
    def optimizer(self) -> SupportsUpdate:
        """The optimizer."""

    @property
    def history(self) -> History:
        """The finished epochs, and the losses of their steps."""

    @property
    def epoch(self) -> int:
        """The number of the epoch, from 1."""

    @property
    def step(self) -> int:
        """How many steps of the epoch were made."""

    @property
    def updates(self) -> int:
        """How many steps of the run were made, over all epochs."""

    @property
    def loss(self) -> float:
        """The loss of the last step, NaN before the first. To read it waits for the device."""

    @property
    def batch(self) -> Batch | None:
        """The last batch, None where the device takes the rows of the data itself."""

    @property
    def rows(self) -> Batch | None:
        """All rows of the training data, None where they come in batches of an iterable."""

    @property
    def is_first(self) -> bool:
        """Whether this rank of a group writes files, True without a group."""

    def loss_of_batch(self, net: Any, *batch: Any) -> Array:
        """Return the loss of a network on a batch."""

    def stop(self) -> None:
        """End the run after this step. The epoch then ends as usual, with its scores."""


class Callback:
    """The base of callbacks. Override the methods of the moments that you need.

    Each is called with the run, which has the attributes ``net``, ``optimizer``, ``history``,
    ``epoch`` (from 1), ``step`` (of the epoch, from 1), ``updates`` (steps of the whole run),
    ``loss`` (of the last step, a float) and ``batch``, and a method ``stop()``. An error in a
    callback ends the run. It has a note that names the callback and the moment.

    Where the device makes many steps at once, `on_step_end` is called for each of them in order
    after the last one, and the network is that of the last one. With ``every = N`` the device stops
    at each multiple of N updates, so that the network is that of the step.

    In a group, the callbacks of all ranks are called, because they may end the run. The attribute
    ``is_first`` of the run is true for the rank that writes files. A class with ``first_rank_only =
    True`` is called on that rank alone.

    A callback with state has `state_dict` and `load_state_dict`, which checkpoints use.

    >>> import numpy as np
    >>> from anynet import callbacks
    >>> class Losses(callbacks.Callback):
    ...     def on_epoch_end(self, run):
    ...         print(run.epoch, run.updates, len(run.history.losses))
    >>> net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    >>> data = np.ones((6, 2), "float32"), np.asarray([0, 1] * 3)
    >>> _ = anynet.fit(net, data, batch_size=2, epochs=2, callbacks=[Losses()], progress=False)
    1 3 3
    2 6 6

    """

    #: Whether it is called on rank 0 of a group alone, because it writes files and decides nothing.
    first_rank_only: ClassVar[bool] = False
    #: At which updates the device stops for `on_step_end`: each multiple of this, None for no need.
    every: int | None = None

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        for name in vars(cls):
            if name.startswith("on_") and name not in MOMENTS:
                raise ArgumentError(
                    f"{cls.__name__} has a method {name}, which fit never calls: wanted "
                    f"{', '.join(MOMENTS)}"
                )

    def on_train_begin(self, run: RunView) -> None:
        """Act before the first epoch."""

    def on_epoch_begin(self, run: RunView) -> None:
        """Act before the first step of each epoch."""

    def on_step_end(self, run: RunView) -> None:
        """Act after each step."""

    def on_epoch_end(self, run: RunView) -> None:
        """Act after each epoch. Its scores are in ``run.history.epochs[-1]``."""

    def on_train_end(self, run: RunView) -> None:
        """Act after the last epoch, and after Ctrl-C, but not after an error."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a continued run needs, empty by default."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned."""


_DEFAULTS = {moment: getattr(Callback, moment) for moment in MOMENTS}


class Callbacks:
    """The callbacks of a run, by moment.

    Args:
        callbacks: called in this order at each moment. An object with some of these methods
            and a state is enough, such as the schedule `anynet.optimizers.schedules.Plateau`.
        clock: counts the time of each callback, None to count none.

    Raises:
        ArgumentTypeError: one of them is not a callback.

    """

    def __init__(
        self,
        callbacks: Sequence[Callback],
        clock: Stopwatch | None = None,
    ) -> None:
        if isinstance(callbacks, str) or not isinstance(callbacks, Sequence):
            raise ArgumentTypeError(
                f"callbacks is {describe(callbacks)}: wanted a list, such as "
                "[callbacks.EarlyStopping()]"
            )
        for callback in callbacks:
            # A checkpoint has the state of each callback.
            methods = ("state_dict", "load_state_dict")
            moments = [moment for moment in MOMENTS if callable(getattr(callback, moment, None))]
            if not all(callable(getattr(callback, method, None)) for method in methods):
                moments = []
            if isinstance(callback, type) or not moments:
                raise ArgumentTypeError(
                    f"a callback is {describe(callback)}: wanted an object of a subclass of "
                    "anynet.callbacks.Callback"
                )
        #: Counts the time of each callback, None to count none.
        self.clock = clock
        #: The class of the callback that runs or ran last.
        self.last = ""
        self._by_moment = {
            moment: [callback for callback in callbacks if _overrides(callback, moment)]
            for moment in MOMENTS
        }
        #: Whether one needs the end of each step.
        self.at_steps = bool(self._by_moment["on_step_end"])
        #: Whether one that a user has passed may end the run after a step, on any rank of a group.
        self.can_stop = any(
            not hasattr(callback, "_part") and not _is_of_first_rank(callback)
            for callback in self._by_moment["on_step_end"]
        )
        every = [getattr(callback, "every", None) for callback in self._by_moment["on_step_end"]]
        self._every = [whole_number("every", number, 1) for number in every if number is not None]

    def leave_to_first_rank(self) -> None:
        """Leave out those that are called on the first rank of a group alone."""
        for moment, callbacks in self._by_moment.items():
            self._by_moment[moment] = [x for x in callbacks if not _is_of_first_rank(x)]
        self.at_steps = bool(self._by_moment["on_step_end"])

    def call(self, moment: str, run: RunView) -> None:
        """Call a moment of each callback. An error says in a note where it was raised."""
        for callback in self._by_moment[moment]:
            try:
                if self.clock is None:
                    getattr(callback, moment)(run)
                else:
                    self._call_timed(self.clock, callback, moment, run)
            except Exception as error:
                error.add_note(f"in {moment} of the callback {type(callback).__name__}")
                raise

    def _call_timed(
        self,
        clock: Stopwatch,
        callback: Callback,
        moment: str,
        run: RunView,
    ) -> None:
        self.last = type(callback).__name__
        # Callbacks of anynet that a user has not passed have a name in a report.
        with clock.part(getattr(callback, "_part", "") or f"callback {self.last}"):
            getattr(callback, moment)(run)

    def steps_until_stop(self, updates: int, most: int) -> int:
        """Return how many steps the device may make after this many updates, at least 1.

        It is a power of two if ``most`` is one, because the device compiles a loop for each count.
        """
        left = [every - updates % every for every in self._every]
        return min([most, *(1 << (steps.bit_length() - 1) for steps in left)])


def _is_of_first_rank(callback: Callback) -> bool:
    return getattr(callback, "first_rank_only", False)


def _overrides(callback: Callback, moment: str) -> bool:
    method: Callable[..., Any] | None = getattr(callback, moment, None)
    return callable(method) and getattr(method, "__func__", method) is not _DEFAULTS[moment]
