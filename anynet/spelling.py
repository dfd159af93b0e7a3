"""Misspelt names: what was meant by an argument or an attribute that does not exist.

Python accepts any attribute that is assigned, so a misspelt one would be ignored without a word.
"""

import dis
import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from types import CodeType
from typing import Any

from anynet.errors import ArgumentTypeError, AttributeNameError

#: A class whose code uses these may read and write attributes of any name.
_ANY_NAME = frozenset(
    (
        "setattr",
        "getattr",
        "vars",
        "__dict__",
        "__setattr__",
        "__getattribute__",
    )
)


def near(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that differs in few letters, or that this one abbreviates, as lr does
    learning_rate.
    """
    # Imported here, because it takes a while.
    from difflib import get_close_matches

    known = list(known)
    short = name.lower().replace("_", "")
    for other in known:
        initials = "".join(part[:1] for part in other.split("_"))
        if len(short) > 1 and (short == initials or other.startswith(short)):
            return other
    return next(iter(get_close_matches(name, known, 1, 0.7)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the question for the known name that was meant, "" where none is near."""
    meant = near(name, known)
    return f" (did you mean {meant!r}?)" if meant else ""


def check_arguments(kind: type, args: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Raise ArgumentTypeError where a class is called with arguments that it does not take."""
    init: Any = kind.__init__  # type: ignore[misc]  # of this very class
    signature = inspect.signature(init)
    try:
        signature.bind(None, *args, **named)
    except TypeError as error:
        parameters = list(signature.parameters.values())[1:]
        taken = [parameter.name for parameter in parameters]
        wrong = next((name for name in named if name not in taken), "")
        shown = inspect.Signature(
            [parameter.replace(annotation=parameter.empty) for parameter in parameters]
        )
        problem = f"takes no argument {wrong!r}" if wrong else f"was called wrongly: {error}"
        raise ArgumentTypeError(
            f"{kind.__name__} {problem}{did_you_mean(wrong, taken)}; wanted {kind.__name__}{shown}"
        ) from None


def check_attribute(of: Any, name: str, base: type) -> None:
    """Check the name of an attribute that an object does not have yet.

    Raises:
        AttributeNameError: it is neither in the object's class nor used by the code of its classes,
            up to the base.

    """
    kind = type(of)
    inherited = getattr(kind, name, None)
    if isinstance(inherited, property) and inherited.fset is None:
        raise AttributeNameError(f"{kind.__name__}.{name} was assigned, and can only be read")
    if inherited is None and not is_used(name, kind, base):
        raise AttributeNameError(_has_no(of, name, _settable(of)))


def no_attribute(of: Any, name: str) -> AttributeNameError:
    """Return the error for an attribute that is read and does not exist."""
    return AttributeNameError(_Unknown(of, name))


class _Unknown:
    """The message about an attribute, written when it is read: hasattr() asks for no message."""

    def __init__(self, of: Any, name: str) -> None:
        self._of, self._name = of, name

    def __str__(self) -> str:
        kind = type(self._of)
        members = [
            name
            for name in dir(kind)
            if callable(x := getattr(kind, name)) or isinstance(x, property)
        ]
        known = [name for name in (*vars(self._of), *members) if not name.startswith("_")]
        return _has_no(self._of, self._name, known)

    __repr__ = __str__


def _has_no(of: Any, name: str, known: list[str]) -> str:
    listed = ", ".join(known) or "none"
    return (
        f"{type(of).__name__} has no attribute {name!r}{did_you_mean(name, known)}: it has {listed}"
    )


def _settable(of: Any) -> list[str]:
    """Return the public names of the attributes that can be assigned."""
    properties = [
        name
        for kind in type(of).__mro__
        for name, member in vars(kind).items()
        if isinstance(member, property) and member.fset is not None
    ]
    return [name for name in (*properties, *vars(of)) if not name.startswith("_")]


def is_used(name: str, kind: type, base: type) -> bool:
    """Tell whether the code of a class and of its bases, up to one of these, uses an attribute, or
    may use any.
    """
    used = _used(kind, base)
    return name in used or not _ANY_NAME.isdisjoint(used)


@cache
def _used(kind: Any, base: Any) -> frozenset[str]:
    """Return the names of the attributes that classes declare or use."""
    found = set(vars(base).get("__annotations__", ()))
    for of in kind.__mro__[: kind.__mro__.index(base)]:
        found.update(
            vars(of).get("__annotations__", ()),
            _ANY_NAME.intersection(vars(of)) - {"__dict__"},
        )
        for member in vars(of).values():
            for function in (
                (member.fget, member.fset) if isinstance(member, property) else (member,)
            ):
                function = inspect.unwrap(getattr(function, "__func__", function))  # type: ignore[arg-type]
                code = getattr(function, "__code__", None)
                # From Python 3.13 on, a dataclass has a __replace__, which uses no names but those
                # of fields.
                own = getattr(function, "__module__", None) != "dataclasses"
                if own and isinstance(code, CodeType) and code.co_argcount:
                    found.update(_names_in(code, code.co_varnames[0]))
    return frozenset(found)


def _names_in(code: CodeType, own: str) -> Iterator[str]:
    """Yield the attributes of the object of this name that code uses, and the functions that may
    use any.
    """
    yield from _ANY_NAME.intersection(code.co_names)
    loaded = ""
    for instruction in dis.get_instructions(code):
        if loaded == own and instruction.opname in (
            "LOAD_ATTR",
            "STORE_ATTR",
            "DELETE_ATTR",
            "LOAD_METHOD",
        ):
            yield instruction.argval
        # Some instructions load two variables, and have both names.
        value = instruction.argval
        loaded = value[-1] if isinstance(value, tuple) and value else value
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names_in(inner, own)
