"""Layers in a row."""

from collections.abc import Iterable, Iterator, MutableSequence
from operator import index
from typing import Any, SupportsIndex, overload

from anynet.arguments import describe
from anynet.array import Array, DType
from anynet.backend import Backend
from anynet.errors import ArgumentTypeError, PathError
from anynet.layers.module import Module
from anynet.layers.paths import check_layer
from anynet.spelling import no_attribute

#: A class whose code contains the name ``vars`` may have attributes of any name, so misspelt ones
#: would not raise.
_attributes = vars


class Sequential(Module, MutableSequence[Module]):
    """Return the output of the last layer, each layer applied to the output of the one before.

    It is also a sequence of the layers, and so is its attribute `layers`. Layers can be replaced,
    inserted and deleted in both. `initialize` then draws the new parameters, on the backend and
    with the dtype of the others.

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
    >>> net.layers[-1] = layers.Linear(5, 4)
    >>> net.initialize(seed=1)(np.ones((1, 8), dtype="float32")).shape
    (1, 4)
    >>> features = net[:2]  # a network of the first two layers, which both networks share

    """

    def __init__(
        self,
        *layers: Module,
        seed: int | None = None,
        backend: Backend | str | None = None,
        dtype: DType = None,
    ) -> None:
        self.layers = layers
        if seed is not None:
            self.initialize(seed, backend, dtype)

    @property
    def layers(self) -> "Layers":
        """The layers, a list that changes this network."""
        return Layers(self)

    @layers.setter
    def layers(self, layers: Iterable[Module]) -> None:
        _attributes(self)["layers"] = _checked(layers)

    def _tuple(self) -> tuple[Module, ...]:
        try:
            own: tuple[Module, ...] = _attributes(self)["layers"]
        except KeyError:
            # A subclass did not call __init__ of this class.
            raise no_attribute(self, "layers") from None
        return own

    def forward(self, x: Array) -> Array:
        """Return x after all layers."""
        for layer in self._tuple():
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self._tuple())

    def __bool__(self) -> bool:
        # A network of no layers is true, too.
        return True

    def __iter__(self) -> Iterator[Module]:
        return iter(self._tuple())

    def __contains__(self, item: object) -> bool:
        if isinstance(item, str):
            return super().__contains__(item)
        return any(item is layer for layer in self._tuple())

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
            return Sequential(*self._tuple()[key])
        return self._tuple()[self._index(key)]

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
        layers: list[Any] = list(self._tuple())
        if not isinstance(key, slice):
            layers[self._index(key)] = value
        else:
            try:
                layers[key] = value
            except (TypeError, ValueError) as error:
                raise ArgumentTypeError(
                    f"layers {key} were assigned {describe(value)}: wanted a list of layers "
                    f"({error})"
                ) from None
        self.layers = layers

    def __delitem__(self, key: SupportsIndex | slice) -> None:
        layers = list(self._tuple())
        del layers[key if isinstance(key, slice) else self._index(key)]
        self.layers = layers

    def insert(self, index: int, value: Module) -> None:
        """Insert a layer before an index."""
        layers = list(self._tuple())
        layers.insert(index, value)
        self.layers = layers

    def _index(self, key: SupportsIndex) -> int:
        """Return the index of a layer, counted from the end where it is negative."""
        try:
            i = index(key)
        except TypeError:
            raise ArgumentTypeError(
                f"a network was indexed by {key!r:.80}: wanted the index of a layer, a slice of "
                "these, or a path such as 'layers.0.weight'"
            ) from None
        if not -len(self) <= i < len(self):
            raise PathError(
                f"no layer has the index {i}; the network has {len(self)}, counted from 0"
            )
        return i


class Layers(MutableSequence[Module]):
    """The layers of a `Sequential` as a list. A change of the list changes the network."""

    def __init__(self, net: Sequential) -> None:
        self._net = net

    def __len__(self) -> int:
        return len(self._net)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._net)

    def __contains__(self, item: object) -> bool:
        return any(item is layer for layer in self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layers | list | tuple):
            return NotImplemented
        return [*map(id, self)] == [*map(id, other)]

    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, key: SupportsIndex) -> Module: ...

    @overload
    def __getitem__(self, key: slice) -> list[Module]: ...

    def __getitem__(self, key: SupportsIndex | slice) -> Module | list[Module]:
        return [*self][key] if isinstance(key, slice) else self._net[_no_path(key)]

    @overload
    def __setitem__(self, key: SupportsIndex, value: Module) -> None: ...

    @overload
    def __setitem__(self, key: slice, value: Iterable[Module]) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None:
        self._net[_no_path(key)] = value

    def __delitem__(self, key: SupportsIndex | slice) -> None:
        del self._net[_no_path(key)]

    def insert(self, index: int, value: Module) -> None:
        """Insert a layer before an index."""
        self._net.insert(index, value)

    def __repr__(self) -> str:
        return repr([*self])


def _no_path(key: Any) -> Any:
    """Return an index or a slice, and no string, which would be a path in the network."""
    if isinstance(key, str):
        raise ArgumentTypeError(
            f"net.layers was indexed by {key!r}: wanted an index or a slice, or a path of the "
            f"network, as net['layers.{key}']"
        )
    return key


def _checked(layers: Iterable[Any]) -> tuple[Module, ...]:
    if isinstance(layers, Module) or not isinstance(layers, Iterable):
        raise ArgumentTypeError(f"layers was assigned {describe(layers)}: wanted a list of layers")
    layers = tuple(layers)
    for i, layer in enumerate(layers):
        check_layer(f"layers.{i}", layer)
    return layers
