"""A state as JSON values, and its arrays by name. See `anynet.state` for what a state is.

In the JSON values, an array is ``{"$array": name}`` and a tuple is ``{"$tuple": [...]}``. An array
in two places of a state comes once.
"""

from collections.abc import Callable, Mapping
from typing import Any

from anynet.arguments import describe
from anynet.array import Array, is_array
from anynet.errors import ArgumentError, ArgumentTypeError, DataError

_ARRAY, _TUPLE = "$array", "$tuple"


def encode(name: str, state: Any, arrays: dict[str, Array]) -> Any:
    """Return a state as JSON values. Its arrays are added to a dict, by names that begin with the
    name of the state.

    Raises:
        ArgumentTypeError: the state has a value of another type.
        ArgumentError: two arrays would have one name, or a key begins with ``$``.

    >>> import numpy as np
    >>> from anynet.training.encoding import encode
    >>> arrays = {}
    >>> encode("loader", {"epoch": 3, "order": np.ones(2)}, arrays), arrays
    ({'epoch': 3, 'order': {'$array': 'loader.order'}}, {'loader.order': array([1., 1.])})

    """
    return _encode(name, state, arrays, {id(x): name for name, x in arrays.items()})


def _encode(
    name: str,
    node: Any,
    arrays: dict[str, Array],
    names: dict[int, str],
) -> Any:
    if is_array(node):
        if id(node) not in names:
            if name in arrays:
                raise ArgumentError(f"two arrays of a state have the name {name!r}: rename one")
            arrays[name] = node
            names[id(node)] = name
        return {_ARRAY: names[id(node)]}
    if isinstance(node, Mapping):
        for key in node:
            if not isinstance(key, str) or key.startswith("$"):
                raise ArgumentError(
                    f"the state {name} has the key {key!r:.40}: wanted a string that does not "
                    "begin with '$'"
                )
        return {key: _encode(f"{name}.{key}", x, arrays, names) for key, x in node.items()}
    if isinstance(node, tuple | list):
        items = [_encode(f"{name}.{i}", x, arrays, names) for i, x in enumerate(node)]
        return {_TUPLE: items} if isinstance(node, tuple) else items
    if node is None or type(node) in (bool, int, float, str):
        return node
    raise ArgumentTypeError(
        f"the state {name} is {describe(node)}: wanted an array, None, a bool, int, float or str, "
        "or a list or dict of these"
    )


def decode(values: Any, array: Callable[[str], Any]) -> Any:
    """Return a state from JSON values.

    Args:
        values: from `encode`.
        array: returns the array of a name.

    Raises:
        DataError: the values are not from `encode`.

    """
    if isinstance(values, list):
        return [decode(value, array) for value in values]
    if not isinstance(values, dict):
        return values
    if values.keys() == {_ARRAY} and isinstance(values[_ARRAY], str):
        return array(values[_ARRAY])
    if values.keys() == {_TUPLE} and isinstance(values[_TUPLE], list):
        return tuple([decode(value, array) for value in values[_TUPLE]])
    for key in values:
        if key.startswith("$"):
            raise DataError(f"a state has the key {key!r:.40}, which no version writes")
    return {key: decode(value, array) for key, value in values.items()}
