"""Run a test on the kernels of a backend, and again on the references."""

import pytest
from kernels_and_references import PRIMITIVES

from anynet.backend import kernels_for


@pytest.fixture(params=["kernel", "reference"])
def implementation(request, monkeypatch, backend):
    """Run a test on the backend's kernels, and again on the references alone."""
    if request.param == "reference":
        for primitive in PRIMITIVES.values():
            monkeypatch.setattr(primitive, "_implementations", {})
        # The standard's functions keep theirs: a library that needs them does not do without.
        others = {
            name: kernel
            for name, kernel in kernels_for(backend.xp).items()
            if name not in PRIMITIVES
        }
        monkeypatch.setattr("anynet.tracing.trace.kernels_for", lambda xp: others)
        yield request.param
        for primitive in PRIMITIVES.values():
            primitive._implementations.clear()
    else:
        yield request.param
