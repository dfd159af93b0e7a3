"""A network as a table: its layers, their parameters, output shapes and multiply-adds."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from anynet import tree
from anynet.arguments import describe
from anynet.array import DType, is_floating
from anynet.backend import get_backend
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.layers.initialization import has_shape, is_uninitialized
from anynet.layers.module import Module
from anynet.table import Table
from anynet.tracing.flops import Counting

Shape = tuple[int, ...]

TRAINED, FROZEN, BUFFER = "trained", "frozen", "buffer"

_HEADINGS = ("layer", "kind", "parameters", "output", "count", "multiply-adds")
_WITHOUT_OUTPUTS = ("layer", "kind", "parameters", "count")


@dataclass(frozen=True)
class Row:
    """One layer: its path, its class, and the shapes and states of its own arrays by name.

    A state is "trained", "frozen" or "buffer". If the summary has an input shape, outputs are the
    shapes of the layer's outputs for a batch of one. Multiply-adds are those of all calls, without
    those of the layers inside.
    """

    path: str
    kind: str
    shapes: dict[str, Shape]
    states: dict[str, str]
    outputs: tuple[Shape, ...] = ()
    multiply_adds: int = 0

    @property
    def count(self) -> int:
        """The number of parameter values."""
        return self.count_of(TRAINED) + self.count_of(FROZEN)

    def count_of(self, state: str) -> int:
        """Return the number of values in a state: "trained", "frozen" or "buffer"."""
        chosen = [shape for name, shape in self.shapes.items() if self.states[name] == state]
        return sum(map(math.prod, chosen))

    def cells(self) -> dict[str, str]:
        """Return the cells of the table by heading."""
        arrays = []
        for name, shape in self.shapes.items():
            state = self.states[name]
            arrays.append(f"{name} {shape}" if state == TRAINED else f"{name} {shape} {state}")
        return {
            "layer": self.path,
            "kind": self.kind,
            "parameters": ", ".join(arrays),
            "output": ", ".join(map(_with_batch, self.outputs)),
            "count": f"{self.count:,}",
            "multiply-adds": f"{self.multiply_adds:,}",
        }


class Summary:
    """The table of a network: text in a terminal, HTML in a notebook.

    Args:
        net: a network.
        input_shape: of one input, without the batch.
        dtype: of the input, that of the parameters by default.

    Raises:
        ArgumentError: the shape is no tuple of whole numbers.
        ArgumentTypeError: no network, or the name of a dtype in place of the dtype.

    >>> table = layers.Summary(layers.Linear(784, 50), (784,))
    >>> table.count, table.multiply_adds
    (39250, 39200)

    """

    def __init__(
        self,
        net: Module,
        input_shape: Shape | None = None,
        *,
        dtype: DType | None = None,
    ) -> None:
        if not isinstance(net, Module):
            raise ArgumentTypeError(
                f"net is {describe(net)}: wanted a layers.Module, such as layers.Sequential(…)"
            )
        self._headings = _WITHOUT_OUTPUTS if input_shape is None else _HEADINGS
        notes = _Notes() if input_shape is None else _run(net, input_shape, dtype)
        counts = notes.counting.counts
        self.outputs = notes.outputs.get("", ())
        self.rows = []
        tied: set[int] = set()
        for path, module in net.modules():
            shapes = _shapes(module, tied)
            if shapes or counts.get(path) or len(module.modules()) == 1:
                row = Row(
                    path or "(network)",
                    type(module).__name__,
                    shapes,
                    {name: _state(module, name) for name in shapes},
                    notes.outputs.get(path, ()),
                    counts.get(path, 0),
                )
                self.rows.append(row)

    @property
    def count(self) -> int:
        """The number of values of all parameters."""
        return sum(row.count for row in self.rows)

    @property
    def trained(self) -> int:
        """The number of values that are trained."""
        return self.count_of(TRAINED)

    @property
    def frozen(self) -> int:
        """The number of values that are frozen."""
        return self.count_of(FROZEN)

    @property
    def buffers(self) -> int:
        """The number of values of all buffers, which are not parameters."""
        return self.count_of(BUFFER)

    @property
    def multiply_adds(self) -> int:
        """The number of multiply-adds for one input."""
        return sum(row.multiply_adds for row in self.rows)

    def count_of(self, state: str) -> int:
        """Return the number of values in a state: "trained", "frozen" or "buffer"."""
        return sum(row.count_of(state) for row in self.rows)

    def table(self) -> Table:
        """Return the rows, and the totals below them."""
        headings = self._headings
        lines = [[cells.get(heading, "") for heading in headings] for cells in self._lines()]
        return Table(headings, lines, numeric=("count", "multiply-adds"))

    def _lines(self) -> Iterator[dict[str, str]]:
        """Yield the cells of every line by heading."""
        for row in self.rows:
            yield row.cells()
        yield {
            "layer": "total",
            "output": ", ".join(map(_with_batch, self.outputs)),
            "count": f"{self.count:,}",
            "multiply-adds": f"{self.multiply_adds:,}",
        }
        if self.frozen:
            yield {"layer": "trained", "count": f"{self.trained:,}"}
            yield {"layer": "frozen", "count": f"{self.frozen:,}"}
        if self.buffers:
            yield {"layer": "buffers", "count": f"{self.buffers:,}"}

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def summary(
    net: Module,
    input_shape: Shape | None = None,
    *,
    dtype: DType | None = None,
) -> Summary:
    """Return the table of a network's layers with the shapes and counts of their parameters.

    With an input shape, a copy of the network runs on zeros in inference mode. The table then has
    the shape of every layer's output, where N is the batch, and its multiply-adds for one input:
    those of products of matrices and of convolutions, of which an average pool is one. A layer that
    runs several times has its last output and the multiply-adds of all calls. A layer that contains
    others has only the multiply-adds of its own.

    Args:
        net: a network.
        input_shape: of one input without the batch, such as (1, 28, 28).
        dtype: of the input, that of the parameters by default. An `Embedding` takes integers.

    Raises:
        ArgumentError: the shape is no tuple of whole numbers.
        ArgumentTypeError: no network, or the name of a dtype in place of the dtype.

    >>> net = layers.Sequential(layers.Linear(784, 50), layers.ReLU())
    >>> anynet.summary(net, (784,))
    layer     kind    parameters                      output    count  multiply-adds
    layers.0  Linear  weight (784, 50), bias (50,)  (N, 50)  39,250         39,200
    layers.1  ReLU                                  (N, 50)       0              0
    total                                           (N, 50)  39,250         39,200

    """
    return Summary(net, input_shape, dtype=dtype)


@dataclass
class _Notes:
    """The outputs and the work of a network's layers, noted while it runs."""

    counting: Counting = field(default_factory=Counting)
    outputs: dict[str, tuple[Shape, ...]] = field(default_factory=dict)

    def observe(self, net: Module) -> Module:
        """Return a copy of a network whose layers are observed."""
        traced = self.counting.begin(net)
        for path, module in traced.modules():
            module._observer = partial(self.call, path)
        return traced

    def call(
        self,
        path: str,
        module: Module,
        *args: Any,
        **settings: Any,
    ) -> Any:
        """Call a layer's forward. Its work counts for it, without that of the layers it calls."""
        outer, self.counting.part = self.counting.part, path
        try:
            out = module.forward(*args, **settings)
        finally:
            self.counting.part = outer
        arrays = [x for _, x in tree.leaves(out)]
        self.outputs[path] = tuple(tuple(x.shape) for x in arrays)
        return out


def _run(
    net: Module,
    input_shape: Shape,
    dtype: DType | None,
) -> _Notes:
    """Run a copy of the network on zeros, and return the notes of its layers."""
    is_shape = isinstance(input_shape, tuple | list)
    if not is_shape or not all(isinstance(n, int) and n >= 0 for n in input_shape):
        raise ArgumentError(
            f"input_shape is {describe(input_shape)}: wanted that of one input, such as (784,) or "
            "(1, 28, 28)"
        )
    if isinstance(dtype, str):
        raise ArgumentTypeError(
            f"dtype is {dtype!r}: wanted a dtype of the network's library, as backend.xp.{dtype}"
        )
    arrays = [x for _, x in tree.leaves(net)]
    backend = get_backend(arrays[0] if arrays else None)
    if dtype is None:
        dtype = next((x.dtype for x in arrays if is_floating(x)), backend.xp.float32)
    # The default makes a copy of every module, also of one without attributes.
    copy = tree.map(lambda x: x, net, defaults={"_differentiated": False})
    copy.set_training(False)
    for _, module in copy.modules():
        if any(map(is_uninitialized, vars(module).values())):
            copy.initialize(0, backend)
    notes = _Notes()
    zeros = backend.xp.zeros(
        (1, *input_shape),
        dtype=dtype,
        device=backend.device,
    )
    notes.observe(copy)(notes.counting.begin(zeros))
    return notes


def _shapes(module: Module, tied: set[int]) -> dict[str, Shape]:
    """Return the shapes of a module's own arrays by name, each array once."""
    shapes: dict[str, Shape] = {}
    for attribute, value in vars(module).items():
        for name, x in tree.own_leaves(value, attribute, has_shape):
            if id(x) not in tied:
                tied.add(id(x))
                shapes[name] = tuple(x.shape)
    return shapes


def _state(module: Module, name: str) -> str:
    """Return the state of the array of this name: trained, frozen or a buffer."""
    attribute = name.partition(".")[0]
    if attribute in module.BUFFERS:
        return BUFFER
    return FROZEN if attribute in module.frozen else TRAINED


def _with_batch(shape: Shape) -> str:
    """Write the shape for a batch of one as that for N inputs."""
    lengths = [*map(str, shape)]
    if shape[:1] == (1,):
        lengths[0] = "N"
    return f"({', '.join(lengths)}{',' if len(lengths) == 1 else ''})"
