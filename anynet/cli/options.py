"""Options that several commands have."""

import argparse
import math

from anynet.backend import VARIABLE
from anynet.errors import ArgumentError


def add_backend_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--backend``, which takes precedence over ANYNET_BACKEND.

    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> anynet.cli.add_backend_argument(parser)
    >>> parser.parse_args(["--backend", "numpy"]).backend
    'numpy'

    """
    parser.add_argument(
        "--backend",
        metavar="NAME[:DEVICE]",
        help=f"array library and device, such as numpy or cupy:1 (default: {VARIABLE}, else numpy)",
    )


def shape_of(text: str) -> tuple[int, ...]:
    """Return the shape of one input from a text such as ``784`` or ``1,28,28``.

    Raises:
        ArgumentError: the text is something else.

    """
    try:
        shape = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        shape = (0,)
    if any(length < 1 for length in shape):
        raise ArgumentError(f"input-shape is {text!r}: wanted numbers such as 784 or 1,28,28")
    return shape


def above_zero(text: str) -> float:
    """Return a finite number above 0, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} was given: wanted a finite number above 0")
    return number


def whole(text: str) -> int:
    """Return a whole number of 1 or more, for argparse."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} was given: wanted a whole number, 1 or more")
    return number
