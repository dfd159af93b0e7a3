"""Write docs/scipy.md: which functions of SciPy can be differentiated, each tried and compared with
differences.

python ci/scipy_page.py

Functions are those that SciPy's own table says take arrays of any library. Each is called with the
first of a few arguments that it takes; one whose derivative differs from the differences ends the
script with an error.
"""

import contextlib
import os
import signal
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ["SCIPY_ARRAY_API"] = "1"

import numpy as np
import scipy

import anynet
from anynet.array import array_namespace, is_array

POINT = np.array([0.31, 0.72, 0.53, 0.18, 0.87, 0.44, 0.65, 0.26])
OTHER = np.array([0.52, 0.23, 0.61, 0.74, 0.35, 0.83, 0.12, 0.49])
MODULES = """
    cluster.vq fft integrate interpolate linalg ndimage optimize signal spatial.distance special
    stats
""".split()
#: With arguments that make no sense, these end the process.
FRAGILE = frozenset(("distance_transform_cdt",))
#: Arguments after the first one.
LATER: list[tuple[Any, ...]] = [
    *(
        (),
        ("other",),
        (2,),
        (0.5,),
        ("other", 2),
        ("other", "other"),
        (0.3, 0.6),
        (2, "other"),
        ("other", 0.5),
    ),
    *(
        (3, 0.4),
        ("ones", "other"),
        (2, 0.1, 0.4),
        ("other", "ones", "point"),
        ("other", "other", "other"),
    ),
]
PAGE = """\
# SciPy

SciPy functions that accept arrays of any library also accept anynet's traced arrays, so
`anynet.grad` differentiates them. Set the environment variable before SciPy is imported:

```python
import os

os.environ["SCIPY_ARRAY_API"] = "1"
import anynet
from scipy import special

x = anynet.get_backend().asarray([0.5, 1.5, 1.0])
anynet.grad(special.logsumexp)(x)
```

Inside a differentiated function, convert plain arrays to the namespace of `x` first:
`xp = x.__array_namespace__()`, then `xp.asarray(y)`. A function of compiled code raises an error
that says so. `anynet.custom_vjp` gives it a derivative.

`python ci/scipy_page.py` wrote this page with SciPy {version}. It calls each function on NumPy
arrays with a few simple arguments and compares the derivative with central differences. No
derivative was wrong. Other arguments may run other code.

"""


def arguments(later: tuple[Any, ...], x: Any, asarray: Callable[[Any], Any]) -> list[Any]:
    """Return the arguments with arrays for their names."""
    arrays = {"other": OTHER, "ones": np.ones(8), "point": POINT}
    shape = tuple(x.shape)
    return [
        x,
        *(asarray(np.reshape(arrays[y], shape)) if isinstance(y, str) else y for y in later),
    ]


def loss(out: Any) -> Any:
    """Return a real scalar of the first floating array of a result; None where there is none.

    Complex numbers, such as roots, are in no order.
    """
    for part in out if isinstance(out, tuple | list) else (out,):
        if is_array(part):
            xp = array_namespace(part)
            if xp.isdtype(part.dtype, "complex floating"):
                return xp.sum(xp.abs(part) ** 3) + xp.sum(xp.real(part))
            if xp.isdtype(part.dtype, "real floating"):
                flat = xp.reshape(part, (-1,))
                return xp.sum(flat * xp.cumulative_sum(xp.ones_like(flat)))
    return None


def tried(
    function: Callable[..., Any],
    later: tuple[Any, ...],
    shape: tuple[int, ...],
) -> str | None:
    """Return what became of the derivative; None where the function does not take these
    arguments.
    """

    def f(x: Any) -> Any:
        xp = array_namespace(x)
        # A copy: some functions write into their arguments.
        x = xp.reshape(xp.asarray(x, copy=True), shape)
        return loss(function(*arguments(later, x, lambda y: xp.asarray(y, copy=True))))

    value = f(POINT)
    if value is None or not np.isfinite(value):
        return None
    differences = []
    for size in (1e-5, 2e-5):
        steps = size * np.eye(8)
        differences.append(
            np.array([(f(POINT + step) - f(POINT - step)) / (2 * size) for step in steps])
        )
    if not np.allclose(differences[0], differences[1], rtol=1e-3, atol=1e-6):
        return None
    if not np.any(differences[0]):
        return "constant"
    try:
        found = anynet.grad(f)(POINT)
    except Exception as error:
        return f"refused: {type(error).__name__}"
    return "right" if np.allclose(found, differences[0], rtol=1e-4, atol=1e-6) else "WRONG"


@contextlib.contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in what takes longer."""

    def stop(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(function: Callable[..., Any]) -> str:
    """Return what became of a function: with the first arguments of which something can be said."""
    found = "not tried"
    for shape in ((8,), (2, 4)):
        for later in LATER:
            with contextlib.suppress(Exception), at_most(5):
                result = tried(function, later, shape)
                if result in ("right", "WRONG"):
                    return result
                if result is not None and found in (
                    "not tried",
                    "constant",
                ):
                    found = result
    return found


def main() -> None:
    """Try all functions and write the page."""
    from scipy._lib._array_api import xp_capabilities_table

    warnings.simplefilter("ignore")
    page = [PAGE.format(version=scipy.__version__)]
    wrong = []
    for name in MODULES:
        module = import_module(f"scipy.{name}")
        table: dict[str, list[str]] = defaultdict(list)
        for public in sorted(module.__all__):
            function = getattr(module, public)
            capabilities = (
                xp_capabilities_table.get(function)
                if callable(function) and public not in FRAGILE
                else None
            )
            if capabilities and not (capabilities["np_only"] or capabilities["out_of_scope"]):
                table[outcome(function)].append(public)
        print(
            name,
            {key: len(names) for key, names in table.items()},
            flush=True,
        )
        wrong += [f"scipy.{name}.{public}" for public in table.pop("WRONG", [])]
        table.pop("constant", None)
        if table:
            page.append(f"## scipy.{name}\n\n| | |\n|---|---|\n")
            if table["right"]:
                page.append(f"| correct derivative | {', '.join(table['right'])} |\n")
            refused = sorted(key for key in table if key.startswith("refused"))
            page += [
                f"| {key.replace('refused:', 'raises')} | {', '.join(table[key])} |\n"
                for key in refused
            ]
            page.append("\n")
    Path("docs").mkdir(exist_ok=True)
    Path("docs/scipy.md").write_text("".join(page).rstrip() + "\n", encoding="utf-8")
    if wrong:
        sys.exit(f"wrong derivatives: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
