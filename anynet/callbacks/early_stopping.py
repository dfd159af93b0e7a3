"""Early stopping: the run ends when a value improves no more."""

from typing import Any

from anynet.arguments import whole_number
from anynet.callbacks.monitor import Monitor
from anynet.state import check_count, check_state
from anynet.training.callback import RunView


class EarlyStopping(Monitor):
    """A callback that ends the run when a value has not improved for some epochs.

    With `BestWeights` the network gets the weights of the best epoch. A loss on the test data is a
    score like any other: with ``metric=losses.cross_entropy`` the table has "test cross_entropy".

    Args:
        monitor: "loss", or a name in the table of the history, such as "test accuracy". By default
            the first score on the test data, the first one on the training data if there is none,
            or the loss.
        patience: how many epochs in a row without improvement end the run, 1 or more.
        mode: "min" if a lower value is better, "max" if a higher one is, or "auto".
        min_delta: the least improvement that counts, 0 or more.

    Raises:
        ArgumentError: an argument is out of range.

    Source: Prechelt, Early stopping, but when?, 1998; Keras's EarlyStopping.

    >>> from anynet import callbacks
    >>> stopping = callbacks.EarlyStopping("loss", patience=2, min_delta=1.0)
    >>> net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    >>> data = np.ones((4, 2), "float32"), np.asarray([0, 1, 0, 1])
    >>> history = anynet.fit(net, data, epochs=50, callbacks=[stopping], progress=False)
    >>> len(history.epochs), stopping.best_epoch
    (3, 1)

    """

    def __init__(
        self,
        monitor: str | None = None,
        patience: int = 3,
        *,
        mode: str = "auto",
        min_delta: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode=mode, min_delta=min_delta)
        self.patience = whole_number("patience", patience, 1)
        #: How many epochs in a row were no improvement.
        self.bad = 0

    def on_train_begin(self, run: RunView) -> None:
        """Reset the count for a new run. A stopped run stays stopped when it is continued."""
        super().on_train_begin(run)
        if not run.history.epochs:
            self.bad = 0
        if self.bad >= self.patience:
            run.stop()

    def on_epoch_end(self, run: RunView) -> None:
        """End the run after enough epochs without improvement."""
        self.bad = 0 if self.improves(run) else self.bad + 1
        if self.bad >= self.patience:
            run.stop()

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, its epoch, and the count of epochs without improvement."""
        return {**super().state_dict(), "bad": self.bad}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned.

        Raises:
            ArgumentError: it is another callback's state. Nothing has changed then.

        """
        check_state("EarlyStopping", state, self.state_dict())
        bad = check_count("the epochs without improvement", state["bad"])
        super().load_state_dict({name: state[name] for name in super().state_dict()})
        self.bad = bad
