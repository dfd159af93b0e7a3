"""The time that a program spends in its parts."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

#: The part that runs while no other does.
REST = "other"


class Stopwatch:
    """The seconds of each part of a program, from the moment it is made.

    A part inside another one counts for itself, not for the outer one, so the seconds of all parts
    add up to the whole time.

    >>> from anynet.training.stopwatch import Stopwatch
    >>> clock = Stopwatch()
    >>> with clock.part("training"), clock.part("loading data"):
    ...     pass
    >>> list(clock.read())
    ['other', 'training', 'loading data']

    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {REST: 0.0}
        self._parts = [REST]
        self._since = time.perf_counter()

    def add(self, seconds: dict[str, float]) -> None:
        """Add the seconds of another stopwatch, such as that of an earlier run."""
        for name, value in seconds.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + value

    def read(self) -> dict[str, float]:
        """Return the seconds of each part until now."""
        self._count()
        return dict(self._seconds)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Return a context whose time counts for a part."""
        self._count()
        self._seconds.setdefault(name, 0.0)
        self._parts.append(name)
        try:
            yield
        finally:
            self._count()
            self._parts.pop()

    def timed(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """Yield the items of an iterable. The time that it takes to compute them counts for a
        part.
        """
        iterator = iter(items)
        while True:
            with self.part(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def _count(self) -> None:
        """Count the time since the last change for the part that runs."""
        now = time.perf_counter()
        self._seconds[self._parts[-1]] += now - self._since
        self._since = now
