"""Images of a page: pixels as PNG inside the address of an image."""

import base64
import struct
import zlib
from typing import Any

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _RGB = 0, 2


def data_url(pixels: Any) -> str:
    """Return the address of an image that contains its pixels.

    Args:
        pixels: uint8 on the host, (height, width) for gray or (height, width, 3) for colors.

    >>> from anynet.report.png import data_url
    >>> data_url(np.zeros((8, 8), "uint8"))[:22]
    'data:image/png;base64,'

    """
    return f"data:image/png;base64,{base64.b64encode(encode(pixels)).decode()}"


def encode(pixels: Any) -> bytes:
    """Return pixels, see `data_url`, as the bytes of a PNG file."""
    height, width = pixels.shape[:2]
    kind = _RGB if pixels.ndim == 3 else _GRAY
    # Each line begins with the number of its filter, 0 for none.
    lines = b"".join(b"\x00" + pixels[y].tobytes() for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check
