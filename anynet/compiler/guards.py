"""Guards: whether a call of a compiled step is like the last one.

They compare objects by identity, so that a call that repeats the last one is not flattened again.
"""

from typing import Any
from weakref import ref

from anynet.array import is_array
from anynet.compiler.contents import Contents
from anynet.compiler.flatten import Arguments, Outside, layout


class Guards:
    """The checks of a call that is like the last one, whose arguments need not be flattened."""

    def __init__(
        self,
        used: list[int],
        args: list[Any],
        arguments: Arguments,
        outside: Outside,
    ) -> None:
        self._count = len(args)
        self._trees: list[tuple[int, Any]] = []
        self._arrays: list[tuple[int, Any, tuple[Any, ...]]] = []
        for i, arg in enumerate(args):
            if is_array(arg):
                self._arrays.append((i, _reference(arg), layout(arg)))
            else:
                self._trees.append((i, arg))
        # Arguments that are arrays are read from the arguments, and not kept.
        reads = outside.reads + arguments.reads
        places = [(None if holder is args else holder, name) for holder, name in reads]
        self._places = [places[i] for i in used]
        self._contents = Contents(outside, arguments.containers)
        self.refresh = self._contents.refresh

    def leaves(self, args: tuple[Any, ...]) -> list[Any] | None:
        """Return the leaves of a call that differs in no more than arrays of the same layout among
        its arguments, None for another call.
        """
        if len(args) != self._count:
            return None
        for i, before in self._trees:
            if args[i] is not before:
                return None
        for i, known, (kind, shape, dtype, device) in self._arrays:
            x = args[i]
            if type(x) is not kind or x.shape != shape or x.dtype != dtype:
                return None
            # A data set is often the same array. The device of an array can be slow to read.
            if known() is not x and getattr(x, "device", None) != device:
                return None
        if not self._contents.are_unchanged():
            return None
        return [(args if holder is None else holder)[name] for holder, name in self._places]


def _reference(x: object) -> Any:
    try:
        return ref(x)
    except TypeError:
        # A NumPy scalar.
        return lambda: None
