import numpy as np
import pytest
from helpers import host
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

import anynet
from anynet import initializers, random
from anynet.array import array_namespace
from anynet.backend import get_backend
from anynet.errors import ArgumentError
from anynet.primitives import normal_quantile, threefry
from anynet.primitives.normal import CELLS, FRACTION

#: How many values compiled code draws.
N = 60_000

# Known answers of Threefry-2x32 with 20 rounds, from the authors' library Random123.
KNOWN = [
    (
        (0x00000000, 0x00000000),
        (0x00000000, 0x00000000),
        (0x6B200159, 0x99BA4EFE),
    ),
    (
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x1CB996FC, 0xBB002BE7),
    ),
    (
        (0x243F6A88, 0x85A308D3),
        (0x13198A2E, 0x03707344),
        (0xC4923A9C, 0x483DF7A0),
    ),
]


def words(*values):
    return np.array(values, dtype=np.uint32).view(np.int32)


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_threefry_agrees_with_known_answers(backend, counter, key, expected):
    x0, x1 = (backend.asarray(words(c)) for c in counter)
    for function in (threefry, threefry.reference):
        out = function(backend.asarray(words(*key)), x0, x1)
        assert [int(host(x)[0]) & 0xFFFFFFFF for x in out] == list(expected)


DRAWS = {
    "bits": lambda k: random.bits(k, (7, 3)),
    "nothing": lambda k: random.bits(k, (0,)),
    "scalar": lambda k: random.uniform(k, ()),
    "uniform": lambda k: random.uniform(k, (101,), low=-2.0, high=3.0),
    "normal": lambda k: random.normal(k, (1001,)),
    "integers": lambda k: random.integers(k, (5, 5), -3, 100),
    "bernoulli": lambda k: random.bernoulli(k, 0.3, (100,)),
    "bernoulli, coarse": lambda k: random.bernoulli(k, 0.3, (5, 3), coarse=True),
    "permutation": lambda k: random.permutation(k, 1000),
    "split": lambda k: random.split(k, 3),
    "fold_in": lambda k: random.fold_in(k, 2**32 - 1),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("seed", [0, 1, 2**63 + 12345])
def test_every_backend_draws_the_same_bits(backend, name, seed):
    drawn, reference = (
        DRAWS[name](random.key(seed, backend)),
        DRAWS[name](random.key(seed, "numpy")),
    )
    assert get_backend(drawn).device == backend.device
    assert host(drawn).dtype == reference.dtype
    np.testing.assert_array_equal(host(drawn), reference)


def exclusive_or(x):
    return np.bitwise_xor.reduce(host(x).view("int32"))


#: What the seed 2**63 + 12345 has always given.
GOLDEN = {
    "key": (lambda k: k, [-(2**31), 12345]),
    "split": (
        lambda k: random.split(k, 2),
        [[-1854776731, -1326484178], [637308065, 14255009]],
    ),
    "fold_in 5": (lambda k: random.fold_in(k, 5), [1419501146, 818434028]),
    "fold_in 2**31": (
        lambda k: random.fold_in(k, 2**31),
        [-1367577213, 500578532],
    ),
    "fold_in 2**32 - 1": (
        lambda k: random.fold_in(k, 2**32 - 1),
        [1849478325, -1149743643],
    ),
    "bits": (
        lambda k: random.bits(k, (5,)),
        [2104496512, -1055754168, 986067877, -247563337, -1155619923],
    ),
    "uniform": (
        lambda k: random.uniform(k, (4,)),
        [
            0.4899912476539612,
            0.754188060760498,
            0.9423596262931824,
            0.7309362292289734,
        ],
    ),
    "uniform in a range": (
        lambda k: random.uniform(k, (3,), low=-2.0, high=3.0),
        [0.44995617866516113, 1.7709403038024902, 2.7117981910705566],
    ),
    "normal": (
        lambda k: random.normal(k, (5,)),
        [
            -0.025090854614973068,
            0.6877285242080688,
            -0.7402083873748779,
            1.574894666671753,
            0.6156469583511353,
        ],
    ),
    # Of many, all bits exclusive-ored: an entry of the table that is off by one changes few of
    # them.
    "normal, many": (
        lambda k: exclusive_or(random.normal(k, (20_000,))),
        2110115278,
    ),
    "integers": (
        lambda k: random.integers(k, (6,), -3, 100),
        [47, 56, 24, 0, 33, 35],
    ),
    "bernoulli": (
        lambda k: random.bernoulli(k, 0.3, (12,)),
        [0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1],
    ),
    "bernoulli, coarse": (
        lambda k: random.bernoulli(k, 0.3, (12,), coarse=True),
        [1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0],
    ),
    "permutation": (
        lambda k: random.permutation(k, 8),
        [5, 3, 1, 4, 7, 2, 6, 0],
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(backend, name):
    draw, expected = GOLDEN[name]
    found = draw(random.key(2**63 + 12345, backend))
    found = found if isinstance(found, np.generic) else host(found)
    np.testing.assert_array_equal(found, np.array(expected, found.dtype))


def test_golden_values_of_float64(backend):
    found = random.uniform(random.key(2**63 + 12345, backend), (3,), backend.xp.float64)
    assert host(found).tolist() == [
        0.48999128869456166,
        0.22958682391583418,
        0.7309362651435788,
    ]


def cipher(key, counter):
    """Threefry-2x32 with 20 rounds in Python's integers, as in the paper's figure 2."""
    words = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA]
    x, y = (
        (counter[0] + words[0]) & 0xFFFFFFFF,
        (counter[1] + words[1]) & 0xFFFFFFFF,
    )
    for i in range(20):
        turn = (13, 15, 26, 6, 17, 29, 16, 24)[i % 8]
        x = (x + y) & 0xFFFFFFFF
        y = ((y << turn | y >> (32 - turn)) & 0xFFFFFFFF) ^ x
        if i % 4 == 3:
            group = i // 4 + 1
            x, y = (
                (x + words[group % 3]) & 0xFFFFFFFF,
                (y + words[(group + 1) % 3] + group) & 0xFFFFFFFF,
            )
    return x, y


def test_counters_agree_with_python_integers(backend):
    """The second word of the counter counts the samples. The first one is the domain."""
    for counter, key, expected in KNOWN:
        assert cipher(key, counter) == expected
    seed = (7 << 32) + 0x9ABCDEF0
    key, words = random.key(seed, backend), (7, 0x9ABCDEF0)
    unsigned = lambda x: host(x).view("uint32").tolist()
    for number in (0, 1, 2**31 - 1, 2**31, 2**31 + 5, 2**32 - 1):
        assert tuple(unsigned(random.fold_in(key, number))) == cipher(words, (0, number))
    minus_one, minus_two = 0xFFFFFFFF, 0xFFFFFFFE
    assert unsigned(random.split(key, 3)) == [list(cipher(words, (minus_one, i))) for i in range(3)]
    pairs = [cipher(words, (minus_two, i)) for i in range(4)]
    assert unsigned(random.bits(key, (7,))) == [x for x, _ in pairs] + [y for _, y in pairs[:3]]


@pytest.mark.parametrize("number", [-1, 2**32, 2**40])
def test_fold_in_of_a_value_out_of_range_raises(number):
    with pytest.raises(
        ArgumentError,
        match=f"number is {number}: wanted an integer from 0 to 2\\*\\*32 - 1",
    ):
        random.fold_in(random.key(0), number)


def test_float64_values(backend):
    key = random.key(3, backend)
    unit = host(random.uniform(key, (1000,), backend.xp.float64))
    assert unit.dtype == np.float64
    assert len(np.unique(unit)) == 1000
    assert not np.array_equal(unit, unit.astype(np.float32))
    assert np.array_equal(
        host(random.normal(key, (50,), backend.xp.float64)),
        host(random.normal(key, (50,))).astype(np.float64),
    )


def test_samples_follow_their_distributions():
    key = random.key(0)
    n = 200_000
    assert stats.kstest(random.uniform(key, (n,)), "uniform").pvalue > 1e-3
    assert stats.kstest(random.uniform(key, (n,), np.dtype("float64")), "uniform").pvalue > 1e-3
    assert stats.kstest(random.normal(key, (n,)), "norm").pvalue > 1e-3
    counts = np.bincount(random.integers(key, (n,), 0, 10), minlength=10)
    assert stats.chisquare(counts).pvalue > 1e-3
    for coarse in (False, True):
        assert abs(random.bernoulli(key, 0.3, (n,), coarse=coarse).mean() - 0.3) < 0.005
        assert [random.bernoulli(key, p, (n,), coarse=coarse).mean() for p in (0, 1)] == [0, 1]
    places = np.stack([random.permutation(k, 5) for k in random.split(key, 5000)])
    for column in places.T:
        assert stats.chisquare(np.bincount(column, minlength=5)).pvalue > 1e-4


def test_normal_is_the_inverse_distribution_function():
    """All values: within 1.1e-8 of SciPy's, each larger than the one before, and symmetric about
    0."""
    cells = np.arange(CELLS, dtype=np.int32)
    found = normal_quantile(cells)
    expected = -special.ndtri((CELLS - cells - 0.5) / (2 * CELLS))
    assert np.abs(found * 2.0**-FRACTION - expected).max() < 1.1e-8
    assert (np.diff(found) > 0).all()
    assert (np.diff(random.quantile(cells)) > 0).all()
    np.testing.assert_array_equal(normal_quantile(-1 - cells), -found)


MANY = {
    "bits": lambda k: random.bits(k, (N,)),
    "uniform": lambda k: random.uniform(k, (N,)),
    "uniform in a range": lambda k: random.uniform(k, (N,), low=-0.1, high=0.7),
    "uniform in a narrow range": lambda k: random.uniform(k, (N,), low=1000.0, high=1000.1),
    "uniform in a symmetric range": lambda k: random.uniform(k, (N,), low=-0.07, high=0.07),
    "normal": lambda k: random.normal(k, (N,)),
    "integers": lambda k: random.integers(k, (N,), -3, 1000),
    "bernoulli": lambda k: random.bernoulli(k, 0.3, (N,)),
    "bernoulli, coarse": lambda k: random.bernoulli(k, 0.3, (N,), coarse=True),
    "permutation": lambda k: random.permutation(k, N),
    "split": lambda k: random.split(k, N),
    "normal weights": lambda k: initializers.normal(0.02)(k, (N, 1), array_namespace(k).float32),
    "truncated normal weights": lambda k: initializers.truncated_normal(0.02)(
        k, (N, 1), array_namespace(k).float32
    ),
    "uniform weights": lambda k: initializers.he_uniform(
        k, (300, N // 300), array_namespace(k).float32
    ),
    "xavier weights": lambda k: initializers.xavier(k, (300, N // 300), array_namespace(k).float32),
}


@pytest.mark.parametrize("name", MANY)
def test_compiled_code_draws_the_same_bits(backend, name):
    """Compilers fuse products and sums and merge constants. Neither may change a sample."""
    expected = MANY[name](random.key(5, "numpy"))
    key, compiled = random.key(5, backend), anynet.compile(MANY[name])
    for draw in (MANY[name], compiled, compiled):
        np.testing.assert_array_equal(host(draw(key)), expected)


@pytest.mark.parametrize("name", ["uniform", "uniform in a range", "normal"])
def test_compiled_code_draws_the_same_bits_of_float64(backend, name):
    draw = {
        "uniform": lambda k: random.uniform(k, (N,), array_namespace(k).float64),
        "uniform in a range": lambda k: random.uniform(
            k, (N,), array_namespace(k).float64, low=-0.1, high=0.7
        ),
        "normal": lambda k: random.normal(k, (N,), array_namespace(k).float64),
    }[name]
    expected, key = draw(random.key(5, "numpy")), random.key(5, backend)
    for found in (draw(key), anynet.compile(draw)(key)):
        np.testing.assert_array_equal(host(found), expected)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (-0.1, 0.7),
        (0.0, 1e-6),
        (1000.0, 1000.1),
        (-3.0, -2.9),
        (5.0, 5.0),
        (2.0, 1.0),
    ],
)
def test_uniform_in_a_range_is_affine_in_the_unit_sample(low, high):
    for dtype, eps in (("float32", 2.0**-23), ("float64", 2.0**-52)):
        unit = random.uniform(random.key(1), (10_000,), np.dtype(dtype)).astype("longdouble")
        found = random.uniform(random.key(1), (10_000,), np.dtype(dtype), low, high)
        assert found.dtype == dtype
        np.testing.assert_allclose(
            found,
            low + (high - low) * unit,
            rtol=0,
            atol=2 * eps * max(abs(low), abs(high)),
        )
        assert found.min() >= np.asarray(min(low, high), dtype)
        assert found.max() <= np.asarray(max(low, high), dtype)


@given(st.integers(0, 2**64 - 1), st.integers(0, 400))
def test_permutation_has_every_index_once(seed, n):
    assert sorted(random.permutation(random.key(seed), n).tolist()) == list(range(n))


@given(
    st.integers(0, 2**64 - 1),
    st.integers(-(2**31), 2**31 - 2),
    st.integers(1, 2**31 - 1),
)
def test_integers_are_within_the_range(seed, low, span):
    high = min(low + span, 2**31 - 1)
    drawn = random.integers(random.key(seed), (50,), low, high)
    assert low <= drawn.min()
    assert drawn.max() < high


def test_widest_range_of_integers():
    drawn = random.integers(random.key(0), (50,), -(2**31), -1)
    assert drawn.min() < -(2**30) < drawn.max() < -1


def test_keys_are_independent():
    key = random.key(0)
    keys = [
        key,
        *random.split(key, 50),
        *(random.fold_in(key, i) for i in range(50)),
    ]
    streams = np.stack([random.normal(k, (2000,)) for k in keys])
    assert np.abs(np.corrcoef(streams) - np.eye(len(keys))).max() < 0.12


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seed_out_of_range_raises(seed):
    with pytest.raises(ValueError, match="wanted an integer from 0"):
        random.key(seed)


@pytest.mark.parametrize(
    ("low", "high"),
    [(3, 3), (5, 2), (-(2**31) - 1, 0), (5, 2**31), (-(2**31), 2**31 - 1)],
)
def test_integers_raises_for_an_empty_or_too_wide_range(low, high):
    with pytest.raises(ValueError, match="wanted low < high"):
        random.integers(random.key(0), (1,), low, high)


def test_bernoulli_raises_for_an_invalid_probability():
    with pytest.raises(ValueError, match="from 0 to 1"):
        random.bernoulli(random.key(0), 1.5, (1,))
