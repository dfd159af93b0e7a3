"""Random steps that move, replace and write into state agree with compiled calls and loops."""

import random
import re

import numpy as np
import pytest
from helpers import host

import anynet
from anynet.array import array_namespace
from anynet.errors import CompilationError

NAMES = ("a", "b", "c")
CHANGES = (
    "swap",
    "add",
    "mix",
    "view",
    "write",
    "write a part",
    "write an entry",
    "tuple",
    "list",
    "entry",
)


def random_step(seed, writes):
    """Return a step of state and entry: a few changes, and results."""
    rng = random.Random(seed)
    kinds = CHANGES if writes else [kind for kind in CHANGES if not kind.startswith("write")]
    changes = [
        (
            rng.choice(kinds),
            rng.choice(NAMES),
            rng.choice(NAMES),
            rng.random(),
        )
        for _ in range(rng.randint(1, 5))
    ]
    results = [rng.choice([*NAMES, "x", "sum", "tuple"]) for _ in range(2)]

    def step(s, x):
        xp = array_namespace(x)
        for kind, p, q, chance in changes:
            match kind:
                case "swap":
                    s[p], s[q] = s[q], s[p]
                case "add":
                    s[p] = s[q] + x
                case "mix":
                    s[p] = 0.5 * s[p] - 0.25 * s[q]
                case "view":
                    s[p] = xp.flip(s[q]) if chance < 0.5 else s[q][:]
                case "write":
                    s[p] += x
                case "write a part":
                    s[p][1:] *= 0.5
                case "write an entry" if chance < 0.3:
                    x *= 0.5
                case "tuple":
                    s["tuple"] = (
                        s["tuple"][1],
                        s[p] + 0.0 if chance < 0.5 else s["tuple"][0],
                    )
                case "list":
                    s["list"][0], s["list"][1] = (
                        s["list"][1] * 1.0,
                        s["list"][0],
                    )
                case "entry":
                    s[p] = x if chance < 0.5 else x * 1.0
        values = {
            **s,
            "x": x,
            "sum": xp.sum(s["a"] + s["b"]),
            "tuple": s["tuple"][0],
        }
        return [values[name] for name in results]

    return step


def start(backend):
    rng = np.random.default_rng(0)
    a, b, c, d, e, f, g = (backend.asarray(rng.normal(size=3).astype("float32")) for _ in range(7))
    return {
        "a": a,
        "b": b,
        "c": c,
        "tuple": (d, e),
        "list": [f, g],
    }, backend.asarray(rng.normal(size=(5, 3)).astype("float32"))


def each(step, s, entries):
    """Call the step with each entry and return the stacked results of the calls."""
    found = [[np.array(host(x)) for x in step(s, entries[i, ...])] for i in range(5)]
    return [np.stack(column) for column in zip(*found, strict=True)]


def looped(step, s, entries):
    parts = [map(host, step.for_each(entries, s, start=i, stop=j)) for i, j in ((0, 3), (3, 5))]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


@pytest.mark.filterwarnings("ignore:a compiled step changes what it reaches")
@pytest.mark.parametrize("seed", range(20))
def test_random_steps_agree_when_compiled(backend, seed):
    step = random_step(seed, writes=backend.name in ("numpy", "torch"))
    if backend.name in ("jax", "array_api_strict") and seed > 5:
        pytest.skip(reason="takes long")
    outcomes = []
    for run, compiled in (
        (each, step),
        (each, anynet.compile(step)),
        (looped, anynet.compile(step)),
    ):
        s, entries = start(backend)
        try:
            results = run(compiled, s, entries)
        except CompilationError as error:
            if compiled is step or not re.search(
                "keeps an? (view of an )?array|shares memory", str(error)
            ):
                raise
            return
        state = (s["a"], s["b"], s["c"], *s["tuple"], *s["list"], entries)
        outcomes.append([*results, *map(host, state)])
    for found in outcomes[1:]:
        for x, y in zip(found, outcomes[0], strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
