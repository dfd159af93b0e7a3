"""Misspelt arguments and attributes: errors that suggest the right name.

Python accepts any attribute that is assigned, so a misspelt one would be ignored without a word.
A class declares its attributes by annotations, and by the names in the code of its methods.
"""

import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from types import CodeType
from typing import Any

from anynet.errors import ArgumentTypeError, AttributeNameError

#: A class whose code has one of these names may have attributes of any name.
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
    """Return the known name that a name abbreviates, as lr does learning_rate, or nearly spells."""
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
    """Return a question that suggests the nearest known name, "" if none is near."""
    meant = near(name, known)
    return f" (did you mean {meant!r}?)" if meant else ""


def check_arguments(
    kind: type,
    args: tuple[Any, ...],
    named: dict[str, Any],
) -> None:
    """Raise ArgumentTypeError if a class does not take these arguments."""
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


def check_attribute(
    owner: object,
    name: str,
    base: type,
) -> None:
    """Check the name of a new attribute of an object.

    Raises:
        AttributeNameError: the classes of the object, up to the base, do not declare it, or it is a
            property that can only be read.

    """
    kind = type(owner)
    inherited = inspect.getattr_static(kind, name, None)
    if isinstance(inherited, property) and inherited.fset is None:
        raise AttributeNameError(f"{kind.__name__}.{name} was assigned, and can only be read")
    if not hasattr(kind, name) and not declares(kind, name, base):
        raise AttributeNameError(_has_no(owner, name, _settable(owner)))


def no_attribute(owner: object, name: str) -> AttributeNameError:
    """Return the error for an attribute that is read and does not exist."""
    return AttributeNameError(_Unknown(owner, name))


class _Unknown:
    """The message about an attribute, computed when it is read, because hasattr() needs none."""

    def __init__(self, owner: object, name: str) -> None:
        self._owner, self._name = owner, name

    def __str__(self) -> str:
        owner = self._owner
        known = [name for name in vars(owner) if not name.startswith("_")]
        known += _members(type(owner))
        return _has_no(owner, self._name, known)

    __repr__ = __str__


def _has_no(
    owner: object,
    name: str,
    listed: list[str],
) -> str:
    kind = type(owner)
    meant = did_you_mean(name, [*listed, *_members(kind)])
    return f"{kind.__name__} has no attribute {name!r}{meant}: it has {', '.join(listed) or 'none'}"


def _members(kind: type) -> list[str]:
    """Return the public names of the methods and properties of a class."""
    names = [name for name in dir(kind) if not name.startswith("_")]
    return [name for name in names if _is_member(getattr(kind, name))]


def _is_member(x: object) -> bool:
    return callable(x) or isinstance(x, property)


def _settable(owner: object) -> list[str]:
    """Return the public names of the attributes that can be assigned."""
    properties = [
        name
        for kind in type(owner).__mro__
        for name, member in vars(kind).items()
        if isinstance(member, property) and member.fset is not None
    ]
    return [name for name in (*properties, *vars(owner)) if not name.startswith("_")]


def declares(
    kind: type,
    name: str,
    base: type,
) -> bool:
    """Return whether a class, or one of its bases up to a base, declares an attribute."""
    declared = _declared(kind, base)
    return name in declared or not _ANY_NAME.isdisjoint(declared)


@cache
def _declared(kind: type, base: type) -> frozenset[str]:
    """Return the names of attributes that classes annotate or that their code contains."""
    names = {*base.__annotations__}
    for cls in kind.__mro__[: kind.__mro__.index(base)]:
        names.update(cls.__annotations__, _ANY_NAME & vars(cls).keys() - {"__dict__"})
        for code in _codes(cls):
            names.update(_names_in(code))
    return frozenset(names)


def _codes(cls: type) -> Iterator[CodeType]:
    """Yield the code of the methods and properties of a class."""
    for name, member in vars(cls).items():
        if name == "__replace__":
            # From Python 3.13 on, dataclasses have it. It has the names of fields only.
            continue
        is_property = isinstance(member, property)
        for function in (member.fget, member.fset) if is_property else (member,):
            plain = inspect.unwrap(getattr(function, "__func__", function))
            code = getattr(plain, "__code__", None)
            if isinstance(code, CodeType):
                yield code


def _names_in(code: CodeType) -> Iterator[str]:
    """Yield the names of attributes and globals in code, and in the functions inside it."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names_in(inner)
