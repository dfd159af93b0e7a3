"""Ctrl-C that waits for the end of a training step, so that all parameters and buffers are of the
same step.
"""

import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class DeferredInterrupt:
    """A context in which SIGINT waits for the next `deliver`, or for the end of the context.

    `deliver` calls the previous handler. Python's own raises KeyboardInterrupt. A second signal is
    delivered at once if one is waiting. The end of the context restores the previous handler, also
    after an error. The context has no effect in threads other than the main one, and if the signal
    is ignored or ends the process.

    >>> import signal
    >>> from anynet.interrupt import DeferredInterrupt
    >>> steps = []
    >>> try:
    ...     with DeferredInterrupt():
    ...         signal.raise_signal(signal.SIGINT)
    ...         steps.append("the step is complete")
    ... except KeyboardInterrupt:
    ...     print(steps)
    ['the step is complete']

    """

    def __init__(self) -> None:
        #: Whether signals wait. Set it to False while they may be delivered at once, for example
        #: while a user's code runs.
        self.deferring = True
        self._previous: Any = None
        self._waiting: tuple[int, FrameType | None] | None = None

    def __enter__(self) -> Self:
        previous = signal.getsignal(signal.SIGINT)
        if callable(previous):
            # Only the main thread may set handlers.
            with suppress(ValueError):
                signal.signal(signal.SIGINT, self._handle)
                self._previous = previous
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A handler that was installed inside the context stays.
        if signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, self._previous)
        # An error also ends the run, and a KeyboardInterrupt would hide it.
        if error is None or self._previous is not signal.default_int_handler:
            self.deliver()

    @property
    def is_waiting(self) -> bool:
        """Whether a signal waits."""
        return self._waiting is not None

    def deliver(self) -> None:
        """Call the previous handler if a signal is waiting."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._previous(*waiting)

    def undeferred(self, iterable: Iterable[T]) -> Iterator[T]:
        """Yield the items of an iterable. Signals do not wait while it computes an item."""
        try:
            self.deferring = False
            for item in iterable:
                self.deferring = True
                yield item
                self.deferring = False
        finally:
            self.deferring = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.deferring and self._waiting is None:
            self._waiting = number, frame
        else:
            self._previous(number, frame)
