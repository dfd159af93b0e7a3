"""Atomic writes: a file appears complete or not at all."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from anynet.errors import DataError

try:
    import fcntl
except ImportError:  # Windows, which does not remove a file that is open.
    fcntl = None  # type: ignore[assignment]

_PREFIX, _SUFFIX = ".anynet-", ".tmp"


def read_whole(path: Path, max_bytes: int) -> bytes:
    """Return the contents of a file.

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
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path``. It gets the name after a success, and is removed after
    an error.

    A ``~`` is the home folder. The data is on the disk before the file has its name. For a symbolic
    link, the file behind it is written. A file that is replaced keeps its permissions. Temporary
    files of killed processes are removed. Devices and pipes are written to directly.
    """
    path = Path(os.path.realpath(os.path.expanduser(path)))
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    temporary, lock = _temporary(path.parent)
    try:
        with temporary as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.chmod(temporary.name, stat.S_IMODE(path.stat().st_mode))
        os.replace(temporary.name, path)
        _sync_folder(path.parent)
    except BaseException:
        Path(temporary.name).unlink(missing_ok=True)
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _temporary(folder: Path) -> tuple[IO[bytes], int | None]:
    """Create a file with a short name, and lock it until the process ends."""
    while True:
        # `open` gives it the permissions of new files, which tempfile does not.
        file = open(folder / f"{_PREFIX}{os.urandom(4).hex()}{_SUFFIX}", "xb")  # noqa: SIM115
        if fcntl is None:
            return file, None
        # A second descriptor holds the lock until the file has its name. Not every file system has
        # locks.
        lock = os.dup(file.fileno())
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        # Another process may have swept it before it was locked.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), os.stat(file.name)):
                return file, lock
        file.close()
        os.close(lock)


def _sweep(folder: Path) -> None:
    """Remove the temporary files that no process has locked."""
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        # One that is in use, or another user's, stays.
        with suppress(OSError):
            if fcntl is None:
                path.unlink()
            else:
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                finally:
                    os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Flush the folder's new entry to the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
