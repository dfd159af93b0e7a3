"""Every layer beside PyTorch's own with the same weights: outputs, and the gradients of parameters
and inputs."""

import numpy as np
import pytest
from helpers import host
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import anynet
from anynet import layers
from anynet.array import array_namespace

torch = pytest.importorskip("torch", reason="needs torch")
nn = torch.nn

few = st.integers(1, 3)


def same(x):
    return x


def transposed(x):
    return x.T


WEIGHTS = {"weight": ("weight", same), "bias": ("bias", same)}


def images(draw, n, least, most):
    return (
        2,
        n,
        draw(st.integers(least, most)),
        draw(st.integers(least, most)),
    )


def channels(draw):
    groups = draw(st.integers(1, 2))
    return (
        groups,
        groups * draw(st.integers(1, 2)),
        groups * draw(st.integers(1, 2)),
    )


def linear(draw):
    n, m = draw(few), draw(few)
    ours, theirs = layers.Linear(n, m), nn.Linear(n, m)
    return (
        ours,
        theirs,
        (*draw(st.sampled_from([(), (2,), (2, 3)])), n),
        {"weight": ("weight", transposed), "bias": ("bias", same)},
    )


def conv2d(draw):
    groups, n, m = channels(draw)
    config = {
        "stride": draw(st.tuples(few, few)),
        "padding": draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
        "dilation": draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        "groups": groups,
    }
    if draw(st.booleans()):
        config |= {"padding": "same", "stride": 1}
    kernel = draw(st.tuples(few, few))
    ours, theirs = (
        layers.Conv2d(n, m, kernel, **config),
        nn.Conv2d(n, m, kernel, **config),
    )
    return (
        ours,
        theirs,
        images(draw, n, 5, 7),
        dict(WEIGHTS),
    )


def conv1d(draw):
    groups, n, m = channels(draw)
    config = {
        "stride": draw(few),
        "padding": draw(st.integers(0, 2)),
        "dilation": draw(st.integers(1, 2)),
        "groups": groups,
    }
    kernel = draw(few)
    ours, theirs = (
        layers.Conv1d(n, m, kernel, **config),
        nn.Conv1d(n, m, kernel, **config),
    )
    return ours, theirs, (2, n, draw(st.integers(5, 8))), dict(WEIGHTS)


def conv3d(draw):
    groups, n, m = channels(draw)
    three = st.tuples(few, few, few)
    config = {
        "stride": draw(three),
        "padding": draw(st.tuples(*[st.integers(0, 1)] * 3)),
        "dilation": draw(st.tuples(*[st.integers(1, 2)] * 3)),
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    kernel = draw(three)
    # PyTorch warns of a copy for kernels of even length.
    if draw(st.booleans()) and all(length % 2 for length in kernel):
        config |= {"padding": "same", "stride": 1}
    ours, theirs = layers.Conv3d(n, m, kernel, **config), nn.Conv3d(n, m, kernel, **config)
    names = dict(WEIGHTS) if config["bias"] else {"weight": WEIGHTS["weight"]}
    return ours, theirs, (2, n, *draw(st.tuples(*[st.integers(4, 5)] * 3))), names


def conv_transpose1d(draw):
    groups, n, m = channels(draw)
    stride, dilation = draw(few), draw(st.integers(1, 2))
    config = {
        "stride": stride,
        "padding": draw(st.integers(0, 1)),
        "output_padding": draw(st.integers(0, max(stride, dilation) - 1)),
        "dilation": dilation,
        "groups": groups,
    }
    kernel = draw(st.integers(2, 3))
    ours, theirs = (
        layers.ConvTranspose1d(n, m, kernel, **config),
        nn.ConvTranspose1d(n, m, kernel, **config),
    )
    return ours, theirs, (2, n, draw(st.integers(3, 6))), dict(WEIGHTS)


def prelu(draw):
    n = draw(few)
    shape = draw(st.sampled_from([(4, n), (3, n, 2), (2, n, 2, 3)]))
    slope = draw(st.sampled_from([0.25, -0.5]))
    return (
        layers.PReLU(n, negative_slope=slope),
        nn.PReLU(n, slope),
        shape,
        {"weight": ("weight", same)},
    )


def pool1d(name):
    def build(draw):
        kernel, stride = draw(few), draw(st.none() | few)
        padding = draw(st.integers(0, kernel // 2))
        ours = getattr(layers, name)(kernel, stride=stride, padding=padding)
        theirs = getattr(nn, name)(kernel, stride=stride, padding=padding)
        return ours, theirs, (2, draw(few), draw(st.integers(3, 7))), {}

    return build


def upsample(draw):
    axes = draw(few)
    mode = draw(st.sampled_from(["nearest", ["linear", "bilinear", "trilinear"][axes - 1]]))
    config = {"mode": mode}
    if mode != "nearest":
        config["align_corners"] = draw(st.booleans())
    if draw(st.booleans()):
        config["size"] = draw(st.tuples(*[st.integers(1, 7)] * axes))
    else:
        # Half of a length of 2 or more is an element.
        scales = st.sampled_from([0.5, 1, 1.5, 1.7, 2, 2.5, 3])
        config["scale_factor"] = draw(st.tuples(*[scales] * axes))
    shape = draw(st.tuples(*[st.integers(2, 5)] * axes))
    return layers.Upsample(**config), nn.Upsample(**config), (2, draw(few), *shape), {}


def conv_transpose2d(draw):
    groups, n, m = channels(draw)
    stride, dilation = (
        draw(st.tuples(few, few)),
        draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
    )
    config = {
        "stride": stride,
        "padding": draw(st.tuples(st.integers(0, 1), st.integers(0, 1))),
        "output_padding": tuple(
            draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
        ),
        "dilation": dilation,
        "groups": groups,
    }
    kernel = draw(st.tuples(st.integers(2, 3), st.integers(2, 3)))
    ours, theirs = (
        layers.ConvTranspose2d(n, m, kernel, **config),
        nn.ConvTranspose2d(n, m, kernel, **config),
    )
    return (
        ours,
        theirs,
        images(draw, n, 3, 5),
        dict(WEIGHTS),
    )


def pool(name):
    def build(draw):
        kernel, stride = (
            draw(st.tuples(few, few)),
            draw(st.none() | st.tuples(few, few)),
        )
        padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
        ours = getattr(layers, name)(kernel, stride=stride, padding=padding)
        theirs = getattr(nn, name)(kernel, stride=stride, padding=padding)
        return ours, theirs, images(draw, draw(few), 3, 6), {}

    return build


def global_pool(name):
    def build(draw):
        ours, pool = (
            getattr(layers, f"Global{name}Pool2d")(),
            getattr(nn, f"Adaptive{name}Pool2d")(1),
        )
        return (
            ours,
            nn.Sequential(pool, nn.Flatten()),
            images(draw, draw(few), 1, 4),
            {},
        )

    return build


def batch_norm(draw):
    n = draw(few)
    shape = draw(st.sampled_from([(4, n), (3, n, 2), (2, n, 2, 3)]))
    theirs = [nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d][len(shape) - 2](n)
    return layers.BatchNorm(n), theirs, shape, dict(WEIGHTS)


def layer_norm(draw):
    n = draw(st.integers(2, 4))
    return layers.LayerNorm(n), nn.LayerNorm(n), (2, 3, n), dict(WEIGHTS)


def group_norm(draw):
    groups, n, _ = channels(draw)
    return (
        layers.GroupNorm(groups, n),
        nn.GroupNorm(groups, n),
        (2, n, 3, 2),
        dict(WEIGHTS),
    )


def rms_norm(draw):
    n = draw(st.integers(2, 4))
    return (
        layers.RMSNorm(n),
        nn.RMSNorm(n, eps=1e-5),
        (2, 3, n),
        {"weight": ("weight", same)},
    )


def recurrent_names(count, bidirectional, bias=True):
    names = {}
    for i in range(count):
        for cells, end in [("cells", ""), ("reverse_cells", "_reverse")][: 1 + bidirectional]:
            for ours, theirs in (("input", "ih"), ("hidden", "hh")):
                weight = f"weight_{theirs}_l{i}{end}"
                names[f"{cells}.{i}.{ours}_weight"] = (weight, transposed)
                if bias:
                    names[f"{cells}.{i}.{ours}_bias"] = (f"bias_{theirs}_l{i}{end}", same)
    return names


def recurrent(name):
    def build(draw):
        n, m, count, two, bias = (
            draw(few),
            draw(few),
            draw(few),
            draw(st.booleans()),
            draw(st.booleans()),
        )
        config = {"bidirectional": two, "bias": bias}
        if name == "RNN":
            config["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
        ours = getattr(layers, name)(n, m, layers=count, **config)
        theirs = getattr(nn, name)(n, m, count, batch_first=True, **config)
        return (
            ours,
            lambda x: theirs(x)[0],
            (2, draw(few), n),
            recurrent_names(count, two, bias),
            theirs,
        )

    return build


def attention_names(prefix, width):
    def part(i, flip):
        return lambda x: (
            x[i * width : (i + 1) * width].T if flip else x[i * width : (i + 1) * width]
        )

    names = {}
    for i, name in enumerate(("query", "key", "value")):
        names[f"{name}.weight"] = (f"{prefix}in_proj_weight", part(i, True))
        names[f"{name}.bias"] = (f"{prefix}in_proj_bias", part(i, False))
    return names | {
        "out.weight": (f"{prefix}out_proj.weight", transposed),
        "out.bias": (f"{prefix}out_proj.bias", same),
    }


def attention(draw):
    heads = draw(st.integers(1, 2))
    width = heads * draw(st.integers(1, 2))
    ours, theirs = (
        layers.MultiHeadAttention(width, heads),
        nn.MultiheadAttention(width, heads, batch_first=True),
    )
    length, causal = draw(few), draw(st.booleans())
    mask = torch.triu(torch.ones(length, length, dtype=torch.bool), 1) if causal else None
    call = lambda x: theirs(x, x, x, attn_mask=mask, need_weights=False)[0]
    settings = {"causal": causal}
    return (
        ours,
        call,
        (2, length, width),
        attention_names("", width),
        theirs,
        settings,
    )


def encoder_layer(draw):
    heads = draw(st.integers(1, 2))
    width, hidden, first = heads * 2, draw(few), draw(st.booleans())
    ours = layers.TransformerEncoderLayer(width, heads, hidden, dropout=0.0, norm_first=first)
    theirs = nn.TransformerEncoderLayer(
        width,
        heads,
        hidden,
        dropout=0.0,
        batch_first=True,
        norm_first=first,
    )
    names = {
        f"attention.{ours}": theirs for ours, theirs in attention_names("self_attn.", width).items()
    }
    for i, name in ((0, "linear1"), (3, "linear2")):
        names[f"maps.layers.{i}.weight"] = (f"{name}.weight", transposed)
        names[f"maps.layers.{i}.bias"] = (f"{name}.bias", same)
    for i in (0, 1):
        names[f"norms.{i}.weight"] = (f"norm{i + 1}.weight", same)
        names[f"norms.{i}.bias"] = (f"norm{i + 1}.bias", same)
    return ours, theirs, (2, draw(few), width), names


def decoder_names(width):
    names = {}
    for ours_name, theirs_name in (
        ("attention", "self_attn"),
        ("cross_attention", "multihead_attn"),
    ):
        for path, source in attention_names(f"{theirs_name}.", width).items():
            names[f"layer.{ours_name}.{path}"] = source
    for i, name in ((0, "linear1"), (3, "linear2")):
        names[f"layer.maps.layers.{i}.weight"] = (f"{name}.weight", transposed)
        names[f"layer.maps.layers.{i}.bias"] = (f"{name}.bias", same)
    for i in range(3):
        names[f"layer.norms.{i}.weight"] = (f"norm{i + 1}.weight", same)
        names[f"layer.norms.{i}.bias"] = (f"norm{i + 1}.bias", same)
    return names


def decoder_layer(draw):
    heads = draw(st.integers(1, 2))
    width, hidden, first = heads * 2, draw(few), draw(st.booleans())
    length, causal = draw(few), draw(st.booleans())
    ours = Decoder(
        layers.TransformerDecoderLayer(width, heads, hidden, dropout=0.0, norm_first=first)
    )
    theirs = nn.TransformerDecoderLayer(
        width,
        heads,
        hidden,
        dropout=0.0,
        batch_first=True,
        norm_first=first,
    )
    mask = nn.Transformer.generate_square_subsequent_mask(length) if causal else None
    mask = mask.double() if causal else None
    # The memory is the sequence from its end, and longer by one.
    call = lambda x: theirs(x, torch.cat([x.flip(1), x[:, :1]], 1), tgt_mask=mask)
    names = decoder_names(width)
    return ours, call, (2, length, width), names, theirs, {"causal": causal}


class Decoder(layers.Module):
    """A decoder layer whose memory is its input from the end, and the first position again."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x, *, causal):
        xp = array_namespace(x)
        memory = xp.concat([xp.flip(x, axis=1), x[:, :1, :]], axis=1)
        return self.layer(x, memory, causal=causal)


BUILDERS = {
    "Linear": linear,
    "Conv2d": conv2d,
    "Conv1d": conv1d,
    "Conv3d": conv3d,
    "ConvTranspose1d": conv_transpose1d,
    "ConvTranspose2d": conv_transpose2d,
    "MaxPool1d": pool1d("MaxPool1d"),
    "AvgPool1d": pool1d("AvgPool1d"),
    "PReLU": prelu,
    "Upsample": upsample,
    "MaxPool2d": pool("MaxPool2d"),
    "AvgPool2d": pool("AvgPool2d"),
    "GlobalMaxPool2d": global_pool("Max"),
    "GlobalAvgPool2d": global_pool("Avg"),
    "BatchNorm": batch_norm,
    "LayerNorm": layer_norm,
    "GroupNorm": group_norm,
    "RMSNorm": rms_norm,
    "RNN": recurrent("RNN"),
    "LSTM": recurrent("LSTM"),
    "GRU": recurrent("GRU"),
    "MultiHeadAttention": attention,
    "TransformerEncoderLayer": encoder_layer,
    "TransformerDecoderLayer": decoder_layer,
}


@pytest.mark.parametrize("name", BUILDERS)
def test_layers_and_gradients_match_torch(backend, name):
    examples = 2 if backend.name == "jax" else 12
    checks = settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    checks(given(st.data())(lambda data: compare(backend, *BUILDERS[name](data.draw))))()


def compare(backend, ours, theirs, shape, names, module=None, call=None):
    torch.manual_seed(0)
    module = (module if module is not None else theirs).double()
    generator = np.random.default_rng(0)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.tensor(generator.normal(size=p.shape)))
    ours.initialize(0, backend, backend.xp.float64)
    for path, (source, arrange) in names.items():
        ours[path] = backend.asarray(
            np.ascontiguousarray(arrange(module.get_parameter(source).detach().numpy()))
        )
    assert set(names) == set(ours.parameters())
    data = generator.normal(size=shape)
    x = torch.tensor(data, requires_grad=True)
    try:
        y = theirs(x)
    except RuntimeError:
        # A kernel larger than the image.
        assume(False)
    cotangent = generator.normal(size=y.shape)
    (y * torch.tensor(cotangent)).sum().backward()
    g = backend.asarray(cotangent)
    f = lambda net, x: array_namespace(x).sum(net(x, **(call or {})) * anynet.tracing.trace.wrap(g))
    (grads, of_x) = anynet.grad(f, (0, 1))(ours, backend.asarray(data))
    close(of_x, x.grad)
    for path, (source, arrange) in names.items():
        close(grads[path], arrange(module.get_parameter(source).grad))
    state = dict(module.named_buffers())
    for path, buffer in ours.buffers().items():
        if path.startswith("running"):
            close(buffer, state[path.replace("variance", "var")])
    # In inference, after the step.
    module.eval()
    close(
        ours(backend.asarray(data), **(call or {})),
        theirs(torch.tensor(data)).detach(),
    )


def close(ours, theirs):
    theirs = np.asarray(theirs.numpy())
    assert tuple(ours.shape) == theirs.shape
    np.testing.assert_allclose(host(ours), theirs, rtol=1e-5, atol=1e-7)


def with_weights_of(theirs, ours, names, backend):
    """Return our layer in float64 with the weights of PyTorch's, which get random values."""
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    theirs.double()
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.tensor(generator.normal(size=p.shape)))
    ours.initialize(0, backend, backend.xp.float64)
    for path, (source, arrange) in names.items():
        ours[path] = backend.asarray(
            np.ascontiguousarray(arrange(theirs.get_parameter(source).detach().numpy()))
        )
    return ours


ATTENDED = {
    "itself": (),
    "key": ("key",),
    "value": ("value",),
    "key and value": ("key", "value"),
    "mask": ("mask",),
    "mask of each image and head": ("mask of all",),
    "key_mask": ("key_mask",),
    "mask and key_mask": ("mask", "key_mask"),
    "mask and causal": ("mask", "causal"),
    "key_mask and causal": ("key_mask", "causal"),
    "all masks": ("mask of all", "key_mask", "causal"),
    "all masks and arrays": ("key", "value", "mask", "key_mask", "causal"),
}


@pytest.mark.parametrize("name", ATTENDED)
def test_cross_attention_with_masks(backend, name):
    given, heads, width, n, length = ATTENDED[name], 2, 4, 3, 4
    other = 6 if "key" in given else length
    theirs = nn.MultiheadAttention(width, heads, batch_first=True)
    ours = with_weights_of(
        theirs,
        layers.MultiHeadAttention(width, heads),
        attention_names("", width),
        backend,
    )
    generator = np.random.default_rng(1)
    sizes = {"query": length} | {part: other for part in ("key", "value") if part in given}
    data = {part: generator.normal(size=(n, size, width)) for part, size in sizes.items()}
    shape = (n, heads, length, other) if "mask of all" in given else (length, other)
    # Position 0 always counts, so that no row is without any.
    mask, key_mask = (generator.random(s) < 0.5 for s in (shape, (n, other)))
    mask[..., 0] = key_mask[:, 0] = True
    causal = np.tril(np.ones((length, other), bool))

    allowed = np.ones((n, heads, length, other), bool)
    masks = {}
    if "mask" in given or "mask of all" in given:
        masks["mask"] = backend.asarray(mask)
        allowed &= mask
    if "key_mask" in given:
        masks["key_mask"] = backend.asarray(key_mask)
        allowed &= key_mask[:, None, None, :]
    if "causal" in given:
        masks["causal"] = True
        allowed &= causal

    tensors = {part: torch.tensor(x, requires_grad=True) for part, x in data.items()}
    key = tensors.get("key", tensors["query"])
    hidden = torch.tensor(~allowed.reshape(n * heads, length, other))
    out = theirs(
        tensors["query"],
        key,
        tensors.get("value", key),
        attn_mask=hidden,
        need_weights=False,
    )[0]
    cotangent = generator.normal(size=out.shape)
    (out * torch.tensor(cotangent)).sum().backward()

    arrays = {part: backend.asarray(x) for part, x in data.items()}
    close(ours(**arrays, **masks), out.detach())
    weights = backend.asarray(cotangent)
    f = lambda net, arrays: array_namespace(arrays["query"]).sum(net(**arrays, **masks) * weights)
    grads, of_arrays = anynet.grad(f, (0, 1))(ours, arrays)
    for part, x in tensors.items():
        close(of_arrays[part], x.grad)
    for path, (source, arrange) in attention_names("", width).items():
        close(grads[path], arrange(theirs.get_parameter(source).grad))


@pytest.mark.parametrize("first", [False, True])
def test_decoder_with_all_masks(backend, first):
    """Masks of the sequence and of the memory, with the gradients of both."""
    theirs = nn.TransformerDecoderLayer(4, 2, 6, 0.0, batch_first=True, norm_first=first)
    ours = layers.TransformerDecoderLayer(4, 2, 6, dropout=0.0, norm_first=first)
    names = {path.removeprefix("layer."): source for path, source in decoder_names(4).items()}
    with_weights_of(theirs, ours, names, backend)
    generator = np.random.default_rng(1)
    data = [generator.normal(size=(3, length, 4)) for length in (5, 6)]
    mask, memory_mask, key_mask, memory_key_mask = (
        generator.random(shape) < 0.6 for shape in ((5, 5), (5, 6), (3, 5), (3, 6))
    )
    for allowed in (mask, memory_mask, key_mask, memory_key_mask):
        # Position 0 always counts, so that no row is without any.
        allowed[:, 0] = True
    tensors = [torch.tensor(x, requires_grad=True) for x in data]
    hidden = lambda allowed: torch.tensor(~allowed)
    out = theirs(
        *tensors,
        tgt_mask=hidden(mask & np.tril(np.ones((5, 5), bool))),
        memory_mask=hidden(memory_mask),
        tgt_key_padding_mask=hidden(key_mask),
        memory_key_padding_mask=hidden(memory_key_mask),
    )
    cotangent = generator.normal(size=(3, 5, 4))
    (out * torch.tensor(cotangent)).sum().backward()
    masks = {
        "mask": backend.asarray(mask),
        "key_mask": backend.asarray(key_mask),
        "memory_mask": backend.asarray(memory_mask),
        "memory_key_mask": backend.asarray(memory_key_mask),
    }
    weights = backend.asarray(cotangent)

    def f(net, x, memory):
        out = net(x, memory, causal=True, **masks)
        return array_namespace(x).sum(out * weights), out

    arrays = [backend.asarray(x) for x in data]
    grads, found = anynet.grad(f, (0, 1, 2), has_aux=True)(ours, *arrays)
    close(found, out.detach())
    for g, tensor in zip(grads[1:], tensors, strict=True):
        close(g, tensor.grad)
    for path, (source, arrange) in names.items():
        close(grads[0][path], arrange(theirs.get_parameter(source).grad))


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_state_continues_a_sequence(backend, name):
    """The state goes from the first half of a sequence to the second."""
    ours, theirs = (
        getattr(layers, name)(2, 3),
        getattr(nn, name)(2, 3, batch_first=True),
    )
    with_weights_of(theirs, ours, recurrent_names(1, False), backend)
    generator = np.random.default_rng(1)
    x, h, c = (generator.normal(size=shape) for shape in ((4, 7, 2), (4, 3), (4, 3)))
    start = (h, c) if name == "LSTM" else h
    tensors = tuple(torch.tensor(part)[None] for part in (h, c))
    for first, beginning in (
        (None, None),
        (start, tensors if name == "LSTM" else tensors[0]),
    ):
        with torch.no_grad():
            expected, last = theirs(torch.tensor(x), beginning)
        state = anynet.tree.map(backend.asarray, first) if first is not None else None
        outputs = []
        for part in (x[:, :3], x[:, 3:]):
            out, state = ours.run(backend.asarray(part), state)
            outputs.append(host(out))
        np.testing.assert_allclose(np.concatenate(outputs, axis=1), expected.numpy(), rtol=1e-9)
        parts = zip(state, last, strict=True) if name == "LSTM" else [(state, last)]
        for part, wanted in parts:
            close(part, wanted[0])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_states_of_several_layers(backend, name, two, compiled):
    """States have PyTorch's shape and order, and so have their gradients."""
    if backend.name == "jax" and not (name == "LSTM" and two):
        pytest.skip(reason="JAX compiles for too long; one kind is tested")
    theirs = getattr(nn, name)(2, 3, 2, batch_first=True, bidirectional=two)
    ours = getattr(layers, name)(2, 3, layers=2, bidirectional=two)
    with_weights_of(theirs, ours, recurrent_names(2, two), backend)
    generator = np.random.default_rng(1)
    data = [generator.normal(size=(4, 5, 2))]
    data += [generator.normal(size=(4 if two else 2, 4, 3)) for _ in range(1 + (name == "LSTM"))]
    tensors = [torch.tensor(part, requires_grad=True) for part in data]
    expected, last = theirs(tensors[0], tuple(tensors[1:]) if name == "LSTM" else tensors[1])
    last = last if name == "LSTM" else (last,)
    (expected.sum() + sum((part**2).sum() for part in last)).backward()

    def loss(x, *state):
        out, end = ours.run(x, state if name == "LSTM" else state[0])
        end = end if name == "LSTM" else (end,)
        xp = array_namespace(out)
        return xp.sum(out) + sum(xp.sum(part**2) for part in end), (out, end)

    step = anynet.value_and_grad(loss, tuple(range(len(data))), has_aux=True)
    step = anynet.compile(step) if compiled else step
    for _ in range(1 + compiled):
        (_, (out, end)), grads = step(*map(backend.asarray, data))
        close(out, expected.detach())
        for part, wanted in zip(end, last, strict=True):
            close(part, wanted.detach())
        for g, tensor in zip(grads, tensors, strict=True):
            close(g, tensor.grad)


@pytest.mark.parametrize("shape", [(1, 3, 2, 2), (1, 3, 5), (1, 3)])
def test_batch_norm_of_one_row_in_training(backend, shape):
    """One value for each feature, for which PyTorch raises, gives the bias."""
    theirs = nn.BatchNorm2d(3) if len(shape) == 4 else nn.BatchNorm1d(3)
    ours = with_weights_of(theirs, layers.BatchNorm(3), dict(WEIGHTS), backend).set_training(True)
    data = np.random.default_rng(1).normal(size=shape)
    out = ours(backend.asarray(data))
    if len(shape) > 2:
        close(out, theirs(torch.tensor(data)).detach())
        mean, variance = theirs.running_mean, theirs.running_var
    else:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            theirs(torch.tensor(data))
        close(out, theirs.bias.detach()[None])
        mean, variance = torch.tensor(0.1 * data[0]), torch.full((3,), 0.9)
    close(ours.running_mean, mean)
    close(ours.running_variance, variance)


@pytest.mark.parametrize(("kernel", "stride"), [(2, 1), (2, 2), (3, 2)])
def test_max_pool_ignores_padding(backend, kernel, stride):
    """In a window of -∞ the largest element is the first of the image, not the padding."""
    if backend.name == "jax":
        pytest.skip(reason="XLA lets the padding win")
    x = np.array(
        [
            [
                [
                    [-np.inf, -np.inf, 3],
                    [1, 2, -np.inf],
                    [-np.inf, -np.inf, -np.inf],
                ]
            ]
        ]
    )
    point = torch.tensor(x, requires_grad=True)
    torch.nn.functional.max_pool2d(point, kernel, stride, 1).sum().backward()
    pool = layers.MaxPool2d(kernel, stride=stride, padding=1)
    found = anynet.grad(lambda x: array_namespace(x).sum(pool(x)))(backend.asarray(x))
    np.testing.assert_array_equal(host(found), point.grad.numpy())
