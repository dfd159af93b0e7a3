"""CUDA graphs on a CPU: with ``pytest --emulate-graphs --backend torch`` compiled steps are what
they are on a GPU.

So are PyTorch's kernels, with the loops that it compiles for a GPU written in its own functions.

A capture notes PyTorch's calls with the memory that each reads and writes, and undoes what they
did. A launch makes the calls again in the same memory. Whatever a graph may not rely on is garbage:
its memory between capture and launch, memory that is new, and memory that was freed while it was
captured. What would wait for a GPU is refused."""

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

#: What was done, to be seen at the end of a run.
counts = {"captured": 0, "launched": 0, "refused": 0}


class CaptureError(RuntimeError):
    """What CUDA refuses while it captures."""


def tensors(x: Any) -> list[Any]:
    return [leaf for leaf in tree_leaves(x) if isinstance(leaf, torch.Tensor)]


def memory_of(x: Any) -> int:
    """Return where the memory of a tensor begins, 0 where it has none."""
    return x.untyped_storage().data_ptr()


def fill_with_garbage(x: Any) -> Any:
    return x.fill_(torch.nan if x.dtype.is_floating_point or x.dtype.is_complex else 77)


class Capture(TorchDispatchMode):
    """The calls of one thread, one capture at a time."""

    _underway = threading.Lock()

    def __init__(self) -> None:
        super().__init__()
        #: Function, arguments, and the results that are in memory of their own.
        self.calls: list[tuple[Callable[..., Any], Any, Any, list[Any]]] = []
        #: Memory that is the graph's, and the tensors that were handed out in it.
        self.own: dict[int, Any] = {}
        self._users: dict[int, list[Any]] = defaultdict(list)
        #: What memory outside held before it was first written to.
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
        """Return the memory that no one holds any more: a graph uses it for other results."""
        return [
            x
            for place, x in self.own.items()
            if all(known() is None for known in self._users[place])
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
            # Of the tensor itself, whose shape is no work for a device.
            return function(*args, **settings)
        given = {memory_of(x) for x in tensors((args, settings))}
        for x in written(function, args, settings):
            if memory_of(x) not in self.own:
                storage = x.untyped_storage()
                self._before.setdefault(memory_of(x), (storage, storage.clone()))
        # Aliases: what is noted is not to count as held.
        noted = tree_map_only(torch.Tensor, torch.Tensor.detach, (args, settings))
        out = function(*args, **settings)
        results = []
        for x in tensors(out):
            place = memory_of(x)
            is_new = bool(place) and place not in given
            results.append(x.detach() if is_new else None)
            if is_new:
                self.own[place] = x.detach()
            self._users[place].append(weakref.ref(x))
        # Some calls change the shape of a tensor in place, and none of its elements.
        writes = function._schema.is_mutable and torch.Tag.inplace_view not in function.tags
        if writes or any(x is not None for x in results):
            self.calls.append((function, *noted, results))
        return out


def waits(function: Any, args: Any) -> bool:
    """Tell whether a GPU would be waited for: for a value, or for how many elements come out."""
    if function is torch.ops.aten.index.Tensor:
        # Tagged for masks; integers are no reason to wait.
        return any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in args[1])
    waiting = {
        torch.Tag.data_dependent_output,
        torch.Tag.dynamic_output_shape,
    }
    return not waiting.isdisjoint(function.tags) or function is torch.ops.aten.is_nonzero.default


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
            counts["refused"] += 1
            raise
        counts["captured"] += 1
        freed = captured.freed()

        def launch() -> None:
            counts["launched"] += 1
            for call, args, settings, own in captured.calls:
                found = tensors(call(*args, **settings))
                for there, x in zip(own, found, strict=True):
                    if there is not None:
                        there.copy_(x)
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
    decay: Any,
    **numbers: float,
) -> tuple[Any, ...]:
    beta1, beta2 = numbers["beta1"], numbers["beta2"]
    mean, square = (
        beta1 * mean + (1 - beta1) * g,
        beta2 * square + (1 - beta2) * g * g,
    )
    return (
        decay * p - rate * (mean / (torch.sqrt(square) * correction + numbers["epsilon"])),
        mean,
        square,
    )


def cross_entropy(
    logarithm: Any, label: Any, number: Any, *, classes: int, share: float
) -> tuple[Any, ...]:
    wanted, none = label == number, (label < 0) | (label >= classes)
    difference = torch.exp(logarithm) - torch.where(wanted, 1.0, 0.0)
    surprise = torch.where(wanted, -logarithm * share, 0.0)
    return tuple(
        torch.where(none, torch.nan, x).to(logarithm.dtype) for x in (difference, surprise)
    )


def threefry(k0: Any, k1: Any, x0: Any, x1: Any) -> Any:
    return primitives.threefry.reference(torch.cat([k0, k1]), x0, x1)


#: What the loops of these names do, which PyTorch compiles on a GPU only.
LOOPS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (adam_update, cross_entropy, threefry)
}


def emulate() -> None:
    """Let PyTorch's backend have graphs on a CPU, and the kernels of a GPU."""
    # Sums in half precision are those of a CPU, with the kernels that are there for them.
    devices.device_type = lambda x: (
        "cpu" if x.dtype.itemsize < 4 and x.dtype.is_floating_point else "cuda"
    )
    elementwise._compiled = lambda name, numbers: LOOPS[name]
    anynet_torch.TorchBackend.target = EmulatedTarget
