"""Networks as ONNX files, which other programs run without anynet or Python."""

import os

from anynet import tree
from anynet.array import DType
from anynet.backend import get_backend
from anynet.errors import DataError
from anynet.files import written_whole
from anynet.layers import Module, Parameter


def export_onnx(
    net: Module, path: str | os.PathLike[str], input_shape: tuple[int, ...], *, dtype: DType = None
) -> None:
    """Write a network to an ONNX file, with its weights in it; the file appears whole or not at all.

    The network runs once on arrays that note what is done with them. The file's input is named ``input``, of shape
    (batch, *input_shape), float32 unless another dtype of ndonnx is given, for a batch of any size; its output is
    named ``output``.

    Raises:
        BackendError: ndonnx, of the extra ``onnx``, is not installed.
        DataError: the network has no numbers yet.

    """
    if any(isinstance(value, Parameter) for _, module in net.modules() for value in vars(module).values()):
        raise DataError("the network has no numbers yet: call initialize() before exporting it")
    backend = get_backend("ndonnx")
    xp = backend.xp
    x = xp.argument(shape=("batch", *input_shape), dtype=dtype or xp.float32)
    out = tree.map(backend.asarray, net)(x)
    model = xp.build({"input": x}, {"output": out})
    with written_whole(path) as file:
        file.write(model.SerializeToString())
