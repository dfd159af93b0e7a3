"""Export to ONNX files, which other programs run without anynet or Python."""

import os
from collections.abc import Mapping
from typing import Any

from anynet import tree
from anynet.arguments import describe, whole_number
from anynet.array import Array, DType, dtype_name, is_array, is_floating
from anynet.backend import Backend, get_backend
from anynet.callables import show_call, takes
from anynet.errors import (
    AnynetError,
    ArgumentError,
    ArgumentTypeError,
    DataError,
)
from anynet.files import atomic_write
from anynet.layers import Embedding, Module, Uninitialized
from anynet.tracing.trace import unwrap, wrap

__all__ = [
    "export_onnx",
]

Shape = tuple[int | str, ...]


def export_onnx(
    net: Module,
    path: str | os.PathLike[str],
    input_shape: Shape | Mapping[str, Shape],
    *,
    dtype: DType | Mapping[str, DType] = None,
    batch: str | int = "batch",
) -> None:
    """Write a network with its weights to an ONNX file. The file appears complete or not at all.

    The network runs once, in inference, on arrays that record the operations. The file has an input
    named ``input`` and an output named ``output``. A tuple or a list has the outputs ``output_0``,
    ``output_1`` …, and a dict has its keys. Names of nested outputs are joined by a dot.

    A slice is not a view in the file. Write ``y[:, 0] += 1``, not ``v = y[:, 0]`` and ``v += 1``.

    Args:
        net: an initialized network of any library.
        path: the file to write.
        input_shape: the shape of one input without the batch, such as (784,). A string names an
            axis of any length, as in ("time", 8). For several inputs, a dict of their shapes by
            name, in the order in which ``forward`` takes them.
        dtype: the dtype of the input, of any library or by name. For several inputs, a dict.
            Default: the dtype of the parameters, or int64 if the network begins with an
            `Embedding`.
        batch: the name of the first axis, or its fixed length.

    Raises:
        BackendError: ndonnx is not installed.
        DataError: the network is uninitialized, returns no arrays, or needs the length of an axis
            that has a name.
        ArgumentError: the network is in training mode, or an argument is not as above.

    >>> net = layers.Linear(3, 2).initialize(0, "numpy")
    >>> anynet.export_onnx(net, "net.onnx", (3,))

    """
    if not isinstance(net, Module):
        raise ArgumentTypeError(
            f"net is {describe(net)}: wanted a network; a function goes into a Module's forward()"
        )
    modules = net.modules()
    if any(
        isinstance(value, Uninitialized) for _, module in modules for value in vars(module).values()
    ):
        raise DataError("the network is not initialized: call initialize() before exporting it")
    training = [module_path or "the network" for module_path, module in modules if module.training]
    if training:
        raise ArgumentError(
            f"{training[0]} is in training mode, and an ONNX file is for inference: call "
            "net.set_training(None) first"
        )
    shapes = _shapes(input_shape)
    if not takes(net.forward, len(shapes)):
        raise ArgumentError(
            f"input_shape has {len(shapes)} inputs: wanted those of {show_call(net.forward)}"
        )
    dtypes = dict(dtype) if isinstance(dtype, Mapping) else dict.fromkeys(shapes, dtype)
    if unknown := sorted(dtypes.keys() - shapes.keys()):
        raise ArgumentError(
            f"dtype names {unknown[0]!r}: wanted names of inputs, which are {', '.join(shapes)}"
        )
    batch = _axis("batch", batch)
    backend = get_backend("ndonnx")
    # Traced constants work with NumPy's functions, which take arrays of ndonnx for scalars.
    copy = tree.map(lambda x: wrap(_constant(x, backend)), net)
    inputs = {
        name: _argument(name, (batch, *shape), dtypes.get(name), net, backend)
        for name, shape in shapes.items()
    }
    outputs = _named(
        tree.map(
            unwrap,
            _run(copy, {name: wrap(x) for name, x in inputs.items()}),
        ),
        backend,
    )
    if taken := sorted(inputs.keys() & outputs.keys()):
        raise ArgumentError(
            f"{taken[0]!r} is the name of an input and of an output: rename one of them"
        )
    model: Any = backend.xp.build(inputs, outputs)
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


def _shapes(given: Any) -> dict[str, Shape]:
    """Return the shapes of the inputs by name."""
    shapes = dict(given) if isinstance(given, Mapping) else {"input": given}
    if not shapes:
        raise ArgumentError(
            "input_shape is an empty dict: wanted the shape of every input by its name"
        )
    for name, shape in shapes.items():
        if not isinstance(name, str) or not name:
            raise ArgumentTypeError(
                f"input_shape has an input called {describe(name)}: wanted a name, such as 'input'"
            )
        example = f"({shape},)" if isinstance(shape, int) else "(784,)"
        wanted = f"wanted that of one input, such as {example}, or a dict of them by name"
        if not isinstance(shape, tuple | list):
            raise ArgumentTypeError(f"input_shape is {describe(shape)}: {wanted}")
        try:
            shapes[name] = tuple(_axis("an axis", n) for n in shape)
        except ArgumentError as error:
            raise type(error)(f"input_shape is {shape!r:.80}: {wanted} ({error})") from None
    return shapes


def _axis(name: str, n: Any) -> int | str:
    """Return the length or the name of an axis."""
    if isinstance(n, str) and n:
        return n
    try:
        return whole_number(name, n, 0)
    except ArgumentError as error:
        raise type(error)(f"{error}, or a name, as 'batch', for any length") from None


def _argument(
    name: str,
    shape: Shape,
    dtype: DType,
    net: Module,
    backend: Backend,
) -> Array:
    """Return the array of the graph for an input."""
    chosen = dtype_name(dtype) if dtype is not None else _dtype_of(net)
    own = getattr(backend.xp, chosen, None)
    if own is None:
        raise ArgumentError(
            f"the input {name!r} is to be of dtype {chosen}: wanted one such as float32 or int64"
        )
    return backend.xp.argument(shape=shape, dtype=own)


def _dtype_of(net: Module) -> str:
    """Return the dtype of a network's input: int64 if it begins with an embedding, or the dtype of
    its parameters.
    """
    first = next(module for _, module in net.modules() if len(module.modules()) == 1)
    if isinstance(first, Embedding):
        return "int64"
    return next(
        (dtype_name(x.dtype) for x in net.parameters().values() if is_floating(x)),
        "float32",
    )


def _constant(x: Array, backend: Backend) -> Array:
    """Return a parameter or a buffer as a constant of the graph."""
    name = dtype_name(x.dtype)
    if not hasattr(backend.xp, name):
        raise ArgumentError(
            f"a parameter is of dtype {name}, which the export does not support: convert it to "
            "float32"
        )
    return backend.asarray(x)


def _run(net: Module, inputs: dict[str, Array]) -> Any:
    """Return the output of the network.

    Raises:
        DataError: the network needs a value, or the length of an axis that has a name.

    """
    try:
        return net(*inputs.values())
    except AnynetError:
        raise
    except Exception as error:
        if "no propagated value" in str(error):
            raise DataError(
                "the network cannot be exported: it uses the value of an array, as `if x > 0` and "
                "float(x) do, but a file has values only when it runs: use where() and functions "
                "of arrays"
            ) from error
        shapes = [(name, enumerate(x.shape)) for name, x in inputs.items()]
        axes = [
            f"axis {n} of {name!r}"
            for name, shape in shapes
            for n, length in shape
            if length is None
        ]
        if not axes:
            raise
        raise DataError(
            f"the network cannot be exported for any length of {', '.join(axes)} "
            f"({type(error).__name__}: {error}): give lengths in input_shape, and in batch= if "
            "that does not do"
        ) from error


def _named(out: Any, backend: Backend) -> dict[str, Array]:
    """Return the arrays of an output by name."""
    if is_array(out):
        return {"output": backend.asarray(out)}
    found = dict(tree.leaves(out))
    if not found:
        raise DataError(
            f"the network returns {type(out).__name__} without arrays: wanted an array, or some in "
            "a tree"
        )
    prefix = "" if isinstance(out, dict) else "output_"
    return {f"{prefix}{name}": backend.asarray(x) for name, x in found.items()}
