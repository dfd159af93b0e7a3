"""Fixtures of the tests of reports."""

import pytest

import anynet


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.html"


@pytest.fixture
def on_numpy():
    """NumPy, for tests of the page alone, which is the same on every library."""
    return anynet.get_backend("numpy")
