"""``anynet report``: a page of HTML about a run, from its checkpoint."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anynet.cli.options import add_backend_argument
from anynet.cli.terminal import show_text
from anynet.errors import ArgumentError

if TYPE_CHECKING:
    from anynet.cli.train import Job


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "report",
        help="write a page of HTML about a training run",
        usage="%(prog)s [options] RUN",
        description="Write a page of HTML about a training run, from its checkpoint.",
        epilog=(
            "With a network and a data set, the page has the confusion matrix and the "
            "misclassified samples too."
        ),
    )
    parser.add_argument(
        "checkpoint",
        metavar="RUN",
        help="the file that anynet train --checkpoint or anynet.fit wrote",
    )
    parser.add_argument(
        "--output", metavar="FILE", help="the page (default: RUN with the ending .html)"
    )
    parser.add_argument(
        "--net",
        metavar="FILE:NAME",
        help="the network, or a tuple (net, train, test), see anynet train",
    )
    parser.add_argument(
        "--data", metavar="DATA", help="the data set whose test data are measured, such as mnist"
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        choices=("mlp", "cnn"),
        help="the network of anynet train for the data set: mlp (default) or cnn",
    )
    parser.add_argument("--title", metavar="TEXT", help="the heading (default: name of the run)")
    parser.add_argument(
        "--class-names", metavar="A,B,…", default="", help="the names of the classes"
    )
    add_backend_argument(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the page and print its path."""
    import anynet
    from anynet import report

    checkpoint = Path(options.checkpoint).expanduser()
    if checkpoint.is_dir():
        raise ArgumentError(f"{checkpoint} is a folder: wanted a file, such as run.safetensors")
    output = Path(options.output) if options.output else checkpoint.with_suffix(".html")
    # A missing file is the first thing to say.
    checkpoint.stat()
    anynet.configure(options.backend)
    job = find_job(options)
    report.write(
        output,
        checkpoint,
        net=None if job is None else job.net,
        test=None if job is None else job.test,
        loss=None if job is None else job.settings.get("loss"),
        class_names=_class_names(options, job),
        title=options.title or checkpoint.name,
    )
    show_text(f"report: {output}")


def _class_names(options: argparse.Namespace, job: "Job | None") -> list[str]:
    """Return the names of the classes that the options give, or else those of the data set."""
    given = [name.strip() for name in options.class_names.split(",") if name.strip()]
    return given or ([] if job is None else list(job.classes))


def find_job(options: argparse.Namespace) -> "Job | None":
    """Return the network and the data that the options name, None if they name none.

    Raises:
        ArgumentError: there is a model without a data set, or beside a network.

    """
    from anynet.backend import get_backend
    from anynet.cli import train

    if options.model is not None and (options.data is None or options.net is not None):
        raise ArgumentError(
            f"model is {options.model!r}: give it with --data alone, as in --data mnist --model "
            f"{options.model}"
        )
    if options.net is None and options.data is None:
        return None
    if options.net is not None and ":" not in options.net:
        raise ArgumentError(f"net is {options.net!r}: wanted FILE:NAME, such as model.py:make")
    wanted = argparse.Namespace(
        name=options.net or options.data,
        data=options.data if options.net else None,
        model=options.model,
        seed=0,
        limit=None,
    )
    return train.find_job(wanted, get_backend(options.backend))
