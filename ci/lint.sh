#!/usr/bin/env bash
# Style, and the rule that the core imports no array library.
set -euo pipefail
cd "$(dirname "$0")/.."
ruff check .
ruff format --check .
