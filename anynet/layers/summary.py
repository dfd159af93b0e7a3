"""A network in a table: each layer, what it holds, and for an input's shape what comes out and how
much work it is.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Row:
    """One layer: its path, its class, and the arrays of its own by name, their shapes and what
    training does to them.

    Where the summary was given an input's shape: the shapes of the layer's outputs, for a batch of
    one, and the multiply-adds of what is in no layer inside it, all calls together.
    """

    path: str
    kind: str
    shapes: dict[str, Shape]
    states: dict[str, str]
    outputs: tuple[Shape, ...] = ()
    multiply_adds: int = 0

    @property
    def count(self) -> int:
        """How many numbers the parameters hold."""
        return self.numbers(TRAINED) + self.numbers(FROZEN)

    def numbers(self, state: str) -> int:
        """Return how many numbers are in this state: "trained", "frozen" or "buffer"."""
        return sum(
            math.prod(shape) for name, shape in self.shapes.items() if self.states[name] == state
        )


class Summary:
    """The table of a network; a string in a terminal, a table in a notebook."""

    def __init__(
        self,
        net: Module,
        input_shape: Shape | None = None,
        *,
        dtype: DType = None,
    ) -> None:
        if not isinstance(net, Module):
            raise ArgumentTypeError(
                f"net is {describe(net)}: wanted a layers.Module, such as layers.Sequential(…)"
            )
        self._with_outputs = input_shape is not None
        outputs: dict[str, tuple[Shape, ...]] = {}
        counts: Mapping[str, int] = {}
        if input_shape is not None:
            outputs, counts = _run(net, input_shape, dtype)
        self.outputs = outputs.get("", ())
        self.rows = []
        tied: set[int] = set()
        for path, module in net.modules():
            shapes = _shapes(module, tied)
            if shapes or counts.get(path) or len(module.modules()) == 1:
                states = {name: _state(module, name) for name in shapes}
                kind = type(module).__name__
                row = Row(
                    path or "(network)",
                    kind,
                    shapes,
                    states,
                    outputs.get(path, ()),
                    counts.get(path, 0),
                )
                self.rows.append(row)

    @property
    def count(self) -> int:
        """How many numbers all parameters hold."""
        return sum(row.count for row in self.rows)

    @property
    def trained(self) -> int:
        """How many of them are trained."""
        return self.numbers(TRAINED)

    @property
    def frozen(self) -> int:
        """How many of them are not trained for now."""
        return self.numbers(FROZEN)

    @property
    def buffers(self) -> int:
        """How many numbers all buffers hold, which are no parameters."""
        return self.numbers(BUFFER)

    @property
    def multiply_adds(self) -> int:
        """How many multiply-adds one input takes."""
        return sum(row.multiply_adds for row in self.rows)

    def numbers(self, state: str) -> int:
        """Return how many numbers are in this state: "trained", "frozen" or "buffer"."""
        return sum(row.numbers(state) for row in self.rows)

    def _table(self) -> Table:
        headings = self._chosen(
            "layer",
            "kind",
            "parameters",
            "output",
            "count",
            "multiply-adds",
        )
        return Table(
            headings,
            list(self._lines()),
            numeric=("count", "multiply-adds"),
        )

    def _lines(self) -> Iterator[tuple[str, ...]]:
        """Yield the cells of every line."""
        for row in self.rows:
            arrays = ", ".join(
                f"{name} {shape}{_mark(row.states[name])}" for name, shape in row.shapes.items()
            )
            outputs = ", ".join(map(_with_batch, row.outputs))
            yield self._chosen(
                row.path,
                row.kind,
                arrays,
                outputs,
                f"{row.count:,}",
                f"{row.multiply_adds:,}",
            )
        outputs = ", ".join(map(_with_batch, self.outputs))
        yield self._chosen(
            "total",
            "",
            "",
            outputs,
            f"{self.count:,}",
            f"{self.multiply_adds:,}",
        )
        if self.frozen:
            yield self._chosen("trained", "", "", "", f"{self.trained:,}", "")
            yield self._chosen("frozen", "", "", "", f"{self.frozen:,}", "")
        if self.buffers:
            yield self._chosen("buffers", "", "", "", f"{self.buffers:,}", "")

    def _chosen(
        self,
        layer: str,
        kind: str,
        arrays: str,
        output: str,
        count: str,
        work: str,
    ) -> tuple[str, ...]:
        """Return the cells of a line, without those that nothing is known of."""
        return (
            (layer, kind, arrays, count)
            if not self._with_outputs
            else (layer, kind, arrays, output, count, work)
        )

    def __str__(self) -> str:
        return str(self._table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()


def summary(net: Module, input_shape: Shape | None = None, *, dtype: DType = None) -> Summary:
    """Return the table of a network's layers with the shapes and counts of their parameters.

    With the shape of one input, as (1, 28, 28), also with the shape of every layer's output, N
    being the batch, and its multiply-adds for one input: those of products of matrices and of
    convolutions, an average pool being one. They are found by running a copy of the network on
    zeros, in inference; a layer that runs several times shows its last output and all its work, and
    one that holds others the work that is in none of them. Zeros are of the parameters' dtype
    unless another is given: an `Embedding` takes integers.

    Raises:
        ArgumentError: the shape is no tuple of whole numbers.
        ArgumentTypeError: no network, or the name of a dtype in place of the dtype.

    """
    return Summary(net, input_shape, dtype=dtype)


def _run(
    net: Module, input_shape: Shape, dtype: DType
) -> tuple[dict[str, tuple[Shape, ...]], Mapping[str, int]]:
    """Run a copy of the network on zeros; return its layers' output shapes and multiply-adds by
    path.
    """
    if not isinstance(input_shape, tuple | list) or not all(
        isinstance(n, int) and n >= 0 for n in input_shape
    ):
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
    copy = tree.map(lambda x: x, net, defaults={"_differentiated": False}).set_training(False)
    if any(
        is_uninitialized(value) for _, module in copy.modules() for value in vars(module).values()
    ):
        copy.initialize(0, backend)
    notes = _Notes()
    zeros = backend.xp.zeros((1, *input_shape), dtype=dtype, device=backend.device)
    notes.observe(copy)(notes.counting.begin(zeros))
    return notes.outputs, notes.counting.counts


class _Notes:
    """What the layers of a network note while it runs."""

    def __init__(self) -> None:
        self.counting = Counting()
        self.outputs: dict[str, tuple[Shape, ...]] = {}

    def observe(self, net: Module) -> Module:
        """Return a copy of a network whose layers note their outputs and work."""
        traced = self.counting.begin(net)
        for path, module in traced.modules():
            module._observer = partial(self.call, path)
        return traced

    def call(self, path: str, module: Module, *args: Any, **settings: Any) -> Any:
        """Call a layer's forward. Its work counts for it, but for that of the layers it calls."""
        outer, self.counting.part = self.counting.part, path
        try:
            out = module.forward(*args, **settings)
        finally:
            self.counting.part = outer
        self.outputs[path] = tuple(tuple(x.shape) for _, x in tree.leaves(out))
        return out


def _shapes(module: Module, tied: set[int]) -> dict[str, Shape]:
    """Return the shapes of a module's own arrays by name, each array once."""
    shapes: dict[str, Shape] = {}
    for own, value in vars(module).items():
        for name, x in tree.own_leaves(value, own, has_shape):
            if id(x) not in tied:
                tied.add(id(x))
                shapes[name] = tuple(x.shape)
    return shapes


def _state(module: Module, name: str) -> str:
    """Return what training does to the array of this name."""
    attribute = name.partition(".")[0]
    if attribute in module.BUFFERS:
        return BUFFER
    return FROZEN if attribute in module.frozen else TRAINED


def _mark(state: str) -> str:
    return "" if state == TRAINED else f" {state}"


def _with_batch(shape: Shape) -> str:
    """Write a shape for one input as one for N of them."""
    batch = ["N"] if shape[:1] == (1,) else list(map(str, shape[:1]))
    lengths = [*batch, *map(str, shape[1:])]
    return f"({', '.join(lengths)}{',' if len(lengths) == 1 else ''})"
