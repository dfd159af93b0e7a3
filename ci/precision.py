"""Measure mixed precision on PyTorch: accuracy on MNIST beside float32, and the time of a step
beside float32 and PyTorch's autocast, in interleaved rounds.

python ci/precision.py --epochs 3 --seeds 2      python ci/precision.py --backend torch:cuda
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import anynet
from anynet import layers, losses, optimizers
from anynet.training import training_step

WIDTH, BATCH = 1024, 128
SETTINGS = ("float32", "bfloat16", "float16")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dtypes", nargs="+", default=SETTINGS)
    options = parser.parse_args()
    backend = anynet.get_backend(options.backend)
    train, test = anynet.data.load_mnist(backend)
    print("accuracy on the test images, in %, and seconds")
    for name in options.dtypes:
        for seed in range(options.seeds if options.epochs else 0):
            began = time.perf_counter()
            score = 100 * accuracy(backend, name, seed, train, test, options.epochs)
            seconds = time.perf_counter() - began
            print(f"  {name:10} seed {seed}: {score:.2f} in {seconds:.0f} s", flush=True)
    x, t = train[0][:BATCH, ...], train[1][:BATCH, ...]
    candidates: dict[str, Callable[[], Any]] = {}
    for name in options.dtypes:
        candidates[f"anynet {name}"] = ours(backend, name, x, t)
        if "torch" in options.backend:
            candidates[f"PyTorch {name}"] = theirs(name, x, t)
    seconds_of = interleaved(candidates, backend.synchronize, options.rounds)
    base = seconds_of["anynet float32"]
    print(f"one step at batch {BATCH}: ms, and the ratio to anynet in float32")
    for name, seconds in seconds_of.items():
        print(f"  {name:18} {1000 * seconds:7.2f}  {seconds / base:.2f}")


def policy(name: str) -> Any:
    """Return the policy of a dtype, None for float32."""
    return None if name == "float32" else anynet.MixedPrecision(name)


def network(backend: Any, seed: int) -> Any:
    """Return the wide network."""
    return layers.Sequential(
        *(layers.Linear(784, WIDTH), layers.ReLU(), layers.Linear(WIDTH, WIDTH), layers.ReLU()),
        layers.Linear(WIDTH, 10),
        seed=seed,
        backend=backend,
    )


def accuracy(
    backend: Any,
    name: str,
    seed: int,
    train: Any,
    test: Any,
    epochs: int,
) -> float:
    """Return the accuracy on the test images after training."""
    history = anynet.fit(
        network(backend, seed),
        train,
        test,
        optimizer=optimizers.Adam(1e-3),
        epochs=epochs,
        batch_size=BATCH,
        seed=seed,
        precision=policy(name),
        compile=True,
        progress=False,
    )
    score: Any = history.epochs[-1].test_score
    return float(score)


def ours(
    backend: Any,
    name: str,
    x: Any,
    t: Any,
) -> Callable[[], Any]:
    """Return one compiled step."""
    step = anynet.compile(training_step(losses.cross_entropy, precision=policy(name)))
    return partial(step, network(backend, 0), optimizers.Adam(1e-3), x, t)


def theirs(name: str, x: Any, t: Any) -> Callable[[], Any]:
    """Return one step of PyTorch, with autocast and its scaler where they apply."""
    import torch
    from torch import nn

    net = nn.Sequential(
        *(nn.Linear(784, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()),
        nn.Linear(WIDTH, 10),
    ).to(x.device)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, fused=True)
    device = x.device.type
    scaler = torch.amp.GradScaler(device, enabled=name == "float16")

    def step() -> None:
        optimizer.zero_grad()
        enabled = name != "float32"
        dtype = getattr(torch, name) if enabled else None
        with torch.autocast(device, dtype, enabled=enabled):
            loss = nn.functional.cross_entropy(net(x), t.long())
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def interleaved(
    candidates: dict[str, Callable[[], Any]],
    wait: Callable[[], None],
    rounds: int,
    steps: int = 10,
) -> dict[str, float]:
    """Return the median seconds of a step of each candidate. Each round times all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for i in range(rounds + 1):
        for name, step in candidates.items():
            began = time.perf_counter()
            for _ in range(steps):
                step()
            wait()
            if i:
                seconds[name].append((time.perf_counter() - began) / steps)
    return {name: median(values) for name, values in seconds.items()}


if __name__ == "__main__":
    main()
