"""What the README shows works as it stands there."""

import re

import numpy as np
import pytest
from helpers import host
from test_cli import ROOT

import anynet

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_blocks_run_in_order(backend, monkeypatch):
    """On scikit-learn's digits in MNIST's place, which need no download."""
    monkeypatch.setattr(anynet.data, "load_mnist", anynet.data.load_digits)
    monkeypatch.setattr(anynet, "get_backend", lambda: backend)
    monkeypatch.setattr(anynet, "fit", lambda *args, fit=anynet.fit, **settings: fit(*args, **settings, progress=False))
    names = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.S):
        exec(block, names)
    assert names["history"].epochs[-1].test_score > 0.8
    assert host(names["loss"]).item() < 1
    swish = names["Swish"](backend.asarray(1.5))
    x = backend.asarray([-2.0, 0.5])
    expected = host(x) / (1 + np.exp(-1.5 * host(x)))
    assert host(swish(x)) == pytest.approx(expected)
    assert list(swish.parameters()) == ["beta"]


def test_every_link_and_script_is_there():
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
    for script in re.findall(r"(?:python |`)((?:examples|ci)/[\w./]+)", TEXT):
        assert (ROOT / script).exists(), script
    for module in re.findall(r"`anynet\.(\w+)`", TEXT):
        if module != "backends":
            assert hasattr(anynet, module) or (ROOT / f"anynet/{module}.py").exists(), module
