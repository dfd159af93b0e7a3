"""Functions that many tests use."""

from html.parser import HTMLParser
from typing import Any

import numpy as np

from anynet.backend import Backend, get_backend
from anynet.compiler.target import target_of


def host(x: Any) -> np.ndarray:
    """Return any array as a NumPy array."""
    return np.asarray(get_backend(x).to_host(x))


def assert_close(
    actual: Any,
    expected: Any,
    *,
    like: Any = None,
    rtol: float = 1e-9,
    atol: float = 0.0,
) -> None:
    """Compare shape and values. With ``like``, compare also library, dtype and device with its."""
    if like is not None:
        assert get_backend(actual).name == get_backend(like).name
        assert actual.dtype == like.dtype
        assert get_backend(actual).device == get_backend(like).device
    actual, expected = host(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def checks_labels(backend: Backend) -> bool:
    """Return whether a label out of range raises. It does not on a GPU, where it means a wait."""
    return backend.name == "numpy" or (backend.name == "torch" and not target_of(backend).has_loop)


def normal(backend: Backend, *shape: int, seed: int = 0, dtype: str = "float64") -> Any:
    """Return an array of samples of the standard normal distribution."""
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
    """Return the cells of each row of an HTML table."""
    parser = _Cells()
    parser.feed(html)
    return parser.rows
