"""Networks whose batches are split over several devices of JAX's.

The devices are virtual ones of a CPU. Each test starts processes that have them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax_runs
import numpy as np
import pytest

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
        ("float32", "AdamW", 20, False),
        ("float32", "AdamW", 20, True),
    ],
    3: [("float64", "SGD", 21, False), ("float64", "AdamW", 20, True)],
    4: [("float64", "AdamW", 24, False), ("float64", "SGD", 24, True)],
}


def start(
    function: str,
    *arguments: Any,
    devices: int,
    environment: dict[str, str] | None = None,
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, SCRIPT, function, json.dumps(arguments)],
        env={
            **os.environ,
            "XLA_FLAGS": " ".join(FLAGS) + f"={devices}",
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_X64": "1",
            **(environment or {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: "subprocess.Popen[str]", seconds: float = 100) -> Any:
    """Return what the function of a process returned."""
    try:
        out, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return json.loads(out.splitlines()[-1])


@pytest.mark.parametrize("devices", CASES)
def test_several_devices_train_like_one(devices: int) -> None:
    cases = CASES[devices]
    runs = result(start("runs", *cases, devices=devices))
    for case, found in zip(cases, runs, strict=True):
        expected = jax_runs.run("numpy", *case)
        assert len(found["losses"]) == 30
        np.testing.assert_allclose(
            found["losses"], expected["losses"], rtol=0, atol=TOLERANCES[case[0]], err_msg=str(case)
        )
        assert found["score"] == expected["score"], case
