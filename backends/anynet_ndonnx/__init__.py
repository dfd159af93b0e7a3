"""The ndonnx backend, whose arrays have no values and record operations as an ONNX graph.

`anynet.export_onnx` uses it. Networks cannot be trained on it.
"""

from typing import Any

from anynet_numpy import portable

from anynet.backend import Backend, get_backend
from anynet.errors import BackendError
from anynet_ndonnx.kernels import KERNELS


class NdonnxBackend(Backend):
    """ndonnx, which has no devices."""

    xp: Any
    lazy = True
    embeds = True
    kernels = KERNELS

    def __init__(self, device: str = "") -> None:
        if device:
            raise BackendError(f"ndonnx has no device {device!r}: leave it out")
        try:
            import ndonnx
        except ImportError as error:
            raise BackendError(
                f"ndonnx cannot be imported ({error}); install it: pip install ndonnx"
            ) from error
        super().__init__(ndonnx)

    @property
    def version(self) -> str:
        """The version of the package."""
        from importlib.metadata import version

        return version("ndonnx")

    @property
    def device_name(self) -> str:
        """A fixed name, because another program runs the graph."""
        return "graph"

    def from_host(self, obj: Any) -> Any:
        """Return values as a constant of the graph."""
        return self.xp.asarray(portable(obj))

    def from_array(self, x: Any) -> Any:
        """Return another library's array as a constant of the graph."""
        return x if isinstance(x, self.xp.Array) else self.from_host(get_backend(x).to_host(x))

    def to_host(self, x: Any) -> Any:
        """Return the values of a constant. An argument of the graph has none."""
        return x.unwrap_numpy()
