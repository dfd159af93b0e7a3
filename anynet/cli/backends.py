"""``anynet backends``: the backends, and whether each works here."""

import argparse
from typing import Any

from anynet.backend import backend_names, probe
from anynet.cli.terminal import show_table, show_text


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "backends",
        help="list the backends: version, device, and whether each works here",
        description="List the backends: version, device, and whether each works here.",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print a table, and why a backend does not work."""
    reports = [probe(name) for name in backend_names()]
    rows = [(r.name, r.version, r.device, "yes" if r.works else "no") for r in reports]
    show_table(("backend", "version", "device", "works"), rows)
    for report in reports:
        if not report.works:
            print()
            show_text(report.reason)
