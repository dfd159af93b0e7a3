"""The notebook's MiniLM computes what transformers computes, and what plain NumPy computes."""

import math

import numpy as np
import pytest
from helpers import host
from notebook_cells import definitions

import anynet
from anynet.errors import ShapeError

HEADS = 4


def weights(dtype, features=24, hidden=40, depth=2, vocabulary=50, positions=16):
    """Return random weights with the names and layouts of the model's file."""
    generator = np.random.default_rng(0)
    arrays = {}

    def add(name, *shape, offset=0.0):
        arrays[name] = (offset + generator.normal(size=shape) * 0.3).astype(dtype)

    def layer_norm(name):
        add(f"{name}.weight", features, offset=1.0)
        add(f"{name}.bias", features)

    def linear(name, inputs, outputs):
        add(f"{name}.weight", outputs, inputs)
        add(f"{name}.bias", outputs)

    for kind, rows in (("word", vocabulary), ("position", positions), ("token_type", 2)):
        add(f"embeddings.{kind}_embeddings.weight", rows, features)
    layer_norm("embeddings.LayerNorm")
    for i in range(depth):
        layer = f"encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"{layer}.attention.{part}", features, features)
        layer_norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", features, hidden)
        linear(f"{layer}.output.dense", hidden, features)
        layer_norm(f"{layer}.output.LayerNorm")
    linear("pooler.dense", features, features)
    return arrays


def in_numpy(p, indices, mask):
    """Return the vectors of tokens and of sentences, from the formulas of BERT."""

    def linear(x, name):
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12)
        return x * p[f"{name}.weight"] + p[f"{name}.bias"]

    def heads(x):
        return x.reshape(*x.shape[:2], HEADS, -1).transpose(0, 2, 1, 3)

    table = "embeddings.{}_embeddings.weight"
    x = p[table.format("word")][indices] + p[table.format("token_type")][0]
    x = norm(x + p[table.format("position")][: indices.shape[1]], "embeddings.LayerNorm")
    depth = len({name.split(".")[2] for name in p if name.startswith("encoder")})
    for i in range(depth):
        layer = f"encoder.layer.{i}"
        parts = ("query", "key", "value")
        q, k, v = (heads(linear(x, f"{layer}.attention.self.{part}")) for part in parts)
        scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(q.shape[-1])
        scores = np.where(mask[:, None, None, :], scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares = shares / shares.sum(-1, keepdims=True)
        attended = (shares @ v).transpose(0, 2, 1, 3).reshape(x.shape)
        attended = linear(attended, f"{layer}.attention.output.dense")
        x = norm(x + attended, f"{layer}.attention.output.LayerNorm")
        inner = linear(x, f"{layer}.intermediate.dense")
        inner = inner / 2 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = norm(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return x, mean / np.linalg.norm(mean, axis=1, keepdims=True)


INDICES = np.asarray([[1, 5, 9, 3, 3], [7, 2, 0, 0, 0], [4, 4, 8, 49, 0]], dtype="int32")
MASK = np.asarray([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0]]) != 0


def outputs(path, backend):
    """Return the vectors of tokens and of sentences that the notebook's network gives."""
    net = definitions("minilm")["load"](path, HEADS, backend)

    def both(net, indices, mask):
        return net.encode(indices, mask), net(indices, mask)

    # JAX compiles each operation of an eager call.
    run = anynet.compile(both) if backend.name == "jax" else both
    tokens, vectors = run(net, backend.asarray(INDICES), backend.asarray(MASK))
    return host(tokens), host(vectors)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-5), ("float64", 1e-12)])
def test_agrees_with_numpy(backend, tmp_path, dtype, bound):
    if backend.name == "jax" and dtype == "float64":
        pytest.skip("JAX has no float64 unless it is configured so")
    arrays = weights(dtype)
    path = tmp_path / "model.safetensors"
    anynet.checkpoint.save(arrays, path)
    tokens, vectors = outputs(path, backend)
    expected_tokens, expected_vectors = in_numpy(
        {name: x.astype("float64") for name, x in arrays.items()}, INDICES, MASK
    )
    assert vectors.dtype == dtype
    np.testing.assert_allclose(tokens[MASK], expected_tokens[MASK], rtol=0, atol=bound)
    np.testing.assert_allclose(vectors, expected_vectors, rtol=0, atol=bound)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-6), ("float64", 1e-12)])
def test_agrees_with_transformers(tmp_path, dtype, bound):
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    torch = pytest.importorskip("torch", reason="needs torch")
    safetensors = pytest.importorskip("safetensors.torch", reason="needs safetensors")
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        intermediate_size=40,
        max_position_embeddings=16,
    )
    torch.manual_seed(0)
    model = transformers.BertModel(config).to(getattr(torch, dtype)).eval()
    path = tmp_path / "model.safetensors"
    safetensors.save_file(model.state_dict(), path)
    tokens, vectors = outputs(path, anynet.get_backend("numpy"))
    with torch.no_grad():
        mask = torch.asarray(MASK)
        expected = model(torch.asarray(INDICES), attention_mask=mask.long()).last_hidden_state
        weight = mask[..., None].to(expected.dtype)
        mean = (expected * weight).sum(1) / weight.sum(1)
        mean = torch.nn.functional.normalize(mean)
    np.testing.assert_allclose(tokens[MASK], expected.numpy()[MASK], rtol=0, atol=bound)
    np.testing.assert_allclose(vectors, mean.numpy(), rtol=0, atol=bound)


def test_padding_does_not_change_a_vector(tmp_path):
    path = tmp_path / "model.safetensors"
    anynet.checkpoint.save(weights("float64"), path)
    _, vectors = outputs(path, anynet.get_backend("numpy"))
    net = definitions("minilm")["load"](path, HEADS, anynet.get_backend("numpy"))
    alone = net(INDICES[1:2, :2], MASK[1:2, :2])
    np.testing.assert_allclose(alone[0], vectors[1], rtol=0, atol=1e-14)


def test_random_file_has_the_names_of_the_model(tmp_path):
    notebook = definitions("minilm")
    backend = anynet.get_backend("numpy")
    notebook["random_file"](tmp_path / "random.safetensors", backend)
    read = anynet.checkpoint.read(tmp_path / "random.safetensors", "numpy")
    wanted = {name for name in weights("float32", depth=6) if "pooler" not in name}
    assert set(read) == wanted
    vectors = notebook["load"](tmp_path / "random.safetensors", 12, backend)(INDICES, MASK)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_weights_of_another_shape(tmp_path):
    arrays = weights("float32")
    arrays["encoder.layer.1.output.dense.weight"] = np.ones((24, 7), "float32")
    anynet.checkpoint.save(arrays, tmp_path / "model.safetensors")
    with pytest.raises(ShapeError, match=r"blocks\.1\.maps\.layers\.3\.weight"):
        outputs(tmp_path / "model.safetensors", anynet.get_backend("numpy"))
