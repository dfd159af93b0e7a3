"""The settings of a run as texts, which are equal in two runs with the same settings.

A function is named by its module and qualified name, with the values that it closes over. Its code
is not compared. The texts of a network and of data are the same on every array library.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import FunctionType
from typing import Any

from anynet import tree
from anynet.array import Array, dtype_name, is_array
from anynet.data.batches import Batches
from anynet.data.loader import Loader
from anynet.layers import Module
from anynet.training.rates import rates_of

#: Settings by name.
Settings = dict[str, str]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
#: Attributes of a module that are not settings.
_INTERNAL = frozenset({"_differentiated", "_observer", "_share"})


def show_setting(value: Any) -> str:
    """Return a text of a setting, without addresses.

    >>> from functools import partial
    >>> from anynet.training.settings import show_setting
    >>> show_setting(partial(losses.cross_entropy, label_smoothing=0.1))
    'anynet.losses.cross_entropy(label_smoothing=0.1)'

    """
    return _show(value, ())


def _show(value: Any, outer: tuple[int, ...]) -> str:
    if is_array(value):
        return _show_array(value)
    if id(value) in outer:
        return "…"
    outer = (*outer, id(value))
    if isinstance(value, partial):
        return f"{_show(value.func, outer)}({_show_arguments(value, outer)})"
    if isinstance(value, type):
        return _name(value)
    if isinstance(value, FunctionType):
        return _name(value) + _show_closure(value, outer)
    owner = getattr(value, "__self__", None)
    if owner is not None and isinstance(getattr(value, "__name__", None), str):
        return f"{_show(owner, outer)}.{value.__name__}"
    if isinstance(value, Module):
        parts = [f"{name}={_show(x, outer)}" for name, x in _attributes(value)]
        return f"{_name(type(value))}({', '.join(parts)})"
    if type(value) in (list, tuple):
        return f"({', '.join([_show(item, outer) for item in value])})"
    if type(value) is dict:
        return f"{{{', '.join([f'{key!r}: {_show(x, outer)}' for key, x in value.items()])}}}"
    if getattr(type(value), "__repr__", None) is object.__repr__:
        attributes = getattr(value, "__dict__", {})
        texts = [f"{name}={_show_content(x, outer)}" for name, x in attributes.items()]
        return f"{_name(type(value))}({', '.join(texts)})"
    return _ADDRESS.sub("", repr(value))


def _show_arguments(function: "partial[Any]", outer: tuple[int, ...]) -> str:
    positional = [_show(value, outer) for value in function.args]
    named = [f"{name}={_show(value, outer)}" for name, value in sorted(function.keywords.items())]
    return ", ".join([*positional, *named])


def _show_closure(function: FunctionType, outer: tuple[int, ...]) -> str:
    """Return the values that a function closes over in brackets, "" for none, or if it wraps
    another function, whose name it has.
    """
    if hasattr(function, "__wrapped__"):
        return ""
    values = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            content = cell.cell_contents
        except ValueError:
            # It is not assigned yet.
            continue
        values.append(f"{name}={_show_content(content, outer)}")
    return f"[{', '.join(values)}]" if values else ""


def _show_content(value: Any, outer: tuple[int, ...]) -> str:
    """Return the text of a value in a function or an object.

    A list or a dict may change in a run, such as the losses so far.
    """
    is_fixed = type(value) not in (list, dict, set)
    return _show(value, outer) if is_fixed else _name(type(value))


def _show_array(x: Array) -> str:
    dtype = dtype_name(x.dtype)
    # The widths of integers differ between libraries.
    kind = "integer" if dtype.startswith(("int", "uint")) else dtype
    return f"{kind} {tuple(x.shape)}"


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def network_settings(net: Any) -> Settings:
    """Return the class, the settings and the arrays of each module of a network, by its path."""
    settings = {
        f"net.{path}" if path else "net": f"{_name(type(module))}({', '.join(_parts(module))})"
        for path, module in tree.modules(net)
    }
    own = [f"{path}: {_show_array(x)}" for path, x in tree.own_leaves(net)]
    if own:
        settings["net"] = ", ".join(own)
    ties = tree.ties(net)
    return settings | {f"net.{path}": f"tied to {first}" for path, first in ties.items()}


def _parts(module: Any) -> Iterator[str]:
    """Yield the name and the text of each attribute of a module, but for modules in it."""
    for name, value in _attributes(module):
        if next(tree.modules(value), None) is None:
            yield f"{name}={show_setting(value)}"


def _attributes(module: Any) -> list[tuple[str, Any]]:
    return [(name, x) for name, x in vars(module).items() if name not in _INTERNAL]


def data_settings(name: str, batches: Loader | Batches) -> Settings:
    """Return the settings of a loader and the shapes of its data, or those of the first batch."""
    if not isinstance(batches, Loader):
        return _shapes(f"the first batch of {name}", batches.first())
    state = batches.state_dict()
    settings = {
        f"{name}.{key}": repr(value)
        for key, value in state.items()
        if key not in ("epoch", "batch")
    }
    settings[f"{name}.augment"] = show_setting(batches.augment)
    return settings | _shapes(name, batches.parts)


def _shapes(name: str, parts: Sequence[Any]) -> Settings:
    named = dict(zip(("x", "t", "weights"), parts, strict=False))
    leaves = tree.leaves(named)
    return {f"{name}.{path}": _show_array(x) for path, x in leaves if is_array(x)}


def run_settings(
    net: Any,
    data: Mapping[str, Loader | Batches | None],
    optimizer: Any,
    **others: Any,
) -> Settings:
    """Return the settings of a run.

    Args:
        net: the network.
        data: by the name of the argument, such as ``train``.
        optimizer: its repr shows its settings, but not the values in a function that is a schedule.
        others: settings by name, such as the loss.

    """
    settings = {name: show_setting(value) for name, value in others.items()}
    settings["optimizer"] = _ADDRESS.sub("", repr(optimizer))
    for i, rate in enumerate(rates_of(optimizer)):
        if _ADDRESS.search(repr(rate)):
            settings[f"schedule {i} of the optimizer"] = show_setting(rate)
    for name, batches in data.items():
        settings |= {name: "None"} if batches is None else data_settings(name, batches)
    return settings | network_settings(net)


def differences(given: Settings, saved: Settings) -> list[str]:
    """Return the settings that differ, each with both of its values."""
    names = dict.fromkeys((*given, *saved))
    return [
        f"{name} is {given.get(name, 'absent')} here and {saved.get(name, 'absent')} in the file"
        for name in names
        if given.get(name) != saved.get(name)
    ]
