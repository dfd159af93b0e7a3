"""Calls of a network with one input, or with several in a tuple or dict."""

from typing import Any

from anynet.callables import signature_of
from anynet.data.rows import Rows


def call_network(net: Any, x: Rows) -> Any:
    """Return net(x), net(*x) or net(**x).

    A tuple is passed as arguments if the network takes as many, and a dict if it takes these names.
    Otherwise the network gets the tuple or dict itself. An argument with a default other than None
    counts as a setting, which is no input.

    >>> import numpy as np
    >>> from anynet.training.inputs import call_network
    >>> class Add(layers.Module):
    ...     def forward(self, a, b):
    ...         return a + b
    >>> call_network(Add(), {"b": np.ones(1), "a": np.zeros(1)})
    array([1.])

    """
    if isinstance(x, dict):
        return net(**x) if _takes(net, (), x) else net(x)
    if isinstance(x, tuple | list):
        return net(*x) if _takes(net, x, {}) else net(x)
    return net(x)


def _takes(net: Any, inputs: Any, named: dict[str, Any]) -> bool:
    """Return whether a network takes these inputs as arguments."""
    signature = signature_of(getattr(net, "forward", net))
    if signature is None:
        return False
    try:
        arguments = signature.bind(*inputs, **named).arguments
    except TypeError:
        return False
    defaults = (signature.parameters[name].default for name in arguments)
    return all(default is signature.empty or default is None for default in defaults)
