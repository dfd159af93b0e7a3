"""The operations of a function, recorded while it runs once on traced arrays."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from anynet import tree
from anynet.array import dtype_name, is_array, unrecorded
from anynet.backend import get_backend
from anynet.callables import signature_of
from anynet.errors import CompilationError
from anynet.layers import Module
from anynet.tracing.errors import call
from anynet.tracing.trace import Primitive, Traced, next_level

#: The kinds of nodes.
ARGUMENT, CONSTANT, OPERATION = "argument", "constant", "operation"


@dataclass(frozen=True)
class Node:
    """An array in a computation: an argument, a constant, or the result of an operation.

    Args:
        kind: "argument", "constant" or "operation".
        name: of the argument or the operation, "" for a constant.
        shapes: of the array, or of the results of an operation that lead to a result.
        dtype: the name of the dtype.
        inputs: the indices of the nodes of an operation's arguments, in order.
        settings: the other arguments of an operation as text, by name or position.
        path: of the layer that calls the operation, "" outside of layers.
        value: as text, of an array of no axes whose value is known, or "".

    >>> graph = anynet.plotting.computation_graph(lambda x: x * 2.0, np.ones(3))
    >>> graph.nodes[1].name, graph.nodes[1].shapes, graph.nodes[1].inputs
    ('multiply', ((3,),), (0,))

    """

    kind: str
    name: str
    shapes: tuple[tuple[int, ...], ...]
    dtype: str
    inputs: tuple[int, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    path: str = ""
    value: str = ""


@dataclass(frozen=True)
class _Step:
    """An operation with all its results, an argument or a constant."""

    kind: str
    name: str
    results: tuple[Any, ...]
    inputs: tuple[int, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    path: str = ""


class Recording:
    """A trace that evaluates each operation and notes it as a node."""

    batch_axes = 0
    # An operation such as mean is one node, and not those of its decomposition.
    keeps_decompositions = True

    def __init__(self) -> None:
        self.level = next_level()
        self.steps: list[_Step] = []
        #: The step and the position among its results, of each array by its node.
        self.arrays: list[tuple[int, int]] = []
        self._path = ""
        # The nodes of constants by identity. The steps keep the constants alive.
        self._constants: dict[int, int] = {}

    def error(self, what: str, /) -> CompilationError:
        """Return the error for a value that is read from an array of the trace."""
        return CompilationError(
            f"{what} would make the graph depend on computed values: use the functions of its "
            "namespace, as where() for a choice"
        )

    def argument(self, name: str, x: Any) -> Traced:
        """Return the traced array of an argument."""
        return self._add(_Step(ARGUMENT, name, (unrecorded(x),)))[0]

    def observe(self, module: Any, path: str) -> None:
        """Note the paths of the layers of a copy of a module."""
        for inner, layer in tree.modules(module, path):
            layer._observer = partial(self._call, inner)

    def apply(
        self,
        step: Primitive[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        """Evaluate a primitive and note it."""
        inputs = tuple([self._node(arg) for arg in args if is_array(arg)])
        values = [self._value(arg) for arg in args]
        out, _, _ = step.evaluate(values, settings)
        several = isinstance(out, tuple | list)
        name = step.name.removesuffix("_with_residuals")
        results = tuple(out) if several else (out,)
        traced = self._add(
            _Step(OPERATION, name, results, inputs, _settings(args, settings), self._path)
        )
        return tuple(traced) if several else traced[0]

    def _call(
        self,
        path: str,
        module: Module,
        *args: Any,
        **settings: Any,
    ) -> Any:
        """Call a layer's forward. Its operations have its path."""
        outer, self._path = self._path, path
        try:
            return module.forward(*args, **settings)
        finally:
            self._path = outer

    def _add(self, step: _Step) -> list[Traced]:
        """Note a step, and return its results as traced arrays."""
        traced = []
        for i, x in enumerate(step.results):
            traced.append(Traced(x, self, len(self.arrays)))
            self.arrays.append((len(self.steps), i))
        self.steps.append(step)
        return traced

    def _value(self, x: Any) -> Any:
        """Return what the primitive is evaluated with, one trace further out."""
        if type(x) is Traced and (x.trace is self or x.trace is None):
            return x.value
        return x

    def _node(self, x: Any) -> int:
        """Return the node of an array."""
        if type(x) is Traced and x.trace is self:
            return x.node
        value = self._value(x)
        if id(value) not in self._constants:
            self._constants[id(value)] = self._add(_Step(CONSTANT, "", (value,)))[0].node
        return self._constants[id(value)]


def record(
    f: Callable[..., Any],
    arguments: Sequence[Any],
    named: Mapping[str, Any],
) -> tuple[list[Node], list[int]]:
    """Return the nodes of a call, and the indices of those that it returns.

    Nodes that do not lead to a result are left out.
    """
    recording = Recording()
    if isinstance(f, Module):
        f = _begin(recording, f, "")
    names = [*_parameter_names(f, len(arguments))]
    positional = [_begin(recording, x, name) for name, x in zip(names, arguments, strict=True)]
    keywords = {name: _begin(recording, x, name) for name, x in named.items()}
    out = call(f, positional, keywords)
    results = [x.node for _, x in tree.leaves(out) if type(x) is Traced and x.trace is recording]
    return _reached(recording, [*dict.fromkeys(results)])


def _begin(
    recording: Recording,
    argument: Any,
    name: str,
) -> Any:
    """Return the argument with traced arrays. A layer in it is a copy that is observed."""
    paths = iter([path for path, _ in tree.leaves(argument, name)])
    copy = tree.map(
        lambda x: recording.argument(next(paths), x),
        argument,
        defaults={"_differentiated": False},
    )
    recording.observe(copy, name)
    return copy


def _parameter_names(f: Callable[..., Any], count: int) -> Iterable[str]:
    """Yield the names of the first parameters of a function, x and so on where it has none."""
    signature = signature_of(getattr(f, "forward", f))
    names = []
    for parameter in signature.parameters.values() if signature else ():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
        elif parameter.kind == parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{i}]" for i in range(count - len(names))]
    for i in range(count):
        yield names[i] if i < len(names) else f"argument {i}"


def _reached(recording: Recording, results: list[int]) -> tuple[list[Node], list[int]]:
    """Return the nodes that lead to these arrays, and the indices of those that return them."""
    used: dict[int, set[int]] = {}
    waiting = [*results]
    while waiting:
        index, result = recording.arrays[waiting.pop()]
        if index not in used:
            used[index] = set()
            waiting += recording.steps[index].inputs
        used[index].add(result)
    order = sorted(used)
    new = {index: i for i, index in enumerate(order)}
    nodes = []
    for index in order:
        step = recording.steps[index]
        arrays = [step.results[i] for i in sorted(used[index])]
        node = Node(
            step.kind,
            step.name,
            tuple([tuple(x.shape) for x in arrays]),
            dtype_name(arrays[0].dtype),
            tuple([new[recording.arrays[i][0]] for i in step.inputs]),
            step.settings,
            step.path,
            _value(arrays[0]) if len(arrays) == 1 else "",
        )
        nodes.append(node)
    return nodes, [*dict.fromkeys(new[recording.arrays[i][0]] for i in results)]


def _settings(args: Sequence[Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the arguments that are no arrays, as text."""
    positional = {str(i): arg for i, arg in enumerate(args) if not is_array(arg)}
    return {
        name: _text(value)
        for name, value in (positional | dict(settings)).items()
        if value is not None
    }


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_text, value))})"
    if isinstance(value, slice):
        parts = [value.start, value.stop] + ([value.step] if value.step is not None else [])
        return ":".join("" if part is None else str(part) for part in parts)
    if value is Ellipsis:
        return "…"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= 30 else f"{text[:29]}…"


def _value(x: Any) -> str:
    """Return the value of an array of no axes as text, "" where there is none."""
    if x.shape or type(x) is Traced or get_backend(x).lazy:
        return ""
    value = get_backend(x).to_host(x).item()
    if isinstance(value, complex):
        return f"{value:.5g}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
