#!/usr/bin/env bash
# Every example on a small budget, on the backends named (default: numpy array_api_strict).
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

[ $# -gt 0 ] || set -- numpy array_api_strict
for backend in "$@"; do
  export ANYNET_BACKEND=$backend
  python examples/mnist.py --epochs 1 --limit 5000 --plot "$out/mnist.png" --save "$out/mnist.safetensors"
  test -s "$out/mnist.png"
  python examples/mnist_inference.py --limit 1000 --weights "$out/mnist.safetensors"
  python examples/gradient_check.py
done
