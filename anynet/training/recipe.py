"""The recipe of a training run: the checked arguments of `anynet.fit`, but for its data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from anynet import optimizers, tree
from anynet.arguments import check_flag, check_group, describe, example
from anynet.array import Array, is_array
from anynet.distributed.group import Group
from anynet.errors import ArgumentTypeError
from anynet.layers import Module
from anynet.optimizers.protocol import is_optimizer
from anynet.precision import MixedPrecision
from anynet.training.callback import Callback, Callbacks
from anynet.training.evaluation import Score
from anynet.training.history import History
from anynet.training.run_data import RunData
from anynet.training.settings import Settings, run_settings
from anynet.training.step import Step, SupportsUpdate, takes_network, training_step


@dataclass(frozen=True)
class Recipe:
    """The arguments of `anynet.fit` that say how a network is trained. See there.

    Raises:
        ArgumentTypeError: an argument has the wrong type.
        ArgumentError: the loss takes another number of arguments.

    """

    net: Module
    loss: Callable[..., Array]
    optimizer: SupportsUpdate
    epochs: int
    metric: Score | Sequence[Score] | str | None
    validation_split: float | None
    steps_per_epoch: int | None
    callbacks: Sequence[Callback]
    precision: MixedPrecision | None
    compile: bool
    progress: bool
    group: Group | None

    def __post_init__(self) -> None:
        self.step()
        _check_network(self.net, self.loss)
        _check_optimizer(self.optimizer)
        check_flag("compile", self.compile)
        check_flag("progress", self.progress)
        check_group(self.group)
        Callbacks(self.callbacks)

    def step(self) -> Step:
        """Return the training step."""
        return training_step(self.loss, precision=self.precision, group=self.group)

    def settings(self, data: RunData) -> Settings:
        """Return the settings of the run as texts, which two runs have in common if one can go on
        with the checkpoint of the other.
        """
        return run_settings(
            self.net,
            {"train": data.batches, "test": data.rows.get("test")},
            self.optimizer,
            loss=self.loss,
            metric=self.metric,
            validation_split=self.validation_split,
            steps_per_epoch=self.steps_per_epoch,
            precision=self.precision,
            compile=self.compile,
        )


def checked_history(history: History | None) -> History:
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
    """Raise ArgumentTypeError unless the optimizer has a method update(net, grads)."""
    if not is_optimizer(optimizer):
        wanted = example(optimizer, optimizers, default="optimizers.SGD(0.1)", call=True)
        raise ArgumentTypeError(
            f"optimizer is {describe(optimizer)}: wanted an optimizer with update(net, grads), "
            f"such as {wanted}"
        )
