"""Every test of this folder needs matplotlib, and leaves its global state as it was."""

import sys

import pytest


@pytest.fixture(autouse=True)
def no_global_state():
    matplotlib = pytest.importorskip("matplotlib", reason="needs matplotlib")
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
