"""Histograms of weights, gradients and activations."""

from collections.abc import Iterator
from typing import Any

from anynet import tree
from anynet.arguments import whole_number
from anynet.array import Array, array_namespace
from anynet.data.rows import Batch
from anynet.errors import ArgumentError
from anynet.histogram import Histogram, histogram, host_values
from anynet.layers import Module
from anynet.layers.capture import capture
from anynet.state import check_state
from anynet.training.callback import Callback, RunView
from anynet.training.inputs import call_network
from anynet.training.sample import copied, gradients_on, sample_of


class Histograms(Callback):
    """A callback that measures weights, gradients and activations after each epoch.

    They are in ``epochs``, by the number of the epoch and then by names such as
    "weights/layers.0.weight", "gradients/layers.0.weight" and "activations/layers.0". `TensorBoard`
    shows them. Values that are not finite are left out, and complex values count by their modulus.

    It computes on a copy of the network, so that the run stays as it would be, bit by bit. The
    gradients are those of the loss in training mode, and the activations those of layers without
    layers inside, in inference.

    Args:
        data: a batch (x, t) or (x, t, weights) for the gradients and activations. By default the
            first 100 rows of the training data, or the last batch of an iterable.
        bins: of each histogram, 1 or more.

    Raises:
        ArgumentError: bins is below 1.

    >>> from anynet import callbacks
    >>> histograms = callbacks.Histograms(bins=4)
    >>> net = layers.Sequential(layers.Linear(2, 2), layers.ReLU(), seed=0, backend="numpy")
    >>> data = np.ones((4, 2), "float32"), np.asarray([0, 1, 0, 1])
    >>> _ = anynet.fit(net, data, epochs=2, callbacks=[histograms], progress=False)
    >>> sum(histograms.epochs[2]["activations/layers.1"].counts)
    8

    """

    def __init__(
        self,
        data: Batch | None = None,
        *,
        bins: int = 30,
    ) -> None:
        self.data = data
        self.bins = whole_number("bins", bins, 1)
        #: The histograms by the number of the epoch and by name.
        self.epochs: dict[int, dict[str, Histogram]] = {}

    def on_train_begin(self, run: RunView) -> None:
        """Forget the histograms of another run. A run that goes on keeps them."""
        if not run.history.epochs:
            self.epochs = {}

    def on_epoch_end(self, run: RunView) -> None:
        """Measure the network."""
        self.epochs[run.epoch] = self.measure(run)

    def measure(self, run: RunView) -> dict[str, Histogram]:
        """Return the histograms of the network of a run, by name."""
        histograms = {}
        for name, values in self._values(run, self._batch(run)):
            histograms[name] = self._histogram(values)
        return histograms

    def _batch(self, run: RunView) -> Batch:
        batch = sample_of(run) if self.data is None else self.data
        if batch is None:
            raise ArgumentError(
                "Histograms has no data before the first batch: give it data=(x, t)"
            )
        return batch

    def _values(self, run: RunView, batch: Batch) -> Iterator[tuple[str, list[Array]]]:
        """Yield the arrays of each histogram by name."""
        for path, parameter in tree.leaves(run.net):
            yield f"weights/{path}", [parameter]
        for path, gradient in tree.leaves(gradients_on(run, batch)):
            yield f"gradients/{path}", [gradient]
        if isinstance(run.net, Module):
            captured = capture(copied(run.net), lambda path, module: _is_single(module))
            _, activations = call_network(captured, batch[0])
            for path, outputs in activations.items():
                yield f"activations/{path}", [output for _, output in tree.leaves(outputs)]

    def _histogram(self, arrays: list[Array]) -> Histogram:
        values = host_values(arrays)
        finite = array_namespace(values).isfinite(values)
        return histogram(values[finite], self.bins)

    def state_dict(self) -> dict[str, Any]:
        """Return the histograms of all epochs."""
        return {
            str(number): {name: histogram._asdict() for name, histogram in histograms.items()}
            for number, histograms in self.epochs.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned.

        Raises:
            ArgumentError: it is another callback's state. Nothing has changed then.

        """
        epochs: dict[int, dict[str, Histogram]] = {}
        for number, histograms in state.items():
            if not number.isdecimal() or not isinstance(histograms, dict):
                raise ArgumentError(
                    f"the state of Histograms has an unknown {number!r}: wanted numbers of epochs"
                )
            for one in histograms.values():
                check_state("a histogram", one, Histogram._fields)
            epochs[int(number)] = {name: Histogram(**x) for name, x in histograms.items()}
        self.epochs = epochs


def _is_single(module: Module) -> bool:
    """Return whether a module has no modules inside."""
    return len(dict(module.modules())) == 1
