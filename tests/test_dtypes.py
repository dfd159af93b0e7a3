"""Layers, losses and metrics in all dtypes and on batches of 0, 1 and 2 examples, and the errors
for other dtypes.

Losses are compared with PyTorch's. Layers are compared with their own results in float64, which
layers/test_against_torch.py compares with PyTorch's.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from dtypes import (
    FLOATS,
    INTEGERS,
    assert_near,
    known,
    make_array,
    only_a_sample_on_jax,
    precise,
    weighted_sum,
)
from examples_of_layers import EXAMPLES
from helpers import checks_labels, host

import anynet
from anynet import functions, layers, losses, metrics, primitives, tree
from anynet.errors import DataError, DTypeError, ShapeError

NOT_FLOATING = ("bool", *INTEGERS, "complex64")
BATCHES = (0, 1, 2)

#: Layers with floating inputs: (function that returns the layer, shape of an input).
LAYERS = {name: example for name, example in EXAMPLES.items() if name != "Embedding"}
LAYERS |= {name: (make, (3, 4)) for name, make in layers.ACTIVATIONS.items()}
#: Layers that also take complex inputs.
LINEAR = (
    "Linear",
    "Conv1d",
    "Conv2d",
    "Conv2d strided",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose2d same",
    "AvgPool1d",
    "AvgPool2d",
)
#: Layers that compute nothing, and take any dtype.
PASS_THROUGH = ("Flatten", "identity")


def layer_input(name, backend, dtype):
    make, shape = LAYERS[name]
    net = layers.Sequential(make(), seed=0, backend=backend)
    net.set_training(name == "Dropout")
    net(make_array(backend, np.ones((2, *shape)), dtype))


def loss_outputs(name, backend, dtype):
    loss = LOSSES[name]
    outputs = make_array(backend, np.ones((2, 3)), dtype)
    loss.ours(backend)(outputs, backend.asarray(loss.labels(2)))


def loss_labels(name, backend, dtype):
    loss = LOSSES[name]
    outputs = make_array(backend, np.ones((2, 3)), "float32")
    loss.ours(backend)(outputs, make_array(backend, loss.labels(2), dtype))


def class_weight(backend, dtype):
    outputs = make_array(backend, np.ones((2, 3)), "float32")
    weight = make_array(backend, np.ones(3), dtype)
    losses.cross_entropy(outputs, backend.asarray(np.array([0, 1])), weight=weight)


def embedding_indices(backend, dtype):
    layers.Embedding(7, 3).initialize(0, backend)(make_array(backend, [0, 1], dtype))


def one_hot_labels(backend, dtype):
    functions.one_hot(make_array(backend, [0, 1], dtype), 3)


def attention_mask(name, backend, dtype):
    net = layers.MultiHeadAttention(4, 2).initialize(0, backend)
    x = make_array(backend, np.ones((2, 3, 4)), "float32")
    net(x, **{name: make_array(backend, np.ones((2, 3)), dtype)})


def metric_labels(name, backend, dtype):
    x, t = METRICS[name]
    getattr(metrics, name)(backend.asarray(x), make_array(backend, t, dtype))


def initial_values(backend, dtype):
    layers.Linear(3, 2).initialize(0, backend, getattr(backend.xp, dtype))


def batch_norm_of_no_rows(backend, dtype):
    net = layers.BatchNorm(3).initialize(0, backend, getattr(backend.xp, dtype)).set_training(True)
    net(make_array(backend, np.ones((0, 3)), dtype))


@dataclass(frozen=True)
class Loss:
    """A loss with PyTorch's, functions that return its labels, and the range of its outputs."""

    #: ours(backend) returns a function of (outputs, labels, reduction=).
    ours: Callable
    #: theirs(torch, outputs, labels, reduction)
    theirs: Callable
    #: labels(number of examples)
    labels: Callable
    #: A function that moves outputs to the range of the loss.
    to_range: Callable = lambda x: x


def indices(n):
    return np.arange(n) * 5 % 3


def one_hot(n):
    return np.eye(3)[indices(n)]


def binary(n):
    return indices(n) % 2


def plain(name, **settings):
    return lambda backend: partial(getattr(losses, name), **settings)


def torch_loss(name, **settings):
    def loss(torch, x, t, reduction):
        return getattr(torch.nn.functional, name)(x, t, reduction=reduction, **settings)

    return loss


def torch_rows(loss_of_rows):
    """Return a loss that PyTorch does not have, from a function of outputs and one-hot labels that
    returns the loss of each row."""

    def loss(torch, x, t, reduction):
        if t.ndim < x.ndim:
            t = torch.nn.functional.one_hot(t, 3).to(x.dtype)
        each = loss_of_rows(torch, x, t)
        return each if reduction == "none" else getattr(each, reduction)()

    return loss


def torch_hinge(torch, x, t):
    largest = torch.amax(torch.where(t > 0, -torch.inf, x), -1)
    return torch.relu(1 + largest - (t * x).sum(-1))


def torch_triplet(torch, x, t, reduction):
    return torch.nn.functional.triplet_margin_loss(x, t, x + 1, reduction=reduction)


def torch_cosine(torch, x, t, reduction):
    return torch.nn.functional.cosine_embedding_loss(x, t, torch.ones(len(x)), reduction=reduction)


def torch_cosine_embedding(torch, x, t, reduction):
    signs = torch.where(t > 0, 1, -1)
    return torch.nn.functional.cosine_embedding_loss(x, x + 1, signs, reduction=reduction)


def torch_kl(torch, x, t):
    return torch.nn.functional.kl_div(x, t, reduction="none").sum(-1)


def torch_of_probabilities(torch, x, t):
    return -(t * torch.log(x + 1e-7)).sum(-1)


def torch_sum_of_squares(torch, x, t):
    return 0.5 * ((x - t) ** 2).sum(-1)


def triplet_margin(backend):
    return lambda x, t, **settings: losses.triplet_margin(x, t, x + 1, **settings)


def cosine_embedding(backend):
    return lambda x, t, **settings: losses.cosine_embedding(x, x + 1, t, **settings)


def weighted(backend):
    weight = backend.asarray([0.5, 1.0, 2.0])
    return partial(losses.cross_entropy, weight=weight, label_smoothing=0.1)


def torch_weighted(torch, x, t, reduction):
    weight = torch.tensor([0.5, 1.0, 2.0], dtype=x.dtype)
    return torch.nn.functional.cross_entropy(
        x, t, weight=weight, label_smoothing=0.1, reduction=reduction
    )


LOSSES = {
    **{
        name: Loss(plain(name), torch_loss(theirs), labels)
        for name, theirs, labels in (
            ("binary_cross_entropy_with_logits", "binary_cross_entropy_with_logits", one_hot),
            ("cross_entropy", "cross_entropy", indices),
            ("huber", "huber_loss", one_hot),
            ("mean_absolute_error", "l1_loss", one_hot),
            ("mean_squared_error", "mse_loss", one_hot),
            ("multi_margin", "multi_margin_loss", indices),
            ("negative_log_likelihood", "nll_loss", indices),
        )
    },
    "cross_entropy of rows": Loss(plain("cross_entropy"), torch_loss("cross_entropy"), one_hot),
    "cross_entropy ignoring": Loss(
        plain("cross_entropy", ignore_index=-1),
        torch_loss("cross_entropy", ignore_index=-1),
        indices,
    ),
    "cross_entropy ignoring 1": Loss(
        plain("cross_entropy", ignore_index=1),
        torch_loss("cross_entropy", ignore_index=1),
        indices,
    ),
    "cross_entropy weighted": Loss(weighted, torch_weighted, indices),
    "cross_entropy_of_probabilities": Loss(
        plain("cross_entropy_of_probabilities"),
        torch_rows(torch_of_probabilities),
        indices,
        lambda x: 0.1 + x * x,
    ),
    "cosine": Loss(plain("cosine"), torch_cosine, one_hot),
    "cosine_embedding": Loss(cosine_embedding, torch_cosine_embedding, binary),
    "hinge": Loss(plain("hinge"), torch_rows(torch_hinge), indices),
    "kl_divergence": Loss(
        plain("kl_divergence"), torch_rows(torch_kl), one_hot, lambda x: -np.abs(x)
    ),
    "sum_of_squares": Loss(plain("sum_of_squares"), torch_rows(torch_sum_of_squares), indices),
    "triplet_margin": Loss(triplet_margin, torch_triplet, one_hot),
}

OF_INDICES = [name for name, loss in LOSSES.items() if loss.labels is indices]
#: Outputs and labels of three rows.
ROWS = (
    np.array([[0.5, -1.25, 0.0], [0.75, 1.0, -0.5], [2.0, 1.0, 0.0]]),
    np.array([0, 2, 1]),
)
REGRESSION_METRICS = ("mean_squared_error", "mean_absolute_error", "r2_score")
METRICS = {
    **dict.fromkeys(
        ("accuracy", "precision", "recall", "f1", "confusion_matrix", "perplexity"), ROWS
    ),
    "top_k_accuracy": (np.arange(18.0).reshape(3, 6) % 5 - 2, ROWS[1]),
    "binary_accuracy": (ROWS[0][:, 0] - 0.6, ROWS[1] % 2),
    **dict.fromkeys(REGRESSION_METRICS, (ROWS[0][:, 0], ROWS[1])),
}

WANTS_FLOATING = r"was given: wanted a floating dtype, such as xp\.astype"
WANTS_INTEGERS = r"were given: wanted integers, such as xp\.astype"

#: Calls that raise: (call(backend, dtype), dtypes, error, message).
ERRORS = {
    **{
        f"input of {name}": (
            partial(layer_input, name),
            ("bool", *INTEGERS) if name in LINEAR else NOT_FLOATING,
            DTypeError,
            WANTS_FLOATING,
        )
        for name in LAYERS
        if name not in PASS_THROUGH
    },
    **{
        f"outputs in {name}": (
            partial(loss_outputs, name),
            NOT_FLOATING,
            DTypeError,
            WANTS_FLOATING,
        )
        for name in LOSSES
        # Here they compute a second output before they check the first.
        if name not in ("cosine_embedding", "triplet_margin")
    },
    **{
        f"labels in {name}": (
            partial(loss_labels, name),
            ("complex64",),
            DTypeError,
            "wanted a real dtype",
        )
        for name in LOSSES
    },
    **{
        f"class indices in {name}": (
            partial(loss_labels, name),
            ("bool", *FLOATS),
            DataError,
            WANTS_INTEGERS,
        )
        for name in OF_INDICES
    },
    **{
        f"class indices in the metric {name}": (
            partial(metric_labels, name),
            FLOATS,
            DataError,
            "by astype",
        )
        for name in METRICS
        if name not in (*REGRESSION_METRICS, "binary_accuracy")
    },
    "initial values": (
        initial_values,
        ("bool", *INTEGERS),
        DTypeError,
        "wanted a floating one",
    ),
    "weight of classes": (
        class_weight,
        ("complex64",),
        DTypeError,
        "wanted a real dtype",
    ),
    "indices of an Embedding": (
        embedding_indices,
        ("bool", *FLOATS, "complex64"),
        DataError,
        WANTS_INTEGERS,
    ),
    "labels in one_hot": (
        one_hot_labels,
        ("bool", *FLOATS, "complex64"),
        DataError,
        WANTS_INTEGERS,
    ),
    "mask": (
        partial(attention_mask, "mask"),
        (*INTEGERS, *FLOATS),
        DTypeError,
        "mask is of .*: wanted booleans",
    ),
    "key_mask": (
        partial(attention_mask, "key_mask"),
        (*INTEGERS, *FLOATS),
        DTypeError,
        "mask is of .*: wanted booleans",
    ),
    "BatchNorm trained on no rows": (
        batch_norm_of_no_rows,
        FLOATS,
        ShapeError,
        r"\(0, 3\): wanted at least one row",
    ),
}


@pytest.mark.parametrize("argument", ERRORS)
def test_invalid_dtypes_raise(backend, argument):
    only_a_sample_on_jax(backend, argument.rpartition(" ")[2])
    call, dtypes, error, message = ERRORS[argument]
    for dtype in known(backend, dtypes):
        with pytest.raises(error, match=message):
            call(backend, dtype)


def dtypes_and_batches(backend):
    """Return pairs of a floating dtype and a batch size: all, or one on JAX, which compiles for
    each."""
    if backend.name == "jax":
        return [("bfloat16", 2)]
    return [(dtype, n) for dtype in known(backend, FLOATS) for n in BATCHES]


@pytest.mark.parametrize("name", LAYERS)
def test_layers_in_all_floating_dtypes(backend, name):
    """Outputs, and gradients of parameters and inputs, are those of float64 up to rounding."""
    only_a_sample_on_jax(backend, name)
    make, shape = LAYERS[name]
    for dtype, n in dtypes_and_batches(backend):
        net = layers.Sequential(make(), seed=0, backend=backend, dtype=getattr(backend.xp, dtype))
        # In inference: on no examples, BatchNorm cannot train.
        net.set_training(False)
        values = layer_values(shape)[:n]
        results = []
        for computed in (dtype, "float64"):
            same_net = cast_parameters(net, backend, computed)
            x = make_array(backend, values, computed)
            results.append([same_net(x)])
            if name != "step":
                loss = lambda net, x: weighted_sum(net(x), backend)
                results[-1] += gradients(anynet.grad(loss, (0, 1))(same_net, x))
        # Some gradients, such as that of a key's bias, are 0 up to rounding.
        largest = max(np.abs(precise(x)).max(initial=0) for x in results[1])
        for x, expected in zip(*results, strict=True):
            assert_near(x, precise(expected), dtype, largest)


def layer_values(shape):
    """Return two inputs of a layer, multiples of 1/8."""
    count = 2 * math.prod(shape)
    return np.random.default_rng(0).permutation(count).reshape(2, *shape) / 8 - 1


def cast_parameters(net, backend, dtype):
    """Return the network with its floating arrays in another dtype."""
    return net.map(lambda p: p if "int" in str(p.dtype) else make_array(backend, precise(p), dtype))


def gradients(grads):
    """Return the arrays of a tree of gradients."""
    return [g for _, g in tree.leaves(grads) if g is not None]


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((0, 3), 0), ((0, 3), -1), ((2, 0), -1), ((2, 0), 0)],
)
def test_softmax_of_an_empty_array(backend, shape, axis):
    x = make_array(backend, np.zeros(shape), "float32")
    for function in (functions.softmax, functions.log_softmax):
        loss = lambda x, function=function: weighted_sum(function(x, axis), backend)
        value, g = anynet.value_and_grad(loss)(x)
        assert host(value) == 0
        assert g.shape == shape


@pytest.mark.parametrize("dtype", INTEGERS)
def test_embedding_and_one_hot_take_all_integer_dtypes(backend, dtype):
    only_a_sample_on_jax(backend, dtype)
    net = layers.Embedding(256, 2).initialize(0, backend)
    table = host(net.weight)
    for n in BATCHES:
        x = make_array(backend, np.arange(1, n + 1), dtype)
        np.testing.assert_array_equal(host(net(x)), table[1 : n + 1])
        g = anynet.grad(lambda net, x=x: weighted_sum(net(x), backend))(net)
        assert host(g.weight).any() == (n > 0)
    labels = make_array(backend, [2, 0, 127], dtype)
    np.testing.assert_array_equal(host(functions.one_hot(labels, 300)), np.eye(300)[[2, 0, 127]])


@pytest.mark.parametrize("index", [2, -1])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_embedding_rejects_indices_out_of_range(backend, dtype, index):
    only_a_sample_on_jax(backend, dtype)
    if index < 0 and dtype.startswith("u"):
        pytest.skip(reason="the dtype has no negative values")
    net = layers.Embedding(2, 2).initialize(0, backend)
    x = make_array(backend, [0, index], dtype)
    if checks_labels(backend):
        with pytest.raises(DataError, match=rf"index {index} is outside the table of 2 rows"):
            net(x)
    else:
        np.testing.assert_array_equal(np.isnan(host(net(x))), [[False, False], [True, True]])


@pytest.mark.parametrize("name", LOSSES)
def test_losses_in_all_dtypes(backend, name):
    """Values and gradients are PyTorch's, with outputs and labels of all dtypes."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    only_a_sample_on_jax(backend, name)
    loss = LOSSES[name]
    ours = loss.ours(backend)
    values = loss.to_range(np.array([[0.5, -1.25, 0.0], [0.75, 1.0, -0.5]]))
    label_dtypes = INTEGERS if loss.labels is indices else (*INTEGERS, "bool", *FLOATS)
    if backend.name == "jax":
        label_dtypes = label_dtypes[::3]
    for dtype, n in dtypes_and_batches(backend):
        x, t = make_array(backend, values[:n], dtype), loss.labels(n)
        labels = [make_array(backend, t, of_labels) for of_labels in known(backend, label_dtypes)]
        outputs = torch.tensor(values[:n]).requires_grad_()
        for reduction in ("mean", "sum", "none"):
            if name in ("multi_margin", "hinge") and not n:
                # PyTorch does not take an empty batch here.
                empty = {"mean": outputs.sum() * np.nan, "sum": outputs.sum()}
                expected = empty.get(reduction, outputs.sum(-1))
            else:
                expected = loss.theirs(torch, outputs, torch.tensor(t), reduction)
            for t_of_dtype in labels if n else labels[:1]:
                value = ours(x, t_of_dtype, reduction=reduction)
                assert_near(value, expected.detach().numpy(), dtype)
            if reduction != "none":
                (slope,) = torch.autograd.grad(expected, outputs)
                g = anynet.grad(ours)(x, labels[0], reduction=reduction)
                assert_near(g, slope.numpy(), dtype)


@pytest.mark.parametrize("name", METRICS)
def test_metrics_in_all_dtypes(backend, name):
    """Values are those of float64 and int64, which test_metrics.py compares with scikit-learn's."""
    only_a_sample_on_jax(backend, name)
    metric, (values, labels) = getattr(metrics, name), METRICS[name]
    dtypes, label_dtypes = known(backend, FLOATS), INTEGERS
    if backend.name == "jax":
        dtypes, label_dtypes = ["bfloat16"], INTEGERS[::3]
    for n in BATCHES[1:] if name == "r2_score" else BATCHES:
        expected = precise(metric(backend.asarray(values[:n]), backend.asarray(labels[:n])))
        for dtype in dtypes:
            x = make_array(backend, values[:n], dtype)
            for of_labels in label_dtypes:
                value = metric(x, make_array(backend, labels[:n], of_labels))
                np.testing.assert_allclose(precise(value), expected, rtol=FLOATS[dtype])


def test_labels_of_uint8_with_more_than_256_classes(backend):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    x = np.random.default_rng(0).normal(size=(4, 259))
    t = np.array([0, 3, 255, 2])
    expected = torch.nn.functional.cross_entropy(torch.tensor(x), torch.tensor(t), reduction="sum")
    labels = make_array(backend, t, "uint8")
    outputs = backend.asarray(x)
    for value in (
        losses.cross_entropy(outputs, labels, reduction="sum"),
        4 * losses.cross_entropy(outputs, labels),
        losses.cross_entropy(outputs, labels, ignore_index=-1, reduction="sum"),
        losses.negative_log_likelihood(functions.log_softmax(outputs), labels, reduction="sum"),
    ):
        np.testing.assert_allclose(host(value), expected.item())
    ignored = losses.cross_entropy(outputs, labels, ignore_index=255, reduction="none")
    np.testing.assert_array_equal(host(ignored) == 0, [False, False, True, False])


def test_bias_of_another_dtype_promotes(backend):
    """The result has the dtype that the standard's promotion rules give."""
    x = make_array(backend, np.ones((1, 1, 2, 2)), "float32")
    weight = make_array(backend, np.ones((1, 1, 2, 2)), "float32")
    bias = make_array(backend, [0.1], "float64")
    settings = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    of_image = primitives.conv2d(x, weight, bias, **settings)
    of_rows = primitives.affine(x, weight[0, 0, ...], bias)
    for out, expected in ((of_image, 4.1), (of_rows, 2.1)):
        assert str(out.dtype).endswith("float64")
        np.testing.assert_allclose(host(out).reshape(-1)[0], expected)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "name", ["Linear", "Conv2d strided", "ConvTranspose2d", "BatchNorm", "LSTM"]
)
def test_inputs_and_parameters_of_different_dtypes(backend, name, compiled):
    """Values are those of float64 up to rounding, and gradients have the dtypes of their arrays."""
    if backend.name == "jax":
        pytest.skip(reason="JAX compiles for too long")
    make, shape = LAYERS[name]
    loss = anynet.value_and_grad(lambda net, x: weighted_sum(net(x), backend), (0, 1))
    if compiled:
        loss = anynet.compile(loss)
    floats = known(backend, FLOATS)
    for of_parameters, of_inputs in itertools.permutations(floats, 2):
        dtype = getattr(backend.xp, of_parameters)
        net = layers.Sequential(make(), seed=0, backend=backend, dtype=dtype).set_training(False)
        x = make_array(backend, layer_values(shape), of_inputs)
        results = []
        for dtypes in ((of_parameters, of_inputs), ("float64", "float64")):
            same_net = cast_parameters(net, backend, dtypes[0])
            same_x = make_array(backend, precise(x), dtypes[1])
            value, grads = loss(same_net, same_x)
            assert grads[1].dtype == same_x.dtype
            results.append([value, *gradients(grads)])
        largest = max(np.abs(precise(y)).max() for y in results[1])
        tolerance = 2 * max(FLOATS[of_parameters], FLOATS[of_inputs])
        for y, expected in zip(*results, strict=True):
            np.testing.assert_allclose(
                precise(y), precise(expected), rtol=tolerance, atol=tolerance * largest
            )
