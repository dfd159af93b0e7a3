#!/usr/bin/env bash
# Types, with mypy --strict.
set -euo pipefail
cd "$(dirname "$0")/.."
mypy
