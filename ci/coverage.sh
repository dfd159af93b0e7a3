#!/usr/bin/env bash
# Branch coverage of anynet/ by the tests on NumPy. Arguments go to pytest.
# Fails below the floor, which is fail_under in pyproject.toml, and says when to raise it.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m coverage run -m pytest --quiet --backend numpy "$@"
python -m coverage report --skip-covered --sort=cover
python - "$(python -m coverage report --format=total)" <<'PROGRAM'
import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    floor = tomllib.load(file)["tool"]["coverage"]["report"]["fail_under"]
total = float(sys.argv[1])
if total > floor + 1:
    print(f"branch coverage is {total} %: raise fail_under in pyproject.toml from {floor} to {total - 0.5:.1f}")
PROGRAM
