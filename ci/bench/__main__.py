"""Speed as ratios: what a user's training step costs beyond its matrix products, and beside its peers.

python ci/bench                                 on NumPy; with PyTorch and JAX installed, beside them
python ci/bench --backend cupy --json FILE      on a GPU, and into a file

Only ratios of one run mean something: machines differ, and are busy with other things at times.
"""

import argparse
import json
import os
import platform
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import convolutional
import fully_connected
import numerical_gradient
import startup
import tape
from measure import interleaved

import anynet
from anynet import cli
from anynet.backend import DEFAULT, VARIABLE


def main() -> None:
    """Measure, print Markdown tables, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_backend_argument(parser)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path, help="write all that was measured to this file")
    options = parser.parse_args()
    backend = anynet.get_backend(options.backend)
    about = {
        "machine": f"{platform.system()} {platform.machine()}, {_cores()} cores",
        "python": platform.python_version(),
        "backend": f"{backend.name} {backend.version} on {backend.device_name}",
        **{name: version(name) for name in ("torch", "jax") if find_spec(name)},
    }
    print("\n".join(f"{name}: {value}" for name, value in about.items()))

    found: dict[str, dict[str, float]] = {}
    name = options.backend or os.environ.get(VARIABLE) or DEFAULT
    for network, widths in (("784-50-10", (784, 50, 10)), ("784-50-100-10", (784, 50, 100, 10))):
        title = f"training step of {network}, batch 100, float32"
        found[title] = interleaved(fully_connected.steps(widths, name), options.rounds, calls=10)
        _show(title, found[title], "products")
    title = "inference on 10,000 images by 784-50-100-10, batches of 100, float32"
    candidates = fully_connected.inference((784, 50, 100, 10), name)
    found[title] = interleaved(candidates, max(1, options.rounds // 2), calls=1)
    _show(title, found[title], "products")
    for network, (batch, *_) in convolutional.NETWORKS.items():
        title = f"training step of {network}, batch {batch}, float32"
        found[title] = interleaved(convolutional.steps(network, name), max(1, options.rounds // 4), calls=1)
        _show(title, found[title], "PyTorch eager" if "PyTorch eager" in found[title] else "anynet")
    title = "numerical gradient of all 39,760 parameters of 784-50-10, batch 100, float32"
    found[title] = numerical_gradient.measure(backend, max(1, options.rounds // 10))
    _show(title, found[title], "anynet")
    title = f"gradient of a chain of {tape.LENGTH} multiplications of 4 numbers"
    found[title] = interleaved(tape.chains(), options.rounds, calls=5)
    _show(title, found[title], "NumPy, forwards only")
    beyond = (found[title]["anynet"] - found[title]["NumPy, forwards only"]) / tape.LENGTH
    print(f"\nrecording one and walking back takes {1e6 * beyond:.1f} µs more than computing it")
    title = "start of a program"
    found[title] = interleaved(startup.programs(), max(1, options.rounds // 2), calls=1)
    _show(title, found[title], "python")
    extra = found[title]["import anynet"] - found[title]["python"]
    print(f"\nimport anynet takes {1000 * extra:.0f} ms more than Python alone")

    if options.json:
        result: dict[str, Any] = {**about, "median seconds": found}
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def _show(title: str, seconds: dict[str, float], unit: str) -> None:
    print(f"\n| {title} | × {unit} |\n|---|--:|")
    for name, value in sorted(seconds.items(), key=lambda item: item[1]):
        print(f"| {name} | {value / seconds[unit]:.2f} |")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    cli.run(main)
