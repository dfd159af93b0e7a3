"""``anynet bench``: the backend that trains a network most quickly on this machine."""

import argparse
from typing import Any

from anynet.backend import backend_names
from anynet.cli.options import shape_of, whole
from anynet.cli.terminal import StatusLine, show_table, show_text
from anynet.errors import ArgumentError


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "bench",
        help="find the backend that trains a network most quickly on this machine",
        usage="%(prog)s [options] FILE:NAME",
        description="Time a training step on each backend, plain and compiled.",
    )
    parser.add_argument(
        "network",
        metavar="FILE:NAME",
        help="a network or a function that returns one",
    )
    parser.add_argument(
        "--input-shape",
        metavar="SHAPE",
        required=True,
        help="required: of one input, such as 784 or 1,28,28",
    )
    parser.add_argument("--batch", type=whole, metavar="N", default=100, help="default: 100")
    parser.add_argument(
        "--optimizer",
        metavar="NAME",
        choices=("sgd", "momentum", "adam"),
        default="sgd",
        help="sgd, momentum or adam (default: sgd)",
    )
    parser.add_argument(
        "--integers",
        type=whole,
        metavar="BELOW",
        help="inputs are integers from 0 up to but not this",
    )
    parser.add_argument(
        "--backend",
        action="append",
        metavar="NAME[:DEVICE]",
        help="may be repeated (default: every one that works here)",
    )
    parser.add_argument("--rounds", type=whole, metavar="N", default=10, help="default: 10")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Time the candidates and print a table, the quickest one first."""
    from anynet.bench import Work, measure, probe_all

    work = Work(
        options.network,
        shape_of(options.input_shape),
        options.batch,
        options.optimizer,
        options.integers,
    )
    with StatusLine() as status:
        names = options.backend
        if not names:
            status.show("looking for backends")
            reports = probe_all(backend_names())
            names = [report.name for report in reports if report.works and not report.lazy]
        seconds, failed = measure(work, names, options.rounds, status.show)
    if not seconds:
        raise ArgumentError("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
    best = min(seconds.values())
    ordered = sorted(seconds.items(), key=lambda item: item[1])
    rows = [(name, f"{1000 * value:.3g}", f"{value / best:.2f}") for name, value in ordered]
    headings = ("backend", "ms a step", "× the quickest")
    show_table(headings, rows, numeric=headings[1:])
    for name, reason in failed.items():
        print()
        show_text(f"{name}: {reason}")
