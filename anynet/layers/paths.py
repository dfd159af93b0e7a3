"""Parts of a network by path, such as ``layers.0.weight``."""

from typing import TYPE_CHECKING, Any

from anynet import tree
from anynet.arguments import listed
from anynet.array import dtype_name, is_array, is_mixed, mixed_message
from anynet.errors import (
    ArgumentTypeError,
    DTypeError,
    MixedArraysError,
    PathError,
    ShapeError,
)
from anynet.layers.initialization import is_uninitialized
from anynet.spelling import did_you_mean

if TYPE_CHECKING:
    from anynet.layers.module import Module


def get(net: "Module", path: object) -> Any:
    """Return the parameter, setting or module at a path of a network.

    Raises:
        PathError: nothing is there.
        ArgumentTypeError: the path is no string.

    """
    if not isinstance(path, str):
        # Python iterates by the indices 0, 1 and so on.
        first = next(iter(vars(net)), "weight")
        raise ArgumentTypeError(
            f"a {type(net).__name__} was indexed by {path!r:.80}, or iterated over, and is no "
            f"sequence of layers, as a Sequential is: use an attribute, a path, as net[{first!r}], "
            "or modules(), which lists all layers"
        )
    value: Any = net
    for name in path.split("."):
        key = _key(value, name)
        if key is None:
            raise PathError(_nothing_at(net, path))
        value = dict(tree.children(value))[key]
    return value


def put(
    net: "Module",
    path: str,
    value: object,
) -> None:
    """Replace the parameter, buffer, setting or module at a path of a network.

    Raises:
        PathError: nothing is there.
        ShapeError, DTypeError, MixedArraysError: the new array is not like the old one.
        ArgumentTypeError: no array in place of an array, or no layer in place of a layer.

    """
    old = get(net, path)
    if tree.is_node(old):
        check_layer(path, value)
    else:
        _check_fits(path, old, value)
    outer, _, name = path.rpartition(".")
    holder = get(net, outer) if outer else net
    key: Any = _key(holder, name)
    if tree.is_node(holder):
        setattr(holder, key, value)
    elif isinstance(holder, tuple):
        items = {**dict(tree.children(holder)), key: value}.values()
        is_named = hasattr(holder, "_fields")
        put(net, outer, type(holder)(*items) if is_named else tuple(items))
    else:
        holder[key] = value


def _key(holder: object, name: str) -> Any:
    """Return the name or index of a child that a part of a path means, None if there is none."""
    keys = (key for key, _ in tree.children(holder) if str(key) == name)
    return next(keys, None)


def _nothing_at(net: "Module", path: str) -> str:
    known = [known for known, _ in tree.leaves(net)]
    meant = did_you_mean(path, known)
    return f"nothing at {path!r}{meant}; parameters and buffers are at {listed(known)}"


def check_layer(path: str, layer: object) -> None:
    """Raise ArgumentTypeError unless a value can be called as a layer."""
    if isinstance(layer, type):
        raise ArgumentTypeError(
            f"{path} is the class {layer.__name__}: wanted a layer, as {layer.__name__}(…)"
        )
    if callable(layer):
        return
    several = "; a list is given as Sequential(*layers)" if isinstance(layer, list | tuple) else ""
    raise ArgumentTypeError(
        f"{path} is {layer!r:.80}: wanted a layer, such as Linear(784, 50) or ReLU(){several}"
    )


def _check_fits(
    path: str,
    old: Any,
    new: Any,
) -> None:
    """Compare an array with the one that it replaces. None replaces any, as a layer's bias."""
    is_open = is_uninitialized(old)
    if new is None or is_uninitialized(new) or not (is_open or is_array(old)):
        return
    shape = tuple(old.shape)
    if not is_array(new):
        raise ArgumentTypeError(
            f"{path} was assigned {new!r:.80}: wanted an array of shape {shape}, as "
            "backend.asarray(x)"
        )
    if tuple(new.shape) != shape:
        raise ShapeError(
            f"{path} was assigned an array of shape {tuple(new.shape)}: wanted {shape}; "
            "for another shape make a new layer"
        )
    if is_open:
        return
    if is_mixed((old, new)):
        raise MixedArraysError(
            f"{path} was assigned an array of another library or device: "
            f"{mixed_message((old, new))}, and net.map(backend.asarray) moves a whole network"
        )
    if new.dtype != old.dtype:
        name = dtype_name(old.dtype)
        raise DTypeError(
            f"{path} was assigned an array of {dtype_name(new.dtype)}: wanted {name}, as "
            f"xp.astype(x, xp.{name}); net.map(lambda x: xp.astype(x, dtype)) converts a whole "
            "network"
        )
