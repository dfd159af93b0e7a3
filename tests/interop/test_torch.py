"""Networks built in PyTorch and in anynet give the same outputs after their state was converted."""

from collections import OrderedDict

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import layers
from anynet.array import array_namespace
from anynet.errors import (
    ArgumentTypeError,
    DataError,
    NotInitializedError,
)
from anynet.interop.torch import load_state_dict, state_dict

torch = pytest.importorskip("torch", reason="needs torch")
nn = torch.nn


def randomize(module, seed=0):
    """Give every parameter and buffer of a PyTorch module random values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, x in module.state_dict().items():
            if x.is_floating_point():
                spread = torch.randn(x.shape, generator=generator) * 0.5
                x.copy_(spread.abs() + 0.5 if name.endswith("var") else spread)
    return module.eval()


def data(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def close(ours, theirs):
    expected = theirs.detach().numpy()
    assert tuple(ours.shape) == expected.shape
    bound = 1e-5 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(host(ours), expected, rtol=0, atol=bound)


def outputs(net, backend, x):
    """Return a network's outputs. JAX compiles each operation of an eager call."""
    run = anynet.compile(lambda net, x: net(x)) if backend.name == "jax" else net.__class__.__call__
    return run(net, backend.asarray(x))


def first(out):
    return out[0] if isinstance(out, tuple) else out


LAYERS = {
    "Linear": (lambda: layers.Linear(5, 5), lambda: nn.Linear(5, 5), (2, 5)),
    "Linear without bias": (
        lambda: layers.Linear(3, 4, bias=False),
        lambda: nn.Linear(3, 4, bias=False),
        (2, 3),
    ),
    "Conv1d": (
        lambda: layers.Conv1d(3, 3, 3, padding=1),
        lambda: nn.Conv1d(3, 3, 3, padding=1),
        (2, 3, 6),
    ),
    "Conv2d in groups": (
        lambda: layers.Conv2d(4, 4, 3, stride=2, groups=2),
        lambda: nn.Conv2d(4, 4, 3, stride=2, groups=2),
        (2, 4, 7, 7),
    ),
    "ConvTranspose2d": (
        lambda: layers.ConvTranspose2d(3, 3, 2, stride=2),
        lambda: nn.ConvTranspose2d(3, 3, 2, stride=2),
        (2, 3, 4, 4),
    ),
    "ConvTranspose1d": (
        lambda: layers.ConvTranspose1d(3, 3, 2, stride=2),
        lambda: nn.ConvTranspose1d(3, 3, 2, stride=2),
        (2, 3, 4),
    ),
    "Conv3d": (
        lambda: layers.Conv3d(2, 2, 2, padding=1),
        lambda: nn.Conv3d(2, 2, 2, padding=1),
        (2, 2, 3, 3, 3),
    ),
    "PReLU": (lambda: layers.PReLU(3), lambda: nn.PReLU(3), (2, 3, 4)),
    "BatchNorm": (lambda: layers.BatchNorm(3), lambda: nn.BatchNorm2d(3), (2, 3, 4, 4)),
    "LayerNorm": (lambda: layers.LayerNorm(4), lambda: nn.LayerNorm(4), (2, 3, 4)),
    "GroupNorm": (lambda: layers.GroupNorm(2, 4), lambda: nn.GroupNorm(2, 4), (2, 4, 3)),
    "RMSNorm": (lambda: layers.RMSNorm(4), lambda: nn.RMSNorm(4, eps=1e-5), (2, 4)),
    "RNN": (lambda: layers.RNN(4, 4), lambda: nn.RNN(4, 4, batch_first=True), (2, 3, 4)),
    "LSTM": (lambda: layers.LSTM(3, 4), lambda: nn.LSTM(3, 4, batch_first=True), (2, 3, 3)),
    "GRU": (lambda: layers.GRU(3, 4), lambda: nn.GRU(3, 4, batch_first=True), (2, 3, 3)),
    "LSTM of two layers in both directions": (
        lambda: layers.LSTM(4, 4, layers=2, bidirectional=True),
        lambda: nn.LSTM(4, 4, num_layers=2, bidirectional=True, batch_first=True),
        (2, 3, 4),
    ),
    "GRU of two layers with dropout": (
        lambda: layers.GRU(3, 4, layers=2, dropout=0.5),
        lambda: nn.GRU(3, 4, num_layers=2, dropout=0.5, batch_first=True),
        (2, 3, 3),
    ),
    "RNN without bias": (
        lambda: layers.RNN(3, 3, bidirectional=True, bias=False),
        lambda: nn.RNN(3, 3, bidirectional=True, bias=False, batch_first=True),
        (2, 3, 3),
    ),
    "TransformerEncoderLayer": (
        lambda: layers.TransformerEncoderLayer(4, 2, 4),
        lambda: nn.TransformerEncoderLayer(4, 2, 4, batch_first=True),
        (2, 3, 4),
    ),
    "TransformerEncoderLayer with norms first": (
        lambda: layers.TransformerEncoderLayer(4, 2, 6, norm_first=True),
        lambda: nn.TransformerEncoderLayer(4, 2, 6, norm_first=True, batch_first=True),
        (2, 3, 4),
    ),
    "TransformerEncoderLayer with a trained activation": (
        lambda: layers.TransformerEncoderLayer(4, 2, 6, activation=layers.PReLU()),
        lambda: nn.TransformerEncoderLayer(4, 2, 6, activation=nn.PReLU(), batch_first=True),
        (2, 3, 4),
    ),
    "nested Sequential": (
        lambda: layers.Sequential(
            layers.Sequential(layers.Linear(4, 4), layers.ReLU()),
            layers.Dropout(0.5),
            layers.Linear(4, 4),
        ),
        lambda: nn.Sequential(
            nn.Sequential(nn.Linear(4, 4), nn.ReLU()),
            nn.Dropout(0.5),
            nn.Linear(4, 4),
        ),
        (2, 4),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_give_the_same_outputs(backend, name):
    ours, theirs, shape = LAYERS[name]
    same_outputs(ours, theirs, backend, data(*shape))


def same_outputs(ours, theirs, backend, x, **names):
    """Compare outputs after a conversion to anynet, and after the way back."""
    module, net = randomize(theirs()), ours()
    load_state_dict(net, module.state_dict(), backend=backend, **names)
    inputs = torch.tensor(x)
    expected = first(module(inputs))
    close(outputs(net, backend, x), expected)

    other = randomize(theirs(), seed=2)
    other.load_state_dict(state_dict(net, **names), strict=True)
    for name, value in module.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=0, atol=0)
    torch.testing.assert_close(first(other(inputs)), expected, rtol=0, atol=0)
    return net, module


@pytest.mark.parametrize("bias", [True, False])
def test_attention_gives_the_same_outputs(backend, bias):
    module = randomize(nn.MultiheadAttention(4, 2, bias=bias, batch_first=True))
    net = layers.MultiHeadAttention(4, 2, bias=bias).initialize(0, backend)
    load_state_dict(net, module.state_dict())
    query, key, value = (data(2, 3, 4, seed=i) for i in range(3))
    expected = module(*map(torch.tensor, (query, key, value)), need_weights=False)[0]
    close(net(*map(backend.asarray, (query, key, value))), expected)
    back = state_dict(net)
    assert back.keys() == module.state_dict().keys()
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(back[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["int64", "int32"])
def test_embeddings_give_the_same_outputs(backend, kind):
    module = randomize(nn.Embedding(4, 4))
    net = layers.Embedding(4, 4).initialize(0, backend)
    load_state_dict(net, module.state_dict())
    indices = np.asarray([[3, 0], [1, 1]], kind)
    close(net(backend.asarray(indices)), module(torch.tensor(indices)))


class Block(layers.Module):
    def __init__(self, width, out, stride):
        self.conv1 = layers.Conv2d(width, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = layers.BatchNorm(out)
        self.conv2 = layers.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = layers.BatchNorm(out)
        self.downsample = None
        if stride > 1 or width != out:
            self.downsample = layers.Sequential(
                layers.Conv2d(width, out, 1, stride=stride, bias=False),
                layers.BatchNorm(out),
            )

    def forward(self, x):
        relu = anynet.functions.relu
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class TheirBlock(nn.Module):
    def __init__(self, width, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride > 1 or width != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(width, out, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out),
            )

    def forward(self, x):
        relu = torch.relu
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


WIDTHS = (8, 16, 24, 32)


class ResNet(layers.Module):
    """ResNet-18 with narrow layers, by the names of torchvision."""

    def __init__(self):
        self.conv1 = layers.Conv2d(3, 8, 7, stride=2, padding=3, bias=False)
        self.bn1 = layers.BatchNorm(8)
        self.maxpool = layers.MaxPool2d(3, stride=2, padding=1)
        width = 8
        for i, out in enumerate(WIDTHS):
            blocks = layers.Sequential(Block(width, out, 1 if i == 0 else 2), Block(out, out, 1))
            setattr(self, f"layer{i + 1}", blocks)
            width = out
        self.pool = layers.GlobalAvgPool2d()
        self.fc = layers.Linear(width, 10)

    def forward(self, x):
        x = self.maxpool(anynet.functions.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.pool(x))


class TheirResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        width = 8
        for i, out in enumerate(WIDTHS):
            blocks = nn.Sequential(
                TheirBlock(width, out, 1 if i == 0 else 2),
                TheirBlock(out, out, 1),
            )
            setattr(self, f"layer{i + 1}", blocks)
            width = out
        self.fc = nn.Linear(width, 10)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def trained(module, x, steps=3):
    """Train a PyTorch module for a few steps, so that running statistics move."""
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(module.parameters(), 0.05)
    labels = torch.arange(len(x)) % 10
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x), labels).backward()
        optimizer.step()
    return module.eval()


def test_residual_network_gives_the_same_logits(backend):
    torch.manual_seed(0)
    x = data(4, 3, 32, 32)
    module = trained(TheirResNet().train(), torch.tensor(x))
    net = ResNet()
    state = module.state_dict()
    load_state_dict(net, state, backend=backend)
    close(outputs(net, backend, x), module(torch.tensor(x)))

    back = state_dict(net)
    assert set(back) == set(state)
    for name, tensor in state.items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(back[name], tensor, rtol=0, atol=0)


def test_logits_stay_the_same_after_training_in_anynet(backend):
    """The running statistics, the weights and the momentum of the norms go both ways."""
    x, t = data(6, 3, 8, 8), np.arange(6) % 3
    build = lambda own: own.Sequential(
        own.Conv2d(3, 4, 3, padding=1),
        (own.BatchNorm if own is layers else own.BatchNorm2d)(4),
        own.ReLU(),
        own.Flatten(),
        own.Linear(256, 3),
    )
    net = build(layers).initialize(0, backend)
    step = anynet.value_and_grad(lambda net, x, t: anynet.losses.cross_entropy(net(x), t))
    optimizer = anynet.optimizers.Adam(1e-2)
    for _ in range(3):
        _, grads = step(net, backend.asarray(x), backend.asarray(t))
        optimizer.update(net, grads)
    module = build(nn).eval()
    module.load_state_dict(state_dict(net), strict=True)
    close(outputs(net, backend, x), module(torch.tensor(x)))


class Tagger(layers.Module):
    def __init__(self):
        self.embedding = layers.Embedding(11, 6)
        self.lstm = layers.LSTM(6, 4, layers=2, bidirectional=True)
        self.head = layers.Sequential(layers.LayerNorm(8), layers.Linear(8, 5))

    def forward(self, indices):
        return self.head(self.lstm(self.embedding(indices)))


class TheirTagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 4, 2, bidirectional=True, batch_first=True)
        self.head = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 5))

    def forward(self, indices):
        return self.head(self.lstm(self.embedding(indices))[0])


def test_recurrent_network_gives_the_same_logits(backend):
    indices = np.random.default_rng(0).integers(0, 11, (3, 7))
    same_outputs(Tagger, TheirTagger, backend, indices)


class Transformer(layers.Module):
    def __init__(self):
        self.embedding = layers.Embedding(11, 8)
        self.position = layers.parameter((7, 8), anynet.initializers.normal(0.1))
        self.encoder = layers.Sequential(
            *(layers.TransformerEncoderLayer(8, 2, 16) for _ in range(2))
        )
        self.norm = layers.LayerNorm(8)
        self.head = layers.Linear(8, 5)

    def forward(self, indices):
        xp = array_namespace(self.position)
        x = xp.add(self.embedding(indices), self.position)
        return self.head(self.norm(self.encoder(x)))


class TheirTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.position = nn.Parameter(torch.zeros(7, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8))
        self.head = nn.Linear(8, 5)

    def forward(self, indices):
        return self.head(self.encoder(self.embedding(indices) + self.position))


def test_transformer_gives_the_same_logits(backend):
    indices = np.random.default_rng(0).integers(0, 11, (3, 7))
    names = {"encoder": "encoder.layers", "norm": "encoder.norm"}
    same_outputs(Transformer, TheirTransformer, backend, indices, names=names)


class Translator(layers.Module):
    def __init__(self, *, norm_first):
        encoder = [layers.TransformerEncoderLayer(8, 2, 16, norm_first=norm_first)]
        decoder = layers.TransformerDecoderLayer(8, 2, 16, norm_first=norm_first)
        self.encoder = {"layers": encoder, "norm": layers.LayerNorm(8)}
        self.decoder = {"layers": [decoder], "norm": layers.LayerNorm(8)}

    def forward(self, x):
        memory = self.encoder["norm"](self.encoder["layers"][0](x))
        decoded = self.decoder["layers"][0](x, memory, causal=True)
        return self.decoder["norm"](decoded)


class TheirTranslator(nn.Transformer):
    def __init__(self, *, norm_first):
        super().__init__(8, 2, 1, 1, 16, norm_first=norm_first, batch_first=True)

    def forward(self, x):
        mask = self.generate_square_subsequent_mask(x.shape[1])
        return super().forward(x, x, tgt_mask=mask, tgt_is_causal=True)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
def test_encoder_and_decoder_give_the_same_outputs(backend, norm_first):
    build = lambda kind: lambda: kind(norm_first=norm_first)
    same_outputs(build(Translator), build(TheirTranslator), backend, data(2, 3, 8))


class Blocks(layers.Module):
    """Lists and dicts of layers, as ModuleList and ModuleDict."""

    def __init__(self):
        self.blocks = [layers.Linear(3, 3), [layers.Linear(3, 3)]]
        self.heads = {"a": layers.Linear(3, 3), "b": layers.Linear(3, 3)}

    def forward(self, x):
        x = self.blocks[1][0](self.blocks[0](x))
        return self.heads["b"](self.heads["a"](x))


class TheirBlocks(nn.Module):
    def __init__(self):
        super().__init__()
        inner = nn.ModuleList([nn.Linear(3, 3)])
        self.blocks = nn.ModuleList([nn.Linear(3, 3), inner])
        self.heads = nn.ModuleDict({"b": nn.Linear(3, 3), "a": nn.Linear(3, 3)})

    def forward(self, x):
        x = self.blocks[1][0](self.blocks[0](x))
        return self.heads["b"](self.heads["a"](x))


def test_lists_and_dicts_of_layers(backend):
    same_outputs(Blocks, TheirBlocks, backend, data(2, 3))


MLP = lambda: layers.Sequential(layers.Linear(3, 3), layers.ReLU(), layers.Linear(3, 3))


def named_mlp():
    steps = [("fc1", nn.Linear(3, 3)), ("relu", nn.ReLU()), ("fc2", nn.Linear(3, 3))]
    return nn.Sequential(OrderedDict(steps))


@pytest.mark.parametrize(
    "names",
    [
        {"0": "fc1", "2": "fc2"},
        {"0.weight": "fc1.weight", "0": "fc1", "2": "fc2"},
        lambda name: name.replace("0", "fc1").replace("2", "fc2"),
    ],
)
def test_names_of_the_user(backend, names):
    same_outputs(MLP, named_mlp, backend, data(2, 3), names=names)


def test_names_of_the_whole_network(backend):
    """DataParallel and compiled modules put a prefix before every name."""
    wrap = lambda: nn.Sequential(
        OrderedDict(module=nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)))
    )
    same_outputs(MLP, wrap, backend, data(2, 3), names={"": "module"})


class LanguageModel(layers.Module):
    """The embedding is the last linear map, too."""

    def __init__(self):
        self.embedding = layers.Embedding(5, 4)

    def forward(self, indices):
        weight = self.embedding.weight
        xp = array_namespace(weight)
        return xp.matmul(self.embedding(indices), xp.matrix_transpose(weight))


class TheirLanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, indices):
        return self.head(self.embedding(indices))


TIED = {"embedding.weight": ["embedding.weight", "head.weight"]}


def test_two_names_of_a_tied_weight(backend):
    indices = np.asarray([[0, 4, 2]])
    net, module = same_outputs(
        LanguageModel,
        TheirLanguageModel,
        backend,
        indices,
        names=TIED,
    )
    # A file of safetensors has one of the names only.
    state = module.state_dict()
    del state["embedding.weight"]
    load_state_dict(net, state, names=TIED)
    state = {**module.state_dict(), "embedding.weight": torch.zeros(5, 4)}
    with pytest.raises(DataError, match=r"embedding\.weight and head\.weight differ"):
        load_state_dict(net, state, names=TIED)


def tied_net(backend=None):
    net = MLP()
    net[2].weight = net[0].weight
    return net if backend is None else net.initialize(0, backend)


def test_tied_arrays_stay_tied(backend):
    for net in (tied_net(backend), tied_net()):
        module = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
        module[2].weight = module[0].weight
        randomize(module)
        load_state_dict(net, module.state_dict(), backend=backend)
        assert net[0].weight is net[2].weight
        close(net(backend.asarray(data(2, 3))), module(torch.tensor(data(2, 3))))
        assert state_dict(net).keys() == module.state_dict().keys()


def test_uninitialized_network_gets_the_dtypes_of_the_state(backend):
    net = layers.Sequential(layers.Linear(3, 3), layers.BatchNorm(3), layers.Dropout(0.5))
    module = randomize(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout()))
    load_state_dict(net, module.to(torch.float16).state_dict(), backend=backend)
    assert "float16" in str(net["layers.0.weight"].dtype) or not hasattr(backend.xp, "float16")
    assert "float32" in str(net["layers.1.running_mean"].dtype)
    assert anynet.get_backend(net["layers.0.weight"]).name == backend.name
    net.initialize(0)
    assert net["layers.2.key"].shape == (2,)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("own", ["float32", "float64"])
def test_state_is_converted_to_the_dtype_of_the_network(backend, own, dtype):
    net = layers.Linear(3, 2).initialize(0, backend, own)
    module = randomize(nn.Linear(3, 2)).to(getattr(torch, dtype))
    load_state_dict(net, module.state_dict())
    assert own in str(net.weight.dtype)
    expected = module.weight.detach().T.to(getattr(torch, own)).numpy()
    np.testing.assert_array_equal(host(net.weight), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_tensors_have_the_dtypes_of_the_network(backend, dtype):
    if not hasattr(backend.xp, dtype):
        pytest.skip(reason=f"{backend.name} has no {dtype}")
    net = layers.Linear(3, 2).initialize(0, backend, dtype)
    state = state_dict(net)
    assert state["weight"].dtype == getattr(torch, dtype)
    wide = backend.xp.astype(net.weight, backend.xp.float64)
    np.testing.assert_array_equal(state["weight"].double().numpy(), host(wide).T)


def test_frozen_arrays_are_replaced_and_stay_frozen(backend):
    net = MLP().initialize(0, backend).freeze("layers.0")
    load_state_dict(
        net, randomize(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))).state_dict()
    )
    assert net[0].frozen == ("weight", "bias")


def test_memory_is_not_shared(backend):
    """Training changes arrays in place in some libraries."""
    module = randomize(nn.Linear(3, 3))
    net = layers.Linear(3, 3).initialize(0, backend)
    load_state_dict(net, module.state_dict())
    before = host(net.weight).copy()
    with torch.no_grad():
        module.weight.zero_()
        module.bias.zero_()
    np.testing.assert_array_equal(host(net.weight), before)
    state = state_dict(net)
    state["weight"].zero_()
    state["bias"].zero_()
    np.testing.assert_array_equal(host(net.weight), before)
    assert host(net.bias).any()


def test_state_without_counters():
    """Old versions of PyTorch do not count batches."""
    module = nn.BatchNorm1d(3)
    state = module.state_dict()
    del state["num_batches_tracked"]
    load_state_dict(layers.BatchNorm(3).initialize(0, "numpy"), state)


def test_order_of_definition_and_of_the_state_do_not_matter():
    net = Blocks().initialize(0, "numpy")
    state = randomize(TheirBlocks()).state_dict()
    load_state_dict(net, dict(reversed(state.items())))
    np.testing.assert_array_equal(net.heads["a"].weight, state["heads.a.weight"].numpy().T)


class Scale(layers.Module):
    """A scalar parameter."""

    def __init__(self):
        self.factor = layers.parameter((), anynet.initializers.ones)

    def forward(self, x):
        return x * self.factor


def test_parameter_without_axes(backend):
    net = Scale().initialize(0, backend)
    load_state_dict(net, {"factor": torch.tensor(2.5, requires_grad=True)})
    assert net.factor.shape == ()
    assert float(net.factor) == 2.5
    assert state_dict(net)["factor"].shape == ()


class Shared(layers.Module):
    """One layer in two places."""

    def __init__(self):
        self.first = layers.Linear(3, 3)
        self.second = self.first

    def forward(self, x):
        return self.second(self.first(x))


class TheirShared(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = self.first

    def forward(self, x):
        return self.second(self.first(x))


def test_shared_layer_has_two_names(backend):
    net, _ = same_outputs(Shared, TheirShared, backend, data(2, 3))
    assert net.first is net.second
    assert list(state_dict(net)) == [
        "first.weight",
        "first.bias",
        "second.weight",
        "second.bias",
    ]


def test_compiled_training_goes_on_after_a_load(backend):
    """The replays and the optimizer use the arrays of the state."""
    step = anynet.value_and_grad(lambda net, x: anynet.losses.mean_squared_error(net(x), x))

    def train(net, optimizer, x):
        optimizer.update(net, step(net, x)[1])

    x = backend.asarray(data(2, 3))
    state = randomize(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))).state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    weights = []
    for run in (train, anynet.compile(train)):
        net, optimizer = MLP().initialize(0, backend), anynet.optimizers.SGD(0.1)
        for _ in range(3):
            run(net, optimizer, x)
        load_state_dict(net, state)
        for _ in range(2):
            run(net, optimizer, x)
        weights.append(host(net[0].weight))
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-6, atol=1e-7)
    for name, tensor in before.items():
        torch.testing.assert_close(state[name], tensor, rtol=0, atol=0)


class Wide(layers.Linear):
    """A subclass has the layout of its base class."""


def test_subclass_has_the_layout_of_its_base(backend):
    same_outputs(lambda: Wide(3, 3), lambda: nn.Linear(3, 3), backend, data(2, 3))


def test_uninitialized_network_has_no_state():
    with pytest.raises(NotInitializedError, match=r"layers\.0\.weight is not initialized"):
        state_dict(MLP())


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (lambda: torch.zeros(3, 3, device="meta"), r"weight in the state cannot be copied"),
        (lambda: torch.eye(3).to_sparse(), r"weight in the state cannot be copied"),
        (lambda: nn.LazyLinear(3).weight, r"weight in the state has no shape yet: call the module"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
def test_tensors_without_values(backend, weight, message):
    net = layers.Linear(3, 3).initialize(0, backend)
    before = net.weight
    with pytest.raises(DataError, match=message):
        load_state_dict(net, {"bias": torch.zeros(3), "weight": weight()})
    assert net.weight is before


def test_module_in_place_of_its_state():
    with pytest.raises(ArgumentTypeError, match=r"call its state_dict\(\)"):
        load_state_dict(layers.Linear(3, 3), nn.Linear(3, 3))
    with pytest.raises(ArgumentTypeError, match=r"net is .*: wanted a layers\.Module"):
        state_dict(nn.Linear(3, 3))


def test_part_that_is_left_out_is_not_in_the_state(backend):
    net = MLP().initialize(0, backend)
    assert list(state_dict(net, names={"2": None})) == ["0.weight", "0.bias"]
