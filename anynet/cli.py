"""The command line: the command ``anynet``, and what the examples share with it."""

import argparse
import sys
from collections.abc import Callable, Sequence

from anynet.backend import VARIABLE, Report, backend_names, probe
from anynet.errors import AnynetError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``anynet`` and return its exit code."""
    from anynet import __version__

    parser = argparse.ArgumentParser(prog="anynet", description="Neural networks on any array library.")
    parser.add_argument("--version", action="version", version=f"anynet {__version__}")
    commands = parser.add_subparsers(title="commands", required=True)
    backends = commands.add_parser("backends", help="list the backends: version, device, and whether each works here")
    backends.set_defaults(run=lambda: _show([probe(name) for name in backend_names()]))
    parser.parse_args(arguments).run()
    return 0


def add_backend_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--backend``, which goes before the environment variable ANYNET_BACKEND."""
    parser.add_argument(
        "--backend",
        metavar="NAME[:DEVICE]",
        help=f"array library and device, such as numpy, cupy or cupy:1 (default: {VARIABLE}, else numpy)",
    )


def run(program: Callable[[], int | None]) -> None:
    """Run a program and exit with its code; an error that its user can mend ends it with one line and code 2."""
    try:
        code = program()
    except (AnynetError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    sys.exit(code or 0)


def _show(reports: Sequence[Report]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("backend", "version", "device", "works"):
        table.add_column(heading)
    for report in reports:
        table.add_row(*map(escape, (report.name, report.version, report.device, "yes" if report.works else "no")))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for report in reports:
        if not report.works:
            # Square brackets in a reason, as in "anynet[cuda13]", are no markup.
            console.print(f"\n{escape(report.reason)}")
