"""What several tests need."""

from typing import Any

import numpy as np

from anynet.backend import Backend, get_backend


def host(x: Any) -> np.ndarray:
    """Return the numbers of any array as a NumPy array."""
    return np.asarray(get_backend(x).to_host(x))


def assert_close(actual: Any, expected: Any, *, like: Any = None, rtol: float = 1e-9, atol: float = 0.0) -> None:
    """Compare shape and values, and library, dtype and device with those of ``like``, where it is given."""
    if like is not None:
        assert get_backend(actual).name == get_backend(like).name
        assert actual.dtype == like.dtype
        assert get_backend(actual).device == get_backend(like).device
    actual, expected = host(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def checks_labels(backend: Backend) -> bool:
    """Tell whether a label that is no class is an error at once; a GPU would have to be waited for."""
    return backend.name == "numpy" or (backend.name == "torch" and backend.device.type == "cpu")


def numbers(backend: Backend, *shape: int, seed: int = 0, dtype: str = "float64") -> Any:
    """Return normal random numbers on a backend."""
    return backend.asarray(np.random.default_rng(seed).normal(size=shape).astype(dtype))
