#!/usr/bin/env bash
# On a machine with a GPU: the tests marked gpu, the whole test suite, the gradient check and MNIST on CuPy, PyTorch and
# JAX. Each library runs in a separate process with a time limit, and writes a report, ci/results/gpu-NAME.json.
#
#   ci/gpu.sh                       all three
#   ci/gpu.sh cupy torch:cuda       these
#   GPU_SECONDS=150 ci/gpu.sh       seconds for each (default 1200)
#   GPU_PROCESSES=8 ci/gpu.sh       processes of the whole test suite (default 1)
#   ci/gpu.sh torch                 a rehearsal on a CPU
set -uo pipefail
cd "$(dirname "$0")/.."

# JAX would reserve three quarters of the GPU's memory, which other processes of its run need.
export XLA_PYTHON_CLIENT_PREALLOCATE=false

[ $# -gt 0 ] || set -- cupy torch:cuda jax:gpu
failed=0
for backend in "$@"; do
  output=ci/results/gpu-${backend%%:*}.json
  # The report keeps to the limit. If it does not, timeout ends the process.
  timeout --kill-after=30 "$((${GPU_SECONDS:-1200} + 60))" \
    python ci/gpu_report.py --backend "$backend" --output "$output" --seconds "${GPU_SECONDS:-1200}" \
    --processes "${GPU_PROCESSES:-1}" || failed=1
done
exit "$failed"
