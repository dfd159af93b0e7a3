#!/usr/bin/env bash
# On a machine with a GPU: the whole test suite, the gradient check and MNIST on CuPy, with a report in ci/results/.
# For a rehearsal elsewhere: ci/gpu.sh --backend numpy --output /tmp/rehearsal.json
set -euo pipefail
cd "$(dirname "$0")/.."
python ci/gpu_report.py "$@"
