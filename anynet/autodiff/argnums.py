"""The arguments that a transformation differentiates: which ones, and the structure of what it
returns for them.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import Any

from anynet.callables import signature_of
from anynet.errors import DifferentiationError

#: One position, or several; None for the first argument, or for none where names are given.
Argnums = int | Sequence[int] | None
Argnames = str | Sequence[str] | None
#: Where an argument is in a call: a position, or the name of a keyword.
Key = int | str


class Chosen:
    """The arguments of ``f`` at positions and under names.

    Raises:
        DifferentiationError: a position is no integer, a name no string, or there is neither.

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
                    f"argnames says {name!r}: wanted the name of an argument, or a tuple of them"
                )
        self.names: tuple[str, ...] = tuple(names)
        if not self.positions and not self.names:
            raise DifferentiationError(
                "argnums and argnames are empty: wanted one argument or more"
            )
        # What is chosen most often: every step asks.
        self._single = (
            self.positions[0] if self.one_position and self.positions and not self.names else None
        )

    def keys(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> list[Key]:
        """Return where the arguments are in a call.

        Raises:
            DifferentiationError: one is not there, or is chosen twice.

        """
        count = len(args)
        if self._single is not None and 0 <= self._single < count:
            return [self._single]
        keys: list[Key] = []
        for position in self.positions:
            if not -count <= position < count:
                by_name = (
                    f" and {', '.join(named)} by name: choose those with argnames" if named else ""
                )
                raise DifferentiationError(
                    f"argnums says argument {position}, the function was called with {count} in "
                    f"order{by_name}"
                )
            keys.append(position % count)
        keys += [
            name if name in named else self._named_in_order(name, count) for name in self.names
        ]
        if len(set(keys)) < len(keys):
            raise DifferentiationError(
                f"{self} says one argument twice: the function was called with {count} in order"
            )
        return keys

    def _named_in_order(self, name: str, count: int) -> int:
        """Return the position of an argument that was given in order."""
        in_order = (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        )
        signature = signature_of(self._f)
        known = (
            [p.name for p in signature.parameters.values() if p.kind in in_order]
            if signature
            else []
        )
        if name not in known[:count]:
            raise DifferentiationError(
                f"argnames says {name!r}: the function was called without such an argument"
            )
        return known.index(name)

    def structure(self, found: list[Any]) -> Any:
        """Return what was found for each argument, in the order of `keys`, as it was asked for.

        One for one position or name, a tuple for several positions, a dict for several names; a
        pair of these where both are given.
        """
        if self._single is not None:
            return found[0]
        split = len(self.positions)
        of_positions = found[0] if self.one_position and split else tuple(found[:split])
        if not self.names:
            return of_positions
        of_names = (
            found[split] if self.one_name else dict(zip(self.names, found[split:], strict=True))
        )
        return (of_positions, of_names) if split else of_names

    def __str__(self) -> str:
        given = [("argnums", self.positions), ("argnames", self.names)]
        return " and ".join(f"{name} {value}" for name, value in given if value)


def _position(given: Any) -> int:
    try:
        if isinstance(given, bool):
            raise TypeError
        return index(given)
    except TypeError:
        raise DifferentiationError(
            f"argnums says {given!r}: wanted the position of an argument, an integer, or a tuple of "
            "them"
        ) from None
