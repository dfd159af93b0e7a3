"""Losses compared with PyTorch's and scikit-learn's: values, derivatives, settings and errors.

The plain cross-entropy and the losses of the book are in primitives/test_cross_entropy.py.
"""

import math

import derivatives
import numpy as np
import pytest
from helpers import assert_close, checks_labels, host, normal
from scipy import special

import anynet
from anynet import functions, losses
from anynet.array import array_namespace
from anynet.errors import ArgumentError, DataError, DTypeError, ShapeError

REDUCTIONS = ("mean", "sum", "none")


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="compares with PyTorch")


def agree(torch, backend, ours, theirs, *points, rtol=1e-10, atol=1e-13):
    """Compare values under every reduction, and derivatives by the first array."""
    x = backend.asarray(points[0])
    others = [backend.asarray(point) for point in points[1:]]
    first = torch.asarray(points[0]).requires_grad_()
    rest = [torch.asarray(point) for point in points[1:]]
    for reduction in REDUCTIONS:
        expected = theirs(first, *rest, reduction=reduction)
        found = ours(x, *others, reduction=reduction)
        assert_close(found, expected.detach().numpy(), like=x, rtol=rtol, atol=atol)
    for reduction in ("mean", "sum"):
        (slope,) = torch.autograd.grad(theirs(first, *rest, reduction=reduction), first)
        g = anynet.grad(lambda x, reduction=reduction: ours(x, *others, reduction=reduction))(x)
        assert_close(g, slope.numpy(), like=x, rtol=rtol, atol=atol)


def classes_last(torch, loss, **settings):
    """PyTorch's loss, with the axis of the classes last as it is here."""

    def function(x, t, *, reduction):
        x = torch.movedim(x, -1, 1)
        if t.is_floating_point():
            t = torch.movedim(t, -1, 1)
        return loss(x, t, reduction=reduction, **settings)

    return function


LABELS = np.array([0, 2, 1, 1, -7])
WEIGHT = np.array([0.5, 2.0, 0.0])


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["indices", "ignored", "planes", "rows"])
def test_cross_entropy(torch, backend, kind, weighted, label_smoothing):
    """All settings and kinds of labels match, also without settings, by the fused primitive."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(5, 3)), np.abs(LABELS) % 3
    if kind == "rows":
        t = special.softmax(rng.normal(size=(5, 3)), axis=-1)
    elif kind == "ignored":
        t = LABELS
    elif kind == "planes":
        x, t = rng.normal(size=(2, 4, 3)), rng.integers(0, 3, size=(2, 4))
    ignored = {"ignore_index": -7} if kind == "ignored" else {}
    w = WEIGHT if weighted else None
    ours = lambda *args, **settings: losses.cross_entropy(
        *args,
        weight=None if w is None else backend.asarray(w),
        label_smoothing=label_smoothing,
        **ignored,
        **settings,
    )
    theirs = classes_last(
        torch,
        torch.nn.functional.cross_entropy,
        weight=None if w is None else torch.asarray(w),
        label_smoothing=label_smoothing,
        **ignored,
    )
    agree(torch, backend, ours, theirs, x, t)


@pytest.mark.parametrize("weighted", [False, True])
def test_negative_log_likelihood(torch, backend, weighted):
    w = WEIGHT if weighted else None
    ours = lambda *args, **settings: losses.negative_log_likelihood(
        *args,
        weight=None if w is None else backend.asarray(w),
        ignore_index=-7,
        **settings,
    )
    theirs = classes_last(
        torch,
        torch.nn.functional.nll_loss,
        weight=None if w is None else torch.asarray(w),
        ignore_index=-7,
    )
    agree(
        torch,
        backend,
        ours,
        theirs,
        special.log_softmax(np.random.default_rng(0).normal(size=(5, 3)), -1),
        LABELS,
    )


def test_ignore_index_of_a_class(backend):
    x, t = (
        normal(backend, 5, 3),
        backend.asarray(np.array([0, 2, 1, 1, 0])),
    )
    kept = np.array([1, 2, 3])
    expected = -special.log_softmax(host(x), -1)[kept, host(t)[kept]]
    assert_close(losses.cross_entropy(x, t, ignore_index=0), expected.mean())
    assert_close(
        losses.cross_entropy(x, t, ignore_index=0, reduction="sum"),
        expected.sum(),
    )


def test_mean_of_no_example_is_nan(backend):
    x, t = normal(backend, 2, 3), backend.asarray(np.array([-1, -1]))
    value, g = anynet.value_and_grad(losses.cross_entropy)(x, t, ignore_index=-1)
    assert np.isnan(host(value))
    assert_close(g, np.zeros((2, 3)))


def test_label_that_is_no_class_raises_or_gives_nan(backend):
    x, t = normal(backend, 3, 3), backend.asarray(np.array([0, 3, 2]))
    x = x * x
    for loss in (
        losses.cross_entropy,
        losses.cross_entropy_of_probabilities,
        losses.hinge,
        losses.multi_margin,
        losses.negative_log_likelihood,
        losses.sum_of_squares,
    ):
        np.testing.assert_array_equal(
            np.isnan(host(loss(x, t, reduction="none"))),
            [False, True, False],
        )


def test_negative_int8_label(backend):
    """As an unsigned byte, -1 would be class 255."""
    x, t = (
        normal(backend, 2, 300),
        backend.asarray(np.array([0, -1], "int8")),
    )
    if checks_labels(backend):
        with pytest.raises(DataError, match="label -1 is no class: the outputs have 300"):
            losses.cross_entropy(x, t)
    else:
        assert np.isnan(host(losses.cross_entropy(x, t)))


def test_numpy_scalar_as_pos_weight(backend):
    x, t = (
        backend.asarray(np.ones((2, 3), "float32")),
        backend.asarray(np.ones((2, 3), "float32")),
    )
    expected = host(losses.binary_cross_entropy_with_logits(x, t, pos_weight=2.0))
    for weight in (np.float64(2), np.float32(2), np.int64(2), 2):
        assert_close(
            losses.binary_cross_entropy_with_logits(x, t, pos_weight=weight),
            expected,
            like=x,
        )


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64"])
def test_labels_of_all_integer_dtypes(backend, dtype):
    """There are more rows than the smallest dtypes can count."""
    x, t = normal(backend, 300, 10), np.arange(300) % 10
    wanted = host(losses.cross_entropy(x, backend.asarray(t)))
    assert_close(losses.cross_entropy(x, backend.asarray(t.astype(dtype))), wanted)


def test_logits_of_minus_infinity(backend):
    """A logit of minus infinity is a probability of 0. It adds 0 to the loss of other labels."""
    x = backend.asarray(np.array([[0.0, 1, -np.inf], [2, -np.inf, 0]]))
    t = backend.asarray(np.array([0, 2]))
    expected = [math.log(1 + math.e), math.log(1 + math.exp(2))]
    assert_close(losses.cross_entropy(x, t, reduction="none"), expected)
    g = host(anynet.grad(losses.cross_entropy)(x, t, reduction="sum"))
    assert np.isfinite(g).all()
    assert (g[[0, 1], [2, 1]] == 0).all()


@pytest.mark.parametrize("pos_weight", [None, 3.0, np.array([0.5, 1.0, 2.0, 3.0])])
def test_binary_cross_entropy_with_logits(torch, backend, pos_weight):
    rng = np.random.default_rng(0)
    weight = backend.asarray(pos_weight) if isinstance(pos_weight, np.ndarray) else pos_weight
    ours = lambda *args, **settings: losses.binary_cross_entropy_with_logits(
        *args, pos_weight=weight, **settings
    )
    theirs = lambda *args, **settings: torch.nn.functional.binary_cross_entropy_with_logits(
        *args,
        pos_weight=None if pos_weight is None else torch.asarray(pos_weight),
        **settings,
    )
    agree(
        torch,
        backend,
        ours,
        theirs,
        30 * rng.normal(size=(5, 4)),
        rng.uniform(size=(5, 4)),
    )


def test_integer_labels_of_regression(backend):
    """Labels may be integers. Outputs may not, because differences would be truncated."""
    whole, half = (
        backend.asarray(np.array([1, 2, 3])),
        backend.asarray(np.array([1.9, 2.9, 3.9])),
    )
    assert_close(losses.mean_squared_error(half, whole), 0.81)
    for loss in (
        losses.mean_squared_error,
        losses.mean_absolute_error,
        losses.huber,
        losses.cosine,
    ):
        with pytest.raises(
            DTypeError,
            match=r"an array of .*int64 was given: wanted a floating dtype.*astype",
        ):
            loss(whole, half)


def test_lists_raise(backend):
    x = backend.asarray(np.ones((2, 3)))
    for loss in (
        losses.cross_entropy,
        losses.mean_squared_error,
        losses.cosine,
    ):
        for given in ((x, [0, 1]), ([[1.0, 2.0]], x)):
            with pytest.raises(
                DTypeError,
                match=r"list was given: wanted an array, as get_backend\(\)\.asarray",
            ):
                loss(*given)


def test_float64_labels_keep_the_dtype_of_outputs(backend):
    """The loss has the dtype of the outputs."""
    x, t = (
        backend.asarray(np.ones(3, "float32")),
        backend.asarray(np.array([1.5, 2.5, 0.5])),
    )
    assert_close(losses.mean_squared_error(x, t), 2.75 / 3, like=x, rtol=1e-6)


REGRESSION = {
    "mean_squared_error": ("mse_loss", {}),
    "mean_absolute_error": ("l1_loss", {}),
    "huber": ("huber_loss", {"delta": 0.7}),
}


@pytest.mark.parametrize("name", REGRESSION)
def test_regression(torch, backend, name):
    loss, settings = REGRESSION[name]
    ours = lambda *args, **more: getattr(losses, name)(*args, **settings, **more)
    theirs = lambda *args, **more: getattr(torch.nn.functional, loss)(*args, **settings, **more)
    y = np.array([[-3.0, -0.7, 0.0, 0.7], [3.0, 0.1, -0.1, 100.0]])
    # Equal numbers, and differences of delta, among them.
    t = np.array([[1.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, -100.0]])
    agree(torch, backend, ours, theirs, y, t)


def test_multi_margin(torch, backend):
    x, t = np.random.default_rng(0).normal(size=(5, 3)), np.abs(LABELS) % 3
    ours = lambda *args, **more: losses.multi_margin(*args, margin=0.5, **more)
    theirs = lambda *args, **more: torch.nn.functional.multi_margin_loss(*args, margin=0.5, **more)
    agree(torch, backend, ours, theirs, x, t)


def test_hinge(backend):
    metrics = pytest.importorskip("sklearn.metrics", reason="compares with scikit-learn")
    x, t = normal(backend, 6, 3), np.array([0, 2, 1, 1, 0, 2])
    labels = backend.asarray(t)
    assert_close(losses.hinge(x, labels), metrics.hinge_loss(t, host(x)))
    assert_close(
        losses.hinge(x, functions.one_hot(labels, 3)),
        metrics.hinge_loss(t, host(x)),
    )
    assert losses.hinge(x, labels, reduction="none").shape == (6,)
    assert anynet.check_gradients(lambda x: losses.hinge(x, labels, margin=2.0), x)


def test_kl_divergence(torch, backend):
    rng = np.random.default_rng(0)
    t = special.softmax(rng.normal(size=(4, 3)), -1)
    t[0] = [0, 0.25, 0.75]

    def theirs(x, t, *, reduction):
        if reduction == "none":
            return torch.nn.functional.kl_div(x, t, reduction="none").sum(-1)
        return torch.nn.functional.kl_div(
            x,
            t,
            reduction="batchmean" if reduction == "mean" else reduction,
        )

    agree(
        torch,
        backend,
        losses.kl_divergence,
        theirs,
        special.log_softmax(rng.normal(size=(4, 3)), -1),
        t,
    )
    impossible = backend.asarray(np.array([[-np.inf, 0.0]]))
    assert host(losses.kl_divergence(impossible, backend.asarray(np.array([[0.0, 1.0]])))) == 0
    x, t = (
        special.log_softmax(rng.normal(size=(2, 4, 3)), -1),
        special.softmax(rng.normal(size=(2, 4, 3)), -1),
    )
    of_sequences = losses.kl_divergence(backend.asarray(x), backend.asarray(t), reduction="none")
    np.testing.assert_allclose(
        host(of_sequences),
        special.rel_entr(t, np.exp(x)).sum(-1),
        rtol=1e-10,
    )


def test_cosine_embedding(torch, backend):
    rng = np.random.default_rng(0)
    x1, x2, t = (
        rng.normal(size=(6, 4)),
        rng.normal(size=(6, 4)),
        np.array([1, -1, 1, -1, -1, 1]),
    )
    x1[4] = x2[4] + 0.1
    ours = lambda *args, **more: losses.cosine_embedding(*args, margin=0.2, **more)
    theirs = lambda *args, **more: torch.nn.functional.cosine_embedding_loss(
        *args, margin=0.2, **more
    )
    agree(torch, backend, ours, theirs, x1, x2, t)
    theirs = lambda x1, x2, **more: torch.nn.functional.cosine_embedding_loss(
        x1, x2, torch.ones(6), **more
    )
    agree(torch, backend, losses.cosine, theirs, x1, x2)


def test_triplet_margin(torch, backend):
    rng = np.random.default_rng(0)
    triplet = [rng.normal(size=(6, 4)) for _ in range(3)]
    triplet[1][0] = triplet[0][0]
    agree(
        torch,
        backend,
        losses.triplet_margin,
        torch.nn.functional.triplet_margin_loss,
        *triplet,
    )


LOSSES = {
    "binary_cross_entropy_with_logits": (
        losses.binary_cross_entropy_with_logits,
        "unit",
    ),
    "cosine": (losses.cosine, "same"),
    "cross_entropy": (losses.cross_entropy, "index"),
    "cross_entropy smoothed": (
        lambda x, t: losses.cross_entropy(x, t, label_smoothing=0.1),
        "index",
    ),
    "huber": (losses.huber, "same"),
    "kl_divergence": (
        lambda x, t: losses.kl_divergence(functions.log_softmax(x), t),
        "unit",
    ),
    "mean_absolute_error": (losses.mean_absolute_error, "same"),
    "mean_squared_error": (losses.mean_squared_error, "same"),
    "triplet_margin": (
        lambda x, t: losses.triplet_margin(x, t, 2 * t),
        "same",
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_derivatives(backend, name):
    """First and second derivatives match, also by labels. In float32 they are finite."""
    loss, kind = LOSSES[name]
    x, t = normal(backend, 3, 4), normal(backend, 3, 4, seed=1)
    t = {
        "unit": functions.softmax(t),
        "same": t,
        "index": backend.asarray(np.array([3, 0, 1])),
    }[kind]
    assert anynet.check_gradients(lambda x: loss(x, t), x)
    assert anynet.check_gradients(lambda x: array_namespace(x).sum(anynet.grad(loss)(x, t) ** 2), x)
    if kind == "same":
        assert anynet.check_gradients(lambda t: loss(x, t), t)
    xp = backend.xp
    far = backend.asarray(np.array([[-1e4, 1e4, 0.0, 1.0]] * 3, "float32"))
    value, g = anynet.value_and_grad(loss)(far, t if kind == "index" else xp.astype(t, xp.float32))
    assert value.dtype == xp.float32
    assert np.isfinite(host(value))
    assert np.isfinite(host(g)).all()


def test_neutral_settings_change_nothing(backend):
    x, t = (
        normal(backend, 5, 3),
        backend.asarray(np.array([0, 2, 1, 1, 0])),
    )
    plain = host(losses.cross_entropy(x, t))
    assert_close(
        losses.cross_entropy(x, t, weight=backend.asarray(np.ones(3))),
        plain,
    )
    assert_close(losses.cross_entropy(x, t, ignore_index=-1), plain)
    assert_close(
        losses.sum_of_squares(x, t, reduction="sum"),
        5 * host(losses.sum_of_squares(x, t)),
    )
    y = functions.softmax(x)
    assert_close(
        losses.cross_entropy_of_probabilities(y, t, 0, reduction="sum"),
        5 * plain,
    )
    rows, rights = host(x), np.eye(3)[host(t)]
    expected = -np.log(host(y)[np.arange(5), host(t)] + 1e-7)
    assert_close(
        losses.cross_entropy_of_probabilities(y, t, reduction="none"),
        expected,
    )
    assert_close(
        losses.sum_of_squares(x, t, reduction="none"),
        0.5 * ((rows - rights) ** 2).sum(axis=1),
    )


def test_losses_read_no_value(strictest):
    x, t = (
        normal(strictest, 4, 3),
        strictest.asarray(np.array([0, 2, 1, -1])),
    )
    w = strictest.asarray(np.array([1.0, 2.0, 3.0]))
    anynet.grad(losses.cross_entropy)(x, t, weight=w, label_smoothing=0.1, ignore_index=-1)
    anynet.grad(losses.hinge)(x, t)
    anynet.grad(losses.kl_divergence)(x, functions.softmax(x))
    anynet.grad(losses.triplet_margin)(x, 2 * x, 3 * x)
    anynet.grad(losses.cosine_embedding)(x, 2 * x, t)


def test_wrong_arguments_raise(backend):
    x, t = normal(backend, 4, 3), backend.asarray(np.array([0, 2, 1, 1]))
    for loss in (
        losses.cross_entropy,
        losses.hinge,
        losses.sum_of_squares,
        losses.negative_log_likelihood,
    ):
        with pytest.raises(
            ArgumentError,
            match="reduction is 'avg': wanted 'mean', 'sum' or 'none'",
        ):
            loss(x, t, reduction="avg")
    with pytest.raises(
        ArgumentError,
        match=r"label_smoothing is 1\.5: wanted a number from 0 to 1",
    ):
        losses.cross_entropy(x, t, label_smoothing=1.5)
    with pytest.raises(
        ArgumentError,
        match=r"ignore_index is 1 and the labels are probabilities of shape \(4, 3\)",
    ):
        losses.cross_entropy(x, x, ignore_index=1)
    for weight in (backend.asarray([1.0, 2.0]), 2.0):
        with pytest.raises(
            ShapeError,
            match=r"with a weight of .*: wanted an array of \(3,\)",
        ):
            losses.cross_entropy(x, t, weight=weight)
    with pytest.raises(
        ShapeError,
        match=r"with a weight of \(4,\): wanted an array of \(3,\)",
    ):
        losses.binary_cross_entropy_with_logits(x, x, pos_weight=t)
    for loss in (
        losses.mean_squared_error,
        losses.kl_divergence,
        losses.cosine,
    ):
        with pytest.raises(
            ShapeError,
            match=r"arrays of shapes \(4, 3\) and \(3,\) were given: wanted one shape",
        ):
            loss(x, x[0, ...])
    with pytest.raises(ShapeError, match=r"labels of shape \(4, 3\): wanted \(4,\)"):
        losses.cosine_embedding(x, x, x)
    for name in (
        "cross_entropy",
        "hinge",
        "multi_margin",
        "negative_log_likelihood",
        "sum_of_squares",
    ):
        message = rf"{name}: outputs of shape \(4, 3\) were given with labels of shape \(3,\)"
        with pytest.raises(ShapeError, match=message):
            getattr(losses, name)(x, t[:3])
    for loss, setting in (
        (losses.huber, "delta"),
        (losses.hinge, "margin"),
        (losses.multi_margin, "margin"),
    ):
        with pytest.raises(
            ArgumentError,
            match=f"{setting} is 0: wanted a finite number above 0",
        ):
            loss(x, x, **{setting: 0})


def test_cross_entropy_of_rows_with_another_sum(torch, backend):
    """Rows with several ones, none, or weights have derivatives, too."""
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(4, 3))
    rows = np.array(
        [
            [1.0, 1.0, 0.0],
            [0.0, 0.0, 0.0],
            [0.2, 0.3, 2.0],
            [0.5, 0.25, 0.25],
        ]
    )
    agree(
        torch,
        backend,
        losses.cross_entropy,
        lambda x, t, reduction: torch.nn.functional.cross_entropy(x, t, reduction=reduction),
        logits,
        rows,
    )
    x, t = backend.asarray(logits), backend.asarray(rows)
    derivatives.agree(lambda point: losses.cross_entropy(point[0], point[1]), [x, t])


def test_cross_entropy_gradient_by_targets(torch, backend):
    """The derivative by the targets is right where one of them is 0."""
    x = np.random.default_rng(6).normal(size=(2, 3))
    t = np.array([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]])
    ours = lambda t, x, **settings: losses.cross_entropy(x, t, **settings)
    theirs = lambda t, x, reduction: torch.nn.functional.cross_entropy(x, t, reduction=reduction)
    agree(torch, backend, ours, theirs, t, x)


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_huber_of_infinite_differences(torch, backend):
    """The slope is delta for any distance, also an infinite one."""
    x = np.array([math.inf, -math.inf, 1e308, 1.0, 0.5, 0.0])
    t = np.array([0.0, 1.0, -1e308, math.inf, 0.0, 0.0])
    for delta in (0.5, 1.0):
        theirs = lambda x, t, reduction, delta=delta: torch.nn.functional.huber_loss(
            x, t, reduction=reduction, delta=delta
        )
        ours = lambda x, t, delta=delta, **settings: losses.huber(x, t, delta=delta, **settings)
        agree(torch, backend, ours, theirs, x, t)


def test_margins_with_infinite_outputs(torch, backend):
    """An output of -∞ does not change the loss of the other classes."""
    outputs = np.array([[-math.inf, 0.0, 1.0], [0.5, -math.inf, 0.0]])
    labels = np.array([1, 2])
    agree(
        torch,
        backend,
        losses.multi_margin,
        torch.nn.functional.multi_margin_loss,
        outputs,
        labels,
    )
    found = losses.hinge(backend.asarray(outputs), backend.asarray(labels), reduction="none")
    assert host(found).tolist() == [2.0, 1.5]


def test_cosine_of_zero_vectors(backend):
    """A vector of zeros has no direction. Its cosine with any vector is 0."""
    zeros, x = (
        backend.asarray(np.zeros((1, 3))),
        backend.asarray(np.array([[1.0, 2.0, 2.0]])),
    )
    assert host(losses.cosine(zeros, x)) == 1
    assert host(losses.cosine(zeros, zeros)) == 1
    assert host(losses.cosine_embedding(zeros, x, backend.asarray(np.array([-1])))) == 0
    assert host(losses.cosine(x, 3 * x)) == pytest.approx(0, abs=1e-12)
    g = host(anynet.grad(lambda x: losses.cosine(x, x))(zeros))
    assert g.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), float("inf")])
def test_margin_out_of_range_raises(backend, margin):
    x, t = normal(backend, 3, 4), backend.asarray([0, 1, 2])
    for loss, given in (
        (losses.hinge, (x, backend.asarray(np.sign(host(x))))),
        (losses.multi_margin, (x, t)),
        (losses.triplet_margin, (x, x + 1, x - 1)),
    ):
        with pytest.raises(
            ArgumentError,
            match=r"margin is .*: wanted a finite number above 0",
        ):
            loss(*given, margin=margin)
