"""Networks whose batches are split over several devices of JAX's.

The devices are virtual ones of a CPU. Each test starts processes that have them.
"""

import json
import os
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax_runs
import numpy as np
import pytest

import anynet

pytest.importorskip("jax", reason="needs jax")

SCRIPT = Path(jax_runs.__file__)
#: float64 rounds differently in a sum over devices, and so does float32.
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}

#: The others let XLA compile quickly.
FLAGS = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_force_host_platform_device_count",
)

Case = tuple[str, str, int, bool]

#: Two devices do not divide a batch of 21 rows, nor three one of 20. The last batch is shorter.
CASES: dict[int, list[Case]] = {
    2: [
        ("float64", "SGD", 20, False),
        ("float64", "SGD", 20, True),
        ("float64", "AdamW", 21, False),
        ("float64", "AdamW", 21, True),
        ("float32", "AdamW", 20, True),
        ("float64", "SGD", 20, False),
    ],
    3: [("float64", "SGD", 21, False), ("float64", "AdamW", 20, True)],
    4: [("float64", "AdamW", 24, False), ("float64", "SGD", 24, True)],
}


def start(
    function: str,
    *arguments: Any,
    devices: int,
    flags: str = "",
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, SCRIPT, function, json.dumps(arguments)],
        env={
            **os.environ,
            "XLA_FLAGS": " ".join(FLAGS) + f"={devices} {flags}",
            "JAX_PLATFORMS": "cpu",
            # The threads of XLA. Devices wait for each other for ever with fewer.
            "PJRT_NPROC": "16",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: "subprocess.Popen[str]", seconds: float = 240) -> Any:
    """Return what the function of a process returned."""
    try:
        out, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return json.loads(out.splitlines()[-1])


@cache
def runs(devices: int) -> tuple[list[Any], str]:
    """Return the results of the cases, and the steps as XLA has compiled them."""
    with TemporaryDirectory() as folder:
        dump = f"--xla_dump_to={folder} --xla_dump_hlo_as_text --xla_dump_hlo_module_re=jit_run"
        found = result(start("runs", *CASES[devices], devices=devices, flags=dump))
        programs = Path(folder).glob("*.cpu_after_optimizations.txt")
        return found, "".join(path.read_text(encoding="utf-8") for path in programs)


@pytest.mark.parametrize("devices", CASES)
def test_several_devices_train_like_one(devices: int) -> None:
    found, _ = runs(devices)
    for case, run in zip(CASES[devices], found, strict=True):
        expected = jax_runs.run("numpy", *case)
        assert len(run["losses"]) == 30
        np.testing.assert_allclose(
            run["losses"], expected["losses"], rtol=0, atol=TOLERANCES[case[0]], err_msg=str(case)
        )
        assert run["score"] == expected["score"], case


def test_same_run_gives_same_bits() -> None:
    first, *_, again = runs(2)[0]
    assert first == again


def test_each_device_computes_its_rows() -> None:
    """The first layer returns 8 features. Two devices do not divide 21 rows."""
    programs = runs(2)[1]
    assert "f64[10,8]" in programs
    assert "f64[20,8]" not in programs
    assert "f64[21,8]" in programs


def test_parts_of_anynet_on_two_devices(tmp_path: Path) -> None:
    found = result(start("parts", str(tmp_path), devices=2))
    assert found.pop("unknown").startswith("jax has no device '*:1'; it has cpu:0, cpu:1, and '*'")
    assert all(found.values()), found


def test_one_device_is_plain_jax() -> None:
    backend = anynet.get_backend("jax:cpu:*")
    if "," in backend.device_name:
        pytest.skip("this process has several devices")
    assert backend.device == anynet.get_backend("jax:cpu").device
    x = backend.asarray([1.0, 2.0])
    assert backend.split(x) is x
    assert backend.process == (0, 1)


def test_two_processes_train_like_one(tmp_path: Path) -> None:
    """Process 0 alone shows progress and writes the checkpoint and the report."""
    address = f"127.0.0.1:{free_port()}"
    started = [start("process", address, i, str(tmp_path), devices=1) for i in range(2)]
    found = [result(process) for process in started]
    pairs = zip(*[x["runs"] for x in found], strict=True)
    for compiled, runs in enumerate(pairs):
        expected = jax_runs.run("numpy", "float64", "AdamW", 20, bool(compiled))
        for run in runs:
            np.testing.assert_allclose(run["losses"], expected["losses"], rtol=0, atol=1e-12)
        assert runs[0] == runs[1]
    assert [x["is_first"] for x in found] == [True, False]
    assert "epoch" in found[0]["shown"]
    assert found[1]["shown"] == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.html", "0.safetensors"]
    for x in found:
        assert "brought different arrays" in x["other data"]
        assert "another" in x["other settings"] or "something else" in x["other settings"]
        assert x["outputs"] == found[0]["outputs"]
        # Process 0 alone was asked to stop.
        assert 0 < x["steps until Ctrl-C"] < 1000
    assert found[0]["steps until Ctrl-C"] == found[1]["steps until Ctrl-C"]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
