"""The command ``anynet`` and its subcommands, one file each."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from anynet.cli import backends, bench, check, completion, report, train
from anynet.cli.program import code_of, output

#: Each has a function ``add``, which adds the subcommand to the parser.
COMMANDS = (train, report, check, bench, backends, completion)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and the command that shows the options, and exit with code 2."""
        line = " ".join(message.split())
        self.exit(2, f"error: {line}: see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``anynet`` and return its exit code.

    Without arguments it shows the help. The exit code is 2 after an error, and 130 after Ctrl-C.

    Args:
        arguments: default: those of the process.

    >>> anynet.cli.main(["bench", "--rounds", "0"])
    Traceback (most recent call last):
    SystemExit: 2

    """
    with output():
        return code_of(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int | None:
    options = make_parser().parse_args(arguments)
    code: int | None = options.run(options)
    return code


def make_parser() -> Parser:
    """Return the parser of the command and all of its subcommands."""
    from anynet import __version__

    parser = Parser(
        prog="anynet",
        description="Neural networks on any array library.",
        epilog="anynet COMMAND --help shows the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"anynet {__version__}")
    parser.set_defaults(run=lambda options: parser.print_help())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
