"""The command ``anynet``, and functions for the command lines of other programs."""

from anynet.cli.command import main
from anynet.cli.options import add_backend_argument
from anynet.cli.program import run

__all__ = [
    "add_backend_argument",
    "main",
    "run",
]
