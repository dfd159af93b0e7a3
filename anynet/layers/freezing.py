"""Parameters and modules that are excluded from training."""

from typing import TYPE_CHECKING, Any

from anynet import tree
from anynet.arguments import describe
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.layers.initialization import has_shape

if TYPE_CHECKING:
    from anynet.layers.module import Module


def set_frozen(
    net: "Module",
    path: str,
    *,
    frozen: bool,
) -> None:
    """Freeze or unfreeze all that is at a path of a network, and all that is tied to it.

    Raises:
        ArgumentError: no parameter and no module is there, or an element of a list.
        ArgumentTypeError: the path is no string.
        PathError: nothing is there.

    """
    target = net[path] if path != "" else net
    if not isinstance(path, str):
        raise ArgumentTypeError(
            f"the path is {describe(path)}: wanted one such as 'layers.0'; or net[0].freeze()"
        )
    modules = [module for _, module in tree.modules(target)]
    arrays = _own(target)
    outer = path.rpartition(".")[0]
    holder = net[outer] if outer else net
    if arrays and not tree.is_node(holder):
        raise ArgumentError(
            f"{path!r} is part of a {type(holder).__name__}: give {outer!r}, all of it"
        )
    if not arrays and not modules:
        raise ArgumentError(
            f"{path!r} is {target!r:.80}: wanted the path of a parameter or a module"
        )
    for module in modules:
        for value in vars(module).values():
            arrays += _own(value)
    chosen = {id(x) for x in arrays}
    for _, module in net.modules():
        _set_names(module, chosen, frozen=frozen)


def _set_names(
    module: "Module",
    chosen: set[int],
    *,
    frozen: bool,
) -> None:
    """Freeze or unfreeze the attributes of a module that hold one of the chosen arrays."""
    names = {*module.frozen}
    for name, value in vars(module).items():
        if any(id(x) in chosen for x in _own(value)):
            names.add(name) if frozen else names.discard(name)
    vars(module).pop("_frozen", None)
    if names:
        vars(module)["_frozen"] = tuple(name for name in vars(module) if name in names)


def _own(value: object) -> list[Any]:
    """Return the arrays and uninitialized ones that an attribute holds outside of modules."""
    return [x for _, x in tree.own_leaves(value, is_leaf=has_shape)]
