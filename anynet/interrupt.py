"""Ctrl-C that waits until a step of training is done, so that all parameters and buffers are of the
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

    To deliver is to call the handler that was there before; Python's own raises KeyboardInterrupt.
    A second signal, while one waits, is delivered at once. The handler from before is back at the
    end, also after an error. On other threads than the main one, and where the signal is ignored or
    ends the process, nothing changes.
    """

    def __init__(self) -> None:
        #: Whether a signal waits. Set it to False where one may be delivered at once, as while a
        #: user's code runs.
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
        # A handler that was set meanwhile stays.
        if signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, self._previous)
        # An error ends the run as well, and a KeyboardInterrupt would hide it.
        if error is None or self._previous is not signal.default_int_handler:
            self.deliver()

    def deliver(self) -> None:
        """Call the handler from before if a signal waits."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._previous(*waiting)

    def undeferred(self, iterable: Iterable[T]) -> Iterator[T]:
        """Yield the items of an iterable; a signal while it makes one is delivered at once."""
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
