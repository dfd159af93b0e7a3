#!/usr/bin/env bash
# The tests; arguments go to pytest, as in: ci/test.sh --backend numpy
set -euo pipefail
cd "$(dirname "$0")/.."
pytest "$@"
