"""Where a run takes place: versions, array library, device and platform, as texts."""

import os
import platform
from typing import Any

from anynet import tree
from anynet.array import dtype_name, is_array
from anynet.backend import get_backend


def environment_of(net: Any) -> dict[str, str]:
    """Return the environment of this process and of a network's arrays, as texts by name.

    It has no name of a user, a host or a folder, so a report can be passed on.

    >>> from anynet.training.environment import environment_of
    >>> environment_of(layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy"))["backend"]
    'numpy'

    """
    from anynet import __version__

    arrays = [x for _, x in tree.leaves(net) if is_array(x)]
    backend = get_backend(arrays[0] if arrays else None)
    dtypes = dict.fromkeys(dtype_name(x.dtype) for x in arrays)
    found = {
        "anynet": __version__,
        "backend": backend.name,
        f"version of {backend.name}": backend.version,
        "device": backend.device_name,
        "dtypes of the network": ", ".join(dtypes) or "none",
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "NumPy": get_backend("numpy").version,
        "platform": platform.platform(),
        "processor": platform.machine(),
        "logical processors": str(os.cpu_count() or "unknown"),
    }
    if backend.name == "numpy":
        del found["version of numpy"]
    return found
