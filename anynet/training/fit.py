"""`fit`: train a network in epochs of mini-batches, and evaluate it after each."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from operator import length_hint
from typing import Any

from anynet import losses, metrics, optimizers, tree
from anynet.arguments import check_flag, describe, example, whole_number
from anynet.array import Array, is_array
from anynet.data.batches import Batches
from anynet.data.loader import Loader
from anynet.data.rows import slice_rows
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.layers import Module
from anynet.metrics import Metric
from anynet.optimizers.protocol import check_schedule, is_optimizer
from anynet.precision import MixedPrecision
from anynet.state import stateful
from anynet.training.averages import TrainingWeights
from anynet.training.callback import Callback, Callbacks
from anynet.training.evaluation import Score, compute_scores, metrics_by_name, read_score
from anynet.training.history import Epoch, History
from anynet.training.inputs import call_network
from anynet.training.programs import keep_programs, take_programs
from anynet.training.progress import Display, display_of_run
from anynet.training.rates import with_schedules
from anynet.training.resume import open_run
from anynet.training.run import Run
from anynet.training.settings import run_settings
from anynet.training.sources import Data, batches_of, is_rows, rows_of, split_rows
from anynet.training.step import (
    SupportsUpdate,
    check_loss,
    loss_of_batch,
    takes_network,
    training_step,
)
from anynet.training.tasks import task_of


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
    history: History | None = None,
    precision: MixedPrecision | None = None,
    compile: bool = False,
    progress: bool = True,
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
        history: the History of an earlier call, to go on with it: its epochs count, and the new
            ones are added to it. With 3 epochs in the history, ``epochs=5`` trains epochs 4 and 5,
            on the batches that they have in a run of 5 epochs.
        precision: trains in mixed precision. `fit` evaluates in float32.
        compile: record the step and replay it, see `anynet.compile`. The optimizer is one of
            `anynet.optimizers`, or another whose state is a tree of arrays.
        progress: show a line for each epoch and the progress of the next one: a bar in a terminal,
            an output that is replaced in a notebook.

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
        ShapeError: labels have a shape that does not fit the outputs. `fit` checks this before it
            changes a parameter.
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
    step = training_step(loss, precision=precision)
    _check_network(net, loss)
    if steps_per_epoch is not None:
        steps_per_epoch = whole_number("steps_per_epoch", steps_per_epoch, 1)
    if validation_split is not None:
        train, test = _split(train, test, validation_split, seed)
    _check_optimizer(optimizer)
    epochs = whole_number("epochs", epochs, 0)
    check_flag("compile", compile)
    check_flag("progress", progress)
    history = _checked_history(history)
    Callbacks(callbacks)
    file = open_run(checkpoint, checkpoint_every)
    done = len(history.epochs if file is None else file.history(history).epochs)
    batches = _training_batches(net, train, epochs - done, batch_size, seed, steps_per_epoch)
    if batches is not train and isinstance(batches, Loader):
        steps = steps_per_epoch or len(batches)
        batches.epoch, batches.batch = divmod(done * steps, len(batches))
    data: dict[str, Loader | Batches] = {"train": rows_of(batches)}
    if test is not None:
        data["test"] = rows_of(batches_of("test", test, net, epochs - done))
    # Training alone reads an iterable of training data.
    measured = {part: rows for part, rows in data.items() if rows is not batches}
    optimizer = optimizers.SGD(0.1) if optimizer is None else optimizer
    writer = None
    if file is not None:
        stateful("optimizer", optimizer)
        settings = run_settings(
            net,
            {"train": batches, "test": data.get("test")},
            optimizer,
            loss=loss,
            metric=metric,
            validation_split=validation_split,
            steps_per_epoch=steps_per_epoch,
            precision=precision,
            compile=compile,
        )
        writer = file.writer(settings, callbacks, epochs, batches)
        file.begin(history)
    own = () if writer is None else (writer,)
    run = Run(
        net,
        optimizer,
        batches,
        step,
        history,
        Callbacks([*with_schedules(callbacks, optimizer), TrainingWeights(), *own]),
        loss_of_batch(loss),
        precision,
        steps_per_epoch,
    )
    history.interrupted = False
    try:
        batch = batches.first() if isinstance(batches, Batches) else batches.parts
        check_loss(loss, has_weights=len(batch) == 3)
        by_name = _checked_metrics(net, loss, metric, data.values())
        if by_name and metric != "auto" and not measured:
            raise ArgumentError(
                f"metric is {', '.join(by_name)} and there are no data to measure it on: train is "
                "an iterable, which is read once per epoch. Pass test as well"
            )
        if writer is None and done >= epochs:
            return history
        run.use_averages(False)
        if writer is not None:
            writer.resume(run, progress)
        _check_schedule(run, epochs * (steps_per_epoch or length_hint(batches)))
        if compile:
            run.compile(take_programs(loss))
        headings = [f"{part} {name}" for name in by_name for part in measured]
        with display_of_run(epochs, headings) if progress else Display() as display:
            run.call("on_train_begin")
            while len(history.epochs) < epochs and not run.is_stopping:
                _train_epoch(run, measured, by_name, display)
    except KeyboardInterrupt:
        history.interrupted = True
    finally:
        keep_programs(loss, run.programs())
    run.use_averages(False)
    if writer is not None:
        writer.finish(run)
    run.use_averages(True)
    run.call("on_train_end")
    return history


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
    mean = run.train(display)
    seconds = time.perf_counter() - start
    run.use_averages(True)
    scores = {part: compute_scores(run.net, rows, by_name) for part, rows in measured.items()}
    parts = scores.get("train", {}), scores.get("test", {})
    epoch = Epoch(run.epoch, mean, *parts, seconds)
    run.history.epochs.append(epoch)
    display.finish(epoch)
    run.call("on_epoch_end")


def _check_schedule(run: Run, steps: int) -> None:
    """Raise ArgumentError if a schedule ends before the run.

    Args:
        run: the run, before its first step.
        steps: all steps of the run, 0 if they are not known.

    """
    if steps > run.updates:
        check_schedule(run.optimizer, steps - run.updates)


def _checked_history(history: History | None) -> History:
    """Return the history to go on with, a new one for None.

    Raises:
        ArgumentTypeError: it is something else.

    """
    if history is None:
        return History()
    if not isinstance(history, History):
        raise ArgumentTypeError(
            f"history is {describe(history)}: wanted the History that an earlier call of fit "
            "returned"
        )
    return history


def _check_network(net: Any, loss: Callable[..., Array]) -> None:
    """Raise ArgumentTypeError unless the network has arrays to train, and can be called if the loss
    does not call it.
    """
    is_network = isinstance(net, Module) or (
        not is_array(net) and next(tree.leaves(net), None) is not None
    )
    if not is_network or not (callable(net) or takes_network(loss)):
        raise ArgumentTypeError(
            f"net is {describe(net)}: wanted a layers.Module, such as layers.Sequential(…)"
        )


def _check_optimizer(optimizer: Any) -> None:
    """Raise ArgumentTypeError unless the optimizer has a method update(net, grads), or is None."""
    if optimizer is not None and not is_optimizer(optimizer):
        wanted = example(optimizer, optimizers, default="optimizers.SGD(0.1)", call=True)
        raise ArgumentTypeError(
            f"optimizer is {describe(optimizer)}: wanted an optimizer with update(net, grads), "
            f"such as {wanted}"
        )


def _training_batches(
    net: Module,
    data: Data,
    epochs: int,
    batch_size: int | None,
    seed: int | None,
    steps: int | None,
) -> Loader | Batches:
    """Return a shuffled loader for a pair of arrays, and other data as `batches_of` does.

    Raises:
        ArgumentError: a batch size or a seed for data that make their own batches.

    """
    if is_rows(data):
        size = 100 if batch_size is None else batch_size
        x, t, *weights = data
        return Loader(
            x, t, size, weights=next(iter(weights), None), seed=0 if seed is None else seed
        )
    for name, value in (("batch_size", batch_size), ("seed", seed)):
        if value is not None:
            raise ArgumentError(
                f"{name} is {describe(value)} and train is {describe(data)}, which makes its own "
                "batches: set it there instead"
            )
    return batches_of("train", data, net, epochs, steps)


def _split(
    train: Data,
    test: Data | None,
    share: float,
    seed: int | None,
) -> tuple[Data, Data]:
    """Return the training data and the test data that are a share of their rows.

    Raises:
        ArgumentError: there are test data, or train makes its own batches.

    """
    if test is not None:
        raise ArgumentError("validation_split and test were given: wanted one of them")
    if not is_rows(train):
        raise ArgumentError(
            f"validation_split is {share!r:.40} and train is {describe(train)}, which makes its "
            "own batches: pass arrays (x, t), or test data as test"
        )
    return split_rows(train, share, 0 if seed is None else seed)


def _checked_metrics(
    net: Module,
    loss: Callable[..., Array],
    metric: Score | Sequence[Score] | str | None,
    data: Iterable[Loader | Batches],
) -> dict[str, Metric]:
    """Return the metrics by name, after a check that they and the loss fit the data.

    The check computes one row of outputs and reads all labels.
    """
    task = task_of(loss)
    by_loss = isinstance(metric, str) and metric == "auto"
    chosen = {} if by_loss or metric is None else metrics_by_name(metric)
    if task is None and not chosen:
        # The network need not be a function of x alone.
        return chosen
    for batches in data:
        x, labels, *_ = batches.first() if isinstance(batches, Batches) else batches.parts
        x, t = slice_rows(x, slice(1)), slice_rows(labels, slice(1))
        outputs = call_network(net, x)
        if task is not None:
            task.check(outputs, labels)
            if by_loss and not chosen:
                chosen = metrics_by_name(task.metric(outputs, t))
        for name, one in chosen.items():
            # Another function need not have a value for one row.
            if not isinstance(one, metrics.OfAllRows):
                read_score(name, one(outputs, t))
    return chosen
