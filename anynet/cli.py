"""The command ``anynet``, and functions for the command lines of other programs."""

import argparse
import sys
from collections.abc import Callable, Sequence

from anynet.backend import VARIABLE, Report, backend_names, probe
from anynet.errors import AnynetError, ArgumentError

__all__ = [
    "add_backend_argument",
    "main",
    "run",
]

#: The exit code of a program that Ctrl-C ended, 128 and the number of the signal.
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``anynet`` and return its exit code.

    >>> anynet.cli.main(["bench", "--rounds", "0"])
    Traceback (most recent call last):
    SystemExit: 2

    """
    from anynet import __version__

    parser = argparse.ArgumentParser(
        prog="anynet", description="Neural networks on any array library."
    )
    parser.add_argument("--version", action="version", version=f"anynet {__version__}")
    commands = parser.add_subparsers(title="commands", required=True)
    backends = commands.add_parser(
        "backends",
        help="list the backends: version, device, and whether each works here",
    )
    backends.set_defaults(run=lambda _: _show([probe(name) for name in backend_names()]))
    bench = commands.add_parser(
        "bench",
        help="find the backend that trains a network most quickly on this machine",
    )
    bench.add_argument(
        "network",
        metavar="NET",
        help="a network or a function that returns one: file.py:name",
    )
    bench.add_argument(
        "--input-shape",
        required=True,
        help="of one input, such as 784 or 1,28,28",
    )
    bench.add_argument("--batch", type=int, default=100)
    bench.add_argument("--optimizer", choices=("sgd", "momentum", "adam"), default="sgd")
    bench.add_argument(
        "--integers",
        type=int,
        metavar="BELOW",
        help="inputs are integers from 0 up to but not this",
    )
    bench.add_argument(
        "--backend",
        action="append",
        help="may be repeated (default: every one that works here)",
    )
    bench.add_argument("--rounds", type=int, default=10)
    bench.set_defaults(run=_bench)
    options = parser.parse_args(arguments)
    return _code_of(lambda: options.run(options))


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


def run(program: Callable[[], int | None]) -> None:
    """Run a program and exit with its code.

    An error of anynet, or a missing file, prints one line and exits with code 2. Ctrl-C exits with
    code 130.

    >>> anynet.cli.run(lambda: 0)
    Traceback (most recent call last):
    SystemExit: 0

    """
    sys.exit(_code_of(program))


def _code_of(program: Callable[[], int | None]) -> int:
    try:
        return program() or 0
    except (AnynetError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _bench(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from anynet.bench import Work, measure, probe_all

    try:
        shape = tuple(int(n) for n in options.input_shape.split(",") if n)
    except ValueError:
        raise ArgumentError(
            f"input-shape is {options.input_shape!r}: wanted numbers such as 784 or 1,28,28"
        ) from None
    names = options.backend
    if not names:
        names = [
            report.name for report in probe_all(backend_names()) if report.works and not report.lazy
        ]
    work = Work(
        options.network,
        shape,
        options.batch,
        options.optimizer,
        options.integers,
    )
    seconds, failed = measure(work, names, options.rounds)
    if not seconds:
        raise ArgumentError("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
    table = Table(box=None, pad_edge=False)
    table.add_column("backend")
    for heading in ("ms a step", "× the quickest"):
        table.add_column(heading, justify="right")
    for name, value in sorted(seconds.items(), key=lambda item: item[1]):
        table.add_row(
            escape(name),
            f"{1000 * value:.3g}",
            f"{value / min(seconds.values()):.2f}",
        )
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for name, reason in failed.items():
        console.print(f"\n{escape(name)}: {escape(reason)}")


def _show(reports: Sequence[Report]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("backend", "version", "device", "works"):
        table.add_column(heading)
    for report in reports:
        works = "yes" if report.works else "no"
        cells = (report.name, report.version, report.device, works)
        table.add_row(*map(escape, cells))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for report in reports:
        if not report.works:
            # Square brackets in a reason, as in "cupy-cuda13x[ctk]", are not markup.
            console.print(f"\n{escape(report.reason)}")
