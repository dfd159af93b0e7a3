"""``anynet completion``: a script that completes commands and options in a shell.

The package shtab makes the script from the parser. Source: shtab, https://docs.iterative.ai/shtab.
"""

import argparse
from typing import Any

from anynet.errors import MissingPackageError

SHELLS = ("bash", "zsh", "fish")


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

    try:
        import shtab
    except ImportError:
        raise MissingPackageError(
            "completion needs the package shtab, which is not installed: pip install shtab"
        ) from None
    print(shtab.complete(make_parser(), options.shell))
