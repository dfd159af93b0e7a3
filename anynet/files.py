"""Files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from anynet.errors import DataError


def read_whole(path: Path, max_bytes: int) -> bytes:
    """Return what a file holds.

    Raises:
        DataError: it is larger than ``max_bytes``.
        FileNotFoundError: there is no such file.

    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise DataError(f"{path} has {size:,} bytes: the limit is max_bytes={max_bytes:,}")
        return file.read(size)


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` and rename it when all went well; otherwise it leaves no trace."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        with open(temporary, "wb") as file:
            yield file
        # mkstemp makes a private file; a data file has the permissions that new files have here.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
