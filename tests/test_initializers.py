import copy
import math
import pickle

import numpy as np
import pytest
from examples_of_layers import EXAMPLES
from helpers import host
from scipy import stats

from anynet import initializers, layers, random
from anynet.backend import get_backend
from anynet.errors import ArgumentError, ShapeError


@pytest.mark.parametrize(
    ("initializer", "deviation"),
    [
        (initializers.normal(), 0.01),
        (initializers.normal(0.5), 0.5),
        (initializers.xavier, math.sqrt(2 / 700)),
        (initializers.he, math.sqrt(2 / 300)),
        (initializers.zeros, 0.0),
        (initializers.uniform(-3.0, 3.0), math.sqrt(3)),
        (
            initializers.truncated_normal(0.5),
            0.5 * stats.truncnorm(-2, 2).std(),
        ),
        (initializers.truncated_normal(0.5, 5.0), 0.5),
        (initializers.xavier_uniform, math.sqrt(2 / 700)),
        (initializers.he_uniform, math.sqrt(2 / 300)),
        (initializers.variance_scaling(3.0, "out"), math.sqrt(3 / 400)),
        (initializers.orthogonal(), math.sqrt(1 / 400)),
    ],
)
def test_spread(backend, initializer, deviation):
    drawn = host(initializer(random.key(0, backend), (300, 400), backend.xp.float32))
    assert drawn.dtype == np.float32
    assert drawn.std() == pytest.approx(deviation, rel=0.01)
    assert abs(drawn.mean()) <= deviation * 0.01


#: Two by two weights of seed 3, as they have always been.
GOLDEN = {
    "normal": [
        [0.005006993189454079, -0.014946014620363712],
        [0.0014371398137882352, -0.006022858899086714],
    ],
    "uniform": [
        [0.03834172338247299, -0.08649815618991852],
        [0.011427357792854309, -0.045301616191864014],
    ],
    "truncated_normal": [
        [0.004760646261274815, -0.013582782819867134],
        [0.001371328835375607, -0.005715950392186642],
    ],
    "xavier": [
        [0.35404789447784424, -1.0568428039550781],
        [0.1016211286187172, -0.42588046193122864],
    ],
    "xavier_uniform": [
        [0.4695882797241211, -1.0593817234039307],
        [0.13995599746704102, -0.5548292398452759],
    ],
    "he": [
        [0.5006993412971497, -1.4946014881134033],
        [0.14371398091316223, -0.6022859215736389],
    ],
    "he_uniform": [
        [0.6640981435775757, -1.4981919527053833],
        [0.1979275941848755, -0.7846469879150391],
    ],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_weights(backend, name):
    initializer = getattr(initializers, name)
    initializer = (
        initializer() if name in ("normal", "uniform", "truncated_normal") else initializer
    )
    drawn = initializer(random.key(3, backend), (2, 2), backend.xp.float32)
    np.testing.assert_array_equal(host(drawn), np.array(GOLDEN[name], "float32"))


def test_golden_weights_of_a_network(backend):
    """Each parameter has a key, by its index in the network."""
    net = layers.Sequential(layers.Linear(3, 2), layers.Embedding(2, 2), seed=3, backend=backend)
    assert {path: host(x).tolist() for path, x in net.parameters().items()} == {
        "layers.0.weight": [
            [-1.2705118656158447, 0.22249171137809753],
            [1.4530118703842163, 0.6720146536827087],
            [-0.7643669247627258, -1.0441282987594604],
        ],
        "layers.0.bias": [0.0, 0.0],
        "layers.1.weight": [
            [0.8570998311042786, -1.2618499994277954],
            [0.05647420510649681, -1.1681748628616333],
        ],
    }


def test_ones(backend):
    assert (host(initializers.ones(random.key(0, backend), (3,), backend.xp.float64)) == 1).all()


def test_shape_without_fans_raises():
    for shape in ((3,), (3, 0), ()):
        with pytest.raises(ShapeError, match="wanted \\(in, out\\)"):
            initializers.he(random.key(0), shape, np.float32)
        with pytest.raises(ShapeError, match="wanted two axes or more, all above 0"):
            initializers.orthogonal()(random.key(0), shape, np.float32)


def test_negative_deviation_raises():
    for make in (initializers.normal, initializers.truncated_normal):
        with pytest.raises(ValueError, match="standard_deviation is -1"):
            make(-1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: initializers.uniform(1.0, 1.0),
            "low is 1.0 and high is 1.0: wanted two finite numbers, low < high",
        ),
        (
            lambda: initializers.truncated_normal(1.0, 0.0),
            "cut is 0.0: wanted a number above 0 and up to 5",
        ),
        (
            lambda: initializers.truncated_normal(1.0, 6.0),
            "cut is 6.0: wanted a number above 0 and up to 5",
        ),
        (
            lambda: initializers.variance_scaling(0),
            "scale is 0: wanted a finite number above 0",
        ),
        (
            lambda: initializers.variance_scaling(fan="up"),
            "fan is 'up': wanted 'in', 'out' or 'average'",
        ),
        (
            lambda: initializers.variance_scaling(distribution="even"),
            "distribution is 'even': wanted 'normal' or",
        ),
        (
            lambda: initializers.orthogonal(0),
            "gain is 0: wanted a finite number above 0",
        ),
    ],
)
def test_settings_out_of_range_raise(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("shape", [(7, 5), (8, 3, 5), (8, 2, 3, 3)])
def test_fans_against_pytorch(shape):
    """PyTorch's weight of two axes is transposed. That of a convolution is not."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    fans = torch.nn.init._calculate_fan_in_and_fan_out(
        torch.empty(shape[::-1] if len(shape) == 2 else shape)
    )
    for fan, expected in (
        ("in", fans[0]),
        ("out", fans[1]),
        ("average", sum(fans) / 2),
    ):
        drawn = initializers.variance_scaling(1.0, fan)(random.key(0), shape, np.float64)
        unit = random.normal(random.key(0), shape, np.float64)
        np.testing.assert_allclose(drawn, unit / math.sqrt(expected))


@pytest.mark.parametrize(
    ("initializer", "limit"),
    [
        (initializers.xavier_uniform, math.sqrt(6 / (200 * 9 + 300 * 9))),
        (initializers.he_uniform, math.sqrt(6 / (200 * 9))),
        (initializers.truncated_normal(0.25, 3.0), 0.75),
    ],
)
def test_uniform_limits(backend, initializer, limit):
    drawn = host(initializer(random.key(0, backend), (300, 200, 3, 3), backend.xp.float32))
    assert drawn.shape == (300, 200, 3, 3)
    assert np.max(np.abs(drawn)) <= limit * (1 + 1e-6)
    assert np.max(np.abs(drawn)) > 0.98 * limit


def test_truncated_normal_matches_its_distribution():
    drawn = initializers.truncated_normal(0.5, 1.5)(random.key(3), (20000,), np.float32)
    assert stats.kstest(drawn / 0.5, stats.truncnorm(-1.5, 1.5).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    "initializer",
    [
        initializers.uniform(),
        initializers.truncated_normal(),
        initializers.he_uniform,
        initializers.xavier_uniform,
    ],
    ids=["uniform", "truncated_normal", "he_uniform", "xavier_uniform"],
)
def test_same_bits_on_every_backend(backend, initializer):
    shape = (20, 30)
    expected = initializer(random.key(1), shape, np.float32)
    np.testing.assert_array_equal(
        host(initializer(random.key(1, backend), shape, backend.xp.float32)),
        expected,
    )
    of_double = host(initializer(random.key(1, backend), shape, backend.xp.float64))
    assert of_double.dtype == np.float64
    np.testing.assert_allclose(of_double, expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (8, 2, 3, 1), (3, 2, 3, 1)])
def test_orthogonal(backend, shape):
    xp = backend.xp
    key = random.key(2, backend)
    w = initializers.orthogonal(2.0)(key, shape, xp.float64)
    assert get_backend(w).device == backend.device
    q = host(w).reshape(shape[0], -1) / 2
    product = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(product, np.eye(min(q.shape)), atol=1e-12)
    np.testing.assert_allclose(
        host(w),
        initializers.orthogonal(2.0)(random.key(2), shape, np.float64),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        host(initializers.orthogonal(2.0)(key, shape, xp.float32)),
        host(w),
        atol=1e-5,
    )


def test_orthogonal_matrices_are_uniform():
    """The mean of the trace is 0 and that of its square is 1, as for Haar's measure."""
    initializer = initializers.orthogonal()
    traces = np.array(
        [
            np.trace(initializer(key, (3, 3), np.float64))
            for key in random.split(random.key(0), 2000)
        ]
    )
    assert abs(traces.mean()) < 0.1
    assert (traces**2).mean() == pytest.approx(1, abs=0.1)


def test_layer_takes_any_initializer(backend):
    net = layers.Linear(6, 4, initializer=initializers.orthogonal()).initialize(0, backend)
    q = host(net.weight)
    np.testing.assert_allclose(q.T @ q, np.eye(4), atol=1e-6)


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))],
)
def test_uninitialized_networks_are_copied(copied):
    """Each copy draws the same values."""
    initializer = initializers.orthogonal(2.0)
    for make in [make for make, _ in EXAMPLES.values()] + [
        lambda: layers.Linear(3, 3, initializer=initializer)
    ]:
        found, wanted = (
            layers.Sequential(net).initialize(3).parameters() for net in (copied(make()), make())
        )
        assert list(found) == list(wanted)
        for path, x in found.items():
            np.testing.assert_array_equal(x, wanted[path])
