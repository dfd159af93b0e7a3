"""What several tests need."""

from html.parser import HTMLParser
from typing import Any

import numpy as np

from anynet.backend import Backend, get_backend
from anynet.compiler.target import target_of


def host(x: Any) -> np.ndarray:
    """Return the numbers of any array as a NumPy array."""
    return np.asarray(get_backend(x).to_host(x))


def assert_close(
    actual: Any,
    expected: Any,
    *,
    like: Any = None,
    rtol: float = 1e-9,
    atol: float = 0.0,
) -> None:
    """Compare shape and values, and library, dtype and device with those of ``like``, where it is
    given."""
    if like is not None:
        assert get_backend(actual).name == get_backend(like).name
        assert actual.dtype == like.dtype
        assert get_backend(actual).device == get_backend(like).device
    actual, expected = host(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def checks_labels(backend: Backend) -> bool:
    """Tell whether a label that is no class is an error at once; a GPU would have to be waited
    for."""
    return backend.name == "numpy" or (backend.name == "torch" and not target_of(backend).has_loop)


def numbers(backend: Backend, *shape: int, seed: int = 0, dtype: str = "float64") -> Any:
    """Return normal random numbers on a backend."""
    return backend.asarray(np.random.default_rng(seed).normal(size=shape).astype(dtype))


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.rows[-1][-1] += data


def cells(html: str) -> list[list[str]]:
    """Return the cells of each row of a table."""
    parser = _Cells()
    parser.feed(html)
    return parser.rows
