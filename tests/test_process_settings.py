"""anynet changes no setting of a program that uses it: of Python, the C library or the array
library.

Each test runs support/process_settings.py in a new process.
"""

from importlib.util import find_spec

import pytest
from programs import run


@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "array_api_strict", "ndonnx"])
def test_using_anynet_changes_no_setting(library, monkeypatch):
    if find_spec(library) is None:
        pytest.skip(f"needs {library}")
    # tests/conftest.py sets it.
    monkeypatch.delenv("JAX_ENABLE_X64", raising=False)
    code, _, err = run("tests/support/process_settings.py", library)
    assert code == 0, err
