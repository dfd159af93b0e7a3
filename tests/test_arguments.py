"""Wrong types of arguments raise errors that say the given value, the wanted one and the remedy."""

import numpy as np
import pytest

import anynet
from anynet import (
    arguments,
    data,
    layers,
    losses,
    metrics,
    optimizers,
    random,
)
from anynet.data import Loader
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.optimizers import schedules

X, T = np.zeros((4, 2), "float32"), np.zeros(4, "int64")


def network():
    return layers.Sequential(layers.Linear(2, 3), seed=0, backend="numpy")


def test_argument_type_error_is_a_value_and_type_error():
    assert issubclass(ArgumentTypeError, (ArgumentError, ValueError, TypeError))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"optimizer": optimizers.SGD},
            "optimizer is the class SGD: wanted an optimizer with update.net, grads., such as "
            r"optimizers.SGD\(\)",
        ),
        (
            {"optimizer": optimizers.AdamW},
            r"optimizer is the class AdamW: wanted .* optimizers.AdamW\(\)",
        ),
        (
            {"optimizer": "adam"},
            "optimizer is 'adam': wanted an optimizer with update.net, grads., such as "
            r"optimizers.Adam\(\)",
        ),
        (
            {"optimizer": "sgd"},
            "optimizer is 'sgd': wanted an optimizer with update.net, grads., such as "
            r"optimizers.SGD\(\)",
        ),
        (
            {"optimizer": 0.1},
            "optimizer is 0.1: wanted an optimizer with update.net, grads., such as "
            r"optimizers.SGD\(0.1\)",
        ),
        (
            {"optimizer": {"lr": 0.1}},
            "optimizer is {'lr': 0.1}: wanted an optimizer with update.net, grads., such as "
            r"optimizers.SGD\(0.1\)",
        ),
        (
            {"optimizer": schedules.Cosine(0.1, 10)},
            r"optimizer is Cosine\(.*\): wanted an optimizer",
        ),
        (
            {"optimizer": type("Own", (), {"update": lambda self, net: None})()},
            "optimizer is an Own: wanted an optimizer",
        ),
        (
            {"optimizer": optimizers},
            "optimizer is the module anynet.optimizers: wanted an optimizer",
        ),
        (
            {"loss": "mse"},
            r"loss is 'mse': wanted a function loss\(outputs, labels\), such as "
            "losses.mean_squared_error",
        ),
        (
            {"loss": "bce"},
            "loss is 'bce': wanted .* losses.binary_cross_entropy_with_logits",
        ),
        (
            {"loss": "Cross Entropy"},
            "loss is 'Cross Entropy': wanted .* losses.cross_entropy",
        ),
        (
            {"loss": "no such"},
            "loss is 'no such': wanted .* losses.cross_entropy",
        ),
        ({"loss": None}, "loss is None: wanted a function"),
        (
            {"loss": losses},
            "loss is the module anynet.losses: wanted a function",
        ),
        (
            {"loss": X},
            r"loss is an array of shape \(4, 2\): wanted a function",
        ),
        ({"loss": Loader}, "loss is the class Loader: wanted a function"),
        (
            {"epochs": "5"},
            "epochs is '5': wanted a whole number, 0 or more",
        ),
        (
            {"epochs": 2.0},
            "epochs is 2.0: wanted a whole number, 0 or more",
        ),
        (
            {"epochs": None},
            "epochs is None: wanted a whole number, 0 or more",
        ),
        (
            {"epochs": True},
            "epochs is True: wanted a whole number, 0 or more",
        ),
        (
            {"batch_size": "32"},
            "batch_size is '32': wanted a whole number, 1 or more",
        ),
        (
            {"batch_size": 32.0},
            "batch_size is 32.0: wanted a whole number, 1 or more",
        ),
        (
            {"seed": 1.5},
            r"seed is 1.5: wanted an integer from 0 to 2\*\*64 - 1",
        ),
        ({"seed": "a"}, "seed is 'a': wanted an integer"),
        (
            {"seed": X},
            r"seed is an array of shape \(4, 2\): wanted an integer",
        ),
        (
            {"metric": "accuracy"},
            "metric is 'accuracy': wanted one or several of anynet.metrics, such as "
            "metrics.accuracy",
        ),
        (
            {"metric": ["f1"]},
            "metric is 'f1': wanted .* such as metrics.f1,",
        ),
        (
            {"metric": metrics.F1},
            r"metric is the class F1: wanted .* such as metrics.F1\(\),",
        ),
        (
            {"metric": {"a": metrics.f1}},
            "metric is {'a': .*}: wanted one or several",
        ),
        ({"metric": True}, "metric is True: wanted one or several"),
        ({"compile": "yes"}, "compile is 'yes': wanted True or False"),
        ({"progress": "no"}, "progress is 'no': wanted True or False"),
        ({"progress": None}, "progress is None: wanted True or False"),
        ({"progress": X}, "progress is an array .*: wanted True or False"),
    ],
)
def test_wrong_settings_of_fit_raise(settings, message):
    net = network()
    before = net["layers.0.weight"].copy()
    with pytest.raises(ArgumentTypeError, match=f"^{message}"):
        anynet.fit(net, (X, T), **({"progress": False} | settings))
    assert (net["layers.0.weight"] == before).all()


def test_numpy_integers_and_booleans_are_accepted():
    history = anynet.fit(
        network(),
        (X, T),
        epochs=np.int64(2),
        batch_size=np.int32(2),
        seed=np.uint8(3),
        compile=np.False_,
        progress=np.False_,
    )
    assert len(history.losses) == 4
    assert len(Loader(X, T, np.int64(3), shuffle=np.True_, drop_last=1)) == 1


def test_functions_with_other_parameters_raise():
    with pytest.raises(
        ArgumentError,
        match=r"^metric is <lambda>\(y\): wanted metric\(outputs, labels\)",
    ):
        anynet.fit(network(), (X, T), metric=lambda y: 1.0, progress=False)
    with pytest.raises(
        ArgumentError,
        match=r"^loss is <lambda>\(\): wanted loss\(outputs, labels\) or loss\(net, x, t",
    ):
        anynet.fit(network(), (X, T), loss=lambda: 1.0, progress=False)


def test_metric_that_returns_no_scalar_raises():
    with pytest.raises(ArgumentTypeError, match=r"^metric is 'good': wanted a scalar"):
        anynet.evaluate(network(), (X, T), lambda y, t: "good")
    assert anynet.evaluate(network(), (X, T), lambda y, t: 2) == 2.0


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (
            layers.Sequential,
            "net is the class Sequential: wanted a layers.Module, such as layers.Sequential",
        ),
        ((X, T), "net is a tuple of 2: wanted a layers.Module"),
        (None, "net is None: wanted a layers.Module"),
        ("net", "net is 'net': wanted a layers.Module"),
        (
            [layers.Linear(2, 3)],
            r"net is \[Linear.*\]: wanted a layers.Module",
        ),
        (X, r"net is an array of shape \(4, 2\): wanted a layers.Module"),
        ({"w": X}, r"net is .*: wanted a layers.Module"),
    ],
)
def test_values_that_are_not_networks_raise(net, message):
    with pytest.raises(ArgumentTypeError, match=f"^{message}"):
        anynet.fit(net, (X, T), progress=False)
    with pytest.raises(ArgumentTypeError, match=f"^{message}"):
        anynet.evaluate(net, (X, T))
    with pytest.raises(ArgumentTypeError, match=f"^{message}"):
        anynet.summary(net)


def test_function_can_be_evaluated_but_not_trained():
    net = network()
    with pytest.raises(
        ArgumentTypeError,
        match=r"^net is the function <lambda>: wanted a layers.Module",
    ):
        anynet.fit(lambda x: net(x), (X, T), progress=False)
    assert anynet.evaluate(lambda x: net(x), (X, T)) == anynet.evaluate(net, (X, T))


def test_loss_of_three_arguments_trains_a_tree_of_arrays():
    net = {"w": np.zeros((2, 1), "float32")}
    x = np.random.default_rng(0).normal(size=(50, 2)).astype("float32")
    t = x[:, :1] * 2
    history = anynet.fit(
        net,
        (x, t),
        loss=lambda net, x, t: ((x @ net["w"] - t) ** 2).mean(),
        epochs=30,
        progress=False,
    )
    assert history.losses[-1] < 0.01 * history.losses[0]


@pytest.mark.parametrize("metric", ["accuracy", None, metrics.Accuracy])
def test_wrong_metrics_of_evaluate_raise(metric):
    with pytest.raises(
        ArgumentTypeError,
        match=r"^metric is .*: wanted one or several of anynet.metrics, such as metri",
    ):
        anynet.evaluate(network(), (X, T), metric)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"batch_size": True},
            "batch_size is True: wanted a whole number, 1 or more",
        ),
        (
            {"batch_size": None},
            "batch_size is None: wanted a whole number, 1 or more",
        ),
        ({"shuffle": "no"}, "shuffle is 'no': wanted True or False"),
        ({"drop_last": None}, "drop_last is None: wanted True or False"),
        ({"seed": None}, "seed is None: wanted an integer"),
        (
            {"augment": True},
            r"augment is True: wanted a function augment\(key, x\), such as data.random_affine\(\)",
        ),
        (
            {"augment": data.random_affine},
            r"augment is the function random_affine: wanted a function augment\(key, x\)",
        ),
        (
            {"augment": lambda x: x},
            r"augment is the function <lambda>: wanted a function augment\(key, x\)",
        ),
    ],
)
def test_wrong_settings_of_a_loader_raise(settings, message):
    with pytest.raises(ArgumentTypeError, match=f"^{message}"):
        Loader(X, T, **settings)


def test_wrong_seed_size_dtype_and_shape_raise():
    with pytest.raises(
        ArgumentTypeError,
        match=r"^size is 2.0: wanted a whole number, 1 or more",
    ):
        data.random_batch(random.key(0), 2.0, X, T)
    with pytest.raises(ArgumentTypeError, match=r"^seed is 'a': wanted an integer"):
        layers.Linear(2, 3).initialize("a")
    with pytest.raises(
        ArgumentTypeError,
        match=r"^dtype is 'float64': wanted a dtype of the network's library, as back",
    ):
        anynet.summary(network(), (2,), dtype="float64")
    with pytest.raises(
        ArgumentError,
        match=r"^input_shape is an array of shape \(4, 2\): wanted that of one input",
    ):
        anynet.summary(network(), X)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (optimizers.SGD, "the class SGD"),
        (losses, "the module anynet.losses"),
        (losses.huber, "the function huber"),
        (len, "the function len"),
        ((n for n in "ab"), "a generator"),
        (anynet.compile(network()), "compile(Sequential): 0 recorded"),
        (object(), "an object"),
        (X, "an array of shape (4, 2)"),
        ([X, X], "a list of 2"),
        ((1, 2), "(1, 2)"),
        ("a\nb", r"'a\nb'"),
        ("x" * 99, f"'{'x' * 56}..."),
        (None, "None"),
    ],
)
def test_descriptions_are_short(value, text):
    assert arguments.describe(value) == text
