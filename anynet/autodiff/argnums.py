"""The choice of the arguments to differentiate, and the structure of the result for them."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import Any

from anynet.callables import signature_of
from anynet.errors import DifferentiationError

#: One position, or several. None means the first argument, or none where there are names.
Argnums = int | Sequence[int] | None
Argnames = str | Sequence[str] | None
#: The position of an argument in a call, or its keyword.
Key = int | str


class Chosen:
    """The chosen arguments of ``f``, by position and by name.

    Raises:
        DifferentiationError: a position is not an integer, a name is not a string, or there is
            neither.

    """

    def __init__(
        self,
        f: Callable[..., Any],
        argnums: Argnums,
        argnames: Argnames = None,
    ) -> None:
        if argnums is None and argnames is None:
            argnums = 0
        self._f = f
        self.one_position = not isinstance(argnums, Sequence)
        self.one_name = not isinstance(argnames, Sequence) or isinstance(argnames, str)
        positions: Any = () if argnums is None else (argnums,) if self.one_position else argnums
        self.positions = tuple(map(_position, positions))
        names: Any = () if argnames is None else (argnames,) if self.one_name else argnames
        for name in names:
            if type(name) is not str:
                raise DifferentiationError(
                    f"argnames is {name!r}: wanted the name of an argument, or a tuple of them"
                )
        self.names: tuple[str, ...] = tuple(names)
        if not self.positions and not self.names:
            raise DifferentiationError(
                "argnums and argnames are empty: wanted one argument or more"
            )
        # The most frequent choice has a fast path.
        self._single = (
            self.positions[0] if self.one_position and self.positions and not self.names else None
        )

    def guard_key(self) -> Any:
        """Return what a compiled step compares. It reaches the function in another place."""
        return self.one_position, self.one_name, self.positions, self.names

    def keys(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> list[Key]:
        """Return the keys of the chosen arguments in a call.

        Raises:
            DifferentiationError: the call has no such argument, or one is chosen twice.

        """
        count = len(args)
        if self._single is not None and 0 <= self._single < count:
            return [self._single]
        keys: list[Key] = []
        for position in self.positions:
            if not -count <= position < count:
                by_name = f" and {', '.join(named)} by name: choose those with argnames"
                raise DifferentiationError(
                    f"argnums is {position}, and the function was called with {count} positional "
                    f"arguments{by_name if named else ''}"
                )
            keys.append(position % count)
        keys += [name if name in named else self._position_of(name, count) for name in self.names]
        if len(set(keys)) < len(keys):
            raise DifferentiationError(
                f"{self} chooses one argument twice: the function was called with {count} "
                "positional arguments"
            )
        return keys

    def _position_of(self, name: str, count: int) -> int:
        """Return the position of a named argument that was passed by position."""
        signature = signature_of(self._f)
        parameters = signature.parameters.values() if signature else ()
        positional = [p.name for p in parameters if p.kind in _POSITIONAL]
        if name not in positional[:count]:
            raise DifferentiationError(
                f"argnames is {name!r}: the function was called without such an argument"
            )
        return positional.index(name)

    def structure(self, results: list[Any]) -> Any:
        """Return the results for the arguments, in the order of `keys`, in the user's structure.

        That is one result for one position or name, a tuple for several positions, and a dict for
        several names. With positions and names it is a pair of these.
        """
        if self._single is not None:
            return results[0]
        split = len(self.positions)
        of_positions = results[0] if self.one_position and split else tuple(results[:split])
        if not self.names:
            return of_positions
        named = dict(zip(self.names, results[split:], strict=True))
        of_names = results[split] if self.one_name else named
        return (of_positions, of_names) if split else of_names

    def __str__(self) -> str:
        given = [("argnums", self.positions), ("argnames", self.names)]
        return " and ".join(f"{name} {value}" for name, value in given if value)


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _position(given: Any) -> int:
    try:
        if isinstance(given, bool):
            raise TypeError
        return index(given)
    except TypeError:
        raise DifferentiationError(
            f"argnums is {given!r}: wanted the position of an argument, an integer, or a tuple of "
            "them"
        ) from None
