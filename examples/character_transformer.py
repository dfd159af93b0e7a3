"""Train a transformer to predict the next character of a text, and generate text with it.

python examples/character_transformer.py --backend torch
"""

import argparse
import math

import anynet
from anynet import cli, functions, layers, losses, metrics, optimizers, random
from anynet.array import Array, array_namespace
from anynet.layers import Module, parameter
from anynet.optimizers import schedules

TEXT = """
The river came down from the hills and turned the wheel, and the wheel turned the stone, and the
stone ground the corn. All day the miller carried the corn to the stone, and all day the stone gave
him flour. In the evening he stopped the wheel, and the river went on without him. When the rain
came, the river rose, and the wheel turned faster, and the stone ground the corn too fine. When the
sun came, the river fell, and the wheel turned slower, and the stone ground the corn too coarse. The
miller looked at the hills and the miller looked at the river, and he said: the rain is not mine and
the sun is not mine, but the wheel is mine. So he built a gate across the river. When the rain came,
he closed the gate, and when the sun came, he opened the gate, and the wheel turned as it had turned
before, and the stone ground the corn as it had ground it before. All day the miller carried the
corn to the stone, and in the evening he closed the gate, and the river waited for him.
"""


class Transformer(Module):
    """Scores of the next character at each position.

    Takes integers (N, length), returns (N, length, characters).
    """

    def __init__(self, characters: int, length: int, features: int = 64) -> None:
        self.characters = layers.Embedding(characters, features)
        self.positions = parameter((length, features), anynet.initializers.normal(0.1))
        self.blocks = [
            layers.TransformerEncoderLayer(features, 4, 4 * features, dropout=0.1, norm_first=True)
            for _ in range(2)
        ]
        self.norm = layers.LayerNorm(features)
        self.out = layers.Linear(features, characters)

    def forward(self, text: Array) -> Array:
        vectors = self.characters(text)
        positions = self.positions[: text.shape[1], ...]
        x = array_namespace(vectors, positions).add(vectors, positions)
        for block in self.blocks:
            x = block(x, causal=True)
        scores: Array = self.out(self.norm(x))
        return scores


def generate(
    net: Transformer, alphabet: str, start: str, count: int, key: Array, backend: anynet.Backend
) -> str:
    """Continue a text, sampling one character at a time."""
    xp = backend.xp
    length = net.positions.shape[0]
    text = start
    for i in range(count):
        codes = [alphabet.index(character) for character in text[-length:]]
        scores = net(backend.asarray([codes]))[0, -1, :]
        # A temperature of 0.5 prefers the likely characters.
        probabilities = functions.softmax(scores / 0.5)
        sample = random.uniform(random.fold_in(key, i), ())
        below = xp.cumulative_sum(probabilities) < sample
        # Rounding can leave the last sum below the sample.
        index = min(int(xp.sum(xp.astype(below, xp.int32))), len(alphabet) - 1)
        text += alphabet[index]
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_backend_argument(parser)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--length", type=int, default=48, help="of an input, in characters")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    backend = anynet.configure(options.backend)
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    text = " ".join(TEXT.split())
    alphabet = "".join(sorted(set(text)))
    codes = [alphabet.index(character) for character in text]
    length = options.length
    starts = range(0, len(codes) - length - 1, 3)
    x = backend.asarray([codes[i : i + length] for i in starts])
    # The target at each position is the next character.
    t = backend.asarray([codes[i + 1 : i + length + 1] for i in starts])
    net = Transformer(len(alphabet), length).initialize(options.seed, backend)
    count = anynet.summary(net).count
    print(f"{len(text):,} characters, {len(alphabet)} different ones, {count:,} parameters")

    steps = options.epochs * math.ceil(len(starts) / 32)
    warmup = steps // 10
    cosine = schedules.Cosine(0.003, steps - warmup)
    optimizer = optimizers.AdamW(schedules.Warmup(cosine, warmup))
    history = anynet.fit(
        net,
        (x, t),
        loss=losses.cross_entropy,
        optimizer=optimizer,
        epochs=options.epochs,
        batch_size=32,
        seed=options.seed,
        metric=[metrics.accuracy, metrics.perplexity],
    )
    if history.epochs:
        first, last = history.epochs[0].loss, history.epochs[-1].loss
        print(f"loss per character: {first:.3f} in the first epoch, {last:.3f} in the last")
    key = random.key(options.seed, backend)
    print(generate(net, alphabet, "The river ", 120, key, backend))


if __name__ == "__main__":
    cli.run(main)
