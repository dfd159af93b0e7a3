"""The anynet backend of tinyarray."""

import tinyarray
from anynet_numpy import portable

from anynet.backend import Backend, NamespaceAdapter
from anynet.errors import BackendError
from anynet.kernel import Aliasing, Kernels

kernels = Kernels()


@kernels.register(Aliasing.FRESH)
def relu(x):
    """Replace the reference of the primitive of this name."""
    return tinyarray.maximum(x, 0)


def asarray(obj, dtype=None, copy=None, device=None):
    """Return an array, a new one for ``copy=True``."""
    x = tinyarray.asarray(obj, dtype=dtype)
    return tinyarray.copy(x) if copy else x


class TinyarrayBackend(Backend):
    """tinyarray, which has one device."""

    namespace = NamespaceAdapter(tinyarray, ignored=["device", "copy", "stable"], asarray=asarray)
    device_of = staticmethod(lambda x: "cpu")
    kernels = kernels

    def __init__(self, device=""):
        if device not in ("", "cpu"):
            raise BackendError(f"tinyarray has no device {device!r}: leave it out")
        super().__init__(self.namespace, "cpu")

    def from_host(self, obj):
        """Return an array, by way of NumPy, which reads every buffer."""
        return tinyarray.asarray(portable(obj))
