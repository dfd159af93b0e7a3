"""Texts of arrays, by which the ranks of a group compare them."""

import zlib
from typing import Any

from anynet import tree
from anynet.array import Array, dtype_name, is_array
from anynet.backend import get_backend
from anynet.data.rows import named_parts

#: Rows of an array that are compared, evenly spaced.
COMPARED_ROWS = 64


def texts_of(whose: str, root: Any) -> dict[str, str]:
    """Return a text of each array of a tree, by its path.

    >>> from anynet.distributed.comparison import texts_of
    >>> texts_of("the network's", {"w": np.zeros(2)})
    {"the network's w": '(2,) of float64 with checksum ecbb4b55'}

    """
    return {f"{whose} {path}": _text(x) for path, x in tree.leaves(root) if is_array(x)}


def texts_of_rows(name: str, rows: Any) -> dict[str, str]:
    """Return a text of each array of rows: of its shape, its dtype and some of its rows."""
    return {part: _text_of_rows(x) for part, x in named_parts(name, rows) if is_array(x)}


def _text_of_rows(x: Array) -> str:
    step = max(1, x.shape[0] // COMPARED_ROWS)
    return f"{x.shape[0]} rows, such as {_text(x[::step, ...])}"


def _text(x: Array) -> str:
    """Return the shape, the dtype and a checksum of an array."""
    contents = get_backend(x).to_host(x).tobytes()
    return f"{tuple(x.shape)} of {dtype_name(x.dtype)} with checksum {zlib.crc32(contents):08x}"
