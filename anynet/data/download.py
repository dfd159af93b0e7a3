"""Files of published data sets: where they are on this machine, and how they are downloaded.

A file is looked for in the folder that the environment variable ANYNET_DATA_DIR names, then in the
user's cache. If ANYNET_DATA_DIR is not set, a missing file is downloaded to the cache. Each file is
checked before it is used, so a partial download or a damaged file is an error.
"""

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from anynet.errors import DataError
from anynet.files import atomic_write

T = TypeVar("T")

#: Seconds to wait for a mirror to answer.
TIMEOUT = 10


@dataclass(frozen=True)
class Checksum:
    """The SHA-256 of a published file, and of its unpacked contents. "" if it is not known.

    Copies that were compressed again are valid if their contents are.
    """

    file: str = ""
    contents: str = ""


@dataclass(frozen=True)
class Source:
    """A published data set.

    Args:
        title: its name in messages.
        folder: the name of its folder in the cache and in ANYNET_DATA_DIR, in any spelling. It is
            that of torchvision.
        mirrors: addresses that the name of a file is appended to.
        files: the checksums by the name of the file, as it is published.
        variable: the environment variable that names the user's own folder.

    """

    title: str
    folder: str
    mirrors: tuple[str, ...]
    files: dict[str, Checksum]
    variable: str = "ANYNET_DATA_DIR"


def obtain(source: Source, name: str, read: Callable[[Path], T]) -> T:
    """Return the contents of a file of a data set, which is downloaded if it is missing.

    Args:
        source: the data set.
        name: the file.
        read: returns the contents of a file, and raises DataError if it is another one or damaged.

    Raises:
        DataError: the file is missing or damaged and could not be downloaded. The message says
            where to put it.

    """
    own = os.environ.get("ANYNET_DATA_DIR")
    roots = [Path(own).expanduser()] if own else []
    damaged: list[DataError] = []
    for root in (*roots, cache_folder()):
        for path in candidates(root, source.folder, name):
            try:
                return read(path)
            except DataError as error:
                damaged.append(error)
    if damaged and (own or is_offline()):
        raise damaged[0]
    if own:
        raise DataError(
            f"ANYNET_DATA_DIR is {own}, and {source.title}'s {name} is not there: put it into "
            f"{roots[0] / source.folder}, or unset ANYNET_DATA_DIR to download it; "
            f"{contents(roots[0])}"
        )
    return read(fetch(source, name, read))


def cache_folder() -> Path:
    """Return the folder of downloads: in XDG_CACHE_HOME, LOCALAPPDATA or ~/.cache."""
    base = (
        os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    )
    return Path(base) / "anynet"


def is_offline() -> bool:
    """Return whether the environment variable ANYNET_OFFLINE forbids downloads."""
    return os.environ.get("ANYNET_OFFLINE", "") not in ("", "0")


def fetch(source: Source, name: str, check: Callable[[Path], object]) -> Path:
    """Download a file to the cache from the first mirror that has it, and return its path.

    Args:
        source: the data set.
        name: the file.
        check: raises DataError if a file is another one or damaged.

    Raises:
        DataError: downloads are forbidden, pooch is missing, or no mirror has the file.

    """
    target = cache_folder() / source.folder / name
    where = f"put {name} into {target.parent} or into the folder that {source.variable} names"
    if is_offline():
        raise DataError(f"{source.title}'s {name} is not here and ANYNET_OFFLINE is set: {where}")
    try:
        download = downloader()
    except ImportError:
        raise DataError(
            f"{source.title}'s {name} is not here, and downloading it needs pooch: pip install "
            f"pooch, or {where}"
        ) from None
    reasons = []
    for mirror in source.mirrors:
        try:
            with atomic_write(target) as file:
                download(f"{mirror}{name}", file, None)
                file.flush()
                check(Path(file.name))
        except (OSError, DataError, ValueError) as error:
            reasons.append(f"{mirror}: {type(error).__name__}")
        else:
            return target
    raise DataError(f"{source.title}'s {name} could not be fetched ({'; '.join(reasons)}): {where}")


def downloader() -> Any:
    """Return pooch's downloader.

    Raises:
        ImportError: pooch is not installed.

    """
    with warnings.catch_warnings():
        # pooch imports tqdm, which warns in a notebook without ipywidgets.
        warnings.simplefilter("ignore")
        import pooch
    return pooch.HTTPDownloader(timeout=TIMEOUT)


def candidates(root: Path, folder: str, name: str) -> Iterator[Path]:
    """Yield the files of this name below a root, unpacked ones first.

    The spelling of a name may differ in case, and in dots for hyphens. A file may be in a folder of
    its own name, as archives make them.

    Args:
        root: the folder to look into, and its parts that torchvision and Keras make.
        folder: the data set's folder in it.
        name: the file, as it is published.

    """
    for place in folders(root, folder):
        entries = place.iterdir() if place.is_dir() else ()
        named = [path for path in entries if spelled(path.name) == spelled(name)]
        for path in sorted(named, key=lambda path: (path.suffix.lower() == ".gz", path.name)):
            inside = path.iterdir() if path.is_dir() else (path,)
            yield from (file for file in inside if spelled(file.name) == spelled(name))


def folders(root: Path, folder: str) -> Iterator[Path]:
    """Yield the folders of a data set below a root, and then the root itself."""
    subfolders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    for path in subfolders:
        if _plain(path.name) == _plain(folder):
            yield from (path / "raw", path)
    yield from (root, root / "raw")


def spelled(name: str) -> str:
    """Return the name of a file in lower case, with hyphens, and without ``.gz``."""
    return name.lower().removesuffix(".gz").replace(".", "-")


def contents(folder: Path) -> str:
    """Return the contents of a folder in words, for a message."""
    if not folder.is_dir():
        return f"there is no folder {folder}"
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"{folder} holds {', '.join(names[:12]) or 'nothing'}{more}"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_archive(source: Source, name: str, path: Path) -> Path:
    """Return the path of an archive, whose SHA-256 is checked.

    Raises:
        DataError: it is another one, or damaged.

    """
    if not path.is_file() or sha256_of(path) != source.files[name].file:
        raise DataError(
            f"{path} is not {source.title}'s {name}, or a partial or damaged one: its SHA-256 "
            "differs; remove it and fetch it again"
        )
    return path


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
