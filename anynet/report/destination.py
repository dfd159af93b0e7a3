"""The file of a report, checked before a network is trained for hours."""

import os
from pathlib import Path

from anynet.arguments import describe
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.files import check_writable, real_path


def page_path(
    report: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str] | None = None,
) -> Path:
    """Return the path of a report, after a check that it can be written, and create its folder.

    Raises:
        ArgumentTypeError: it is no path.
        ArgumentError: it is that of the checkpoint, of a folder, or of a file that is not HTML, or
            its folder cannot be written to.

    """
    wanted = "wanted the path of a file, such as 'run.html'"
    if not isinstance(report, str | os.PathLike):
        raise ArgumentTypeError(f"report is {describe(report)}: {wanted}")
    path = real_path(report)
    if checkpoint is not None and path == real_path(checkpoint):
        raise ArgumentError(f"report and checkpoint are both {path}: wanted two files")
    if path.exists() and not path.is_file():
        raise ArgumentError(f"report is {path}, which is no file: {wanted}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_writable(path.parent)
        is_other = path.exists() and not _is_page(path)
    except OSError as error:
        raise ArgumentError(
            f"report is {path}, and its folder cannot be written to ({error.strerror}): {wanted} "
            "in a folder of yours"
        ) from error
    if is_other:
        raise ArgumentError(
            f"report is {path}, a file that is no HTML page and would be lost: {wanted}, or remove "
            "the file"
        )
    return path


def _is_page(path: Path) -> bool:
    """Return whether a file is empty, or begins as a page of HTML."""
    with path.open("rb") as file:
        start = file.read(200).lstrip().lower()
    return not start or start.startswith((b"<!doctype html", b"<html"))
