"""Parameters, buffers and settings: what training changes, when a network is in training, and what
is frozen."""

import contextlib
import copy
import dataclasses

import numpy as np
import pytest
from helpers import assert_close, host, numbers

import anynet
from anynet import autodiff, layers, optimizers
from anynet.array import array_namespace
from anynet.errors import (
    ArgumentError,
    AttributeNameError,
    DifferentiationError,
    StateError,
)
from anynet.training import checkpoint


def total(x):
    return array_namespace(x).sum(x)


def normed(backend):
    return layers.Sequential(
        layers.Linear(3, 4),
        layers.BatchNorm(4),
        layers.Dropout(0.5),
        seed=0,
        backend=backend,
    )


def squares(net, x):
    return total(net(x) ** 2)


def test_buffers_are_no_parameters(backend):
    net = normed(backend)
    assert list(net.parameters()) == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
    ]
    assert list(net.buffers()) == [
        "layers.1.running_mean",
        "layers.1.running_variance",
        "layers.2.key",
    ]
    grads = anynet.grad(squares)(net, numbers(backend, 5, 3, dtype="float32"))
    assert list(grads.parameters()) == list(net.parameters())
    assert grads.buffers() == {}
    before = {path: host(x).copy() for path, x in net.buffers().items()}
    optimizers.SGD(0.1).update(net, grads)
    for path, x in net.buffers().items():
        np.testing.assert_array_equal(host(x), before[path])


def test_a_network_is_in_training_while_it_is_differentiated(backend):
    net, x = normed(backend), numbers(backend, 50, 3, dtype="float32")
    seen = []

    def f(net, x):
        seen.append(net["layers.1"].training)
        return squares(net, x)

    inferred = host(net(x))
    np.testing.assert_array_equal(host(net(x)), inferred)
    f(net, x)
    value, _ = anynet.value_and_grad(f)(net, x)
    assert seen == [False, True]
    assert float(value) != pytest.approx(float(total(net(x) ** 2)), rel=1e-3)
    # Differentiating something else leaves the network in inference.
    before = host(net.buffers()["layers.2.key"]).tolist()
    assert float(anynet.value_and_grad(lambda x: f(net, x))(x)[0]) == pytest.approx(
        float(f(net, x)), rel=1e-5
    )
    assert float(anynet.value_and_grad(f, 1)(net, x)[0]) == pytest.approx(
        float(f(net, x)), rel=1e-5
    )
    assert not any(seen[2:])
    assert host(net.buffers()["layers.2.key"]).tolist() == before


def test_buffers_are_written_back_as_plain_arrays(backend):
    net, x = normed(backend), numbers(backend, 50, 3, dtype="float32")
    inner = host(net["layers.0"](x))
    keys = [host(net["layers.2.key"]).tolist()]
    for transform in (
        lambda: anynet.grad(squares)(net, x),
        lambda: anynet.vjp(squares, net, x),
        lambda: anynet.grad(lambda net, x: total(autodiff.remat(net)(x)))(net, x),
        lambda: anynet.grad(lambda net: anynet.value_and_grad(squares)(net, x)[0])(net),
    ):
        transform()
        keys.append(host(net["layers.2.key"]).tolist())
        assert type(net["layers.1.running_mean"]) is type(net["layers.1.weight"])
    assert len(set(map(tuple, keys))) == len(keys)
    expected = inner.mean(axis=0) * (1 - 0.9**4)
    np.testing.assert_allclose(host(net["layers.1.running_mean"]), expected, rtol=1e-4, atol=1e-6)


def test_the_mode_can_be_fixed(backend):
    net, x = (
        normed(backend).set_training(False),
        numbers(backend, 5, 3, dtype="float32"),
    )
    value = anynet.value_and_grad(squares)(net, x)[0]
    assert float(value) == pytest.approx(float(squares(net, x)), rel=1e-5)
    net.set_training(True)
    assert float(squares(net, x)) != pytest.approx(float(squares(net, x)), rel=1e-5)
    assert "training" not in repr(net.set_training(None))
    assert not net["layers.1"].training


def test_masks_and_statistics_are_the_same_on_every_backend(backend):
    x = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    found = []
    for b in (backend, anynet.get_backend("numpy")):
        net = layers.Sequential(layers.Dropout(0.3), layers.BatchNorm(3), seed=5, backend=b)
        masks = []

        def f(net, x, masks=masks):
            y = net["layers.0"](x)
            masks.append(host(autodiff.stop_gradient(y).value if hasattr(y, "trace") else y) != 0)
            return total(net["layers.1"](y) ** 3)

        for _ in range(3):
            anynet.grad(f)(net, b.asarray(x))
        found.append(
            (
                masks,
                host(net["layers.1.running_variance"]),
                host(net["layers.0.key"]),
            )
        )
    (masks, variance, key), (others, other_variance, other_key) = found
    for mask, other in zip(masks, others, strict=True):
        np.testing.assert_array_equal(mask, other)
    assert not np.array_equal(masks[0], masks[1])
    assert 0.6 < np.mean(masks) < 0.8
    np.testing.assert_array_equal(key, other_key)
    np.testing.assert_allclose(variance, other_variance, rtol=1e-5)


def test_golden_masks(backend):
    """What a dropout of seed 3 has always kept, in two steps of training."""
    net = layers.Sequential(layers.Dropout(0.4), seed=3, backend=backend).set_training(True)
    ones = backend.asarray(np.ones((2, 6), "float32"))
    for kept in (
        [[1, 1, 1, 1, 1, 1], [0, 1, 0, 0, 1, 1]],
        [[1, 1, 0, 1, 0, 0], [1, 0, 0, 0, 1, 1]],
    ):
        np.testing.assert_allclose(host(net(ones)), np.array(kept) / 0.6, rtol=1e-6)


def test_freezing_by_path(backend):
    net, x = normed(backend), numbers(backend, 5, 3, dtype="float32")
    net.freeze("layers.0.weight").freeze("layers.1")
    grads = anynet.grad(squares)(net, x)
    assert list(grads.parameters()) == ["layers.0.bias"]
    before = {path: host(p).copy() for path, p in net.parameters().items()}
    optimizers.SGD(0.1).update(net, grads)
    changed = [
        path for path, p in net.parameters().items() if not np.array_equal(host(p), before[path])
    ]
    assert changed == ["layers.0.bias"]
    assert anynet.check_gradients(lambda net: squares(net, backend.asarray(np.ones((2, 3)))), net)
    net.unfreeze("layers.1.bias")
    assert list(anynet.grad(squares)(net, x).parameters()) == [
        "layers.0.bias",
        "layers.1.bias",
    ]
    net.unfreeze()
    assert list(anynet.grad(squares)(net, x).parameters()) == list(net.parameters())
    with pytest.raises(DifferentiationError, match="nothing to differentiate"):
        anynet.grad(squares)(net.freeze(), x)
    with pytest.raises(KeyError, match=r"nothing at 'layers\.9'"):
        net.freeze("layers.9")


class Lists(layers.Module):
    """A layer with a list and a dict of weights."""

    def __init__(self, backend):
        self.weights = [numbers(backend, 3, 3, dtype="float32") for _ in range(2)]
        self.more = {"a": numbers(backend, 3, 3, dtype="float32")}
        self.linear = layers.Linear(3, 3)

    def forward(self, x):
        xp = anynet.array.array_namespace(x, self.weights[0])
        return self.linear(
            xp.matmul(
                xp.matmul(xp.matmul(x, self.weights[0]), self.weights[1]),
                self.more["a"],
            )
        )


@pytest.mark.parametrize(
    ("path", "frozen"),
    [
        ("layers.0.weights", ["weights.0", "weights.1"]),
        ("layers.0.more", ["more.a"]),
        ("layers.0.linear", ["linear.weight", "linear.bias"]),
        (
            "layers.0",
            [
                "weights.0",
                "weights.1",
                "more.a",
                "linear.weight",
                "linear.bias",
            ],
        ),
        (
            "layers",
            [
                "weights.0",
                "weights.1",
                "more.a",
                "linear.weight",
                "linear.bias",
            ],
        ),
    ],
)
def test_freezing_lists_and_dicts_of_weights(backend, path, frozen):
    net = layers.Sequential(Lists(backend), layers.Linear(3, 3), seed=0, backend=backend)
    net.freeze(path).unfreeze("layers.1")
    before, x = net.parameters(), numbers(backend, 5, 3, dtype="float32")
    optimizers.Adam().update(net, anynet.grad(squares)(net, x))
    same = [
        name.removeprefix("layers.0.") for name, p in net.parameters().items() if p is before[name]
    ]
    assert same == frozen
    net.unfreeze(path)
    optimizers.Adam().update(net, anynet.grad(squares)(net, x))
    assert not any(p is before[name] for name, p in net.parameters().items())


def test_a_frozen_layer_without_buffers_computes_as_in_inference(backend):
    class Shifted(layers.Module):
        def __init__(self):
            self.linear, self.scale = (
                layers.Linear(3, 3),
                backend.asarray(np.ones(3, dtype="float32")),
            )

        def forward(self, x):
            y = array_namespace(x, self.scale).multiply(self.linear(x), self.scale)
            return y + 100.0 if self.training else y

    net, x = (
        layers.Sequential(Shifted(), layers.Linear(3, 3), seed=0, backend=backend),
        numbers(backend, 5, 3),
    )
    x = backend.asarray(host(x).astype("float32"))
    value = float(squares(net, x))
    assert float(anynet.value_and_grad(squares)(net, x)[0]) > 2 * value
    assert float(anynet.value_and_grad(squares)(net.freeze("layers.0"), x)[0]) == pytest.approx(
        value, rel=1e-5
    )


def test_what_cannot_be_frozen(backend):
    net = layers.Sequential(Lists(backend), layers.BatchNorm(3), seed=0, backend=backend)
    with pytest.raises(
        ArgumentError,
        match=r"'layers\.0\.weights\.1' is part of a list: give 'layers\.0\.weights'",
    ):
        net.freeze("layers.0.weights.1")
    with pytest.raises(
        ArgumentError,
        match=r"'layers\.1\.momentum' is 0\.1: wanted the path of a parameter",
    ):
        net.freeze("layers.1.momentum")


def test_arrays_are_put_at_paths(backend):
    net = normed(backend)
    new = numbers(backend, 4, dtype="float32")
    net["layers.0.bias"] = new
    assert net.layers[0].bias is new
    with pytest.raises(KeyError, match=r"nothing at 'layers\.0\.bas'"):
        net["layers.0.bas"] = new


def test_map_moves_buffers_too(backend):
    net = normed("numpy").map(backend.asarray)
    for x in (*net.parameters().values(), *net.buffers().values()):
        assert anynet.get_backend(x).device == backend.device


def test_checkpoints_hold_buffers(backend, tmp_path):
    net, x = normed(backend), numbers(backend, 5, 3, dtype="float32")
    anynet.grad(squares)(net, x)
    checkpoint.save(net, tmp_path / "net.safetensors")
    other = layers.Sequential(
        layers.Linear(3, 4),
        layers.BatchNorm(4),
        layers.Dropout(0.5),
        seed=9,
        backend=backend,
    )
    checkpoint.load(other, tmp_path / "net.safetensors")
    for path, buffer in net.buffers().items():
        np.testing.assert_array_equal(host(other[path]), host(buffer))
    assert_close(other(x), host(net(x)), rtol=1e-6)


def test_dropout_keeps_the_mean(backend):
    net = layers.Sequential(layers.Dropout(0.25), seed=0, backend=backend).set_training(True)
    y = host(net(backend.asarray(np.ones((100, 100), "float32"))))
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(1 / 0.75))}
    assert y.mean() == pytest.approx(1, abs=0.03)
    for rate in (-0.1, 1.0):
        with pytest.raises(ArgumentError, match=f"rate is {rate}"):
            layers.Dropout(rate)


def test_gradient_checks_of_layers_with_a_state(backend):
    """Every evaluation begins with the same key and statistics, and the network is left as it
    was."""
    net, x = normed(backend), numbers(backend, 5, 3)
    before = {path: host(buffer).copy() for path, buffer in net.buffers().items()}
    assert anynet.check_gradients(lambda net: squares(net, x), net)
    for path, buffer in net.buffers().items():
        np.testing.assert_array_equal(host(buffer), before[path])


def test_a_frozen_norm_keeps_its_statistics(backend):
    net, x = normed(backend), numbers(backend, 5, 3, dtype="float32")
    net.freeze("layers.1")
    net["layers.2"].set_training(False)
    before = {path: host(b).copy() for path, b in net["layers.1"].buffers().items()}
    inference = net(x)
    seen = []

    def loss(net, x):
        seen.append(anynet.stop_gradient(net(x)))
        return squares(net, x)

    for step in (anynet.grad(loss), anynet.compile(anynet.grad(squares))):
        for _ in range(3):
            step(net, x)
    for path, value in net["layers.1"].buffers().items():
        np.testing.assert_array_equal(host(value), before[path], strict=True)
    np.testing.assert_array_equal(host(seen[0].value), host(inference))
    # In training by one's own decision, the statistics still stay.
    net.set_training(True)
    anynet.grad(squares)(net, x)
    np.testing.assert_array_equal(host(net["layers.1.running_mean"]), before["running_mean"])
    net.set_training(None).unfreeze("layers.1")
    anynet.grad(squares)(net, x)
    assert not np.array_equal(host(net["layers.1.running_mean"]), before["running_mean"])


def test_a_frozen_dropout_drops_nothing(backend):
    net = layers.Sequential(
        layers.Dropout(0.5), layers.Linear(3, 3), seed=0, backend=backend
    ).freeze("layers.0")
    x = numbers(backend, 5, 3, dtype="float32")
    value, _ = anynet.value_and_grad(squares)(net, x)
    np.testing.assert_allclose(float(value), float(squares(net, x)), rtol=1e-6)


class Keeps(layers.Module):
    """A layer in the manner of the book: it keeps what it computes, in one way or another."""

    def __init__(self, how):
        self.how = how
        self.out = None
        self.seen, self.by_name = [], {}
        self.linear = layers.Linear(3, 3)

    def forward(self, x):
        y = self.linear(x)
        if self.how == "in place of None":
            self.out = y
        elif self.how == "new":
            self.x = x
        elif self.how == "pair":
            self.cache = (x, y)
        elif self.how == "list":
            self.seen.append(y)
        elif self.how == "dict":
            self.by_name["y"] = y
        return y


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("in place of None", "out"),
        ("new", "x"),
        ("pair", "cache"),
        ("list", "seen"),
        ("dict", "by_name"),
    ],
)
def test_a_layer_that_keeps_an_array_is_refused(backend, how, name):
    x = numbers(backend, 5, 3, dtype="float32")
    net = layers.Sequential(Keeps(how), seed=0, backend=backend)
    with pytest.raises(
        StateError,
        match=rf"^layers\.0: Keeps\.forward\(\) keeps an array in self\.{name}(\.\w)?, .*BUFFERS",
    ):
        net(x)
    net = layers.Sequential(Keeps(how), seed=0, backend=backend)
    # What is differentiated is a copy, and so are its lists and dicts.
    with (
        contextlib.nullcontext()
        if how in ("list", "dict")
        else pytest.raises(StateError, match=rf"self\.{name}")
    ):
        anynet.grad(squares)(net, x)
    assert len(net.parameters()) == 2


def keeps_in_another_layer(self, y):
    self.linear.last = y


def keeps_deep_inside(self, y):
    self.notes["a"]["y"] = y


def keeps_in_place_of_none(self, y):
    self.notes["b"][0] = y


@pytest.mark.parametrize(
    "keep",
    [keeps_in_another_layer, keeps_deep_inside, keeps_in_place_of_none],
)
def test_an_array_kept_deep_inside_is_refused_and_taken_away(backend, keep):
    class Deep(layers.Module):
        def __init__(self):
            self.linear = layers.Linear(3, 2)
            self.notes = {"a": {}, "b": [None]}

        def forward(self, x):
            y = self.linear(x)
            keep(self, y)
            return y

    net, x = (
        layers.Sequential(Deep(), seed=0, backend=backend),
        numbers(backend, 5, 3, dtype="float32"),
    )
    for _ in range(2):
        with pytest.raises(
            StateError,
            match=r"keeps an array in self\.(linear\.last|last|notes)",
        ):
            net(x)
        assert list(net.parameters()) == [
            "layers.0.linear.weight",
            "layers.0.linear.bias",
        ]


def test_a_layer_that_kept_an_array_is_as_it_was(backend):
    for how in ("new", "pair", "list", "dict", "in place of None"):
        net = layers.Sequential(Keeps(how), seed=0, backend=backend)
        with pytest.raises(StateError):
            net(numbers(backend, 5, 3, dtype="float32"))
        assert list(net.parameters()) == list(
            layers.Sequential(Keeps(how), seed=0, backend=backend).parameters()
        )


def test_a_layer_may_make_another_when_it_is_called(backend):
    class Late(layers.Module):
        def __init__(self):
            self.inner = None

        def forward(self, x):
            if self.inner is None:
                self.inner = layers.Linear(x.shape[1], 2).initialize(0, backend)
            return self.inner(x)

    net = layers.Sequential(Late())
    net(numbers(backend, 5, 3, dtype="float32"))
    assert list(net.parameters()) == [
        "layers.0.inner.weight",
        "layers.0.inner.bias",
    ]


def test_a_layer_may_keep_settings_and_buffers(backend):
    class Counts(layers.Module):
        BUFFERS = ("last",)

        def __init__(self):
            self.calls = 0
            self.last = backend.asarray([0.0, 0.0, 0.0])

        def forward(self, x):
            self.calls += 1
            self.last = x[0, ...]
            return x * 2.0

    net, x = Counts(), numbers(backend, 5, 3, dtype="float32")
    net(x)
    anynet.grad(lambda x, net: squares(net, x))(x, net)
    assert net.calls >= 1
    np.testing.assert_array_equal(host(net.last), host(x)[0])


def test_a_buffer_that_is_no_array_before_training_is_refused(backend):
    """It could not be written back: what is differentiated is a copy."""

    class Late(layers.Module):
        BUFFERS = ("last",)

        def __init__(self):
            self.last = None
            self.linear = layers.Linear(3, 3)

        def forward(self, x):
            self.last = x[0, ...]
            return self.linear(x)

    net = layers.Sequential(Late(), seed=0, backend=backend)
    with pytest.raises(
        StateError,
        match=r"keeps an array in self\.last, .* set it in __init__",
    ):
        anynet.grad(squares)(net, numbers(backend, 5, 3, dtype="float32"))


def test_a_deep_copy_in_a_differentiated_function_is_plain(backend):
    net, x = normed(backend), numbers(backend, 5, 3, dtype="float32")
    kept = []

    def loss(net, x):
        target = copy.deepcopy(net)
        kept.append(target)
        return anynet.losses.mean_squared_error(net(x), target(x))

    _, grads = anynet.value_and_grad(loss)(net, x)
    target = kept[0]
    assert not target["layers.1"].training
    for (path, a), (other, b) in zip(
        target.parameters().items(), net.parameters().items(), strict=True
    ):
        assert path == other
        assert type(a) is type(b)
        assert a is not b
        np.testing.assert_array_equal(host(a), host(b))
    assert all(type(g) is type(x) for g in grads.parameters().values())
    target(x)
    anynet.compile(anynet.grad(loss))(net, x)
    for one in (net, *kept):
        assert all(type(p) is type(x) for p in one.parameters().values())


def assign_in_init(name):
    class Mine(layers.Module):
        def __init__(self):
            setattr(self, name, True)

    Mine()


def assign_in_class_body(name):
    type("Mine", (layers.Module,), {name: True})


def assign_in_dataclass(name):
    made = dataclasses.make_dataclass("Mine", [(name, bool)], bases=(layers.Module,))
    made(True)


def assign_later(name):
    class Mine(layers.Module):
        pass

    setattr(Mine(), name, True)


@pytest.mark.parametrize(
    "assign",
    [assign_in_init, assign_in_class_body, assign_in_dataclass, assign_later],
)
@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("training", r"Call set_training\(True\), .* choose another name, as is_training"),
        ("frozen", r"Call freeze\(\) .* choose another name, as is_frozen"),
    ],
)
def test_reserved_names(assign, name, remedy):
    with pytest.raises(
        AttributeNameError,
        match=rf"Mine\.{name} was assigned, and is reserved: .*{remedy}",
    ):
        assign(name)


def test_methods_of_a_module_are_not_assigned():
    class Mine(layers.Module):
        def __init__(self):
            self.map = layers.Linear(3, 3)

    with pytest.raises(AttributeNameError, match=r"Mine\.map was assigned, .* name, as map_"):
        Mine()


def test_a_class_may_redefine_a_method_as_an_attribute():
    class Mine(layers.Module):
        buffers: dict = None

        def __init__(self):
            self.buffers = {}

    assert Mine().buffers == {}


def test_frozen_lists_the_frozen_attributes(backend):
    net = normed(backend).freeze("layers.0.bias").freeze("layers.1")
    assert [layer.frozen for layer in net] == [
        ("bias",),
        ("weight", "bias", "running_mean", "running_variance"),
        (),
    ]
    assert net.unfreeze()[0].frozen == ()
