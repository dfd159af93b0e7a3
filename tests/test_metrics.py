"""Metrics beside scikit-learn's."""

import numpy as np
import pytest
from helpers import assert_close, host

import anynet
from anynet import functions, metrics
from anynet.array import array_namespace
from anynet.errors import ArgumentError, DataError, DTypeError, ShapeError

CLASSES = 5


@pytest.fixture(scope="module")
def sklearn():
    return pytest.importorskip("sklearn.metrics", reason="compares with scikit-learn")


def drawn(backend, seed=0, n=60):
    """Outputs and labels in which class 3 is never a label and class 4 never an answer."""
    rng = np.random.default_rng(seed)
    outputs = rng.normal(size=(n, CLASSES)).astype("float32")
    outputs[:, 4] = -9
    labels = rng.choice([0, 1, 2, 4], size=n)
    return backend.asarray(outputs), backend.asarray(labels)


def test_accuracy(sklearn, backend):
    outputs, labels = drawn(backend)
    found = metrics.accuracy(outputs, labels)
    assert found.dtype == backend.xp.float32
    assert_close(
        found,
        sklearn.accuracy_score(host(labels), host(outputs).argmax(-1)),
        rtol=1e-6,
    )
    assert_close(
        metrics.accuracy(outputs, functions.one_hot(labels, CLASSES)),
        host(found),
    )


@pytest.mark.parametrize("k", range(1, CLASSES + 1))
def test_top_k_accuracy(sklearn, backend, k):
    outputs, labels = drawn(backend)
    found = metrics.top_k_accuracy(outputs, labels, k)
    expected = 1.0
    if k < CLASSES:
        expected = sklearn.top_k_accuracy_score(
            host(labels), host(outputs), k=k, labels=range(CLASSES)
        )
    assert_close(found, expected, rtol=1e-6)
    assert found.dtype == backend.xp.float32
    assert_close(
        metrics.top_k_accuracy(outputs, functions.one_hot(labels, CLASSES), k),
        host(found),
    )


def test_ties_and_nan(backend):
    """The first of equal outputs is the answer. A NaN is never right."""
    outputs = backend.asarray(
        np.array([[1.0, 1.0, 0.0], [np.nan, np.nan, np.nan], [3.0, 2.0, 1.0]])
    )
    found = lambda labels, k: float(
        host(metrics.top_k_accuracy(outputs, backend.asarray(np.array(labels)), k))
    )
    assert found([0, 0, 0], 1) == pytest.approx(2 / 3)
    assert found([1, 0, 0], 1) == pytest.approx(1 / 3)
    assert found([1, 0, 0], 2) == pytest.approx(2 / 3)
    assert found([3, 0, -1], 3) == 0


def test_confusion_matrix(sklearn, backend):
    outputs, labels = drawn(backend)
    found = metrics.confusion_matrix(outputs, labels)
    expected = sklearn.confusion_matrix(
        host(labels), host(outputs).argmax(-1), labels=range(CLASSES)
    )
    np.testing.assert_array_equal(host(found), expected)
    assert backend.xp.isdtype(found.dtype, "integral")
    rows = functions.one_hot(labels, CLASSES)
    np.testing.assert_array_equal(host(metrics.confusion_matrix(outputs, rows)), expected)
    small = backend.xp.astype(labels, backend.xp.int8)
    np.testing.assert_array_equal(host(metrics.confusion_matrix(outputs, small)), expected)
    outside = backend.asarray(
        np.where(
            host(labels) == 2,
            -1,
            np.where(host(labels) == 1, CLASSES, host(labels)),
        )
    )
    expected[[1, 2], :] = 0
    np.testing.assert_array_equal(host(metrics.confusion_matrix(outputs, outside)), expected)


@pytest.mark.parametrize("average", ["macro", "micro", "none"])
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_scores(sklearn, backend, name, average):
    outputs, labels = drawn(backend)
    found = getattr(metrics, name)(outputs, labels, average)
    expected = getattr(sklearn, f"{name}_score")(
        host(labels),
        host(outputs).argmax(-1),
        labels=range(CLASSES),
        average=None if average == "none" else average,
        zero_division=0,
    )
    assert found.dtype == backend.xp.float32
    assert_close(found, expected, rtol=1e-6)


BY_CLASS = [
    metrics.accuracy,
    metrics.TopKAccuracy(2),
    metrics.precision,
    metrics.recall,
    metrics.f1,
    metrics.F1("micro"),
    metrics.perplexity,
    metrics.Accuracy(ignore_index=2),
    metrics.Perplexity(ignore_index=2),
]
BY_NUMBER = [
    metrics.binary_accuracy,
    metrics.r2_score,
    metrics.R2Score(multioutput="variance_weighted"),
    metrics.mean_squared_error,
    metrics.mean_absolute_error,
]


def over_batches(metric, outputs, labels, size):
    """Return the score from the sums of batches of this many rows."""
    sums = None
    for i in range(0, outputs.shape[0], size):
        rows = slice(i, min(i + size, outputs.shape[0]))
        part = metric.count(outputs[rows, ...], labels[rows, ...])
        sums = part if sums is None else metric.add(sums, part)
    return metric.result(sums)


@pytest.mark.parametrize("metric", BY_CLASS + BY_NUMBER, ids=repr)
def test_batches_do_not_change_the_score(backend, metric):
    outputs, labels = drawn(backend, n=23)
    if metric in BY_NUMBER:
        labels = backend.asarray(
            np.random.default_rng(1).normal(size=(23, CLASSES)).astype("float32")
        )
    whole = host(metric(outputs, labels))
    for size in (7, 23):
        assert_close(over_batches(metric, outputs, labels, size), whole, rtol=1e-5)


@pytest.mark.parametrize("metric", BY_CLASS + BY_NUMBER, ids=repr)
def test_sequences_and_no_rows(backend, metric):
    """Scores of (N, length, …) are those of all N · length rows. No rows give NaN, or 0 for
    class averages."""
    outputs, labels = drawn(backend, n=24)
    if metric in BY_NUMBER:
        labels = outputs**2
    reshape = backend.xp.reshape
    if not isinstance(metric, metrics.R2Score):
        sequences = (
            reshape(outputs, (4, 6, CLASSES)),
            reshape(labels, (4, 6, *labels.shape[1:])),
        )
        assert_close(metric(*sequences), host(metric(outputs, labels)), rtol=1e-6)
    if metric in (metrics.accuracy, metrics.f1, metrics.perplexity):
        rows = functions.one_hot(sequences[1], CLASSES)
        assert_close(
            metric(sequences[0], rows),
            host(metric(outputs, labels)),
            rtol=1e-6,
        )
    nothing = host(metric(outputs[:0, ...], labels[:0, ...])).item()
    assert (
        nothing == 0
        if isinstance(metric, metrics.Precision | metrics.Recall | metrics.F1)
        else np.isnan(nothing)
    )


@pytest.mark.parametrize("metric", BY_CLASS + BY_NUMBER, ids=repr)
def test_scores_read_no_value(strictest, metric):
    outputs, labels = drawn(strictest)
    if metric in BY_NUMBER:
        labels = outputs
    assert metric(outputs, labels).device == strictest.device
    metrics.confusion_matrix(outputs, drawn(strictest)[1])


@pytest.mark.parametrize("metric", BY_CLASS + BY_NUMBER, ids=repr)
def test_compiled_scores(backend, metric):
    outputs, labels = drawn(backend)
    if metric in BY_NUMBER:
        labels = outputs + 1
    compiled = anynet.compile(lambda y, t: metric(y, t))
    for _ in range(2):
        assert_close(
            compiled(outputs, labels),
            host(metric(outputs, labels)),
            rtol=1e-6,
        )


def test_row_with_a_nan_is_never_right(backend):
    eye = np.eye(3)[[0, 1, 2, 0]]
    for place in [(0, 0), (0, 2), (3, 1)]:
        broken = eye.copy()
        broken[place] = np.nan
        y, t = backend.asarray(broken), backend.asarray([0, 1, 2, 0])
        for metric in (
            metrics.accuracy,
            metrics.TopKAccuracy(1),
            metrics.TopKAccuracy(3),
        ):
            assert_close(metric(y, t), 0.75)
            assert_close(metric(y, backend.asarray(eye)), 0.75)
        np.testing.assert_array_equal(host(metrics.confusion_matrix(y, t)), np.eye(3))
        assert_close(metrics.recall(y, t, "none"), [0.5, 1, 1])
        assert_close(metrics.precision(y, t, "none"), [1, 1, 1])
        assert np.isnan(host(metrics.perplexity(y, t)).item())
        for metric in BY_NUMBER[1:]:
            assert np.isnan(host(metric(y, backend.asarray(eye))).item())
    y = backend.asarray([np.nan, np.nan, 1.0, -1.0])
    assert_close(metrics.binary_accuracy(y, backend.asarray([0, 1, 1, 0])), 0.5)


LABELS = [
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]


@pytest.mark.parametrize("dtype", LABELS)
def test_labels_of_every_integer_dtype(backend, dtype):
    """Most of 259 classes are out of the range of a byte. None may be taken for another."""
    largest = min(258, np.iinfo(dtype).max)
    given = np.array([0, largest, 5], dtype)
    y = backend.asarray(np.eye(259, dtype="float32")[[0, largest, 256]])
    t = backend.asarray(given)
    assert_close(metrics.accuracy(y, t), 2 / 3, rtol=1e-6)
    assert_close(metrics.top_k_accuracy(y, t, 1), 2 / 3, rtol=1e-6)
    assert_close(metrics.f1(y, t, "micro"), 2 / 3, rtol=1e-6)
    found = host(metrics.confusion_matrix(y, t))
    assert found.sum() == 3
    assert found[0, 0] == found[largest, largest] == found[5, 256] == 1
    assert_close(metrics.accuracy(y[2:, :], backend.asarray(np.zeros(1, dtype))), 0)
    with np.errstate(over="ignore"):
        wanted = np.eye(259)[given.astype(int)] if dtype != "uint64" else np.eye(259)[[0, 258, 5]]
    rows = backend.asarray(wanted.astype("uint8"))
    assert_close(metrics.accuracy(y, rows), 2 / 3, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_outputs_of_every_floating_dtype(backend, dtype):
    """Scores are sums in float32 or float64: 70,000 rows are too many for a count in half
    precision."""
    dtype = getattr(backend.xp, dtype, None)
    if dtype is None or backend.name == "array_api_strict":
        pytest.skip(reason=f"{backend.name} does not have it")
    n = 70_000
    xp = backend.xp
    right = np.arange(n) % 4 > 0
    y = xp.astype(
        backend.asarray(np.stack([right, ~right], axis=1).astype("float32")),
        dtype,
    )
    t = backend.asarray(np.zeros(n, "int32"))
    for metric in (
        metrics.accuracy,
        metrics.TopKAccuracy(1),
        metrics.recall,
    ):
        assert_close(metric(y, t), 0.375 if metric is metrics.recall else 0.75)
    columns = y[:, 0], y[:, 1]
    assert_close(metrics.mean_squared_error(*columns), 1)
    assert_close(metrics.mean_absolute_error(*columns), 1)
    assert_close(
        metrics.binary_accuracy(y[:, 0], xp.astype(y[:, 0] > 0.5, xp.uint8)),
        1,
    )
    assert_close(
        metrics.r2_score(y[:, 0], backend.asarray(right.astype("float32"))),
        1,
    )
    expected = np.exp(np.log1p(np.exp(-1.0)) + 0.25)
    assert_close(
        metrics.perplexity(y, t),
        expected,
        rtol=1e-2 if dtype in (xp.float16, dtype) else 1e-5,
    )


@pytest.mark.parametrize("multioutput", ["uniform_average", "variance_weighted"])
@pytest.mark.parametrize("columns", [None, 1, 4])
def test_r2_score(sklearn, backend, columns, multioutput):
    """Labels are years around 2000, whose squares in float32 lose the differences."""
    rng = np.random.default_rng(0)
    shape = (200,) if columns is None else (200, columns)
    t = (2000 + 10 * rng.normal(size=shape)).astype("float32")
    y = (t + 5 * rng.normal(size=shape)).astype("float32")
    if columns == 4:
        t[:, 1] = 0.1
        t[:, 2] = y[:, 2] = 0.7
    expected = sklearn.r2_score(t.astype("float64"), y.astype("float64"), multioutput=multioutput)
    metric = metrics.R2Score(multioutput=multioutput)
    y, t = backend.asarray(y), backend.asarray(t)
    assert_close(metric(y, t), expected, rtol=1e-5)
    assert_close(over_batches(metric, y, t, 30), expected, rtol=1e-4)
    order = np.argsort(host(t), axis=0)[:, 0] if columns else np.argsort(host(t))
    y, t = (backend.asarray(host(x)[order]) for x in (y, t))
    assert_close(over_batches(metric, y, t, 30), expected, rtol=1e-4)
    assert np.isnan(host(metric(y[:1, ...], t[:1, ...])).item())


def test_r2_score_of_equal_labels(sklearn, backend):
    ones = backend.asarray(np.ones((3, 2)))
    for y in (ones, ones + 1):
        for multioutput in ("uniform_average", "variance_weighted"):
            expected = sklearn.r2_score(host(ones), host(y), multioutput=multioutput)
            assert_close(metrics.r2_score(y, ones, multioutput=multioutput), expected)


def test_regression_errors(sklearn, backend):
    rng = np.random.default_rng(0)
    y, t = rng.normal(size=(2, 50, 3))
    for shape in ((50, 3), (150,), (150, 1)):
        pair = (
            backend.asarray(y.reshape(shape)),
            backend.asarray(t.reshape(shape)),
        )
        assert_close(
            metrics.mean_squared_error(*pair),
            sklearn.mean_squared_error(t, y),
            rtol=1e-6,
        )
        assert_close(
            metrics.mean_absolute_error(*pair),
            sklearn.mean_absolute_error(t, y),
            rtol=1e-6,
        )
    whole = (
        backend.asarray([1, 2, 3]),
        backend.asarray(np.array([1.9, 2.9, 3.9])),
    )
    assert_close(metrics.mean_squared_error(*whole), 0.81, rtol=1e-6)
    assert_close(metrics.mean_absolute_error(*whole), 0.9, rtol=1e-6)


def test_binary_accuracy(sklearn, backend):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=60), rng.integers(0, 2, 60)
    expected = sklearn.accuracy_score(labels, logits > 0)
    for dtype in ("int64", "uint8", "bool", "float32"):
        y, t = (
            backend.asarray(logits),
            backend.asarray(labels.astype(dtype)),
        )
        column = backend.xp.reshape(y, (-1, 1))
        assert_close(metrics.binary_accuracy(y, t), expected, rtol=1e-6)
        assert_close(metrics.binary_accuracy(column, t), expected, rtol=1e-6)
        assert_close(
            metrics.binary_accuracy(column, backend.xp.reshape(t, (-1, 1))),
            expected,
            rtol=1e-6,
        )
        many = (
            backend.xp.reshape(y, (20, 3)),
            backend.xp.reshape(t, (20, 3)),
        )
        assert_close(metrics.binary_accuracy(*many), expected, rtol=1e-6)
    probabilities = functions.sigmoid(backend.asarray(logits))
    assert_close(
        metrics.binary_accuracy(probabilities, t, threshold=0.5),
        expected,
        rtol=1e-6,
    )


def test_perplexity(backend):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    logits, labels = (
        rng.normal(size=(6, 7, CLASSES)),
        rng.integers(0, CLASSES, (6, 7)),
    )
    for settings in ({}, {"ignore_index": 3}):
        loss = torch.nn.functional.cross_entropy(
            torch.tensor(logits.reshape(-1, CLASSES)),
            torch.tensor(labels.reshape(-1)),
            **settings,
        )
        found = metrics.perplexity(backend.asarray(logits), backend.asarray(labels), **settings)
        assert_close(found, torch.exp(loss).numpy(), rtol=1e-5)


def test_ignore_index(backend):
    y = backend.asarray(np.eye(3)[[0, 1, 2, 1]])
    for ignored, dtype in ((255, "uint8"), (-100, "int64")):
        t = backend.asarray(np.array([0, 2, ignored, ignored]).astype(dtype))
        assert_close(metrics.accuracy(y, t, ignore_index=ignored), 0.5)
        assert_close(metrics.top_k_accuracy(y, t, 1, ignore_index=ignored), 0.5)
        # A label that is no class is never right.
        assert_close(metrics.accuracy(y, t), 0.25)


def test_row_of_zeros_names_no_class(backend):
    y, rows = backend.asarray(np.eye(3)), np.eye(3)
    rows[0] = 0
    assert_close(metrics.accuracy(y, backend.asarray(rows)), 2 / 3, rtol=1e-6)
    assert host(metrics.confusion_matrix(y, backend.asarray(rows))).sum() == 2


@pytest.mark.parametrize(
    "metric",
    [*BY_CLASS, metrics.confusion_matrix],
    ids=lambda metric: getattr(metric, "__name__", repr(metric)),
)
def test_labels_of_a_wrong_shape_raise(backend, metric):
    y = backend.asarray(np.eye(3)[[0, 1, 2, 1]])
    fit = r"wanted class indices of shape \(4,\) or one-hot rows of \(4, 3\)"
    with pytest.raises(
        ShapeError,
        match=rf"labels of shape \(4, 1\); {fit}: reshape\(labels, \(4,\)\)",
    ):
        metric(y, backend.asarray([[0], [1], [2], [1]]))
    with pytest.raises(ShapeError, match=rf"labels of shape \(3,\); {fit}$"):
        metric(y, backend.asarray([0, 1, 2]))
    with pytest.raises(ShapeError, match=rf"labels of shape \(4, 2\); {fit}$"):
        metric(y, backend.asarray(np.zeros((4, 2), "int32")))
    with pytest.raises(
        DataError,
        match=r"labels of shape \(4,\) are of dtype .*float32: wanted .* by astype",
    ):
        metric(y, backend.asarray([0.0, 1.0, 2.0, 1.0]))
    for one in (y[:, :1], y[:, 0]):
        with pytest.raises(
            ShapeError,
            match=r"are no choice among classes: wanted .*binary_accuracy is for logits",
        ):
            metric(one[:1, ...], backend.asarray([0]))
    with pytest.raises(
        DataError,
        match=r"labels are \[0, 1, 2, 1\]: wanted an array, as backend.asarray",
    ):
        metric(y, [0, 1, 2, 1])
    with pytest.raises(DTypeError, match=r"complex.* was given: wanted a real dtype"):
        metric(
            backend.asarray(np.eye(3).astype("complex64")),
            backend.asarray([0, 1, 2]),
        )


@pytest.mark.parametrize("metric", BY_NUMBER, ids=repr)
def test_regression_labels_of_a_wrong_shape_raise(backend, metric):
    y, t = (backend.asarray(np.zeros(shape)) for shape in ((6, 2), (6,)))
    with pytest.raises(
        DataError,
        match=r"labels are \[0, 1\]: wanted an array, as backend.asarray",
    ):
        metric(t[:2], [0, 1])
    with pytest.raises(
        ShapeError,
        match=r"outputs of shape \(6, 2\) .* labels of shape \(6,\); wanted labels of shape",
    ):
        metric(y, t)
    with pytest.raises(
        ShapeError,
        match=r"outputs of shape \(6,\) .* labels of shape \(1, 6\)",
    ):
        metric(t, backend.xp.reshape(t, (1, 6)))
    with pytest.raises(DTypeError, match=r"complex.* was given: wanted a real dtype"):
        metric(t, backend.asarray(np.zeros(6, "complex64")))


def reference(metric, y, t):
    """Return the score in float64 by definition. Rows of outputs have no ties."""
    name, answers = metric.name, y.argmax(axis=-1)
    sklearn = pytest.importorskip("sklearn.metrics", reason="compares with scikit-learn")
    if name.partition("_")[0] in ("precision", "recall", "f1"):
        score = getattr(sklearn, f"{name.partition('_')[0]}_score")
        return (
            score(
                t,
                answers,
                labels=range(3),
                average=metric.average,
                zero_division=0,
            )
            if len(y)
            else 0.0
        )
    if name == "r2_score":
        return sklearn.r2_score(t, y, multioutput=metric.multioutput) if len(y) > 1 else np.nan
    rows = {
        "accuracy": lambda: answers == t,
        "top_2_accuracy": lambda: (np.argsort(-y, axis=-1)[:, :2] == t[:, None]).any(axis=-1),
        "perplexity": lambda: np.log(np.exp(y).sum(axis=-1)) - y[np.arange(len(y)), t],
        "binary_accuracy": lambda: (y > 0) == (t >= 0.5),
        "mean_squared_error": lambda: (y - t) ** 2,
        "mean_absolute_error": lambda: abs(y - t),
    }[name]()
    ignored = getattr(metric, "ignore_index", None)
    if ignored is not None:
        rows = rows[t != ignored]
    mean = rows.mean() if rows.size else np.nan
    return np.exp(mean) if name == "perplexity" else mean


@pytest.mark.parametrize("dtype", [*LABELS, "bool", "float16", "bfloat16", "float32", "float64"])
def test_every_dtype_and_few_rows(backend, dtype):
    """Outputs of the dtype, and then labels of it, for batches of 0, 1 and 2 rows."""
    if not hasattr(backend.xp, dtype):
        pytest.skip(reason=f"{backend.name} has no {dtype}")
    if backend.name == "jax" and dtype not in ("uint8", "bfloat16"):
        pytest.skip(reason="JAX compiles for too long")
    cast = lambda x, of: backend.xp.astype(
        backend.asarray(np.asarray(x, "float32")), getattr(backend.xp, of)
    )
    whole = dtype in LABELS
    for n in (0, 1, 2):
        y = np.array([[1, 0, 2], [3, 1, 0]])[:n]
        for metric in BY_CLASS:
            if dtype == "bool":
                y = np.eye(3)[[2, 0]][:n]
                if metric.name in ("top_2_accuracy", "perplexity"):
                    continue
            t = np.array([2, 1])[:n]
            expected = reference(metric, y.astype(float), t)
            if dtype == "uint64" and metric.name != "perplexity":
                with pytest.raises(DTypeError, match="wanted float32, by astype"):
                    metric(cast(y, dtype), backend.asarray(t))
            elif dtype != "uint64":
                assert_close(
                    metric(cast(y, dtype), backend.asarray(t)),
                    expected,
                    rtol=1e-5,
                )
            if whole:
                assert_close(
                    metric(cast(y, "float32"), cast(t, dtype)),
                    expected,
                    rtol=1e-5,
                )
        for metric in BY_NUMBER:
            t = np.array([[0, 1, 1], [1, 0, 0]])[:n]
            expected = reference(metric, y.astype(float), t.astype(float))
            assert_close(
                metric(cast(y, dtype), backend.asarray(t)),
                expected,
                rtol=1e-5,
            )
            assert_close(
                metric(cast(y, "float32"), cast(t, dtype)),
                expected,
                rtol=1e-5,
            )


def test_user_metric_of_the_docstring():
    """The example in the docstring of `Metric` runs."""
    names = {"metrics": metrics, "np": np}
    code = "\n".join(
        line.strip()[4:]
        for line in metrics.Metric.__doc__.splitlines()
        if ">>>" in line or "..." in line
    )
    exec(code, names)
    positive = names["Positive"]()
    y, t = np.array([1.0, -1.0, 2.0, 3.0]), np.zeros(4)
    assert over_batches(positive, y, t, 3) == positive(y, t) == 0.75


def test_function_as_metric_is_called_with_all_rows(backend):
    outputs, labels = drawn(backend)

    def largest(y, t):
        return array_namespace(y).max(y)

    metric = metrics.OfAllRows(largest)
    assert metric.name == "largest"
    assert_close(over_batches(metric, outputs, labels, 7), host(outputs).max())


def test_wrong_settings_raise(backend):
    outputs, labels = drawn(backend)
    for k in (0, CLASSES + 1):
        with pytest.raises(
            ArgumentError,
            match=f"k is {k} and the outputs have 5 classes: wanted a number from 1 to",
        ):
            metrics.top_k_accuracy(outputs, labels, k)
    with pytest.raises(
        ArgumentError,
        match="average is 'weighted': wanted 'macro', 'micro' or 'none'",
    ):
        metrics.f1(outputs, labels, "weighted")
    with pytest.raises(
        ArgumentError,
        match="multioutput is 'raw': wanted 'uniform_average' or 'variance_weighted'",
    ):
        metrics.r2_score(outputs, outputs, multioutput="raw")
    with pytest.raises(
        ShapeError,
        match=r"outputs of shape \(\): wanted one row per example",
    ):
        metrics.r2_score(outputs[0, 0], outputs[0, 0])


def test_metric_without_count_or_result_raises():
    class Half(metrics.Metric):
        def count(self, outputs, labels):
            return {"rows": outputs}

    with pytest.raises(NotImplementedError, match="Half defines no result"):
        Half()(np.ones(3), np.ones(3))
    with pytest.raises(NotImplementedError, match="Metric defines no count"):
        metrics.Metric()(np.ones(3), np.ones(3))


@pytest.mark.parametrize("shape", [(), (3,), (3, 1), (0,)])
def test_outputs_of_fewer_than_two_classes_raise(backend, shape):
    xp = backend.xp
    y = xp.ones(shape, dtype=xp.float32, device=backend.device)
    t = xp.zeros(shape[:-1], dtype=xp.int32, device=backend.device)
    if shape == (3,):
        # One row of three classes.
        assert float(metrics.accuracy(y, t)) == 1.0
        return
    for metric in (
        metrics.accuracy,
        metrics.f1,
        metrics.confusion_matrix,
        metrics.top_k_accuracy,
    ):
        with pytest.raises(ShapeError, match="are no choice among classes"):
            metric(y, t)
