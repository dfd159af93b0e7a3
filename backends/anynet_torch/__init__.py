"""The PyTorch backend: tensors on a CPU, a CUDA GPU or Apple's GPU, without PyTorch's own
derivatives.
"""

from types import ModuleType
from typing import Any

from anynet_numpy import portable

from anynet.backend import Backend
from anynet.errors import BackendError
from anynet_torch.memory import keep_freed

try:
    from anynet_torch.kernels import KERNELS
    from anynet_torch.target import TorchTarget
except ImportError:
    # The constructor of the backend raises the error.
    INSTALLED = False
else:
    INSTALLED = True


class TorchBackend(Backend):
    """PyTorch on ``cpu``, ``cuda``, ``cuda:1`` or ``mps``. Default: ``cpu``."""

    device: Any
    if INSTALLED:
        kernels = KERNELS
        target = TorchTarget

    def __init__(self, device: str = "") -> None:
        torch = _import()
        import array_api_compat.torch as xp

        self._torch: Any = torch
        try:
            # With its number: a tensor on "cuda" says "cuda:0".
            place = torch.zeros((), device=device or "cpu").device
        except (AssertionError, NotImplementedError, RuntimeError) as error:
            line = str(error).partition("\n")[0]
            raise BackendError(
                f"torch cannot use the device {device!r} ({line}): leave the device out for 'cpu', "
                "or install a build of PyTorch for your GPU"
            ) from error
        super().__init__(xp, place)

    @classmethod
    def configure(cls, device: str) -> None:
        """Let the C library keep memory that is freed."""
        if _import().device(device or "cpu").type == "cpu":
            keep_freed()

    def from_host(self, obj: Any) -> Any:
        """Return a copy: PyTorch would share the memory of a buffer, even a read-only one."""
        return self._torch.tensor(portable(obj), device=self.device)

    def from_array(self, x: Any) -> Any:
        """Move a tensor. Copy any other library's array through main memory."""
        if isinstance(x, self._torch.Tensor):
            return x if x.device == self.device else x.to(self.device)
        return self.through_host(x)

    def to_host(self, x: Any) -> Any:
        """Copy to main memory, without PyTorch's own derivative."""
        x = x.detach().cpu()
        torch = self._torch
        # NumPy has no other floating dtypes.
        known = not x.dtype.is_floating_point or x.dtype in (
            torch.float16,
            torch.float32,
            torch.float64,
        )
        # Forced, also one that is the conjugate of another in the same memory.
        return (x if known else x.float()).numpy(force=True)

    def strides(self, x: Any) -> Any:
        """Return the tensor's strides, and None for a Python scalar."""
        return x.stride() if isinstance(x, self._torch.Tensor) else None

    def synchronize(self) -> None:
        """Wait for the GPU."""
        if self.device.type != "cpu":
            getattr(self._torch, self.device.type).synchronize()


def _import() -> ModuleType:
    try:
        import torch
    except ImportError as error:
        raise BackendError(
            f"torch cannot be imported ({error}); install it: pip install torch"
        ) from error
    return torch  # type: ignore[no-any-return]
