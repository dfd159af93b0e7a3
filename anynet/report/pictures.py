"""Inputs of a network on a page: pixels where they are images, otherwise their first values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anynet.array import dtype_name
from anynet.backend import get_backend
from anynet.data.rows import Rows, map_rows
from anynet.report.html import Html, element
from anynet.report.png import data_url

#: The shortest side of an image, and the most pixels of one that a page contains.
SHORTEST, LONGEST = 8, 64

#: Values of another input that a page shows.
MOST_VALUES = 12


@dataclass(frozen=True)
class Picture:
    """An input that is drawn: uint8 pixels on the host, see `png.data_url`, and its true size."""

    pixels: Any
    size: str

    def html(self, label: str) -> Html:
        """Return the image. The label says what it shows, for screen readers."""
        height, width = self.pixels.shape[:2]
        return element(
            "img",
            src=data_url(self.pixels),
            alt=f"{label}, an image of {self.size} pixels",
            width=width,
            height=height,
            class_="input",
        )


def picture_of(row: Rows) -> Picture | str:
    """Return an input as a picture, or its first values as a text.

    An image has the shape (1 or 3, height, width) or (height, width), with 8 pixels or more on each
    side, or is a square that was flattened, such as (784,), of values of 0 and more.

    Args:
        row: an input on the host, an array without the axis of the batch, or a tuple or dict of
            these.

    >>> from anynet.report.pictures import picture_of
    >>> picture_of(np.zeros((1, 28, 28))).size, picture_of(np.asarray([1, 5, 2]))
    ('28 × 28', '1, 5, 2')

    """
    if isinstance(row, Mapping):
        return "; ".join(f"{name}: {_values(part)}" for name, part in row.items())
    if isinstance(row, tuple | list):
        return "; ".join(map(_values, row))
    pixels = _pixels(row)
    if pixels is None:
        return _values(row)
    height, width = pixels.shape[:2]
    return Picture(_as_bytes(_reduced(pixels)), f"{height} × {width}")


def row_on_host(x: Rows, i: int) -> Rows:
    """Return the row of a batch at this index on the host."""
    return map_rows(lambda array: get_backend(array).to_host(array[i, ...]), x)


def _pixels(x: Any) -> Any:
    """Return the pixels of an image, (height, width) or (height, width, 3), else None."""
    is_number = dtype_name(x.dtype).startswith(("float", "uint8", "bfloat"))
    if not is_number:
        # Other integers are indices, as those of words.
        return None
    if x.ndim == 1:
        side = math.isqrt(x.shape[0])
        is_square = side >= SHORTEST and side * side == x.shape[0] and not (x < 0).any()
        return x.reshape(side, side) if is_square else None
    if x.ndim == 2 and min(x.shape) >= SHORTEST:
        return x
    if x.ndim != 3 or min(x.shape[1:]) < SHORTEST:
        return None
    # Of another number of channels, the first one.
    return x.transpose(1, 2, 0) if x.shape[0] == 3 else x[0]


def _reduced(pixels: Any) -> Any:
    """Return every n-th pixel of a large image."""
    step = -(-max(pixels.shape[:2]) // LONGEST)
    return pixels[::step, ::step]


def _as_bytes(pixels: Any) -> Any:
    """Return pixels as uint8, from the smallest value to the largest. Others become 0."""
    host: Any = get_backend("numpy").xp
    if dtype_name(pixels.dtype) == "uint8":
        return pixels
    values = pixels.astype("float64")
    finite = values[host.isfinite(values)]
    low = min(float(finite.min()), 0.0) if finite.size else 0.0
    high = max(float(finite.max()), low) if finite.size else low
    with host.errstate(over="ignore", invalid="ignore"):
        scaled = (values - low) * (255 / ((high - low) or 1.0))
    return host.where(host.isfinite(scaled), scaled, 0).astype("uint8")


def _values(part: Any) -> str:
    flat: Any = part.reshape(-1)
    shown = [f"{value:.4g}" for value in flat[:MOST_VALUES].tolist()]
    more = f", … ({flat.size} values)" if flat.size > MOST_VALUES else ""
    return ", ".join(shown) + more
