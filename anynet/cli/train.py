"""``anynet train``: train a network on a data set, both by name or from a file."""

import argparse
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anynet.cli.options import add_backend_argument, whole
from anynet.cli.program import INTERRUPTED
from anynet.cli.terminal import show_text
from anynet.errors import ArgumentError
from anynet.named import parameters

if TYPE_CHECKING:
    from anynet import History
    from anynet.backend import Backend
    from anynet.layers import Module

#: The class of each optimizer in `anynet.optimizers`, and its learning rate if not the default.
OPTIMIZERS: dict[str, tuple[str, float | None]] = {
    "sgd": ("SGD", 0.1),
    "momentum": ("Momentum", 0.01),
    "adagrad": ("AdaGrad", None),
    "rmsprop": ("RMSprop", 0.001),
    "adam": ("Adam", None),
    "adamw": ("AdamW", None),
    "nadam": ("NAdam", None),
    "lion": ("Lion", None),
}

#: What FILE:NAME may be.
WANTED = (
    "wanted a network, a tuple (net, train) or (net, train, test), a dict of arguments of "
    "anynet.fit, or a function that returns one of them"
)


@dataclass
class Job:
    """The arguments of a call of `anynet.fit`."""

    net: "Module"
    train: Any = None
    test: Any = None
    settings: dict[str, Any] = field(default_factory=dict)
    #: The names of the classes of the data set.
    classes: tuple[str, ...] = ()


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "train",
        help="train a network",
        usage="%(prog)s [options] NAME",
        description="Train a network and print its scores after each epoch.",
        epilog=(
            "A name with a colon is that of a network (with --data), a tuple (net, train, test), a "
            "dict of arguments of anynet.fit, or a function that returns one of them."
        ),
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        help="a data set, such as mnist or digits, or a network in a file, such as model.py:make",
    )
    parser.add_argument("--data", metavar="DATA", help="the data set of a network in a file")
    parser.add_argument(
        "--model",
        metavar="NAME",
        choices=("mlp", "cnn"),
        help="the network for a data set: mlp, fully connected (default), or cnn, convolutional",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="default: 5")
    parser.add_argument("--batch-size", type=int, metavar="N", help="default: 100")
    parser.add_argument(
        "--optimizer",
        metavar="NAME",
        choices=OPTIMIZERS,
        help=f"{', '.join(OPTIMIZERS)} (default: adam, or that of the file)",
    )
    parser.add_argument(
        "--learning-rate", type=float, metavar="RATE", help="default: that of the optimizer"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of the parameters and shuffles (default: 0)"
    )
    parser.add_argument(
        "--limit", type=whole, metavar="N", help="train on the first N rows of a data set only"
    )
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="record the training step and replay it",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="write the run to this file after each epoch, and go on from it if it exists",
    )
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="write a page of HTML about the run to this file, such as run.html",
    )
    parser.add_argument("--save", metavar="FILE", help="write the trained network to this file")
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="show each epoch (default: yes)",
    )
    add_backend_argument(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, print a summary, and return the exit code."""
    import anynet
    from anynet.array import size
    from anynet.named import users_code

    backend = anynet.configure(options.backend)
    for path in (options.checkpoint, options.report, options.save):
        check_writable(path)
    check_different(options, "save", "checkpoint")
    check_different(options, "save", "report")
    job = make_job(options, backend)
    count = sum(map(size, job.net.parameters().values()))
    show_text(f"{backend.name} {backend.version} on {backend.device_name}")
    show_text(f"{type(job.net).__name__} of {count:,} parameters")
    start = time.perf_counter()
    with users_code(options.name):
        history = anynet.fit(job.net, job.train, job.test, **job.settings)
    show_summary(history, time.perf_counter() - start)
    if options.save:
        anynet.save(job.net, options.save)
        show_text(f"network: {options.save}")
    return INTERRUPTED if history.interrupted else 0


def make_job(options: argparse.Namespace, backend: "Backend") -> Job:
    """Return the call of `anynet.fit` that the options describe.

    Raises:
        ArgumentError: an option does not fit the others.

    """
    job = find_job(options, backend)
    if job.train is None:
        raise ArgumentError(
            f"{options.name} is a network without data: give --data, such as --data digits, or "
            "return (net, train, test)"
        )
    for name in ("epochs", "batch_size", "compile", "checkpoint", "report", "progress"):
        value = getattr(options, name)
        if value is not None:
            job.settings[name] = value
    if options.seed is not None and isinstance(job.train, tuple):
        job.settings["seed"] = options.seed
    optimizer = make_optimizer(options, has_own="optimizer" in job.settings)
    if optimizer is not None:
        job.settings["optimizer"] = optimizer
    return job


def find_job(options: argparse.Namespace, backend: "Backend") -> Job:
    """Return the network and the data that a name stands for, and its arguments of `anynet.fit`.

    Args:
        options: name, data, model, seed and limit, as of ``anynet train``.
        backend: for the network and the data.

    Raises:
        ArgumentError: an option does not fit the others.

    """
    if ":" in options.name:
        return _job_of_file(options, backend)
    return _job_of_data(options, backend)


def _job_of_data(options: argparse.Namespace, backend: "Backend") -> Job:
    """Return the job of a data set with a name, and a network for it."""
    from anynet.cli import datasets, models
    from anynet.spelling import did_you_mean

    if options.data is not None:
        raise ArgumentError(
            f"data is {options.data!r} besides {options.name!r}: give --data with a network in a "
            "file, as anynet train model.py:make --data mnist"
        )
    if options.name not in datasets.DATASETS:
        raise ArgumentError(
            f"there is no data set {options.name!r}{did_you_mean(options.name, datasets.DATASETS)}:"
            f" wanted one of {', '.join(datasets.DATASETS)}, or a network in a file, such as "
            "model.py:make"
        )
    dataset = datasets.load(options.name, backend)
    net = models.make(options.model or "mlp", dataset)
    net.initialize(options.seed or 0, backend)
    return _with_data(Job(net), datasets.fitted(dataset, net), options)


def _job_of_file(options: argparse.Namespace, backend: "Backend") -> Job:
    """Return the job of FILE:NAME."""
    from anynet.arguments import describe
    from anynet.cli import datasets
    from anynet.layers import Module
    from anynet.named import call_maker, load_object, users_code

    if options.model is not None:
        raise ArgumentError(
            f"model is {options.model!r} besides {options.name!r}: leave one of them out"
        )
    found = load_object(options.name)
    if callable(found) and not isinstance(found, Module):
        found = call_maker(options.name, found, seed=options.seed or 0, backend=backend)
    job = _job_of(found)
    if job is None or not isinstance(job.net, Module):
        raise ArgumentError(f"{options.name} gives {describe(found)}: {WANTED}")
    job.net = _on_backend(job.net, options, backend)
    job.train = _rows_on_backend(job.train, backend)
    job.test = _rows_on_backend(job.test, backend)
    if options.data is not None:
        if job.train is not None:
            raise ArgumentError(
                f"data is {options.data!r}, and {options.name} has its own: leave --data out"
            )
        dataset = datasets.load(options.data, backend)
        with users_code(options.name):
            dataset = datasets.fitted(dataset, job.net)
        return _with_data(job, dataset, options)
    if options.limit is not None:
        raise ArgumentError(
            f"limit is {options.limit}, and {options.name} has its own data: leave --limit out"
        )
    return job


def _job_of(found: Any) -> Job | None:
    """Return the job that an object of a file describes, None if it describes none."""
    from anynet.layers import Module

    if isinstance(found, Module):
        return Job(found)
    if isinstance(found, Mapping) and "net" in found:
        settings = dict(found)
        _check_names(settings)
        net, train, test = (settings.pop(name, None) for name in ("net", "train", "test"))
        return Job(net, train, test, settings)
    if isinstance(found, tuple) and 2 <= len(found) <= 3:
        return Job(*found)
    return None


def _check_names(settings: Mapping[str, Any]) -> None:
    """Raise ArgumentError unless all names are arguments of `anynet.fit`."""
    from anynet.spelling import did_you_mean
    from anynet.training.fit import fit

    known = [parameter.name for parameter in parameters(fit)]
    for name in settings:
        if name not in known:
            raise ArgumentError(
                f"the dict has {name!r}{did_you_mean(str(name), known)}: wanted arguments of "
                "anynet.fit"
            )


def _with_data(job: Job, dataset: Any, options: argparse.Namespace) -> Job:
    x, t = dataset.train
    job.classes = dataset.classes
    job.train = x[: options.limit, ...], t[: options.limit, ...]
    job.test = dataset.test
    return job


def _on_backend(
    net: "Module",
    options: argparse.Namespace,
    backend: "Backend",
) -> "Module":
    """Return a network on a backend, initialized."""
    if net.parameters() or net.buffers():
        return net.map(backend.asarray)
    return net.initialize(options.seed or 0, backend)


def _rows_on_backend(rows: Any, backend: "Backend") -> Any:
    """Return arrays of data on a backend, and other data as they are."""
    from anynet.data.rows import map_rows

    is_rows = isinstance(rows, tuple) and len(rows) in (2, 3)
    return map_rows(backend.asarray, rows) if is_rows else rows


def make_optimizer(options: argparse.Namespace, *, has_own: bool) -> Any:
    """Return the optimizer that the options name, or None for that of the file.

    Raises:
        ArgumentError: there is a learning rate for the optimizer of the file.

    """
    from anynet import optimizers

    if options.optimizer is None and has_own:
        if options.learning_rate is not None:
            raise ArgumentError(
                f"learning_rate is {options.learning_rate}, and {options.name} has its own "
                "optimizer: give --optimizer too"
            )
        return None
    name, rate = OPTIMIZERS[options.optimizer or "adam"]
    given = rate if options.learning_rate is None else options.learning_rate
    kind = getattr(optimizers, name)
    return kind() if given is None else kind(given)


def check_writable(path: str | None) -> None:
    """Check before the training that a file can be written after it.

    Raises:
        ArgumentError: it is a folder, or in a folder that cannot be written to.

    """
    if path is None:
        return
    file = Path(path).expanduser()
    if file.is_dir():
        raise ArgumentError(f"{path} is a folder: wanted a file, such as {path}/net.safetensors")
    folder = file.resolve().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ArgumentError(f"{path} cannot be written, because {folder} is not writable")


def check_different(options: argparse.Namespace, first: str, second: str) -> None:
    """Check that two options name two files.

    Raises:
        ArgumentError: one would overwrite the other.

    """
    paths = [getattr(options, name) for name in (first, second)]
    if None in paths:
        return
    one, other = [Path(path).expanduser().resolve() for path in paths]
    if one == other:
        raise ArgumentError(f"{first} and {second} are both {one}: wanted two files")


def show_summary(history: "History", seconds: float) -> None:
    """Print the result of the last epoch."""
    if history.interrupted:
        show_text("interrupted")
    if not history.epochs:
        show_text("no epochs")
        return
    last = history.epochs[-1]
    results = {"loss": last.loss, **last.scores}
    shown = ", ".join(f"{name} {value:.4f}" for name, value in results.items())
    show_text(f"epoch {last.number}: {shown}, after {seconds:.1f} s")
