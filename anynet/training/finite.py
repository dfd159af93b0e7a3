"""Parameters that are not finite."""

from typing import Any

from anynet import tree
from anynet.array import Array, array_namespace, is_array
from anynet.backend import get_backend


def non_finite_parameter(net: Any) -> str | None:
    """Return the path of the first trained parameter with a NaN or an infinity, None if all are
    finite.

    It reads all parameters on the host, where no function has to be compiled for each shape.

    >>> from anynet.training.finite import non_finite_parameter
    >>> net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    >>> net["layers.0.weight"] = np.full((2, 2), np.nan, "float32")
    >>> non_finite_parameter(net)
    'layers.0.weight'

    """
    host: Any = get_backend("numpy").xp
    for path, x in trained_parameters(net):
        xp = array_namespace(x)
        can_be_infinite = xp.isdtype(x.dtype, ("real floating", "complex floating"))
        if can_be_infinite and not host.isfinite(get_backend(x).to_host(x)).all():
            return path
    return None


def trained_parameters(net: Any) -> list[tuple[str, Array]]:
    """Return the path and the array of each trained parameter of a network, or another tree."""
    found = [(path, x) for path, x in tree.own_leaves(net) if is_array(x)]
    for path, module in tree.modules(net):
        for name, value in tree.trained(module).items():
            found += tree.own_leaves(value, f"{path}.{name}" if path else name)
    return found
