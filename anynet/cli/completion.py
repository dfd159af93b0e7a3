"""``anynet completion``: a script that completes commands and options in a shell.

The package shtab makes the script from the parser. Source: shtab, https://docs.iterative.ai/shtab.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from anynet.errors import MissingPackageError

SHELLS = ("bash", "zsh", "fish")

#: What an option is called that is a file.
_FILES = frozenset(("FILE", "FILE:NAME", "RUN"))


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "completion",
        help="print a script that completes commands and options in a shell",
        description='Print a completion script. In bash: eval "$(anynet completion bash)"',
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the script.

    Raises:
        MissingPackageError: shtab is not installed.

    """
    from anynet.cli.command import make_parser
    from anynet.cli.datasets import DATASETS

    try:
        import shtab
    except ImportError:
        raise MissingPackageError(
            "completion needs the package shtab, which is not installed: pip install shtab"
        ) from None
    parser = make_parser()
    for action in _actions(parser):
        # The parser of the command line itself takes other names too.
        if action.metavar in _FILES:
            vars(action)["complete"] = shtab.FILE
        elif action.metavar == "DATA":
            action.choices = list(DATASETS)
    print(shtab.complete(parser, options.shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the options of a parser and of its subcommands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _actions(subparser)
