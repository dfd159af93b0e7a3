#!/usr/bin/env bash
# Style, and the rule that the core imports no array library.
set -euo pipefail
cd "$(dirname "$0")/.."
ruff check .
ruff format --check .
# Prose, examples, tokens a line, and types that prove something.
python ci/prose.py --check
python ci/annotations.py --check
