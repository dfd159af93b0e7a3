"""Layers, functions and losses over all dtypes and small batches: what is right, and the table of
what is refused.

Losses and functions are compared with PyTorch's. So are layers, by way of their own results in
float64, which layers/test_against_torch.py compares with it."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from examples_of_layers import EXAMPLES
from helpers import checks_labels, host

import anynet
from anynet import (
    functions,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    primitives,
    random,
    tree,
)
from anynet.array import array_namespace
from anynet.backend import get_backend
from anynet.data import Loader
from anynet.data.augment import random_affine
from anynet.errors import DataError, DTypeError, ShapeError

INTEGERS = (
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)
#: Relative to the largest value; a few roundings each.
FLOATS = {
    "bfloat16": 2e-2,
    "float16": 4e-3,
    "float32": 1e-5,
    "float64": 1e-9,
}
NOT_FLOATING = ("bool", *INTEGERS, "complex64")
BATCHES = (0, 1, 2)

LAYERS = {
    name: (make, shape) for name, (make, shape) in EXAMPLES.items() if name != "Embedding"
} | {name: (make, (3, 4)) for name, make in layers.ACTIVATIONS.items()}
#: Layers that take complex numbers as well.
LINEAR = (
    "Linear",
    "Conv1d",
    "Conv2d",
    "Conv2d strided",
    "ConvTranspose2d",
    "ConvTranspose2d same",
    "AvgPool2d",
)
#: Layers that move values and compute none.
AS_IT_IS = ("Flatten", "identity")


#: What JAX, which compiles for every dtype and shape, is tested with.
SAMPLE = (
    *(
        "BatchNorm",
        "Embedding",
        "MultiHeadAttention",
        "gelu",
        "cosine",
        "cross_entropy",
        "mean_squared_error",
    ),
    *("accuracy", "uint8", "take", "mask"),
)


def only_a_sample_on_jax(backend, name):
    if backend.name == "jax" and name not in SAMPLE:
        pytest.skip(reason="JAX compiles for too long; a sample of the names is tested")


def known(backend, dtypes):
    return [name for name in dtypes if hasattr(backend.xp, name)]


def make_array(backend, values, dtype):
    return backend.xp.astype(backend.asarray(np.asarray(values)), getattr(backend.xp, dtype))


def precise(x):
    return host(array_namespace(x).astype(x, array_namespace(x).float64))


def assert_near(x, expected, dtype, largest=0.0):
    """Compare shape and dtype, and values by the largest one, here or elsewhere."""
    assert str(x.dtype).endswith(dtype)
    x, expected = precise(x), np.asarray(expected)
    assert x.shape == expected.shape
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=largest)
    np.testing.assert_allclose(x, expected, rtol=FLOATS[dtype], atol=FLOATS[dtype] * largest)


# ---- what is refused
# -------------------------------------------------------------------------------------------------


def refused_layer(name, backend, dtype):
    make, shape = LAYERS[name]
    net = layers.Sequential(make(), seed=0, backend=backend)
    net.set_training(name == "Dropout")
    net(make_array(backend, np.ones((2, *shape)), dtype))


def refused_outputs(name, backend, dtype):
    loss = LOSSES[name]
    loss.ours(backend)(
        make_array(backend, np.ones((2, 3)), dtype),
        backend.asarray(loss.labels(2)),
    )


def refused_labels(name, backend, dtype):
    loss = LOSSES[name]
    loss.ours(backend)(
        make_array(backend, np.ones((2, 3)), "float32"),
        make_array(backend, loss.labels(2), dtype),
    )


def refused_weight(backend, dtype):
    x, w = (
        make_array(backend, np.ones((2, 3)), "float32"),
        make_array(backend, np.ones(3), dtype),
    )
    losses.cross_entropy(x, backend.asarray(np.array([0, 1])), weight=w)


def refused_indices(backend, dtype):
    layers.Embedding(7, 3).initialize(0, backend)(make_array(backend, [0, 1], dtype))


def refused_one_hot(backend, dtype):
    functions.one_hot(make_array(backend, [0, 1], dtype), 3)


def refused_mask(name, backend, dtype):
    net = layers.MultiHeadAttention(4, 2).initialize(0, backend)
    net(
        make_array(backend, np.ones((2, 3, 4)), "float32"),
        **{name: make_array(backend, np.ones((2, 3)), dtype)},
    )


def refused_metric(name, backend, dtype):
    x, t = METRICS[name]
    getattr(metrics, name)(backend.asarray(x), make_array(backend, t, dtype))


def refused_initial_values(backend, dtype):
    layers.Sequential(
        layers.Linear(3, 2),
        seed=0,
        backend=backend,
        dtype=getattr(backend.xp, dtype),
    )


def refused_batch(backend, dtype):
    net = layers.BatchNorm(3).initialize(0, backend, getattr(backend.xp, dtype)).set_training(True)
    net(make_array(backend, np.ones((0, 3)), dtype))


def row(loss, ours, theirs, labels, range_=None):
    """What a loss is called with: ours(outputs, labels, reduction=), PyTorch's, and how its labels
    are made."""
    return SimpleNamespace(
        name=loss,
        ours=ours,
        theirs=theirs,
        labels=labels,
        range=range_ or (lambda x: x),
    )


def indices(n):
    return np.arange(n) * 5 % 3


def rows(n):
    return np.eye(3)[indices(n)]


def signs(n):
    return indices(n) % 2


def plain(name, **settings):
    return lambda backend: partial(getattr(losses, name), **settings)


def torch_loss(name, **settings):
    def loss(torch, x, t, reduction):
        return getattr(torch.nn.functional, name)(x, t, reduction=reduction, **settings)

    return loss


def torch_sum(of_rows):
    """A loss that PyTorch does not have, from what it is for each row, the labels one-hot."""

    def loss(torch, x, t, reduction):
        of_row = of_rows(
            torch,
            x,
            torch.nn.functional.one_hot(t, 3).to(x.dtype) if t.ndim < x.ndim else t,
        )
        return of_row if reduction == "none" else getattr(of_row, reduction)()

    return loss


def torch_hinge(torch, x, t):
    largest = torch.amax(torch.where(t > 0, -torch.inf, x), -1)
    return torch.relu(1 + largest - (t * x).sum(-1))


def torch_triplet(torch, x, t, reduction):
    return torch.nn.functional.triplet_margin_loss(x, t, x + 1, reduction=reduction)


def torch_cosine(torch, x, t, reduction):
    return torch.nn.functional.cosine_embedding_loss(x, t, torch.ones(len(x)), reduction=reduction)


def torch_signs(torch, x, t, reduction):
    return torch.nn.functional.cosine_embedding_loss(
        x, x + 1, torch.where(t > 0, 1, -1), reduction=reduction
    )


def torch_kl(torch, x, t, reduction):
    return torch_sum(
        lambda torch, x, t: torch.nn.functional.kl_div(x, t, reduction="none").sum(-1)
    )(torch, x, t, reduction)


def weighted(backend):
    return partial(
        losses.cross_entropy,
        weight=backend.asarray([0.5, 1.0, 2.0]),
        label_smoothing=0.1,
    )


def torch_weighted(torch, x, t, reduction):
    weight = torch.tensor([0.5, 1.0, 2.0], dtype=x.dtype)
    return torch.nn.functional.cross_entropy(
        x, t, weight=weight, label_smoothing=0.1, reduction=reduction
    )


LOSSES = {
    loss.name: loss
    for loss in (
        row("binary_cross_entropy_with_logits", plain("binary_cross_entropy_with_logits"),
            torch_loss("binary_cross_entropy_with_logits"), rows),
        row("cosine", plain("cosine"), torch_cosine, rows),
        row("cosine_embedding", lambda backend: lambda x, t, **more: losses.cosine_embedding(x, x + 1, t, **more),
            torch_signs, signs),
        row("cross_entropy", plain("cross_entropy"), torch_loss("cross_entropy"), indices),
        row("cross_entropy of rows", plain("cross_entropy"), torch_loss("cross_entropy"), rows),
        row("cross_entropy ignoring", plain("cross_entropy", ignore_index=-1),
            torch_loss("cross_entropy", ignore_index=-1), indices),
        row("cross_entropy ignoring 1", plain("cross_entropy", ignore_index=1),
            torch_loss("cross_entropy", ignore_index=1), indices),
        row("cross_entropy weighted", weighted, torch_weighted, indices),
        row("cross_entropy_of_probabilities", plain("cross_entropy_of_probabilities"),
            torch_sum(lambda torch, x, t: -(t * torch.log(x + 1e-7)).sum(-1)), indices, lambda x: 0.1 + x * x),
        row("hinge", plain("hinge"), torch_sum(torch_hinge), indices),
        row("huber", plain("huber"), torch_loss("huber_loss"), rows),
        row("kl_divergence", plain("kl_divergence"), torch_kl, rows, lambda x: -np.abs(x)),
        row("mean_absolute_error", plain("mean_absolute_error"), torch_loss("l1_loss"), rows),
        row("mean_squared_error", plain("mean_squared_error"), torch_loss("mse_loss"), rows),
        row("multi_margin", plain("multi_margin"), torch_loss("multi_margin_loss"), indices),
        row("negative_log_likelihood", plain("negative_log_likelihood"), torch_loss("nll_loss"), indices),
        row("sum_of_squares", plain("sum_of_squares"),
            torch_sum(lambda torch, x, t: 0.5 * ((x - t) ** 2).sum(-1)), indices),
        row("triplet_margin", lambda backend: lambda x, t, **more: losses.triplet_margin(x, t, x + 1, **more),
            torch_triplet, rows),
    )
}  # fmt: skip

OF_INDICES = [name for name, loss in LOSSES.items() if loss.labels is indices]
#: Outputs and labels.
ROWS = (
    np.array([[0.5, -1.25, 0.0], [0.75, 1.0, -0.5], [2.0, 1.0, 0.0]]),
    np.array([0, 2, 1]),
)
METRICS = {
    **dict.fromkeys(
        (
            "accuracy",
            "precision",
            "recall",
            "f1",
            "confusion_matrix",
            "perplexity",
        ),
        ROWS,
    ),
    "top_k_accuracy": (np.arange(18.0).reshape(3, 6) % 5 - 2, ROWS[1]),
    "binary_accuracy": (ROWS[0][:, 0] - 0.6, ROWS[1] % 2),
    **dict.fromkeys(
        ("mean_squared_error", "mean_absolute_error", "r2_score"),
        (ROWS[0][:, 0], ROWS[1]),
    ),
}
OF_NUMBERS = ("mean_squared_error", "mean_absolute_error", "r2_score")

WANTED_FLOATING = r"was given: wanted a floating dtype, such as xp\.astype"
WANTED_INTEGERS = r"were given: wanted integers, such as xp\.astype"

#: The one table of what is refused: (call(backend, dtype), dtypes, error, message).
REFUSED = {
    **{
        f"input of {name}": (
            partial(refused_layer, name),
            ("bool", *INTEGERS) if name in LINEAR else NOT_FLOATING,
            DTypeError,
            WANTED_FLOATING,
        )
        for name in LAYERS
        if name not in AS_IT_IS
    },
    **{
        f"outputs in {name}": (
            partial(refused_outputs, name),
            NOT_FLOATING,
            DTypeError,
            WANTED_FLOATING,
        )
        for name in LOSSES
        # They have an output of their own, made by adding to the first.
        if name not in ("cosine_embedding", "triplet_margin")
    },
    **{
        f"labels in {name}": (
            partial(refused_labels, name),
            ("complex64",),
            DTypeError,
            "wanted real numbers",
        )
        for name in LOSSES
    },
    **{
        f"class indices in {name}": (
            partial(refused_labels, name),
            ("bool", *FLOATS),
            DataError,
            WANTED_INTEGERS,
        )
        for name in OF_INDICES
    },
    **{
        f"class indices in the metric {name}": (
            partial(refused_metric, name),
            FLOATS,
            DataError,
            "by astype",
        )
        for name in METRICS
        if name not in (*OF_NUMBERS, "binary_accuracy")
    },
    "initial values": (
        refused_initial_values,
        ("bool", *INTEGERS),
        DTypeError,
        "wanted a floating one",
    ),
    "weight of classes": (
        refused_weight,
        ("complex64",),
        DTypeError,
        "wanted real numbers",
    ),
    "indices of an Embedding": (
        refused_indices,
        ("bool", *FLOATS, "complex64"),
        DataError,
        WANTED_INTEGERS,
    ),
    "labels in one_hot": (
        refused_one_hot,
        ("bool", *FLOATS, "complex64"),
        DataError,
        WANTED_INTEGERS,
    ),
    "mask": (
        partial(refused_mask, "mask"),
        (*INTEGERS, *FLOATS),
        DTypeError,
        "mask is of .*: wanted booleans",
    ),
    "key_mask": (
        partial(refused_mask, "key_mask"),
        (*INTEGERS, *FLOATS),
        DTypeError,
        "mask is of .*: wanted booleans",
    ),
    "BatchNorm trained on no rows": (
        refused_batch,
        FLOATS,
        ShapeError,
        r"\(0, 3\): wanted at least one row",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(backend, what):
    only_a_sample_on_jax(backend, what.rpartition(" ")[2])
    call, dtypes, error, message = REFUSED[what]
    for dtype in known(backend, dtypes):
        with pytest.raises(error, match=message):
            call(backend, dtype)


# ---- what is right
# ---------------------------------------------------------------------------------------------------


def dtypes_and_batches(backend):
    """All of them; on JAX, which compiles for each, a sample."""
    if backend.name == "jax":
        return [("bfloat16", 2)]
    return [(dtype, n) for dtype in known(backend, FLOATS) for n in BATCHES]


def products(y, backend):
    """Return the sum of an array with weights, which are exact in every dtype."""
    xp = array_namespace(y)
    weights = (np.arange(np.prod(y.shape, dtype=int)) % 5 - 2.0).reshape(tuple(y.shape))
    return xp.sum(y * xp.astype(backend.asarray(weights), y.dtype))


@pytest.mark.parametrize("name", LAYERS)
def test_layers(backend, name):
    """Outputs and gradients, of parameters too, in all floating dtypes and for no, one and two
    examples."""
    only_a_sample_on_jax(backend, name)
    make, shape = LAYERS[name]
    values = (
        np.random.default_rng(0).permutation(2 * int(np.prod(shape))).reshape(2, *shape) / 8 - 1
    )
    for dtype, n in dtypes_and_batches(backend):
        found = []
        for own in (dtype, "float64"):
            net = layers.Sequential(
                make(),
                seed=0,
                backend=backend,
                dtype=getattr(backend.xp, dtype),
            )
            net = net.map(
                lambda p, own=own: (
                    p if "int" in str(p.dtype) else make_array(backend, precise(p), own)
                )
            )
            x = make_array(backend, values[:n], own)
            y = net(x)
            # What normalizes by the batch, or draws a mask, is not in training: that needs
            # examples.
            net.set_training(False)
            grads = (
                None
                if name == "step"
                else anynet.grad(lambda net, x: products(net(x), backend), (0, 1))(net, x)
            )
            found.append([y, *[g for _, g in tree.leaves(grads) if g is not None]])
        # Some gradients are 0 but for rounding, as that of a key's bias.
        largest = max(np.abs(precise(x)).max(initial=0) for x in found[1])
        for x, expected in zip(*found, strict=True):
            assert_near(x, precise(expected), dtype, largest)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((0, 3), 0), ((0, 3), -1), ((2, 0), -1), ((2, 0), 0)],
)
def test_softmax_of_nothing(backend, shape, axis):
    for function in (functions.softmax, functions.log_softmax):
        value, g = anynet.value_and_grad(lambda x, f=function: products(f(x, axis), backend))(
            make_array(backend, np.zeros(shape), "float32")
        )
        assert host(value) == 0
        assert g.shape == shape


@pytest.mark.parametrize("dtype", INTEGERS)
def test_indices_of_all_integer_dtypes(backend, dtype):
    only_a_sample_on_jax(backend, dtype)
    net = layers.Embedding(256, 2).initialize(0, backend)
    table = host(net.weight)
    for n in BATCHES:
        x = make_array(backend, np.arange(1, n + 1), dtype)
        np.testing.assert_array_equal(host(net(x)), table[1 : n + 1])
        g = anynet.grad(lambda net, x=x: products(net(x), backend))(net)
        assert host(g.weight).any() == (n > 0)
    labels = make_array(backend, [2, 0, 127], dtype)
    np.testing.assert_array_equal(host(functions.one_hot(labels, 300)), np.eye(300)[[2, 0, 127]])
    few = layers.Embedding(2, 2).initialize(0, backend)
    outside = [
        make_array(backend, [0, 2], dtype),
        *([] if dtype[0] == "u" else [make_array(backend, [0, -1], dtype)]),
    ]
    for x in outside:
        if checks_labels(backend):
            with pytest.raises(
                DataError,
                match=r"index (2|-1) is outside the table of 2 rows",
            ):
                few(x)
        else:
            np.testing.assert_array_equal(np.isnan(host(few(x))), [[False, False], [True, True]])


@pytest.mark.parametrize("name", LOSSES)
def test_losses(backend, name):
    """Values and gradients against PyTorch's, for labels of all dtypes and no, one and two
    examples."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    only_a_sample_on_jax(backend, name)
    loss = LOSSES[name]
    ours = loss.ours(backend)
    values = loss.range(np.array([[0.5, -1.25, 0.0], [0.75, 1.0, -0.5]]))
    of_index = loss.labels is indices
    for dtype, n in dtypes_and_batches(backend):
        x, t = make_array(backend, values[:n], dtype), loss.labels(n)
        given = torch.tensor(values[:n]).requires_grad_()
        kinds = [*INTEGERS, *([] if of_index else ["bool", *FLOATS])]
        if backend.name == "jax":
            kinds = kinds[::3]
        labels = [make_array(backend, t, kind) for kind in known(backend, kinds)]
        for reduction in ("mean", "sum", "none"):
            if name in ("multi_margin", "hinge") and not n:
                # PyTorch takes no empty batch; a sum of nothing and a mean of nothing are what they
                # are.
                expected = {
                    "mean": given.sum() * np.nan,
                    "sum": given.sum(),
                    "none": given.sum(-1),
                }[reduction]
            else:
                expected = loss.theirs(torch, given, torch.tensor(t), reduction)
            for of_dtype in labels if n else labels[:1]:
                assert_near(
                    ours(x, of_dtype, reduction=reduction),
                    expected.detach().numpy(),
                    dtype,
                )
            if reduction != "none":
                (slope,) = torch.autograd.grad(expected, given)
                g = anynet.grad(ours)(x, labels[0], reduction=reduction)
                assert_near(g, slope.numpy(), dtype)


@pytest.mark.parametrize("name", METRICS)
def test_metrics(backend, name):
    """As in float64 with labels of 64 bits, which test_metrics.py compares with scikit-learn's."""
    only_a_sample_on_jax(backend, name)
    metric, (values, labels) = getattr(metrics, name), METRICS[name]
    for n in BATCHES[1:] if name == "r2_score" else BATCHES:
        expected = precise(metric(backend.asarray(values[:n]), backend.asarray(labels[:n])))
        for dtype in ("bfloat16",) if backend.name == "jax" else known(backend, FLOATS):
            x = make_array(backend, values[:n], dtype)
            for kind in INTEGERS[::3] if backend.name == "jax" else INTEGERS:
                found = metric(x, make_array(backend, labels[:n], kind))
                np.testing.assert_allclose(precise(found), expected, rtol=FLOATS[dtype])


def test_more_classes_than_the_dtype_of_labels_has_numbers(backend):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    x, t = (
        np.random.default_rng(0).normal(size=(4, 259)),
        np.array([0, 3, 255, 2]),
    )
    expected = torch.nn.functional.cross_entropy(torch.tensor(x), torch.tensor(t), reduction="sum")
    labels = make_array(backend, t, "uint8")
    outputs = backend.asarray(x)
    for found in (
        losses.cross_entropy(outputs, labels, reduction="sum"),
        4 * losses.cross_entropy(outputs, labels),
        losses.cross_entropy(outputs, labels, ignore_index=-1, reduction="sum"),
        losses.negative_log_likelihood(functions.log_softmax(outputs), labels, reduction="sum"),
    ):
        np.testing.assert_allclose(host(found), expected.item())
    ignored = losses.cross_entropy(outputs, labels, ignore_index=255, reduction="none")
    np.testing.assert_array_equal(host(ignored) == 0, [False, False, True, False])


def test_a_bias_of_another_dtype(backend):
    """The standard's rules say what comes out."""
    x, weight = (
        make_array(backend, np.ones((1, 1, 2, 2)), "float32"),
        make_array(backend, np.ones((1, 1, 2, 2)), "float32"),
    )
    bias = make_array(backend, [0.1], "float64")
    for primitive, args, settings in (
        (
            primitives.conv2d,
            (x, weight, bias),
            {
                "stride": (1, 1),
                "padding": ((0, 0), (0, 0)),
                "dilation": (1, 1),
                "groups": 1,
            },
        ),
        (primitives.affine, (x, weight[0, 0, ...], bias), {}),
    ):
        found = primitive(*args, **settings)
        assert str(found.dtype).endswith("float64")
        np.testing.assert_allclose(host(found).reshape(-1)[0], 4.1 if settings else 2.1)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "name",
    ["Linear", "Conv2d strided", "ConvTranspose2d", "BatchNorm", "LSTM"],
)
def test_inputs_of_another_dtype_than_the_parameters(backend, name, compiled):
    """They are brought together by the standard's rules, gradients are of the dtypes of their
    arrays."""
    if backend.name == "jax":
        pytest.skip(reason="JAX compiles for too long")
    make, shape = LAYERS[name]
    values = (
        np.random.default_rng(0).permutation(2 * int(np.prod(shape))).reshape(2, *shape) / 8 - 1
    )
    for own in known(backend, FLOATS):
        for given in set(known(backend, FLOATS)) - {own}:
            loosest = max(own, given, key=FLOATS.get)
            found = []
            for dtypes in ((own, given), ("float64", "float64")):
                net = layers.Sequential(
                    make(),
                    seed=0,
                    backend=backend,
                    dtype=getattr(backend.xp, own),
                )
                net = net.map(lambda p, dtypes=dtypes: make_array(backend, precise(p), dtypes[0]))
                x = make_array(
                    backend,
                    precise(make_array(backend, values, given)),
                    dtypes[1],
                )
                of = anynet.value_and_grad(
                    lambda net, x: products(net.set_training(False)(x), backend),
                    (0, 1),
                )
                value, grads = (anynet.compile(of) if compiled else of)(net, x)
                assert grads[1].dtype == x.dtype
                found.append(
                    [
                        value,
                        *[g for _, g in tree.leaves(grads) if g is not None],
                    ]
                )
            largest = max(np.abs(precise(x)).max() for x in found[1])
            for x, expected in zip(*found, strict=True):
                tolerance = 2 * FLOATS[loosest]
                np.testing.assert_allclose(
                    precise(x),
                    precise(expected),
                    rtol=tolerance,
                    atol=tolerance * largest,
                )


# ---- 16 bits
# ---------------------------------------------------------------------------------------------------------

MANY = 70_000


def half_precision(backend):
    if not hasattr(backend.xp, "float16"):
        pytest.skip(reason=f"{backend.name} has no float16")
    return lambda values: make_array(backend, values, "float16")


@pytest.mark.parametrize("name", ["mean", "var", "std", "max"])
def test_derivatives_over_more_elements_than_half_precision_counts(backend, name):
    half = half_precision(backend)
    x = np.zeros(MANY) if name in ("mean", "max") else np.tile([0.5, -0.5], MANY // 2)
    slope = anynet.grad(lambda x: getattr(array_namespace(x), name)(x))
    expected = precise(slope(backend.asarray(x)))
    assert np.abs(expected).max() > 1e-5
    assert_near(slope(half(x)), expected, "float16")


def of_rows_read(xp, x):
    return xp.sum(xp.take(x, xp.zeros(5000, dtype=xp.int32, device=x.device), axis=0)) * 0.5


#: Functions of 5,000 elements, and which elements: near 0, or near 1 so that products stay in
#: range.
OF_MANY = {
    "cumulative_prod": (lambda xp, x: xp.mean(xp.cumulative_prod(x)), 1),
    "cumulative_sum": (
        lambda xp, x: xp.sum(xp.cumulative_sum(x) / 5000),
        0,
    ),
    "prod": (lambda xp, x: xp.prod(x), 1),
    "repeat": (lambda xp, x: xp.sum(xp.repeat(x[:2], 5000)) * 0.5, 0),
    "std": (lambda xp, x: xp.std(x), 0),
    "take": (of_rows_read, 0),
    "vector_norm": (lambda xp, x: xp.linalg.vector_norm(300 * x), 0),
    "vector_norm of equal elements": (
        lambda xp, x: xp.linalg.vector_norm(xp.tile(x[:1] * 0 + 2, (70_000,))),
        0,
    ),
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", OF_MANY)
def test_functions_of_many_elements_in_16_bits(backend, name, dtype):
    """Values and derivatives as in float64, whose sums lose no digits."""
    if not known(backend, [dtype]):
        pytest.skip(reason=f"{backend.name} has no {dtype}")
    only_a_sample_on_jax(backend, name)
    function, near = OF_MANY[name]
    x = make_array(
        backend,
        near + np.random.default_rng(0).normal(size=5000) * (1e-3 if near else 1),
        dtype,
    )
    of = anynet.value_and_grad(lambda x: function(array_namespace(x), x))
    found, expected = of(x), of(backend.xp.astype(x, backend.xp.float64))
    for part, wanted in zip(found, expected, strict=True):
        wanted = precise(wanted)
        tolerance = 2 * FLOATS[dtype] * np.abs(wanted).max()
        np.testing.assert_allclose(
            precise(part),
            wanted,
            rtol=0,
            atol=max(tolerance, FLOATS[dtype] if near == 0 else 0),
        )


@pytest.mark.parametrize("dtype", INTEGERS)
def test_take_by_indices_of_all_integer_dtypes(backend, dtype):
    """Bytes are indices, not a mask; there are more rows than the dtype has numbers."""
    only_a_sample_on_jax(backend, dtype)
    x, places = (
        backend.asarray(np.arange(600.0).reshape(300, 2)),
        make_array(backend, [1, 0, 100], dtype),
    )
    taken = lambda x: array_namespace(x).take(x, places, axis=0)
    value, g = anynet.value_and_grad(lambda x: array_namespace(x).sum(taken(x) ** 2))(x)
    rows = np.arange(600.0).reshape(300, 2)[[1, 0, 100]]
    assert host(value) == (rows**2).sum()
    expected = np.zeros((300, 2))
    expected[[1, 0, 100]] = 2 * rows
    np.testing.assert_array_equal(host(g), expected)


def test_losses_over_more_rows_than_half_precision_counts(backend):
    half = half_precision(backend)
    x, t = np.zeros((MANY, 2)), backend.asarray(np.zeros(MANY, "int32"))
    chosen = [
        losses.cross_entropy,
        losses.hinge,
        losses.sum_of_squares,
        partial(losses.cross_entropy, label_smoothing=0.1),
        lambda x, t: losses.mean_squared_error(x, array_namespace(x).ones_like(x)),
    ]
    for loss in chosen[:1] if backend.name == "jax" else chosen:
        value, g = anynet.value_and_grad(loss)(half(x), t)
        expected, slope = anynet.value_and_grad(loss)(backend.asarray(x), t)
        assert_near(value, precise(expected), "float16")
        assert_near(g, precise(slope), "float16")


def test_sums_over_many_elements_in_half_precision(backend):
    """Exponentials of many classes, gradients of a bias over many rows, means of many pixels."""
    half = half_precision(backend)
    zeros = half(np.zeros(MANY))
    assert_near(functions.softmax(zeros), np.full(MANY, 1 / MANY), "float16")
    assert_near(
        functions.log_softmax(zeros),
        np.full(MANY, -np.log(MANY)),
        "float16",
    )
    x = half(np.ones((10_000, 3)))
    of_bias = anynet.grad(lambda b: array_namespace(b).sum(x + b) * 1.0)
    assert_near(of_bias(half(np.zeros(3))), [10_000] * 3, "float16")
    net = layers.Conv2d(1, 2, 1).initialize(0, backend, backend.xp.float16)
    images = half(np.ones((1, 1, 100, 100)))
    of_conv = anynet.grad(lambda net: array_namespace(net.bias).sum(net(images)))(net)
    assert_near(of_conv.bias, [10_000] * 2, "float16")
    for pool in (layers.GlobalAvgPool2d(), layers.AvgPool2d(100)):
        assert precise(pool(2 * images)).reshape(()) == 2


def test_norms_of_large_numbers_in_half_precision(backend):
    """Squares overflow from 256 on; the variance of the batch is kept in float32 for the way
    back."""
    half = half_precision(backend)
    values = np.random.default_rng(0).normal(size=(64, 4)) * 1000
    norms = [
        lambda: layers.BatchNorm(4),
        lambda: layers.LayerNorm(4),
        lambda: layers.RMSNorm(4),
        lambda: layers.GroupNorm(1, 4),
    ]
    for make in norms[:1] if backend.name == "jax" else norms:
        found = []
        for dtype in ("float16", "float64"):
            net = layers.Sequential(
                make(),
                seed=0,
                backend=backend,
                dtype=getattr(backend.xp, dtype),
            )
            x = make_array(backend, precise(half(values)), dtype)
            before = {path: p.dtype for path, p in (net.parameters() | net.buffers()).items()}
            y = net.map(lambda p: p).set_training(True)(x)
            g = anynet.grad(lambda net, x: 1024 * products(net(x), backend), (0, 1))(net, 4 * x)
            assert {
                path: p.dtype for path, p in (net.parameters() | net.buffers()).items()
            } == before
            found.append((y, g[1]))
        for x, expected in zip(*found, strict=True):
            assert_near(x, precise(expected), "float16")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_activations_in_16_bits(backend, dtype):
    """As PyTorch's, which computes in float32 and rounds once, far out too."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    if not known(backend, [dtype]):
        pytest.skip(reason=f"{backend.name} has no {dtype}")
    values = np.array([-300.0, -40, -8, -3.25, -1, -1e-3, 0.25, 1, 3.25, 20, 60000])
    x = make_array(backend, values, dtype)
    assert precise(functions.erf(x))[8] == 1
    functions_of_torch = {"hard_sigmoid": "hardsigmoid"}
    for name in (
        "elu",
        "gelu",
        "hard_sigmoid",
        "leaky_relu",
        "mish",
        "relu",
        "selu",
        "sigmoid",
        "silu",
        "softplus",
    ):
        given = torch.tensor(precise(x)).requires_grad_()
        expected = getattr(torch.nn.functional, functions_of_torch.get(name, name))(given)
        (slope,) = torch.autograd.grad(expected.sum(), given)
        tolerance = {"rtol": FLOATS[dtype], "atol": FLOATS[dtype] / 10}
        found, g = (
            getattr(functions, name)(x),
            anynet.grad(lambda x, name=name: products_of_ones(name, x))(x),
        )
        np.testing.assert_allclose(precise(found), expected.detach().numpy(), **tolerance)
        np.testing.assert_allclose(precise(g), slope.numpy(), **tolerance)


def products_of_ones(name, x):
    xp = array_namespace(x)
    return xp.sum(xp.astype(getattr(functions, name)(x), xp.float32))


def test_bfloat16_goes_to_the_host_and_to_other_libraries():
    """NumPy has no such dtype: float32 has all its values."""
    torch = pytest.importorskip("torch", reason="needs a library with bfloat16")
    x = torch.tensor([1.5, -2.25], dtype=torch.bfloat16)
    assert host(x).dtype == np.float32
    assert host(x).tolist() == [1.5, -2.25]
    assert get_backend("numpy").asarray(x).tolist() == [1.5, -2.25]
    pytest.importorskip("jax", reason="needs a second library with bfloat16")
    there = get_backend("jax").asarray(x)
    assert str(there.dtype) == "bfloat16"
    assert host(there).dtype == np.float32
    assert get_backend("torch").asarray(there).dtype == torch.bfloat16


OPTIMIZERS = (
    optimizers.SGD(0.1),
    optimizers.Momentum(0.05),
    optimizers.Adam(0.01),
    optimizers.AdamW(0.01),
)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_training_in_16_bits(backend, dtype):
    """Losses as in float32; parameters keep their dtype, running statistics are float32, eager and
    compiled."""
    if not known(backend, [dtype]):
        pytest.skip(reason=f"{backend.name} has no {dtype}")
    generator = np.random.default_rng(0)
    t = generator.integers(0, 3, 40)
    x = (
        generator.normal(size=(40, 1, 4, 6)) * 0.3
        + np.eye(3)[t].repeat(2, axis=1)[:, None, None, :]
    )
    optimizers_, runs = (
        OPTIMIZERS,
        [(dtype, False), (dtype, True), ("float32", False)],
    )
    if backend.name == "jax":
        if dtype == "float16":
            pytest.skip(reason="JAX compiles for too long; bfloat16 is tested")
        optimizers_, runs = OPTIMIZERS[2:3], runs[1:]
    for optimizer in optimizers_:
        found = []
        for own, compiled in runs:
            own_dtype = getattr(backend.xp, own)
            net = layers.Sequential(
                layers.Conv2d(1, 4, 3, padding=1), layers.BatchNorm(4), layers.ReLU(), layers.MaxPool2d(2),
                layers.Flatten(), layers.Dropout(0.1), layers.Linear(24, 3), seed=0, backend=backend, dtype=own_dtype,
            )  # fmt: skip
            data = make_array(backend, x, own), backend.asarray(t)
            history = anynet.fit(
                net, data, data, epochs=2, batch_size=20, progress=False, compile=compiled,
                optimizer=type(optimizer)(optimizer.learning_rate),
            )  # fmt: skip
            assert all(str(p.dtype).endswith(own) for p in net.parameters().values())
            assert str(net["layers.1.running_variance"].dtype).endswith("float32")
            found.append(history.losses)
        for losses_ in found[:-1]:
            np.testing.assert_allclose(losses_, found[-1], rtol=0.05)


def test_adam_of_small_gradients_in_half_precision(backend):
    """Their squares, and epsilon, are 0 in float16: what is kept of them is float32."""
    half = half_precision(backend)
    net, optimizer = {"w": half(np.ones(3))}, optimizers.Adam(0.01)
    for _ in range(2):
        optimizer.update(net, {"w": half([1e-4, -1e-5, 0.0])})
    assert_near(net["w"], [0.98, 1.02, 1.0], "float16")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_data_and_initializers_in_16_bits(backend, dtype):
    if not known(backend, [dtype]):
        pytest.skip(reason=f"{backend.name} has no {dtype}")
    own = getattr(backend.xp, dtype)
    key = random.key(0, backend)
    # Enough for one that is rounded to 1.
    drawn = random.uniform(key, (10_000,), own)
    assert drawn.dtype == own
    assert precise(drawn).max() < 1
    for initializer in (
        initializers.orthogonal(), initializers.truncated_normal(), initializers.xavier_uniform, initializers.uniform()
    ):  # fmt: skip
        assert initializer(key, (4, 4), own).dtype == own
    x, t = (
        make_array(backend, np.ones((4, 1, 6, 6)), dtype),
        backend.asarray(np.zeros(4, "int32")),
    )
    images, _ = next(iter(Loader(x, t, batch_size=2, augment=random_affine())))
    assert images.dtype == own
    assert images.shape == (2, 1, 6, 6)
    net = layers.Sequential(layers.Conv2d(1, 2, 3), seed=0, backend=backend, dtype=own)
    assert anynet.summary(net, (1, 6, 6)).outputs == ((1, 2, 4, 4),)
