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
def atomic_write(
    path: str | os.PathLike[str],
    previous: str | os.PathLike[str] | None = None,
) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path``. It gets the name after a success, and is removed after
    an error.

    A ``~`` is the home folder. The data is on the disk before the file has its name. For a symbolic
    link, the file behind it is written. A file that is replaced keeps its permissions. Temporary
    files of killed processes are removed. Devices and pipes are written to directly.

    Args:
        path: the file.
        previous: a path in the same folder, or None. It gets the file that is replaced. There is a
            complete file at ``path`` at each moment.

    """
    path = real_path(path)
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    temporary = _Temporary(path.parent)
    try:
        with temporary.file as file:
            yield file
            file.flush()
            if path.exists():
                os.chmod(file.name, stat.S_IMODE(path.stat().st_mode))
            os.fsync(file.fileno())
            if previous is not None and path.exists():
                _keep(path, real_path(previous))
            temporary.link()
        os.replace(temporary.path, path)
        _sync_folder(path.parent)
    finally:
        temporary.close()


def check_writable(folder: Path) -> None:
    """Raise OSError unless files can be created in a folder. Nothing stays in it."""
    temporary = _Temporary(folder)
    temporary.file.close()
    temporary.close()


def real_path(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path without symbolic links. A ``~`` is the home folder."""
    return Path(os.path.realpath(os.path.expanduser(path)))


class _Temporary:
    """A file in a folder that is locked until it is closed, and removed then if it still has its
    temporary name.

    On Linux the file has no name before `link`, so a killed process leaves nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.path = _new_name(folder)
        self._lock: int | None = None
        self.file = self._without_name() or self._with_name()
        # A file that is being written need not be linked.
        self._is_named = self.path.exists()

    def _without_name(self) -> IO[bytes] | None:
        """Create a file without a name, or return None if the system has no such files."""
        flag = getattr(os, "O_TMPFILE", None)
        if flag is None or fcntl is None or not os.path.isdir("/proc/self/fd"):
            return None
        with suppress(OSError):
            descriptor = os.open(self.path.parent, flag | os.O_RDWR, 0o666)
            self._hold(descriptor)
            # Its name is a path, as that of other files.
            return open(f"/proc/self/fd/{descriptor}", "w+b")
        self._release()
        return None

    def _with_name(self) -> IO[bytes]:
        while True:
            # `open` gives it the permissions of new files, which tempfile does not.
            file = open(self.path, "xb")  # noqa: SIM115
            if fcntl is None:
                return file
            self._hold(os.dup(file.fileno()))
            # Another process may have swept it before it was locked.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.stat(file.name)):
                    return file
            file.close()
            self._release()
            self.path = _new_name(self.path.parent)

    def _hold(self, descriptor: int) -> None:
        """Lock the file, and own its descriptor until `close`. Not every file system has locks."""
        self._lock = descriptor
        with suppress(OSError):
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def link(self) -> None:
        """Give the file its temporary name, if it has none."""
        if self._is_named:
            return
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            # With a folder's descriptor Python calls linkat, which follows the link to the file.
            os.link(
                self.file.name,
                self.path,
                src_dir_fd=folder,
                follow_symlinks=True,
            )
        finally:
            os.close(folder)
        self._is_named = True

    def close(self) -> None:
        """Remove the temporary name, if the file was not renamed, and release the lock."""
        try:
            if self._is_named:
                self.path.unlink(missing_ok=True)
        finally:
            self._release()


def _new_name(folder: Path) -> Path:
    return folder / f"{_PREFIX}{os.urandom(4).hex()}{_SUFFIX}"


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name, in place of the file that has this name."""
    previous.unlink(missing_ok=True)
    try:
        os.link(path, previous)
    except OSError:
        # Not every file system has links. Until the new file has its name, there is only this one.
        os.replace(path, previous)


def sweep(folder: Path) -> None:
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
