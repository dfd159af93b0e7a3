"""Estimators of scikit-learn that train a network, for its pipelines and searches."""

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, Self

from anynet import functions, layers, losses, optimizers, tree
from anynet.arguments import describe, sizes
from anynet.array import Array, array_namespace, dtype_name, is_floating
from anynet.backend import Backend, get_backend
from anynet.callables import show_call, takes
from anynet.callbacks import Callback
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    AttributeNameError,
    BackendError,
    DataError,
    MissingPackageError,
    NonFiniteError,
    ShapeError,
)
from anynet.layers.initialization import is_uninitialized
from anynet.precision import MixedPrecision
from anynet.training import History
from anynet.training.evaluation import Score
from anynet.training.fit import fit
from anynet.training.sources import EVALUATION_BATCH
from anynet.training.step import SupportsUpdate

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_array, check_random_state, column_or_1d
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise MissingPackageError(
        f"the estimators need scikit-learn, 1.6 or newer ({error}): pip install -U scikit-learn"
    ) from error

__all__ = ["Classifier", "Regressor"]

#: Returns a network for a number of features and a number of outputs.
NetworkFunction = Callable[[int, int], layers.Module]

#: scikit-learn's arrays are NumPy's.
_HOST: Any = get_backend("numpy").xp

#: The dtype of the indices of classes.
_LABELS = "int32"

#: The attributes of a fitted estimator that have arrays on a device.
_TREES = ("net_", "optimizer_")


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """The settings, the training and the pickles of both estimators."""

    # Of a fitted estimator.
    net_: layers.Module
    optimizer_: SupportsUpdate
    history_: History

    def __init__(
        self,
        network: int | Sequence[int] | layers.Module | NetworkFunction = (100,),
        *,
        loss: Callable[..., Array] | None = None,
        optimizer: SupportsUpdate | None = None,
        epochs: int = 50,
        batch_size: int = 32,
        validation_split: float | None = None,
        metric: Score | Sequence[Score] | str | None = None,
        callbacks: Sequence[Callback] = (),
        warm_start: bool = False,
        random_state: Any = 0,
        backend: str | None = None,
        dtype: str | None = None,
        precision: MixedPrecision | None = None,
        compile: bool = False,
        progress: bool = False,
    ) -> None:
        self.network = network
        self.loss = loss
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_split = validation_split
        self.metric = metric
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.backend = backend
        self.dtype = dtype
        self.precision = precision
        self.compile = compile
        self.progress = progress

    def _train(
        self,
        x: Any,
        t: Any,
        sample_weight: Any,
        outputs: int,
        epochs: int,
    ) -> Self:
        """Train the network on rows, a new one unless the estimator is fitted already."""
        if sample_weight is not None:
            weights = _checked_weights(sample_weight, x.shape[0])
            # Rows without a weight do not count, not even in the shuffles.
            counts = weights > 0
            x, t, weights = x[counts], t[counts], weights[counts]
        seed = _seed(self.random_state)
        if hasattr(self, "net_"):
            net, optimizer, history = self.net_, self.optimizer_, self.history_
        else:
            net, optimizer = self._new_network(x, outputs, seed), self._new_optimizer()
            history = History()
        like = _example(net)
        x = _on_device(x, like)
        _check_outputs(net(x[:1, ...]), (1, outputs))
        is_labels = t.dtype == _LABELS
        t = get_backend(like).asarray(t) if is_labels else _on_device(t, like)
        has_test = self.validation_split is not None
        try:
            fit(
                net,
                (x, t) if sample_weight is None else (x, t, _on_device(weights, like)),
                loss=self._loss(),
                optimizer=optimizer,
                epochs=len(history.epochs) + epochs,
                batch_size=self.batch_size,
                seed=seed,
                metric="auto" if self.metric is None and has_test else self.metric,
                validation_split=self.validation_split,
                callbacks=copy.deepcopy(self.callbacks),
                history=history,
                precision=self.precision,
                compile=self.compile,
                progress=self.progress,
            )
        except NonFiniteError:
            # The parameters may be NaN.
            self._forget()
            raise
        self.net_, self.optimizer_, self.history_ = net, optimizer, history
        if history.interrupted:
            # A search would go on with the next candidate.
            raise KeyboardInterrupt
        return self

    def _loss(self) -> Callable[..., Array]:
        raise NotImplementedError

    def _forget(self) -> None:
        """Let the next training begin with a new network."""
        for name in vars(self).keys() & {*_TREES, "history_"}:
            delattr(self, name)

    def _new_network(
        self,
        x: Any,
        outputs: int,
        seed: int,
    ) -> layers.Module:
        """Return an initialized network for these rows. No training changes the settings."""
        if not isinstance(self.backend, str | None):
            raise ArgumentTypeError(
                f"backend is {describe(self.backend)}: wanted the name of a backend, such as "
                "'torch:cuda:0', because an estimator is copied and pickled"
            )
        network = self.network
        if isinstance(network, layers.Module):
            net = copy.deepcopy(network)
        elif callable(network):
            net = _called(network, x.shape[1], outputs)
        else:
            net = _perceptron(_hidden_sizes(network), x, outputs)
        if self.backend is not None:
            net = net.map(get_backend(self.backend).asarray)
        values = (value for _, module in net.modules() for value in vars(module).values())
        if any(map(is_uninitialized, values)):
            net.initialize(seed, self.backend, self.dtype)
        return net

    def _new_optimizer(self) -> SupportsUpdate:
        return optimizers.Adam() if self.optimizer is None else copy.deepcopy(self.optimizer)

    def _outputs(self, X: Any) -> Any:
        """Return the outputs of the network on the rows of X, computed a part at a time.

        They are float64 where X is, as scikit-learn's metrics are.

        Raises:
            NonFiniteError: an output is NaN.

        """
        check_is_fitted(self, "net_")
        x = validate_data(self, X, reset=False, allow_nd=True)
        like = _example(self.net_)
        parts = []
        for start in range(0, x.shape[0], EVALUATION_BATCH):
            rows = _on_device(x[start : start + EVALUATION_BATCH], like)
            part = self.net_(rows)
            parts.append(get_backend(part).to_host(part))
        outputs = _HOST.concat(parts)
        if _HOST.isnan(outputs).any():
            raise NonFiniteError(
                "an output of the network is NaN: scale the rows as those of the training"
            )
        return outputs.astype("float32" if x.dtype == "float32" else "float64")

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, with arrays of NumPy in place of those on a device."""
        state: dict[str, Any] = super().__getstate__()
        trees = {name: state[name] for name in _TREES if name in state}
        arrays = [x for _, x in tree.leaves(trees)]
        if not arrays:
            return state
        backend = get_backend(arrays[0])
        dtypes = [dtype_name(x.dtype) for x in arrays]
        return {**state, **tree.map(backend.to_host, trees), "_arrays": (backend.name, dtypes)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Bring the arrays to the backend of the estimator, or to NumPy where it does not work."""
        state = dict(state)
        library, dtypes = state.pop("_arrays", ("", []))
        super().__setstate__(state)
        if not library:
            return
        backend = _open(state.get("backend") or library)
        names = iter(dtypes)

        def restored(x: Array) -> Array:
            name = next(names)
            dtype = getattr(backend.xp, name, None)
            return backend.asarray(x, dtype=dtype)

        trees = {name: state[name] for name in _TREES if name in state}
        for name, value in tree.map(restored, trees).items():
            setattr(self, name, value)


class Classifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A classifier of scikit-learn that trains a network.

    X is (N, features), or images (N, channels, height, width). y has one label for each row, of any
    type. ``fit`` trains a new network. ``partial_fit`` trains the network for one more epoch.
    Ctrl-C raises KeyboardInterrupt after the current step, and the estimator keeps the network.

    Args:
        network: the sizes of the hidden layers of a perceptron with ReLU, or a function
            network(features, classes) that returns a network, or a network, which is copied. An
            initialized network is the start of the training.
        loss: `losses.cross_entropy` by default.
        optimizer: Adam(0.001) by default. It is copied.
        epochs: 0 or more.
        batch_size: 1 or more.
        validation_split: the share of the rows that are kept for scores after each epoch.
        metric: see `anynet.fit`. By default that of the loss, if there is a validation_split.
        callbacks: of `anynet.fit`. They are copied.
        warm_start: ``fit`` goes on with the network of the last ``fit``.
        random_state: an integer for the first values and the shuffles, or what scikit-learn takes:
            None, for other values in each ``fit``, or an object of NumPy's RandomState.
        backend: the name of a backend, see `anynet.get_backend`.
        dtype: the dtype of the parameters that are drawn, float32 by default. X is converted.
        precision: see `anynet.fit`.
        compile: see `anynet.fit`.
        progress: see `anynet.fit`.

    A fitted estimator has the labels ``classes_``, the network ``net_``, its optimizer
    ``optimizer_``, its ``history_`` and ``n_features_in_``.

    Raises:
        ArgumentError: a label that is not one of the first ``fit``, or y has one class.
        ShapeError: the network has another number of outputs than there are classes.
        NonFiniteError: the loss became infinite or NaN. The estimator is not fitted then.

    Source: scikit-learn's MLPClassifier.

    >>> from anynet.interop.sklearn import Classifier
    >>> x = np.asarray([[0.0, 1.0], [1.0, 0.0], [0.1, 0.9], [0.8, 0.2]])
    >>> classifier = Classifier((8,), optimizer=optimizers.Adam(0.01)).fit(x, list("abab"))
    >>> classifier.predict(x).tolist()
    ['a', 'b', 'a', 'b']

    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
    ) -> Self:
        """Train a network on rows and their labels, and return the estimator.

        Args:
            X: the rows.
            y: their labels.
            sample_weight: (N,), or one for all rows, 0 or more. The loss of a batch is the weighted
                mean. Rows of weight 0 are left out.

        """
        go_on = self.warm_start and hasattr(self, "net_")
        x, y = self._validated(X, y, reset=not go_on)
        if not go_on:
            self._forget()
            self.classes_ = _classes(y)
        return self._train_on(x, y, sample_weight, self.epochs)

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Train the network on rows for one more epoch, and return the estimator.

        Args:
            X: as for ``fit``.
            y: as for ``fit``.
            classes: all labels. The first call needs them.
            sample_weight: as for ``fit``.

        Raises:
            ArgumentError: the first call has no classes, or a later one has others.

        """
        is_first = not hasattr(self, "net_")
        if is_first and classes is None:
            raise ArgumentError(
                "classes is None in the first call of partial_fit: wanted all labels, as "
                "partial_fit(X, y, classes=np.unique(all_labels))"
            )
        x, y = self._validated(X, y, reset=is_first)
        if is_first:
            self.classes_ = _classes(classes)
        elif classes is not None and _classes(classes).tolist() != self.classes_.tolist():
            raise ArgumentError(
                f"classes is {describe(classes)}: wanted those of the first call, "
                f"{describe(self.classes_.tolist())}, or none"
            )
        return self._train_on(x, y, sample_weight, 1)

    def predict(self, X: Any) -> Any:
        """Return the label of each row, (N,)."""
        best = self._outputs(X).argmax(axis=1)
        return self.classes_[best]

    @available_if(lambda self: self._probabilities())  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, (N, classes), in the order of ``classes_``.

        Raises:
            AttributeNameError: the outputs of a network that is trained with this loss are no
                probabilities.

        """
        probabilities = self._probabilities()
        outputs = self._outputs(X)
        return probabilities(outputs)

    @available_if(lambda self: self._probabilities())  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of the probability of each class, (N, classes)."""
        return _HOST.log(self.predict_proba(X))

    def _loss(self) -> Callable[..., Array]:
        return losses.cross_entropy if self.loss is None else self.loss

    def _probabilities(self) -> Callable[[Any], Any]:
        """Return the function from outputs to probabilities."""
        loss: Any = self._loss()
        while isinstance(loss, partial):
            loss = loss.func
        for known, probabilities in _PROBABILITIES:
            if loss is known:
                return probabilities
        raise AttributeNameError(
            f"{show_call(loss)} does not say what the probabilities of the classes are: train with "
            "losses.cross_entropy, or apply your function to the outputs of net_"
        )

    def _validated(
        self,
        X: Any,
        y: Any,
        *,
        reset: bool,
    ) -> tuple[Any, Any]:
        x, y = validate_data(self, X, y, reset=reset, allow_nd=True)
        check_classification_targets(y)
        return x, column_or_1d(y, warn=True)

    def _train_on(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        epochs: int,
    ) -> Self:
        places = _HOST.searchsorted(self.classes_, y)
        places = _HOST.minimum(places, len(self.classes_) - 1)
        unknown = y[self.classes_[places] != y]
        if unknown.size:
            label, known = unknown.tolist()[0], self.classes_.tolist()
            raise ArgumentError(f"y has the label {label!r}: wanted one of {describe(known)}")
        t = places.astype(_LABELS)
        return self._train(x, t, sample_weight, len(self.classes_), epochs)


class Regressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A regressor of scikit-learn that trains a network.

    X is (N, features), or images (N, channels, height, width). y is (N,), or (N, outputs), and so
    are predictions. Scale y to about -1 to 1, as by scikit-learn's TransformedTargetRegressor, so
    that the default learning rate suits it.

    Args:
        network: as for `Classifier`, with a number of outputs in place of classes.
        loss: `losses.mean_squared_error` by default.
        optimizer: as for `Classifier`, and so are all other arguments.

    A fitted estimator has the network ``net_``, its optimizer ``optimizer_``, its ``history_`` and
    ``n_features_in_``.

    Raises:
        ShapeError: the network has another number of outputs than y.
        NonFiniteError: as for `Classifier`.

    Source: scikit-learn's MLPRegressor.

    >>> from anynet.interop.sklearn import Regressor
    >>> x = np.linspace(-1, 1, 200)[:, None]
    >>> regressor = Regressor((20,), optimizer=optimizers.Adam(0.01)).fit(x, x[:, 0] ** 2)
    >>> bool(regressor.score(x, x[:, 0] ** 2) > 0.98)
    True

    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
    ) -> Self:
        """Train a network on rows and their targets, and return the estimator."""
        go_on = self.warm_start and hasattr(self, "net_")
        if not go_on:
            self._forget()
        return self._train_on(X, y, sample_weight, self.epochs)

    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
    ) -> Self:
        """Train the network on rows for one more epoch, and return the estimator."""
        return self._train_on(X, y, sample_weight, 1)

    def predict(self, X: Any) -> Any:
        """Return the outputs for each row, of the shape of y in ``fit``."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._is_flat else outputs

    def _loss(self) -> Callable[..., Array]:
        return losses.mean_squared_error if self.loss is None else self.loss

    def _train_on(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        epochs: int,
    ) -> Self:
        is_first = not hasattr(self, "net_")
        x, y = validate_data(
            self,
            X,
            y,
            reset=is_first,
            allow_nd=True,
            multi_output=True,
            y_numeric=True,
        )
        self._is_flat = y.ndim == 1
        targets = _HOST.reshape(y, (y.shape[0], -1)).astype("float64")
        return self._train(x, targets, sample_weight, targets.shape[1], epochs)

    def __sklearn_tags__(self) -> Any:
        """Return what the estimator can do, for scikit-learn."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _exp(outputs: Array) -> Array:
    return array_namespace(outputs).exp(outputs)


def _same(outputs: Array) -> Array:
    return outputs


#: The losses whose outputs determine the probabilities of the classes, and how.
_PROBABILITIES: tuple[tuple[Any, Callable[[Array], Array]], ...] = (
    (losses.cross_entropy, functions.softmax),
    (losses.negative_log_likelihood, _exp),
    (losses.cross_entropy_of_probabilities, _same),
)


def _seed(random_state: Any) -> int:
    """Return a seed from what scikit-learn takes as one."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _checked_weights(sample_weight: Any, rows: int) -> Any:
    """Return the weights of rows, (N,).

    Raises:
        DataError: their number differs, one is below 0, or all are 0.

    """
    if isinstance(sample_weight, Real):
        sample_weight = [sample_weight] * rows
    weights = check_array(
        sample_weight,
        ensure_2d=False,
        dtype="float64",
        input_name="sample_weight",
    )
    if weights.shape != (rows,):
        raise DataError(
            f"sample_weight has the shape {weights.shape}: wanted ({rows},), a weight for each row"
        )
    if not (weights >= 0).all():
        raise DataError(f"sample_weight has the weight {weights.min()}: wanted 0 or more")
    if not weights.any():
        raise DataError("all weights of sample_weight are zero: wanted one or more above 0")
    return weights


def _classes(labels: Any) -> Any:
    """Return the sorted labels, each once.

    Raises:
        ArgumentError: there are fewer than two.

    """
    classes = _HOST.unique(labels)
    if len(classes) < 2:
        raise ArgumentError(
            f"y has one class, {classes.tolist()}: a classifier needs two classes or more"
        )
    return classes


def _called(
    network: NetworkFunction,
    inputs: int,
    outputs: int,
) -> layers.Module:
    """Return the network of a user's function."""
    if not takes(network, 2):
        raise ArgumentError(
            f"network is {show_call(network)}: wanted a function network(inputs, outputs) that "
            "returns a network"
        )
    net = network(inputs, outputs)
    if not isinstance(net, layers.Module):
        raise ArgumentTypeError(
            f"{show_call(network)} returned {describe(net)}: wanted a layers.Module, such as "
            "layers.Sequential(…)"
        )
    return net


def _hidden_sizes(network: Any) -> tuple[int, ...]:
    """Return the sizes of hidden layers, of which one may be given as a number."""
    several = isinstance(network, tuple | list)
    try:
        return sizes(**{f"layer {i}": n for i, n in enumerate(network if several else [network])})
    except ArgumentTypeError:
        raise ArgumentTypeError(
            f"network is {describe(network)}: wanted sizes of hidden layers, such as (100,), a "
            "function network(inputs, outputs), or a layers.Module"
        ) from None


def _perceptron(
    hidden: tuple[int, ...],
    x: Any,
    outputs: int,
) -> layers.Module:
    """Return linear layers with ReLU between them, for rows like those of x."""
    widths = (math.prod(x.shape[1:]), *hidden, outputs)
    parts: list[layers.Module] = [] if x.ndim == 2 else [layers.Flatten()]
    for inputs, width in pairwise(widths):
        parts += [layers.Linear(inputs, width), layers.ReLU()]
    return layers.Sequential(*parts[:-1])


def _example(net: layers.Module) -> Array:
    """Return a parameter, whose backend and dtype are those of the rows."""
    parameters = net.parameters().values()
    example = next(filter(is_floating, parameters), None)
    if example is None:
        raise ArgumentError("network has no real parameters: wanted one that can be trained")
    return example


def _on_device(x: Any, like: Array) -> Array:
    """Return a NumPy array on the device of another array, and in its dtype.

    Raises:
        DataError: a value is too large for the dtype.

    """
    backend = get_backend(like)
    name = dtype_name(like.dtype)
    with _HOST.errstate(over="ignore"):
        host = x.astype("float64" if name == "float64" else "float32")
    new = backend.asarray(host, dtype=like.dtype)
    xp = array_namespace(new)
    if not bool(xp.all(xp.isfinite(new))):
        raise DataError(f"a value is too large for {name}: scale the data, or pass dtype='float64'")
    return new


def _check_outputs(outputs: Any, wanted: tuple[int, int]) -> None:
    """Raise ShapeError unless the outputs of a row have the shape."""
    shape = tuple(getattr(outputs, "shape", ()))
    if shape != wanted:
        raise ShapeError(
            f"network gives outputs of shape {shape} for one row: wanted {wanted}, by a last layer "
            f"with {wanted[1]} outputs"
        )


def _open(backend: str) -> Backend:
    """Return a backend, or NumPy's where it does not work."""
    try:
        return get_backend(backend)
    except BackendError as error:
        message = f"the network of this pickle comes back on NumPy ({error})"
        warnings.warn(message, RuntimeWarning, stacklevel=4)
        return get_backend("numpy")
