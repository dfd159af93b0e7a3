"""Training on any iterable of batches."""

import signal
from itertools import repeat

import numpy as np
import pytest
from helpers import assert_close, host

import anynet
from anynet import layers, losses, metrics, optimizers
from anynet.data import Loader
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    ShapeError,
)


def blobs(backend, n=60, seed=0):
    generator = np.random.default_rng(seed)
    t = generator.integers(0, 3, n)
    corners = np.asarray([[0, 2], [2, -1], [-2, -1]])
    x = corners[t] + generator.normal(size=(n, 2)) * 0.4
    return backend.asarray(x.astype("float32")), backend.asarray(t)


def network(backend):
    return layers.Sequential(
        layers.Linear(2, 16),
        layers.ReLU(),
        layers.Linear(16, 3),
        seed=0,
        backend=backend,
    )


def batches(backend, size=16):
    """Return the blobs as a list of batches. The last batch is shorter."""
    return list(Loader(*blobs(backend), size, shuffle=False))


def run(backend, train, test=None, epochs=2, **settings):
    return anynet.fit(
        network(backend),
        train,
        test,
        epochs=epochs,
        progress=False,
        **settings,
    )


class Readings:
    """An iterable without a length that counts its iterations and their batches."""

    def __init__(self, batches):
        self.batches = batches
        self.begun = 0
        self.given = 0

    def __iter__(self):
        self.begun += 1
        for batch in self.batches:
            self.given += 1
            yield batch


class Sequence:
    """A sequence that defines `__getitem__` and `__len__`, and no `__iter__`."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        return self.batches[i]


KINDS = {
    "list": lambda batches: batches,
    "lists": lambda batches: [list(batch) for batch in batches],
    "tuple": tuple,
    "sequence": Sequence,
    "iterable": Readings,
    "generator function": lambda batches: lambda: (batch for batch in batches),
    "bound method": lambda batches: Readings(batches).__iter__,
}


@pytest.mark.parametrize("kind", KINDS)
def test_iterables_train_like_a_loader(backend, kind):
    if backend.name == "jax" and kind not in ("list", "generator function"):
        pytest.skip(reason="JAX is slow, and the kinds are the same for all libraries")
    loader = Loader(*blobs(backend), 16, shuffle=False)
    expected = run(backend, loader, loader)
    source = KINDS[kind](batches(backend))
    history = run(backend, source, source)
    assert history.losses == pytest.approx(expected.losses, rel=1e-6)
    for epoch, same in zip(history.epochs, expected.epochs, strict=True):
        assert epoch.test_scores == pytest.approx(same.test_scores)
        assert epoch.train_scores == {}
    net = network(backend)
    assert anynet.evaluate(net, source) == pytest.approx(anynet.evaluate(net, blobs(backend)))


def test_torch_loader_trains_like_pytorch(backend):
    """The loader shuffles. The losses are those of a loop in PyTorch with the same seed."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    if backend.name == "jax":
        pytest.skip(reason="JAX compiles for too long")
    x, t = (torch.tensor(host(values)) for values in blobs(backend))

    def loader():
        generator = torch.Generator().manual_seed(3)
        dataset = torch.utils.data.TensorDataset(x, t)
        return torch.utils.data.DataLoader(
            dataset, batch_size=16, shuffle=True, generator=generator
        )

    net = network(backend)
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    with torch.no_grad():
        for p, ours in zip(theirs.parameters(), net.parameters().values(), strict=True):
            p.copy_(torch.tensor(host(ours).T.copy()))
    history = anynet.fit(
        net,
        loader(),
        loader(),
        optimizer=optimizers.SGD(0.1),
        epochs=3,
        progress=False,
    )
    optimizer, expected, same = (
        torch.optim.SGD(theirs.parameters(), 0.1),
        [],
        loader(),
    )
    for _ in range(3):
        for inputs, labels in same:
            value = torch.nn.functional.cross_entropy(theirs(inputs), labels)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            expected.append(value.item())
    np.testing.assert_allclose(history.losses, expected, rtol=1e-4)
    right = (theirs(x).argmax(axis=1) == t).double().mean().item()
    assert history.epochs[-1].test_score == pytest.approx(right)


def test_fit_moves_batches_to_the_network(backend):
    """Batches are NumPy's arrays, from a list and from a generator."""
    numpy = anynet.get_backend("numpy")
    history = run(
        backend,
        (batch for batch in batches(numpy)),
        batches(numpy),
        epochs=1,
    )
    assert history.losses == pytest.approx(
        run(backend, batches(backend), epochs=1).losses, rel=1e-5
    )
    assert 0 < history.epochs[0].test_score <= 1


@pytest.mark.parametrize("compile", [False, True])
def test_fit_reads_an_iterable_once_an_epoch(compile):
    """This includes the first batch, which `fit` checks before training."""
    backend = anynet.get_backend("numpy")
    train, test = Readings(batches(backend)), Readings(batches(backend))
    history = run(backend, train, test, epochs=3, compile=compile)
    assert len(history.losses) == train.given == test.given == 3 * 4
    assert train.begun == test.begun == 3
    plain = run(backend, batches(backend), epochs=3)
    assert history.losses == pytest.approx(plain.losses, rel=1e-6)


def test_fit_without_a_metric_does_not_read_test_data():
    backend = anynet.get_backend("numpy")
    test = Readings(batches(backend))
    run(backend, batches(backend), test, metric=None)
    assert test.given <= 1


@pytest.mark.parametrize("kind", ["generator", "iterator", "zip"])
@pytest.mark.parametrize("where", ["train", "test"])
def test_one_shot_iterators_raise_for_two_epochs(kind, where):
    """The error comes before training. For one epoch, the iterator is enough."""
    backend = anynet.get_backend("numpy")
    some = batches(backend)
    make = {
        "generator": lambda: (batch for batch in some),
        "iterator": lambda: iter(some),
        "zip": lambda: zip([x for x, _ in some], [t for _, t in some], strict=True),
    }[kind]
    pair = lambda once: (once, None) if where == "train" else (some, once)
    given = {
        "generator": "a generator",
        "iterator": "a list_iterator",
        "zip": "a zip",
    }[kind]
    net = network(backend)
    before = {name: host(p).copy() for name, p in net.parameters().items()}
    with pytest.raises(
        ArgumentError,
        match=rf"^{where} is {given}, which can be read only once, and epochs is 2: want",
    ):
        anynet.fit(net, *pair(make()), epochs=2, progress=False)
    assert all((host(p) == before[name]).all() for name, p in net.parameters().items())
    assert len(run(backend, *pair(make()), epochs=1).losses) == 4


def test_function_without_a_new_iterator_raises():
    backend = anynet.get_backend("numpy")
    same = iter(batches(backend))
    with pytest.raises(
        DataError,
        match=r"^train gave no batch any more: wanted one or more each time it is read",
    ):
        run(backend, lambda: same)


def test_metric_without_data_raises():
    backend = anynet.get_backend("numpy")
    with pytest.raises(
        ArgumentError,
        match=r"^metric is f1 and there are no data to measure it on: .* Pass test as well",
    ):
        run(backend, batches(backend), metric=metrics.f1)
    some = batches(backend)
    assert list(run(backend, some, some, metric=metrics.f1).epochs[0].test_scores) == ["f1"]


X, T = np.zeros((4, 2), "float32"), np.zeros(4, "int64")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            X,
            r"train is an array of shape \(4, 2\): wanted two arrays in one tuple \(x, t\), or "
            r"\(x, t, weights\), a Loader, or an iterable",
        ),
        (
            (X, T, T, T),
            r"train is a tuple of 4: wanted two arrays in one tuple \(x, t\)",
        ),
        ((X,), r"train is a tuple of 1: wanted two arrays"),
        ([X, X, X, X], "train is a list of 4: wanted two arrays"),
        ({"x": X, "t": T}, "train is a dict of 2: wanted two arrays"),
        ("mnist", "train is 'mnist': wanted two arrays"),
        (None, "train is None: wanted two arrays"),
        (3, "train is 3: wanted two arrays"),
        (Loader, "train is the class Loader: wanted two arrays"),
        (
            lambda folder: [],
            "train is the function <lambda>, a function that takes arguments: wanted two arrays",
        ),
    ],
)
def test_sources_of_other_types_raise(source, message):
    net = network(anynet.get_backend("numpy"))
    with pytest.raises(ArgumentTypeError, match=f"^{message}"):
        anynet.fit(net, source, progress=False)
    if source is not None:
        with pytest.raises(
            ArgumentTypeError,
            match=f"^{message}".replace("train", "test", 1),
        ):
            anynet.fit(net, (X, T), source, progress=False)
    with pytest.raises(ArgumentTypeError, match=f"^{message}".replace("train", "data", 1)):
        anynet.evaluate(net, source)


def examples():
    """Return single examples, as a Dataset of PyTorch yields them."""
    return [(X[0], T[0]), (X[1], T[1])]


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ([], DataError, "train gave no batch: wanted one or more"),
        (
            ((X, T), (X, T)),
            DataError,
            r"the data are two pairs \(x, t\): wanted one, as in fit\(net, \*dataset\)",
        ),
        (
            (X.tolist(), T.tolist()),
            DataError,
            r"x is \[\[.*\]: wanted an array with one row per example",
        ),
        (
            [{"x": X, "t": T}],
            DataError,
            r"batch 1 of train is a dict: wanted \(x, t\), two arrays",
        ),
        (
            [(X, T, T, T)],
            DataError,
            r"batch 1 of train is a tuple, of 4: wanted \(x, t\), two arrays",
        ),
        (
            [(X, T), None],
            DataError,
            r"batch 2 of train is a NoneType: wanted \(x, t\), two arrays",
        ),
        (
            [(X, T.tolist())],
            DataError,
            r"batch 1 of train: t is \[0, 0, 0, 0\]: wanted an array with one row",
        ),
        (
            [(X, T[:3])],
            DataError,
            "batch 1 of train: x has 4 rows and t has 3: wanted the same number",
        ),
        (
            [(X[:0], T[:0])],
            DataError,
            "batch 1 of train: x has 0 rows and t has 0",
        ),
        (
            [(X * np.nan, T)],
            DataError,
            "batch 1 of train: x has values that are not finite",
        ),
        (
            examples(),
            DataError,
            "batch 1 of train is a single example: wanted arrays with one row per example",
        ),
        (
            [(X[0], 1)],
            DataError,
            "batch 1 of train is a single example: wanted arrays with one row per example",
        ),
        (
            [(X, T + 3)],
            DataError,
            "a label is 3 and the network has 3 outputs",
        ),
        (
            [(X, T[:, None])],
            ShapeError,
            r"the network gives outputs of shape \(N, 3\) and the labels are of shape",
        ),
    ],
)
def test_invalid_batches_raise(source, error, message):
    with (
        pytest.raises(error, match=f"^{message}"),
        np.errstate(all="ignore"),
    ):
        anynet.fit(network(anynet.get_backend("numpy")), source, progress=False)


def test_batches_may_mix_libraries():
    """`fit` detaches arrays that require gradients in their own library."""
    torch = pytest.importorskip("torch", reason="needs torch")
    backend = anynet.get_backend("numpy")
    mixed = [(torch.tensor(x).requires_grad_(), t) for x, t in batches(backend)]
    assert run(backend, mixed).losses == run(backend, batches(backend)).losses


@pytest.mark.parametrize(("setting", "value"), [("batch_size", 20), ("seed", 0)])
def test_settings_of_ready_batches_raise(setting, value):
    backend = anynet.get_backend("numpy")
    for train, given in (
        (Loader(*blobs(backend)), "a Loader"),
        (batches(backend), "a list of 4"),
    ):
        message = (
            f"^{setting} is {value} and train is {given}, which makes its own batches: "
            "set it there instead"
        )
        with pytest.raises(ArgumentError, match=message):
            run(backend, train, **{setting: value})


@pytest.fixture
def pythons_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("pythons_handler")
@pytest.mark.parametrize("batch", [1, 2, 6])
def test_ctrl_c_stops_the_loading_of_data(backend, batch):
    """Between steps, the run ends at once."""
    some, given = batches(backend), []

    def load():
        for pair in some:
            given.append(1)
            if len(given) == batch:
                signal.raise_signal(signal.SIGINT)
                raise AssertionError("the data are still loaded")
            yield pair

    net = network(backend)
    history = anynet.fit(net, load, epochs=3, progress=False)
    assert history.interrupted
    assert len(history.losses) == batch - 1
    assert len(history.epochs) == (batch - 1) // 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if batch == 1:
        assert_close(
            net["layers.0.weight"],
            host(network(backend)["layers.0.weight"]),
        )


@pytest.mark.usefixtures("pythons_handler")
def test_ctrl_c_waits_for_the_end_of_a_step():
    backend = anynet.get_backend("numpy")
    given = Readings(repeat(batches(backend)[0]))

    def loss(y, t):
        if given.given == 7:
            signal.raise_signal(signal.SIGINT)
        return losses.cross_entropy(y, t)

    history = run(backend, given, loss=loss)
    assert history.interrupted
    assert len(history.losses) == given.given == 7
