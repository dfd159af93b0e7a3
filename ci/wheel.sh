#!/usr/bin/env bash
# Build the wheel, install it in a new environment, and use it from outside the repository.
# An editable install would also find files that the wheel lacks.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT

python -m build --outdir "$outside/dist" .
python -m venv "$outside/venv"
"$outside/venv/bin/pip" install --quiet "$(ls "$outside"/dist/*.whl)[strict]" pytest hypothesis
cd "$outside"
venv/bin/anynet backends
venv/bin/python - "$root" <<'PROGRAM'
import importlib.util
import sys
from pathlib import Path

import anynet

root = Path(sys.argv[1])
assert root not in Path(anynet.__file__).parents, f"not the wheel: {anynet.__file__}"
strays = [name for name in ("tests", "ci", "backends", "examples", "helpers") if importlib.util.find_spec(name)]
assert not strays, f"the wheel installed {strays}"
for package in ("anynet", "anynet_numpy", "anynet_cupy", "anynet_strict"):
    spec = importlib.util.find_spec(package)
    assert Path(spec.origin).with_name("py.typed").exists(), f"{package} has no py.typed"
    installed = {path.name for path in Path(spec.origin).parent.rglob("*.py")}
    here = root / package if package == "anynet" else root / "backends" / package
    missing = {path.name for path in here.rglob("*.py")} - installed
    assert not missing, f"the wheel lacks {missing} of {package}"
PROGRAM
venv/bin/pytest --quiet --config-file "$root/pyproject.toml" -p no:cacheprovider "$root/tests/tracing" "$root/tests/autodiff" "$root/tests/layers"
# A plug-in of another package.
"$root/ci/plugin.sh" "$outside/venv/bin/python"
