"""What the dpnp backend says when something is missing, without dpnp; and, where it works, its
devices."""

import sys
import types

import pytest

import anynet
from anynet.backend import probe
from anynet.errors import BackendError


def refused(name="dpnp"):
    with pytest.raises(BackendError) as caught:
        anynet.get_backend(name)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "dpnp", None)
    assert refused().endswith("install it: pip install dpnp")


def test_no_device(monkeypatch):
    monkeypatch.setitem(sys.modules, "dpnp", types.ModuleType("dpnp"))
    dpctl = types.ModuleType("dpctl")
    dpctl.get_devices = list
    monkeypatch.setitem(sys.modules, "dpctl", dpctl)
    message = refused()
    assert message.startswith("dpnp finds no SYCL device: ")
    assert "pip install intel-opencl-rt and set OCL_ICD_FILENAMES=" in message
    assert probe("dpnp").reason == message


def test_devices():
    pytest.importorskip("dpnp", reason="needs dpnp")
    if not probe("dpnp").works:
        pytest.skip(reason="needs a SYCL device")
    backend = anynet.get_backend("dpnp")
    assert anynet.get_backend(f"dpnp:{backend.device_name}").device == backend.device
    assert refused("dpnp:quantum").startswith("dpnp has no device 'quantum'; it has ")
    assert backend.device_name in refused("dpnp:cpu:99")
