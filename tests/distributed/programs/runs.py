"""Train small networks in many ways, in a group or alone, and write what came out.

    python runs.py BACKEND FILE [all | few | fewest]

Rank 0 writes to FILE, by the name of each run: the losses of all steps, the scores, and whether all
ranks hold the same bits.
"""

import json
import sys
import zlib
from functools import partial

import anynet
from anynet import data, layers, losses, metrics, optimizers, random, tree
from anynet.array import array_namespace

STEPS = 30


def network(backend, dtype, seed=0):
    """Return a network whose batch normalization and dropout see the rows of all ranks.

    A bias before batch normalization would have gradients of rounding errors alone, which Adam
    makes steps of.
    """
    return layers.Sequential(
        layers.Conv2d(1, 4, 3, bias=False),
        layers.BatchNorm(4),
        layers.ReLU(),
        layers.Flatten(),
        layers.Linear(64, 12, bias=False),
        layers.BatchNorm(12),
        layers.ReLU(),
        layers.Dropout(0.3),
        layers.Linear(12, 5),
    ).initialize(seed, backend, dtype)


def digits(backend, dtype, rows):
    """Return rows of random pictures, and labels that depend on them."""
    xp = backend.xp
    key = random.key(1, backend)
    x = random.normal(key, (rows, 1, 6, 6)) * 2 + 1
    t = xp.argmax(xp.reshape(x, (rows, -1))[:, :5], axis=1)
    return xp.astype(x, getattr(xp, dtype)), t


def checksum(net, history):
    parts = [anynet.get_backend(x).to_host(x).tobytes() for _, x in tree.leaves(net)]
    return [zlib.crc32(part) for part in parts], history.losses


def fitted(group, backend, dtype, *, rows=37, batch_size=13, **settings):
    """Return the losses and the scores of a run, and whether all ranks have the same."""
    net = network(backend, dtype)
    x, t = digits(backend, dtype, rows)
    train = settings.pop("train", lambda x, t: (x, t))(x, t)
    if isinstance(train, tuple):
        settings["batch_size"] = batch_size
    settings.setdefault("epochs", STEPS // 3)
    test = None if "validation_split" in settings else (x, t)
    history = anynet.fit(net, train, test, progress=False, group=group, **settings)
    every = group.gather(checksum(net, history))
    scores = [list(epoch.test_scores.values()) for epoch in history.epochs]
    return history.losses, scores, all(one == every[0] for one in every)


def stepped(group, backend, dtype, *, compiled):
    """Return the same for steps that are written by hand, on batches of two lengths."""
    net, optimizer = network(backend, dtype), optimizers.AdamW(1e-2)
    x, t = digits(backend, dtype, 16)
    gradient = anynet.value_and_grad(lambda net, x, t: losses.cross_entropy(net(x), t), group=group)

    def step(net, optimizer, x, t):
        value, grads = gradient(net, x, t)
        optimizer.update(net, grads)
        return value

    step = anynet.compile(step) if compiled else step
    history = anynet.History()
    for i in range(STEPS):
        rows = 16 if i % 2 else 11
        history.losses.append(float(step(net, optimizer, x[:rows, ...], t[:rows])))
    every = group.gather(checksum(net, history))
    return history.losses, [], all(one == every[0] for one in every)


def penalized(net, x, t):
    """Return a loss of one's own, with a term that has no rows."""
    penalty = sum(array_sum(w * w) for w in net.parameters().values())
    return losses.cross_entropy(net(x), t) + 1e-3 * penalty


def array_sum(x):
    return array_namespace(x).sum(x)


def batches_of(x, t):
    return [(x[i : i + 9, ...], t[i : i + 9]) for i in range(0, 27, 9)]


def weighted(x, t):
    xp = array_namespace(x)
    return x, t, xp.astype(xp.arange(x.shape[0]) % 4, x.dtype) + 0.5


def noisy(key, x):
    return x + 0.1 * random.normal(key, x.shape, x.dtype)


def rows_of_classes(x, t):
    """Return a loader whose augmentation changes labels too."""
    return data.Loader(x, t, batch_size=13, augment=data.mixup(alpha=0.4, classes=5))


def top_two(outputs, t):
    """Return the share of labels among the two largest outputs, of all rows at once."""
    xp = array_namespace(outputs)
    order = xp.argsort(-outputs, axis=-1)[:, :2]
    return xp.mean(xp.astype(xp.any(order == t[:, None], axis=-1), xp.float64))


def clipped(optimizer):
    return optimizers.Clipping(optimizer, max_norm=0.3)


#: Runs of `fit` beside those of all optimizers.
RUNS = {
    "even parts": {"rows": 36, "batch_size": 12},
    "a loader": {"train": lambda x, t: data.Loader(x, t, 9, drop_last=True)},
    "accumulated and averaged": {
        "optimizer": optimizers.ExponentialAverage(
            optimizers.Accumulation(optimizers.Adam(1e-2), steps=2)
        )
    },
    "an iterable": {"train": batches_of},
    "weights of rows": {"train": weighted},
    "mixed rows": {"train": rows_of_classes, "metric": None},
    "augmented": {"train": lambda x, t: data.Loader(x, t, 13, augment=noisy)},
    "ignored labels": {"loss": partial(losses.cross_entropy, ignore_index=2)},
    "a sum": {"loss": partial(losses.cross_entropy, reduction="sum")},
    "smoothed labels": {"loss": partial(losses.cross_entropy, label_smoothing=0.1)},
    "a loss of one's own": {"loss": penalized},
    "steps of an epoch": {"steps_per_epoch": 4, "epochs": 8},
    "validation": {"validation_split": 0.2},
    "metrics": {"metric": [metrics.F1(average="macro"), metrics.perplexity, top_two]},
}


OPTIMIZERS = [
    optimizers.AdaGrad,
    optimizers.Adamax,
    optimizers.LAMB,
    optimizers.Lion,
    optimizers.Momentum,
    optimizers.Muon,
    optimizers.NAdam,
    optimizers.RMSprop,
]


def narrow(backend):
    """Return a policy of mixed precision for each narrow dtype of the library."""
    return [anynet.MixedPrecision(x) for x in ("float16", "bfloat16") if hasattr(backend.xp, x)]


def main():
    name, file, which = sys.argv[1:]
    backend = anynet.get_backend(name)
    found = {}
    with anynet.open_group(timeout=60) as group:
        for dtype in ("float64", "float32"):
            for compiled in (False, True)[which == "fewest" :]:
                way = f"{dtype}, {'compiled' if compiled else 'eager'}"
                found[f"by hand, {way}"] = stepped(group, backend, dtype, compiled=compiled)
                for optimizer in (optimizers.SGD(0.05), optimizers.AdamW(1e-2)):
                    title = f"{type(optimizer).__name__} with clipping, {way}"
                    found[title] = fitted(
                        group,
                        backend,
                        dtype,
                        optimizer=clipped(optimizer),
                        compile=compiled,
                    )
        for kind in OPTIMIZERS if which == "all" else ():
            found[f"{kind.__name__}, float64"] = fitted(
                group,
                backend,
                "float64",
                optimizer=kind(1e-2),
                epochs=3,
            )
        for precision in narrow(backend) if which == "all" else ():
            found[f"{precision.dtype} with products in it"] = fitted(
                group,
                backend,
                "float32",
                precision=precision,
                epochs=3,
            )
        for title, settings in RUNS.items() if which == "all" else ():
            found[f"{title}, float64"] = fitted(group, backend, "float64", **settings)
        if group.is_first:
            with open(file, "w") as out:
                json.dump(found, out)


if __name__ == "__main__":
    main()
