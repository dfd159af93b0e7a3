"""The errors of the dpnp backend without dpnp, and its devices with it."""

import sys
import types

import pytest

import anynet
from anynet.backend import probe
from anynet.errors import BackendError


def error_text(name="dpnp"):
    with pytest.raises(BackendError) as caught:
        anynet.get_backend(name)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_error_without_dpnp_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "dpnp", None)
    assert error_text().endswith("install it: pip install dpnp")


def test_error_without_a_sycl_device_gives_advice(monkeypatch):
    monkeypatch.setitem(sys.modules, "dpnp", types.ModuleType("dpnp"))
    dpctl = types.ModuleType("dpctl")
    dpctl.get_devices = list
    monkeypatch.setitem(sys.modules, "dpctl", dpctl)
    message = error_text()
    assert message.startswith("dpnp finds no SYCL device: ")
    assert "pip install intel-opencl-rt and set OCL_ICD_FILENAMES=" in message
    assert probe("dpnp").reason == message


def test_devices_by_name():
    pytest.importorskip("dpnp", reason="needs dpnp")
    if not probe("dpnp").works:
        pytest.skip(reason="needs a SYCL device")
    backend = anynet.get_backend("dpnp")
    assert anynet.get_backend(f"dpnp:{backend.device_name}").device == backend.device
    assert error_text("dpnp:quantum").startswith("dpnp has no device 'quantum'; it has ")
    assert backend.device_name in error_text("dpnp:cpu:99")
