"""The graph of a computation, as an SVG image."""

import os
from collections.abc import Callable
from typing import Any

from anynet import tree
from anynet.array import is_array
from anynet.backend import get_backend
from anynet.callables import check_callable, name_of
from anynet.compiler import CompiledStep
from anynet.errors import ArgumentError
from anynet.files import atomic_write
from anynet.plotting.recording import ARGUMENT, CONSTANT, OPERATION, Node, record
from anynet.plotting.svg import draw

__all__ = ["ComputationGraph", "Node", "computation_graph"]


class ComputationGraph:
    """The operations of a computation and the arrays between them, which a notebook draws.

    Args:
        name: of the function.
        nodes: each after its inputs.
        results: the indices of the nodes that the function returns.

    >>> graph = anynet.plotting.computation_graph(lambda x: x * x, np.ones(3))
    >>> graph
    computation graph of <lambda>: 1 argument, 1 operation
    >>> graph.save("graph.svg")

    """

    def __init__(
        self,
        name: str,
        nodes: list[Node],
        results: list[int],
    ) -> None:
        self.name = name
        self.nodes = nodes
        self.results = results

    @property
    def svg(self) -> str:
        """The text of the SVG image."""
        return draw(self.nodes, self.results, str(self))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an SVG file."""
        with atomic_write(path) as file:
            file.write(self.svg.encode())

    def __repr__(self) -> str:
        kinds = [node.kind for node in self.nodes]
        counts = [(kind, kinds.count(kind)) for kind in (ARGUMENT, CONSTANT, OPERATION)]
        parts = [f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts if n]
        return f"computation graph of {self.name}: {', '.join(parts)}"

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        # A notebook shows HTML as part of the page, where text can be selected, and SVG as an
        # image without a description.
        return self.svg


def computation_graph(
    f: Callable[..., Any],
    *arguments: Any,
    **named: Any,
) -> ComputationGraph:
    """Return the computation graph of a function or a network, which a notebook draws as SVG.

    The function runs once. Boxes are operations, with the shapes of their results and the paths of
    the layers that call them. Arguments have round boxes. An array of no axes has its value in
    place of its shape. Operations that do not lead to a result are left out. A network runs in
    inference mode.

    Args:
        f: a function of arrays, networks or other trees of arrays, or a network. The graph of a
            compiled step is that of the function that it compiles.
        arguments: of f. Python's floats become arrays of no axes.
        named: further arguments of f.

    Raises:
        ArgumentTypeError: f cannot be called.
        ArgumentError: there is no array among the arguments, or no result depends on one.
        CompilationError: f reads a value out of an array, for example in an ``if``.

    >>> graph = anynet.plotting.computation_graph(
    ...     lambda apple, count, tax: apple * count * tax, 100.0, 2.0, 1.1
    ... )
    >>> [node.name for node in graph.nodes]
    ['apple', 'count', 'tax', 'multiply', 'multiply']
    >>> graph.nodes[-1].value
    '220'

    Source: Deep Learning from Scratch, chapter 5.1.

    """
    check_callable(f)
    if isinstance(f, CompiledStep):
        f = f.step
    arrays = [x for _, x in tree.leaves([f, arguments, named]) if is_array(x)]
    backend = get_backend(arrays[0] if arrays else None)

    def as_array(x: Any) -> Any:
        return backend.asarray(x) if isinstance(x, float) and not is_array(x) else x

    positional = [as_array(x) for x in arguments]
    keywords = {name: as_array(x) for name, x in named.items()}
    name = name_of(f)
    if not any(is_array(x) for _, x in tree.leaves([f, positional, keywords])):
        raise ArgumentError(
            f"{name} has no array among its arguments: wanted arrays, networks or floats"
        )
    nodes, results = record(f, positional, keywords)
    if not results:
        raise ArgumentError(
            f"{name} returns no array that depends on its arguments: wanted a function of arrays"
        )
    return ComputationGraph(name, nodes, results)
