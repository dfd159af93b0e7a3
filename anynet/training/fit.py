"""`fit`: train a network in epochs of mini-batches, and evaluate it after each."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from operator import length_hint
from typing import TYPE_CHECKING

from anynet import losses, metrics, optimizers
from anynet.arguments import whole_number
from anynet.array import Array
from anynet.data.batches import Batches
from anynet.data.loader import Loader
from anynet.data.rows import slice_rows
from anynet.distributed.group import Group
from anynet.errors import ArgumentError
from anynet.interrupt import DeferredInterrupt
from anynet.layers import Module
from anynet.metrics import Metric
from anynet.optimizers.protocol import check_schedule
from anynet.precision import MixedPrecision
from anynet.state import stateful
from anynet.training.agreement import check_beginning, check_epoch
from anynet.training.averages import TrainingWeights
from anynet.training.callback import Callback, Callbacks
from anynet.training.evaluation import Score, compute_scores, metrics_by_name, read_score
from anynet.training.history import Epoch, History
from anynet.training.inputs import call_network
from anynet.training.programs import keep_programs, take_programs
from anynet.training.progress import Display, display_of_run
from anynet.training.rates import with_schedules
from anynet.training.recipe import Recipe, checked_history
from anynet.training.record import Record
from anynet.training.resume import Checkpoint, RunFile, open_run
from anynet.training.run import Run
from anynet.training.run_data import RunData, open_data
from anynet.training.sources import Data
from anynet.training.step import SupportsUpdate, check_loss, loss_of_batch
from anynet.training.tasks import task_of

if TYPE_CHECKING:
    from anynet.report.reporter import Reporter


def fit(
    net: Module,
    train: Data,
    test: Data | None = None,
    *,
    loss: Callable[..., Array] = losses.cross_entropy,
    optimizer: SupportsUpdate | None = None,
    epochs: int = 5,
    batch_size: int | None = None,
    seed: int | None = None,
    metric: Score | Sequence[Score] | str | None = "auto",
    validation_split: float | None = None,
    steps_per_epoch: int | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    report: str | os.PathLike[str] | None = None,
    history: History | None = None,
    precision: MixedPrecision | None = None,
    compile: bool = False,
    progress: bool = True,
    group: Group | None = None,
) -> History:
    """Train a network in place and return the history of the run.

    Each epoch is one pass over the training data in mini-batches, then an evaluation on the
    training and the test data. Losses stay on the device while an epoch runs, and the display reads
    one of them now and then. Ctrl-C ends the run after the current step, or at once while a batch
    is loaded, and keeps the network and the history. A second Ctrl-C ends it at once.

    Data are a pair of arrays (x, t), a `data.Loader`, or any other iterable of batches (x, t), such
    as a list or a PyTorch DataLoader. The batches of an iterable are brought to the network's
    library and device. `fit` reads an iterable once per epoch, so there are no scores on it as
    training data. A generator can be read only once. For more epochs, pass the function that makes
    it, ``fit(net, batches)``, or steps_per_epoch.

    x may be a tuple or a dict of arrays with the same number of rows. A network whose forward takes
    these arguments is called as net(*x) or net(**x), another one as net(x).

    With weights of the rows, (x, t, weights), the loss of a batch is the weighted mean
    sum(w · l) / sum(w) over the losses l of its rows. Metrics count all rows alike.

    With an optimizer that averages weights, such as `anynet.optimizers.ExponentialAverage`, the
    scores are those of the averages, which are in the network at the end. A schedule that follows
    a score, such as `Plateau`, takes it after each epoch, also if it is not among the callbacks.

    A loss with three arguments takes the network and is differentiated in all of it, for example to
    add a weight penalty:

    >>> def loss(net, x, t):
    ...     penalty = sum((w**2).sum() for w in net.parameters().values())
    ...     return losses.cross_entropy(net(x), t) + 0.0005 * penalty

    Args:
        net: called as net(x), or with several inputs. Its parameters are initialized.
        train: (x, t) or (x, t, weights), shuffled by the seed, a loader, or another iterable of
            batches.
        test: the same, or None. Only x and t of a loader are used.
        loss: called as loss(net(x), t) or, if it needs three arguments, as loss(net, x, t). Returns
            a scalar. For data with weights, a loss of `anynet.losses`, another that takes
            ``reduction="none"``, or loss(net, x, t, weights).
        optimizer: SGD(0.1) by default.
        epochs: how many the history has at the end, 0 or more.
        batch_size: 1 or more, 100 by default. Only if train is (x, t).
        seed: for the shuffles, 0 by default. Only if train is (x, t).
        metric: one metric or several, computed from sums over all rows. Their names appear in the
            table and in the history. Another function is called as metric(outputs, labels) with all
            rows at once. By default the loss decides: accuracy for losses of classes, binary
            accuracy for `losses.binary_cross_entropy_with_logits`, R² for losses of real targets,
            and none for a loss that is not in `anynet.losses`. None computes nothing.
        validation_split: the share of the rows that are left out of the training and used as test
            data, above 0 and below 1. The seed chooses them. Only if train is (x, t), and without
            test.
        steps_per_epoch: how many batches an epoch has. The next epoch goes on where the last one
            stopped, also in a generator. Data that end begin again, except for a generator, which
            raises. By default an epoch is one pass over the data.
        callbacks: called in order at named moments of the run, see
            `anynet.callbacks.Callback`.
        checkpoint: a file, by convention ``….safetensors``, to which the run is written. If it
            exists, the run goes on from it, see docs/guides/checkpoints.md.
        checkpoint_every: after how many steps the file is written, None for the end of each epoch.
        report: a file, such as ``run.html``, to which a page about the run is written at its end,
            also after Ctrl-C or an error, see [Reports](report.md). It costs a gradient on 100 rows
            for each epoch and a pass over the test data at the end.
        history: the History of an earlier call, to go on with it: its epochs count, and the new
            ones are added to it. With 3 epochs in the history, ``epochs=5`` trains epochs 4 and 5,
            on the batches that they have in a run of 5 epochs.
        precision: trains in mixed precision. `fit` evaluates in float32.
        compile: record the step and replay it, see `anynet.compile`. The optimizer is one of
            `anynet.optimizers`, or another whose state is a tree of arrays.
        progress: show a line for each epoch and the progress of the next one: a bar in a terminal,
            an output that is replaced in a notebook.
        group: the ranks that train the network together, see `anynet.open_group`. All ranks make
            the same call. Each computes with its rows of every batch, and all have the same network
            and history in the end. The first one shows progress and writes files.

    Raises:
        ArgumentTypeError: an argument has the wrong type, such as the name of an optimizer in place
            of an object.
        ArgumentError: a number is out of range, an iterable cannot be read in every epoch, there
            are no data for a metric, or the checkpoint is that of a run with other settings.
        DataError: labels are not classes of this network or have a dtype that the loss does not
            take, or the data cannot be trained on. `fit` checks this before it changes a parameter.
            It checks the labels of an iterable in the first batch. Or the checkpoint is damaged,
            is not that of a run, or was written in a newer format.
        OSError: the checkpoint cannot be written, because the disk is full. The last one is intact.
            Or the report cannot be written at the end. The network is trained then.
        ShapeError: labels have a shape that does not fit the outputs. `fit` checks this before it
            changes a parameter.
        GroupError: a rank of the group failed, or makes another call.
        NonFiniteError: the loss became infinite or NaN, or a parameter in an epoch. The attribute
            ``history`` of the error is the run so far. The same for gradients of float16 at any
            loss scale.

    >>> import numpy as np
    >>> from anynet import layers, optimizers
    >>> x = np.asarray([[0.0, 1.0], [1.0, 0.0]], "float32")
    >>> net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    >>> history = anynet.fit(net, (x, np.asarray([0, 1])), epochs=20, progress=False)
    >>> history.epochs[-1].train_score
    1.0

    """
    if steps_per_epoch is not None:
        steps_per_epoch = whole_number("steps_per_epoch", steps_per_epoch, 1)
    recipe = Recipe(
        net,
        loss,
        optimizers.SGD(0.1) if optimizer is None else optimizer,
        whole_number("epochs", epochs, 0),
        metric,
        validation_split,
        steps_per_epoch,
        callbacks,
        precision,
        compile,
        progress,
        group,
    )
    history = checked_history(history)
    writes = group is None or group.is_first
    reporter = None
    if report is not None and writes:
        reporter = _reporter(report, checkpoint, checkpoint_every)
    file = open_run(checkpoint, checkpoint_every)
    data = open_data(
        net,
        train,
        test,
        done=len(history.epochs if file is None else file.history(history).epochs),
        epochs=recipe.epochs,
        batch_size=batch_size,
        seed=seed,
        validation_split=validation_split,
        steps_per_epoch=steps_per_epoch,
    )
    record = None if reporter is None else reporter.record
    writer = None if file is None else _writer(file, recipe, data, record)
    if file is not None:
        file.begin(history)
    run = _open(recipe, data, history, record, writer)
    with nullcontext() if reporter is None else reporter.of(run, recipe, data):
        _train(run, recipe, data, writer)
    return history


def _reporter(
    report: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str] | None,
    checkpoint_every: int | None,
) -> "Reporter":
    """Return the writer of a report, whose folder is above this one."""
    from anynet.report.reporter import Reporter

    return Reporter(report, checkpoint, checkpoint_every)


def _writer(
    file: RunFile,
    recipe: Recipe,
    data: RunData,
    record: Record | None,
) -> Checkpoint:
    """Return the callback that writes the file of a run."""
    stateful("optimizer", recipe.optimizer)
    settings = recipe.settings(data)
    return file.writer(settings, recipe.callbacks, recipe.epochs, data.batches, record)


def _open(
    recipe: Recipe,
    data: RunData,
    history: History,
    record: Record | None,
    writer: Checkpoint | None,
) -> Run:
    """Return the run, before its first step."""
    callbacks = with_schedules(recipe.callbacks, recipe.optimizer)
    callbacks.append(TrainingWeights())
    # The file of the run has the states of all others.
    callbacks += [part for part in (record, writer) if part is not None]
    return Run(
        recipe.net,
        recipe.optimizer,
        data.batches,
        recipe.step(),
        history,
        Callbacks(callbacks, None if record is None else record.clock),
        loss_of_batch(recipe.loss),
        recipe.precision,
        recipe.steps_per_epoch,
        None if recipe.group is None or recipe.group.size == 1 else recipe.group,
    )


def _train(
    run: Run,
    recipe: Recipe,
    data: RunData,
    writer: Checkpoint | None,
) -> None:
    """Train until the run has its epochs, a callback ends it, or Ctrl-C."""
    history = run.history
    history.interrupted = False
    if run.peers is not None:
        run.peers.wants_stop = run.peers.stopping = False
    try:
        with nullcontext() if run.peers is None else DeferredInterrupt() as run.interrupt:
            check_loss(recipe.loss, has_weights=len(data.first) == 3)
            by_name = _checked_metrics(recipe, data)
            if writer is None and len(history.epochs) >= recipe.epochs:
                return
            run.use_averages(False)
            if writer is not None:
                writer.resume(run, recipe.progress and run.is_first)
            _check_beginning(run, recipe, data)
            if recipe.compile:
                run.compile(take_programs(recipe.loss))
            _train_epochs(run, recipe, data.measured, by_name)
    except KeyboardInterrupt:
        history.interrupted = True
    finally:
        keep_programs(recipe.loss, run.programs())
    _finish(run, writer)


def _train_epochs(
    run: Run,
    recipe: Recipe,
    measured: dict[str, Loader | Batches],
    by_name: dict[str, Metric],
) -> None:
    headings = [f"{part} {name}" for name in by_name for part in measured]
    is_shown = recipe.progress and run.is_first
    display = display_of_run(recipe.epochs, headings) if is_shown else Display()
    with display:
        run.call("on_train_begin")
        while len(run.history.epochs) < recipe.epochs and not run.is_stopping:
            _train_epoch(run, measured, by_name, display)


def _train_epoch(
    run: Run,
    measured: dict[str, Loader | Batches],
    by_name: dict[str, Metric],
    display: Display,
) -> None:
    """Train one epoch, evaluate the network, and add both to the history."""
    start = time.perf_counter()
    run.begin_epoch(len(run.history.epochs) + 1)
    run.call("on_epoch_begin")
    with run.part("training"):
        mean = run.train(display)
    seconds = time.perf_counter() - start
    run.use_averages(True)
    with run.part("evaluation"):
        scores = {
            part: compute_scores(run.net, rows, by_name, run.group)
            for part, rows in measured.items()
        }
    parts = scores.get("train", {}), scores.get("test", {})
    epoch = Epoch(run.epoch, mean, *parts, seconds)
    run.history.epochs.append(epoch)
    display.finish(epoch)
    if run.peers is not None:
        check_epoch(run.peers, run)
    run.call("on_epoch_end")
    run.agree(may_stop=True)


def _finish(run: Run, writer: Checkpoint | None) -> None:
    """Write the file of a run that has ended, and let the network have its averages."""
    run.use_averages(False)
    if writer is not None:
        with run.part("checkpoint"):
            writer.finish(run)
    if run.peers is not None:
        # The next call may read the file.
        run.peers.gather(None)
    run.use_averages(True)
    run.call("on_train_end")


def _check_beginning(
    run: Run,
    recipe: Recipe,
    data: RunData,
) -> None:
    """Raise if a schedule ends before the run, or if a rank of the group begins another run."""
    if run.peers is not None:
        check_beginning(run.peers, run, recipe, data)
    # 0 if they are not known.
    steps = recipe.epochs * (recipe.steps_per_epoch or length_hint(data.batches))
    if steps > run.updates:
        check_schedule(run.optimizer, steps - run.updates)


def _checked_metrics(recipe: Recipe, data: RunData) -> dict[str, Metric]:
    """Return the metrics by name, after a check that they and the loss fit the data.

    The check computes one row of outputs and reads all labels.

    Raises:
        ArgumentError: there are no data to measure the metrics on.

    """
    task, metric = task_of(recipe.loss), recipe.metric
    by_loss = isinstance(metric, str) and metric == "auto"
    chosen = {} if by_loss or metric is None else metrics_by_name(metric)
    if task is None and not chosen:
        # The network need not be a function of x alone.
        return chosen
    for batches in data.rows.values():
        x, labels, *_ = batches.first() if isinstance(batches, Batches) else batches.parts
        x, t = slice_rows(x, slice(1)), slice_rows(labels, slice(1))
        outputs = call_network(recipe.net, x)
        if task is not None:
            task.check(outputs, labels)
            if by_loss and not chosen:
                chosen = metrics_by_name(task.metric(outputs, t))
        for name, one in chosen.items():
            # Another function need not have a value for one row.
            if not isinstance(one, metrics.OfAllRows):
                read_score(name, one(outputs, t))
    if chosen and metric != "auto" and not data.measured:
        raise ArgumentError(
            f"metric is {', '.join(chosen)} and there are no data to measure it on: train is an "
            "iterable, which is read once per epoch. Pass test as well"
        )
    return chosen
