"""A namespace for libraries that lack parts of the standard."""

from collections.abc import Callable, Collection
from functools import wraps
from types import ModuleType
from typing import Any

from anynet.array import Namespace
from anynet.errors import BackendError


class NamespaceAdapter(Namespace):
    """A library's namespace with the parts of the Array API standard that it lacks.

    It is for `Backend.namespace` of a plug-in. Functions that are not among ``parts`` are the
    library's own, and so are constants, dtypes and extensions.

    Args:
        library: the module with the library's functions.
        ignored: keyword arguments of the standard that the library's functions do not take, such as
            ``"device"`` where there is one device. They are dropped from every call, except for
            ``copy=True``, which raises.
        parts: functions and constants by name, which take precedence.

    Raises:
        BackendError: when a function is called with ``copy=True`` and the library cannot copy. Give
            it as one of the parts.

    >>> from anynet.namespace_adapter import NamespaceAdapter
    >>> xp = NamespaceAdapter(np, ignored=["device"], square=lambda x: x * x)
    >>> xp.square(xp.arange(3, device="gpu"))
    array([0, 1, 4])

    """

    def __init__(
        self,
        library: ModuleType,
        ignored: Collection[str] = (),
        **parts: Any,
    ) -> None:
        self.__name__ = library.__name__
        self._library = library
        self._ignored = frozenset(ignored)
        vars(self).update(parts)

    def __getattr__(self, name: str) -> Any:
        part = getattr(self._library, name)
        if isinstance(part, ModuleType):
            part = NamespaceAdapter(part, self._ignored)
        elif callable(part) and not isinstance(part, type):
            part = _without(part, self._ignored)
        setattr(self, name, part)
        return part

    def __repr__(self) -> str:
        return f"<{self.__name__} with added parts of the standard>"


def _without(function: Callable[..., Any], ignored: frozenset[str]) -> Callable[..., Any]:
    """Return the function without some keyword arguments."""

    @wraps(function)
    def call(*args: Any, **settings: Any) -> Any:
        if settings.keys().isdisjoint(ignored):
            return function(*args, **settings)
        taken = {name: value for name, value in settings.items() if name not in ignored}
        if settings.get("copy") and "copy" not in taken:
            raise BackendError(
                f"{function.__name__} was called with copy=True, which the library lacks: give the "
                f"adapter a function {function.__name__} that copies"
            )
        return function(*args, **taken)

    return call
