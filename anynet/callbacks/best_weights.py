"""The weights of the best epoch."""

from typing import Any

from anynet import tree
from anynet.array import Array, array_namespace
from anynet.callbacks.monitor import Monitor
from anynet.errors import ArgumentError
from anynet.state import check_state
from anynet.training.callback import RunView


class BestWeights(Monitor):
    """A callback that gives the network the weights of its best epoch at the end of the run.

    It copies parameters and buffers at each improvement, on their device. With an optimizer that
    averages weights these are the averages, which the scores are of.

    Args:
        monitor: "loss", or a name in the table of the history, such as "test accuracy". By default
            the first score on the test data, the first one on the training data if there is none,
            or the loss.
        mode: "min" if a lower value is better, "max" if a higher one is, or "auto".
        min_delta: the least improvement that counts, 0 or more.

    Raises:
        ArgumentError: an argument is out of range.

    >>> from anynet import callbacks, optimizers
    >>> best = callbacks.BestWeights("loss")
    >>> net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    >>> data = np.ones((4, 2), "float32"), np.asarray([0, 0, 0, 1])
    >>> history = anynet.fit(net, data, epochs=3, callbacks=[best], progress=False)
    >>> best.best == min(epoch.loss for epoch in history.epochs)
    True

    """

    def __init__(
        self,
        monitor: str | None = None,
        *,
        mode: str = "auto",
        min_delta: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode=mode, min_delta=min_delta)
        #: The arrays of the best epoch, by path.
        self.arrays: dict[str, Array] = {}

    def on_train_begin(self, run: RunView) -> None:
        """Drop the weights for a new run. A continued run keeps them."""
        super().on_train_begin(run)
        if not run.history.epochs:
            self.arrays = {}

    def on_epoch_end(self, run: RunView) -> None:
        """Copy the weights if the value improves."""
        if self.improves(run):
            self.arrays = {
                path: array_namespace(x).asarray(x, copy=True) for path, x in tree.leaves(run.net)
            }

    def on_train_end(self, run: RunView) -> None:
        """Put the best weights into the network.

        Raises:
            ArgumentError: the network has other arrays than in that epoch.

        """
        if not self.arrays:
            return
        places = tree.pairs(run.net, run.net)
        paths = [path for path, _ in tree.leaves(run.net)]
        if paths != [*self.arrays]:
            raise ArgumentError(
                "the network has other arrays than at its best epoch: make a new BestWeights after "
                "a change of the network"
            )
        for (holder, name, *_), array in zip(places, self.arrays.values(), strict=True):
            holder[name] = array_namespace(array).asarray(array, copy=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, its epoch and its weights."""
        return {**super().state_dict(), "arrays": dict(self.arrays)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned.

        Raises:
            ArgumentError: it is another callback's state. Nothing has changed then.

        """
        # A file has no empty dict.
        check_state("BestWeights", state, super().state_dict(), ["arrays"])
        super().load_state_dict({name: state[name] for name in super().state_dict()})
        self.arrays = dict(state.get("arrays", {}))
