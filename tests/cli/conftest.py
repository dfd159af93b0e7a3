"""Fixtures of the tests of commands."""

import pytest


@pytest.fixture(autouse=True)
def no_given_width(monkeypatch):
    """Take the width from the terminal. pytest-xdist sets COLUMNS in its processes."""
    monkeypatch.delenv("COLUMNS", raising=False)
