"""Scalars that differ from step to step, which a compiled step computes again each time it runs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anynet.compiler.recorder import Recorder


class DynamicScalars:
    """The base of what computes scalars that differ from step to step, as the clock of an optimizer
    does.

    A compiled step computes them again each time it runs. Its attributes may change with every
    step; where a step fails they are put back.
    """

    #: What records at the moment.
    recorder: "Recorder | None" = None

    def scalars(self, compute: Callable[[], tuple[float, ...]]) -> tuple[Any, ...]:
        """Return the scalars that a function computes, which is called again each time."""
        return compute() if self.recorder is None else self.recorder.scalars(compute)

    def is_read(self, what: str) -> None:
        """Note that a step has seen what is another number each time it runs."""
        if self.recorder is not None:
            self.recorder.seen = what

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes of a copy, whose own scalars a compiled step would not compute
        again.
        """
        self.is_read("a copy of an optimizer")
        return {name: value for name, value in vars(self).items() if name != "recorder"}

    def afterwards(self, change: Callable[[], None]) -> None:
        """Make a change that the scalars of later updates depend on, and make it again each
        time.
        """
        change()
        if self.recorder is not None:
            self.recorder.questions.append((change, ()))
