"""The programs of compiled training steps, kept from one call of `fit` to the next.

A program fits every call of its structure, see `anynet.compiler`. It keeps no network, no optimizer
and no loss, so another call with the same loss, shapes and settings can use it again.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple
from weakref import ref

from anynet.compiler.program import Program

#: Programs that are kept. Each may hold memory for its intermediate results.
KEPT = 8


class _Kept(NamedTuple):
    loss: "ref[Any]"
    program: Program


#: The last one was used last.
_kept: list[_Kept] = []
# Reentrant, because a loss may be deleted at any moment.
_lock = threading.RLock()


def take_programs(loss: Callable[..., Any]) -> list[Program]:
    """Return the programs of a loss, which nobody else then has, because each has one memory."""
    owner = _owner(loss)
    with _lock:
        found = [program for kept, program in _kept if kept() is owner]
        _kept[:] = [kept for kept in _kept if kept.program not in found]
    return found


def keep_programs(loss: Callable[..., Any], programs: Sequence[Program]) -> None:
    """Keep programs for the next call with a loss, at most until the loss is deleted."""
    try:
        owner = ref(_owner(loss), _forget)
    except TypeError:
        # An object that nothing can watch.
        return
    with _lock:
        _kept.extend(_Kept(owner, program) for program in programs[-KEPT:])
        del _kept[:-KEPT]


def _forget(owner: "ref[Any]") -> None:
    with _lock:
        _kept[:] = [kept for kept in _kept if kept.loss is not owner]


def _owner(loss: Any) -> Any:
    """Return the object that a loss lives as long as: the function of a partial, the object of a
    bound method, which both are made again and again, and the loss itself else.
    """
    while isinstance(loss, partial):
        loss = loss.func
    return getattr(loss, "__self__", None) or loss
