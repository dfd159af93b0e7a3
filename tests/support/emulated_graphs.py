"""An emulation of CUDA graphs on a CPU, for ``pytest --emulate-graphs --backend torch``.

A capture records PyTorch's calls with the memory that each reads and writes, and undoes their
effects. A launch makes the calls again in the same memory. Memory whose contents a graph must not
rely on holds garbage: the graph's memory between capture and launch, new memory, and memory that
was freed during the capture. A call that would wait for a GPU raises.

PyTorch's backend then runs its GPU kernels. Functions of PyTorch replace the loops that it compiles
on a GPU.
"""

import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import anynet_torch
import torch
from anynet_torch import devices, elementwise
from anynet_torch.target import CudaGraphDriver, TorchTarget
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from anynet import primitives

#: The events of a run, which pytest prints at its end.
counts = {"captured": 0, "launched": 0, "failed": 0}


class CaptureError(RuntimeError):
    """CUDA raises during a capture."""


def tensors(x: Any) -> list[Any]:
    return [leaf for leaf in tree_leaves(x) if isinstance(leaf, torch.Tensor)]


def memory_of(x: Any) -> int:
    """Return the address of a tensor's memory, or 0 if it has none."""
    return x.untyped_storage().data_ptr()


def fill_with_garbage(x: Any) -> Any:
    return x.fill_(torch.nan if x.dtype.is_floating_point or x.dtype.is_complex else 77)


class Capture(TorchDispatchMode):
    """The calls of one thread, one capture at a time."""

    _underway = threading.Lock()

    def __init__(self) -> None:
        super().__init__()
        #: Function, arguments, and the results in new memory. Other results are None.
        self.calls: list[tuple[Callable[..., Any], Any, Any, list[Any]]] = []
        #: The graph's memory by address, and references to the tensors in it.
        self.own: dict[int, Any] = {}
        self._users: dict[int, list[Any]] = defaultdict(list)
        #: Other memory that the calls write to, and its contents before the first write.
        self._before: dict[int, tuple[Any, Any]] = {}

    def __enter__(self) -> Any:
        if not Capture._underway.acquire(blocking=False):
            raise CaptureError("another capture is under way")
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for storage, before in self._before.values():
            storage.copy_(before)
        for x in self.own.values():
            fill_with_garbage(x)
        Capture._underway.release()

    def freed(self) -> list[Any]:
        """Return the memory without a live tensor. A graph reuses it for other results."""
        return [
            x
            for address, x in self.own.items()
            if all(reference() is None for reference in self._users[address])
        ]

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        args: Any = (),
        settings: Any = None,
    ) -> Any:
        settings = settings or {}
        if waits(function, args):
            raise CaptureError(f"{function} waits for the device")
        if torch.Tag.inplace_view in function.tags:
            # Only the shape changes, which is no work for a device.
            return function(*args, **settings)
        inputs = {memory_of(x) for x in tensors((args, settings))}
        for x in written(function, args, settings):
            if memory_of(x) not in self.own:
                storage = x.untyped_storage()
                self._before.setdefault(memory_of(x), (storage, storage.clone()))
        # Other tensors of the same memory, so that the record does not keep the arguments alive.
        aliases = tree_map_only(torch.Tensor, torch.Tensor.detach, (args, settings))
        out = function(*args, **settings)
        results = []
        for x in tensors(out):
            address = memory_of(x)
            is_new = bool(address) and address not in inputs
            results.append(x.detach() if is_new else None)
            if is_new:
                self.own[address] = x.detach()
            self._users[address].append(weakref.ref(x))
        if function._schema.is_mutable or any(x is not None for x in results):
            self.calls.append((function, *aliases, results))
        return out


def waits(function: Any, args: Any) -> bool:
    """Return whether the host would wait for a GPU: for a value, or for the size of a result."""
    if function is torch.ops.aten.index.Tensor:
        # Only masks wait. The tag is on all indices.
        return any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in args[1])
    if function is torch.ops.aten.is_nonzero.default:
        return True
    tags = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
    return not tags.isdisjoint(function.tags)


def written(function: Any, args: Any, settings: Any) -> Iterator[Any]:
    """Yield the tensors that a call writes to."""
    for i, declared in enumerate(function._schema.arguments):
        if declared.alias_info is not None and declared.alias_info.is_write:
            yield from tensors(args[i] if i < len(args) else settings.get(declared.name))


class EmulatedDriver(CudaGraphDriver):
    """A launch makes the calls again, each in the memory of its capture."""

    def current(self) -> AbstractContextManager[None]:
        return torch.no_grad()

    def capture(self, function: Callable[[], list[Any]]) -> tuple[Callable[[], object], list[Any]]:
        try:
            function()
            with Capture() as captured:
                results = function()
        except Exception:
            counts["failed"] += 1
            raise
        counts["captured"] += 1
        freed = captured.freed()

        def launch() -> None:
            counts["launched"] += 1
            for call, args, settings, own in captured.calls:
                results = tensors(call(*args, **settings))
                for memory, x in zip(own, results, strict=True):
                    if memory is not None:
                        memory.copy_(x)
            for x in freed:
                fill_with_garbage(x)

        return launch, results

    def wait(self) -> None:
        pass

    def memory(self, arrays: list[Any]) -> list[Any]:
        return [fill_with_garbage(x) for x in super().memory(arrays)]


class EmulatedTarget(TorchTarget):
    def __init__(self, backend: Any) -> None:
        super().__init__(backend)
        self.driver = EmulatedDriver(backend.device)


def adam_update(
    p: Any,
    g: Any,
    mean: Any,
    square: Any,
    rate: Any,
    correction: Any,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> tuple[Any, ...]:
    g = g + weight_decay * p
    return adamw_update(
        p,
        g,
        mean,
        square,
        rate,
        correction,
        1.0,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
    )


def adamw_update(
    p: Any,
    g: Any,
    mean: Any,
    square: Any,
    rate: Any,
    correction: Any,
    decay: Any,
    *,
    beta1: float,
    beta2: float,
    eps: float,
) -> tuple[Any, ...]:
    mean = beta1 * mean + (1 - beta1) * g
    square = beta2 * square + (1 - beta2) * g * g
    change = mean / (torch.sqrt(square) * correction + eps)
    return decay * p - rate * change, mean, square


def cross_entropy(
    logarithm: Any, label: Any, number: Any, *, classes: int, share: float
) -> tuple[Any, ...]:
    is_label = label == number
    is_invalid = (label < 0) | (label >= classes)
    difference = torch.exp(logarithm) - torch.where(is_label, 1.0, 0.0)
    loss = torch.where(is_label, -logarithm * share, 0.0)
    results = (torch.where(is_invalid, torch.nan, x) for x in (difference, loss))
    return tuple(x.to(logarithm.dtype) for x in results)


def threefry(k0: Any, k1: Any, x0: Any, x1: Any) -> Any:
    return primitives.threefry.reference(torch.cat([k0, k1]), x0, x1)


#: Functions in place of the loops of these names.
LOOPS: dict[str, Callable[..., Any]] = {
    "adam_update": adam_update,
    "adamw_update": adamw_update,
    "cross_entropy": cross_entropy,
    "threefry": threefry,
}


def emulate() -> None:
    """Emulate graphs, and the kernels of a GPU, in PyTorch's backend."""
    # In half precision PyTorch's sums are the CPU's, so the CPU's kernels compute them.
    devices.device_type = lambda x: (
        "cpu" if x.dtype.itemsize < 4 and x.dtype.is_floating_point else "cuda"
    )
    elementwise._compiled = lambda name, numbers: LOOPS[name]
    anynet_torch.TorchBackend.target = EmulatedTarget
