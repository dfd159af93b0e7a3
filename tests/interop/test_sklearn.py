"""The estimators beside scikit-learn's own checks, searches, pipelines and pickles."""

import importlib
import pickle
import sys
from functools import partial

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import initializers, layers, losses, optimizers
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    MissingPackageError,
    NonFiniteError,
    ShapeError,
)

sklearn = pytest.importorskip("sklearn", reason="needs scikit-learn")

from sklearn.base import clone  # noqa: E402 - after the skip
from sklearn.compose import TransformedTargetRegressor  # noqa: E402 - after the skip
from sklearn.datasets import load_iris, make_regression  # noqa: E402 - after the skip
from sklearn.exceptions import NotFittedError  # noqa: E402 - after the skip
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402 - after the skip
from sklearn.pipeline import make_pipeline  # noqa: E402 - after the skip
from sklearn.preprocessing import StandardScaler  # noqa: E402 - after the skip
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402 - after the skip

from anynet.interop.sklearn import Classifier, Regressor  # noqa: E402 - after the skip

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
NAMES = np.asarray(["setosa", "versicolor", "virginica"])[Y]
ADAM = optimizers.Adam(0.01)


def small(features, outputs):
    """Return a network of one hidden layer."""
    return layers.Sequential(layers.Linear(features, 8), layers.Tanh(), layers.Linear(8, outputs))


def classifier(backend="numpy", **settings):
    """Return a small classifier that trains quickly."""
    name = backend if isinstance(backend, str) else backend.name
    return Classifier(
        **{"network": (8,), "optimizer": ADAM, "epochs": 10, "backend": name, **settings}
    )


def regressor(**settings):
    """Return a small regressor that trains quickly."""
    return Regressor(**{"network": (16,), "optimizer": ADAM, "epochs": 40, **settings})


#: The checks of scikit-learn that fail in float32, and why. In float64 none fails.
ROUNDING = {
    "check_sample_weight_equivalence_on_dense_data": (
        "it compares to 1e-7, and float32 rounds the sum over repeated rows in another way"
    ),
    "check_methods_subset_invariance": (
        "it compares to 1e-7, and a product in float32 may round in another way for fewer rows"
    ),
}


@pytest.mark.parametrize(
    "estimator",
    [
        Classifier((10,), optimizer=optimizers.Adam(0.02), epochs=20),
        Regressor((10,), optimizer=optimizers.Adam(0.05), epochs=30),
    ],
)
@pytest.mark.parametrize(("dtype", "expected"), [("float32", ROUNDING), ("float64", {})])
def test_estimator_passes_the_checks_of_scikit_learn(estimator, dtype, expected):
    estimator = clone(estimator).set_params(dtype=dtype)
    results = check_estimator(estimator, expected_failed_checks=expected, on_skip=None)
    assert len(results) > 50


def test_labels_of_any_type_come_back(backend):
    fitted = classifier(backend, epochs=10, optimizer=optimizers.Adam(0.03)).fit(X, NAMES)
    assert fitted.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert fitted.score(X, NAMES) > 0.85
    assert set(fitted.predict(X)) <= set(NAMES)
    assert fitted.n_features_in_ == 4
    assert anynet.get_backend(fitted.net_.layers[0].weight).name == backend.name
    probabilities = fitted.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == fitted.classes_.searchsorted(fitted.predict(X))).all()
    np.testing.assert_allclose(fitted.predict_log_proba(X), np.log(probabilities))


def test_training_is_that_of_fit(backend):
    fitted = classifier(backend, random_state=3, epochs=2).fit(X, Y)
    net = layers.Sequential(layers.Linear(4, 8), layers.ReLU(), layers.Linear(8, 3))
    net.initialize(3, backend)
    x, t = backend.asarray(X.astype("float32")), backend.asarray(Y.astype("int32"))
    optimizer = optimizers.Adam(0.01)
    history = anynet.fit(
        net, (x, t), optimizer=optimizer, epochs=2, batch_size=32, seed=3, progress=False
    )
    assert fitted.history_.losses == history.losses
    for ours, theirs in zip(
        fitted.net_.parameters().values(), net.parameters().values(), strict=True
    ):
        np.testing.assert_array_equal(host(ours), host(theirs))


def test_random_state_decides_the_network():
    first, same, other = (
        classifier(random_state=seed, epochs=1).fit(X, Y).predict_proba(X) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.01
    states = [np.random.RandomState(5) for _ in range(2)]
    first, same = (
        classifier(random_state=state, epochs=1).fit(X, Y).predict_proba(X) for state in states
    )
    np.testing.assert_array_equal(first, same)


def test_fit_begins_again_and_changes_no_setting():
    net = small(4, 3).initialize(0, "numpy")
    before = host(net["layers.0.weight"]).copy()
    optimizer = optimizers.Adam(0.01)
    estimator = classifier(network=net, optimizer=optimizer, epochs=3)
    first = estimator.fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(estimator.fit(X, Y).predict_proba(X), first)
    assert estimator.network is net
    assert estimator.optimizer is optimizer
    assert optimizer.updates == 0
    np.testing.assert_array_equal(net["layers.0.weight"], before)


def test_warm_start_goes_on():
    once = classifier(epochs=2).fit(X, Y)
    twice = classifier(epochs=2, warm_start=True).fit(X, Y).fit(X, Y)
    assert twice.history_.losses == classifier(epochs=4).fit(X, Y).history_.losses
    assert twice.optimizer_.updates == 2 * once.optimizer_.updates
    with pytest.raises(ArgumentError, match="y has the label 7: wanted one of"):
        twice.fit(X, np.where(Y == 0, 7, Y))


def test_partial_fit_trains_for_one_epoch():
    estimator = classifier()
    with pytest.raises(ArgumentError, match="classes is None in the first call"):
        estimator.partial_fit(X[:50], Y[:50])
    # The first rows have one class only.
    estimator.partial_fit(X[:50], Y[:50], classes=[2, 1, 0])
    for _ in range(30):
        estimator.partial_fit(X, Y)
    assert estimator.optimizer_.updates == 2 + 30 * 5
    assert [epoch.number for epoch in estimator.history_.epochs] == list(range(1, 32))
    assert estimator.score(X, Y) > 0.9
    with pytest.raises(ArgumentError, match=r"classes is \[0, 1\]: wanted those of the first"):
        estimator.partial_fit(X, Y, classes=[0, 1])


def test_partial_fit_trains_as_fit_does():
    whole = classifier(epochs=3).fit(X, Y)
    parts = classifier()
    for _ in range(3):
        parts.partial_fit(X, Y, classes=[0, 1, 2])
    assert parts.history_.losses == whole.history_.losses


@pytest.mark.parametrize("estimator", [classifier(epochs=2), regressor(epochs=2)])
def test_weights_are_those_of_fit(estimator):
    weights = np.random.default_rng(0).uniform(0.1, 3.0, 150)
    fitted = clone(estimator).fit(X, Y, sample_weight=weights)
    ones = clone(estimator).fit(X, Y, sample_weight=np.ones(150)).predict(X)
    np.testing.assert_allclose(ones, clone(estimator).fit(X, Y).predict(X), rtol=1e-4)
    hidden, _, last = fitted.net_
    net = layers.Sequential(
        layers.Linear(*hidden.weight.shape),
        layers.ReLU(),
        layers.Linear(*last.weight.shape),
        seed=0,
        backend="numpy",
    )
    t = Y.astype("int32") if isinstance(estimator, Classifier) else Y[:, None].astype("float32")
    loss = losses.cross_entropy if isinstance(estimator, Classifier) else losses.mean_squared_error
    history = anynet.fit(
        net,
        (X.astype("float32"), t, weights.astype("float32")),
        loss=loss,
        optimizer=optimizers.Adam(0.01),
        epochs=2,
        batch_size=32,
        progress=False,
    )
    assert fitted.history_.losses == history.losses


def test_rows_without_weight_are_left_out():
    some = np.arange(150) % 3 > 0
    weighted = classifier(epochs=3).fit(X, NAMES, sample_weight=some)
    without = classifier(epochs=3).fit(X[some], NAMES[some])
    assert weighted.optimizer_.updates == without.optimizer_.updates
    np.testing.assert_allclose(weighted.predict_proba(X), without.predict_proba(X), rtol=1e-4)
    same = classifier(epochs=3).fit(X, NAMES, sample_weight=2.0)
    expected = classifier(epochs=3).fit(X, NAMES).predict_proba(X)
    np.testing.assert_allclose(same.predict_proba(X), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(149), r"sample_weight has the shape \(149,\): wanted \(150,\)"),
        (np.ones((150, 1)), r"sample_weight has the shape \(150, 1\)"),
        (-np.ones(150), r"sample_weight has the weight -1\.0: wanted 0 or more"),
        (np.zeros(150), "all weights of sample_weight are zero"),
        (np.full(150, np.nan), "sample_weight contains NaN"),
        (np.full(150, 1e300), "a value is too large for float32"),
    ],
)
def test_bad_weights_raise(weights, message):
    for estimator in (classifier(), regressor()):
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, Y, sample_weight=weights)


class Count(anynet.callbacks.Callback):
    """Counts epochs, and stops after some."""

    def __init__(self, most):
        self.most = most
        self.epochs = 0

    def on_epoch_end(self, run):
        self.epochs += 1
        if self.epochs == self.most:
            run.stop()


class Interrupt(anynet.callbacks.Callback):
    """Ctrl-C after the first epoch."""

    def on_epoch_end(self, run):
        raise KeyboardInterrupt


def test_interrupt_ends_a_search_and_keeps_the_network():
    estimator = classifier(callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, NAMES)
    assert len(estimator.history_.epochs) == 1
    assert estimator.predict(X).shape == (150,)
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(estimator, {"epochs": [3, 4]}, cv=2).fit(X, NAMES)


def not_finite(outputs, t):
    """Return a loss that is NaN."""
    return losses.mean_squared_error(outputs, t) * float("nan")


def test_estimator_is_not_fitted_after_a_loss_that_is_not_finite():
    for estimator in (regressor(), regressor(epochs=1, warm_start=True).fit(X, Y)):
        with pytest.raises(NonFiniteError):
            estimator.set_params(loss=not_finite).fit(X, Y)
        with pytest.raises(NotFittedError):
            estimator.predict(X)


def test_outputs_that_are_nan_raise():
    fitted = classifier(network=small, epochs=1).fit(X, Y)
    fitted.net_["layers.2.bias"] = np.full(3, np.nan, "float32")
    with pytest.raises(NonFiniteError, match="an output of the network is NaN"):
        fitted.predict(X)


def test_settings_stay_after_an_error():
    estimator = classifier(network=wide)
    with pytest.raises(ShapeError):
        estimator.fit(X, Y)
    with pytest.raises(NotFittedError):
        estimator.predict(X)


def test_averaged_weights_and_early_stopping():
    average = optimizers.ExponentialAverage(ADAM, decay=0.9)
    stopping = anynet.callbacks.EarlyStopping("test accuracy", patience=2)
    estimator = classifier(
        optimizer=average, callbacks=[stopping], validation_split=0.2, epochs=30
    ).fit(X, NAMES)
    assert len(estimator.history_.epochs) < 30
    assert estimator.optimizer_.swapped
    restored = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(restored.predict_proba(X), estimator.predict_proba(X))
    for one in (estimator, restored):
        one.set_params(callbacks=[]).partial_fit(X, NAMES)
    np.testing.assert_array_equal(restored.predict_proba(X), estimator.predict_proba(X))


def test_missing_scikit_learn_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "anynet.interop.sklearn")
    with pytest.raises(MissingPackageError, match="pip install -U scikit-learn"):
        importlib.import_module("anynet.interop.sklearn")


def test_scores_on_a_split_and_callbacks():
    callback = Count(3)
    settings = {"validation_split": 0.2, "callbacks": [callback], "metric": "auto"}
    fitted = classifier(epochs=9, **settings).fit(X, NAMES)
    assert len(fitted.history_.epochs) == 3
    assert set(fitted.history_.epochs[0].test_scores) == {"accuracy"}
    # 120 rows in batches of 32.
    assert fitted.optimizer_.updates == 12
    assert callback.epochs == 0
    by_default = classifier(epochs=1, validation_split=0.2).fit(X, NAMES)
    assert set(by_default.history_.epochs[0].test_scores) == {"accuracy"}
    assert not classifier(epochs=1).fit(X, NAMES).history_.epochs[0].scores


@pytest.mark.parametrize("shape", [(60,), (60, 1), (60, 3)])
def test_predictions_have_the_shape_of_the_targets(backend, shape):
    x, y = make_regression(60, 5, n_targets=3, random_state=0)
    y = (y[:, : shape[1]] if len(shape) == 2 else y[:, 0]) / y.std()
    estimator = regressor(backend=backend.name).fit(x, y)
    assert estimator.predict(x).shape == y.shape == shape
    assert estimator.score(x, y) > 0.9
    estimator.partial_fit(x, y)
    assert estimator.predict(x[:1]).shape == (1, *shape[1:])


def test_good_in_a_pipeline_a_search_and_a_target_transformer():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), classifier(epochs=20)),
        {
            "classifier__network": [(4,), small],
            "classifier__optimizer": [optimizers.SGD(1e-6), ADAM],
        },
        cv=2,
    ).fit(X * 100, NAMES)
    assert search.best_params_["classifier__optimizer"].learning_rate == 0.01
    assert search.best_score_ > 0.8
    assert cross_val_score(classifier(epochs=30), X, NAMES, cv=2).mean() > 0.8
    x, y = make_regression(100, 4, random_state=0)
    scaled = TransformedTargetRegressor(regressor(), transformer=StandardScaler())
    assert scaled.fit(x, 1000 * y).score(x, 1000 * y) > 0.9


def test_clone_has_the_settings_and_no_network(backend):
    fitted = classifier(backend, network=small, random_state=4, epochs=1).fit(X, Y)
    copied = clone(fitted)
    assert not hasattr(copied, "net_")
    assert repr(copied) == repr(fitted)
    np.testing.assert_array_equal(copied.fit(X, Y).predict_proba(X), fitted.predict_proba(X))


def test_pickle_predicts_the_same_and_goes_on(backend):
    unfitted = pickle.loads(pickle.dumps(classifier(backend, network=small)))
    fitted = unfitted.fit(X, NAMES)
    restored = pickle.loads(pickle.dumps(fitted))
    assert anynet.get_backend(restored.net_["layers.0.weight"]).name == backend.name
    np.testing.assert_array_equal(restored.predict_proba(X), fitted.predict_proba(X))
    fitted.partial_fit(X, NAMES)
    restored.partial_fit(X, NAMES)
    np.testing.assert_array_equal(restored.predict_proba(X), fitted.predict_proba(X))


def test_pickle_comes_back_on_numpy_where_its_backend_is_missing(monkeypatch):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    fitted = classifier("torch").fit(X, NAMES)
    assert isinstance(fitted.net_["layers.0.weight"], torch.Tensor)
    content = pickle.dumps(fitted)
    assert b"torch._" not in content

    def missing(name):
        raise anynet.errors.BackendError("torch is not installed")

    get_backend = anynet.interop.sklearn.get_backend
    monkeypatch.setattr(
        anynet.interop.sklearn,
        "get_backend",
        lambda which: (
            missing(which) if isinstance(which, str) and which == "torch" else get_backend(which)
        ),
    )
    with pytest.warns(RuntimeWarning, match="comes back on NumPy"):
        restored = pickle.loads(content)
    np.testing.assert_allclose(restored.predict_proba(X), fitted.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32"])
def test_features_of_every_dtype_become_that_of_the_network(backend, dtype):
    x = (X * 4).round().astype(dtype)
    estimator = classifier(backend).fit(x, Y)
    assert anynet.array.dtype_name(estimator.net_["layers.0.weight"].dtype) == "float32"
    expected = classifier(backend).fit(x.astype("float32"), Y).predict_proba(x)
    np.testing.assert_array_equal(estimator.predict_proba(x), expected)
    assert estimator.predict_proba(x).dtype == ("float32" if dtype == "float32" else "float64")


def test_dtype_is_that_of_the_parameters():
    fitted = classifier(dtype="float64").fit(X, Y)
    assert fitted.net_["layers.0.weight"].dtype == "float64"
    outputs = host(fitted.net_(X))
    expected = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.predict_proba(X), expected, rtol=1e-12)


def test_images_and_a_network_with_buffers(backend):
    def network(channels, classes):
        return layers.Sequential(
            layers.Conv2d(channels, 4, 3, padding=1),
            layers.BatchNorm(4),
            layers.ReLU(),
            layers.Flatten(),
            layers.Linear(4 * 16, classes),
        )

    x = np.random.default_rng(0).normal(size=(16, 2, 4, 4))
    t = (x[:, 0].mean(axis=(1, 2)) > 0).astype(int)
    estimator = classifier(backend, network=network, epochs=8).fit(x, t)
    assert estimator.score(x, t) == 1
    assert estimator.n_features_in_ == 2
    # Sizes of hidden layers take the pixels of all channels.
    flat = classifier(backend, epochs=1).fit(x, t)
    assert flat.net_.layers[1].weight.shape == (32, 8)


def test_probabilities_of_other_losses():
    smooth = partial(losses.cross_entropy, label_smoothing=0.1)
    assert classifier(loss=smooth).fit(X, Y).predict_proba(X).shape == (150, 3)
    hinge = classifier(loss=losses.hinge, epochs=30).fit(X, Y)
    assert hinge.score(X, Y) > 0.9
    assert not hasattr(hinge, "predict_proba")


def wide(features, classes):
    """Return a network with an output too many."""
    return small(features, classes + 1)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"network": "mlp"}, ArgumentTypeError, "network is 'mlp': wanted sizes of hidden layers"),
        ({"network": (8, 0)}, ArgumentError, "layer 1 is 0: wanted 1 or more"),
        ({"network": lambda x: x}, ArgumentError, r"wanted a function network\(inputs, outputs\)"),
        ({"network": lambda x, y: 3}, ArgumentTypeError, "returned 3: wanted a layers.Module"),
        (
            {"network": wide},
            ShapeError,
            r"network gives outputs of shape \(1, 4\) for one row: wanted \(1, 3\)",
        ),
        ({"network": layers.ReLU()}, ArgumentError, "network has no real parameters"),
        ({"optimizer": "adam"}, ArgumentTypeError, "optimizer is 'adam'"),
        (
            {"backend": anynet.get_backend("numpy")},
            ArgumentTypeError,
            "wanted the name of a backend",
        ),
        ({"epochs": -1}, ArgumentError, "epochs is -1"),
        ({"random_state": -1}, ArgumentError, "seed is -1"),
    ],
)
def test_settings_that_cannot_be_used_raise(settings, error, message):
    with pytest.raises(error, match=message):
        clone(Classifier(**{"epochs": 1, **settings})).fit(X, Y)


def test_data_that_cannot_be_used_raise():
    with pytest.raises(ArgumentError, match="y has one class, "):
        classifier().fit(X, np.zeros(150))
    with pytest.raises(DataError, match="a value is too large for float32"):
        classifier().fit(1e300 * X, Y)
    with pytest.raises(NotFittedError):
        classifier().predict(X)
    fitted = classifier(epochs=1).fit(X, Y)
    with pytest.raises(ValueError, match="X has 3 features"):
        fitted.predict(X[:, :3])
    with pytest.raises(ValueError, match="NaN"):
        fitted.predict(np.full((1, 4), np.nan))


def test_frozen_and_initialized_parts_are_the_start_of_the_training():
    net = small(4, 3).initialize(7, "numpy").freeze("layers.0")
    net[-1] = layers.Linear(8, 3, initializer=initializers.zeros)
    fitted = classifier(network=net, epochs=2).fit(X, Y)
    np.testing.assert_array_equal(fitted.net_["layers.0.weight"], net["layers.0.weight"])
    assert np.abs(fitted.net_["layers.2.weight"]).max() > 0
