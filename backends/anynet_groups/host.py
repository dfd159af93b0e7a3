"""Arrays on the host that a library may write into."""

from typing import Any

from anynet.backend import get_backend


def writable_host(x: Any) -> Any:
    """Return a NumPy array with the values of x: x itself, its memory, or a copy."""
    host = get_backend(x).to_host(x)
    return host if host.flags.writeable else host.copy()
