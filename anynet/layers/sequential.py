"""Layers in a row."""

from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from operator import index
from typing import Any, SupportsIndex, overload

from anynet.array import Array, DType
from anynet.backend import Backend
from anynet.errors import ArgumentTypeError, PathError
from anynet.layers.module import Module
from anynet.layers.paths import check_layer


class Sequential(Module, MutableSequence[Module]):
    """Return the output of the last layer, each layer applied to the output of the one before.

    It is also a sequence of the layers, which can be replaced.

    Args:
        layers: any number of them, or functions of one array.
        seed: draws the parameters at once, as `initialize(seed, backend, dtype)` does. By default
            they stay uninitialized, as for a part of a larger network.
        backend: see `Module.initialize`.
        dtype: see `Module.initialize`.

    Raises:
        ArgumentTypeError: a layer that cannot be called.

    >>> net = layers.Sequential(layers.Linear(8, 5), layers.ReLU(), layers.Linear(5, 2), seed=0)
    >>> len(net), net[1]
    (3, ReLU())
    >>> net[-1] = layers.Linear(50, 2)
    >>> features = net[:2]  # a network of the first two layers, which both networks share

    """

    layers: Sequence[Module]

    def __init__(
        self,
        *layers: Module,
        seed: int | None = None,
        backend: Backend | str | None = None,
        dtype: DType = None,
    ) -> None:
        self.layers = _checked(layers)
        if seed is not None:
            self.initialize(seed, backend, dtype)

    def forward(self, x: Array) -> Array:
        """Return x after all layers."""
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __bool__(self) -> bool:
        # A network of no layers is true, too.
        return True

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)

    def __contains__(self, item: object) -> bool:
        if isinstance(item, str):
            return super().__contains__(item)
        return any(item is layer for layer in self.layers)

    @overload
    def __getitem__(self, key: SupportsIndex) -> Module: ...

    @overload
    def __getitem__(self, key: slice) -> "Sequential": ...

    @overload
    def __getitem__(self, key: str) -> Any: ...

    def __getitem__(self, key: SupportsIndex | slice | str) -> Any:
        """Return the layer at an index, a network of those in a slice, or the part at a path.

        Raises:
            PathError: nothing is there.

        """
        if isinstance(key, str):
            return super().__getitem__(key)
        if isinstance(key, slice):
            return Sequential(*self.layers[key])
        return self.layers[self._index(key)]

    @overload
    def __setitem__(self, key: SupportsIndex, value: Module) -> None: ...

    @overload
    def __setitem__(self, key: slice, value: Iterable[Module]) -> None: ...

    @overload
    def __setitem__(self, key: str, value: Any) -> None: ...

    def __setitem__(
        self,
        key: SupportsIndex | slice | str,
        value: Any,
    ) -> None:
        """Replace the layer at an index, those in a slice, or the part at a path."""
        if isinstance(key, str):
            super().__setitem__(key, value)
            return
        layers: list[Any] = list(self.layers)
        layers[key if isinstance(key, slice) else self._index(key)] = value
        self.layers = _checked(layers)

    def __delitem__(self, key: SupportsIndex | slice) -> None:
        layers = list(self.layers)
        del layers[key if isinstance(key, slice) else self._index(key)]
        self.layers = tuple(layers)

    def insert(self, index: int, value: Module) -> None:
        """Insert a layer before an index."""
        layers = list(self.layers)
        layers.insert(index, value)
        self.layers = _checked(layers)

    def _index(self, key: SupportsIndex) -> int:
        """Return the index of a layer, counted from the end where it is negative."""
        try:
            i = index(key)
        except TypeError:
            raise ArgumentTypeError(
                f"a network was indexed by {key!r:.80}: wanted the index of a layer, a slice of "
                "these, or a path such as 'layers.0.weight'"
            ) from None
        if not -len(self.layers) <= i < len(self.layers):
            raise PathError(
                f"no layer has the index {i}; the network has {len(self.layers)}, counted from 0"
            )
        return i


def _checked(layers: Iterable[Any]) -> tuple[Module, ...]:
    layers = tuple(layers)
    for i, layer in enumerate(layers):
        check_layer(f"layers.{i}", layer)
    return layers
