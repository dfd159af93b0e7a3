#!/usr/bin/env bash
# Every example for a few steps, on the given backends (default: numpy array_api_strict).
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
  python examples/regression.py --epochs 20
  python examples/custom_layer.py --epochs 5
  python examples/autoencoder.py --epochs 1 --limit 500 --plot "$out/autoencoder.png"
  python examples/activations.py --activation tanh
  python examples/character_transformer.py --epochs 1 --length 16
  python examples/gan.py --epochs 1 --limit 500 --plot "$out/gan.png"
  python examples/actor_target.py --steps 200
  python examples/distillation.py --epochs 1 --limit 500
  python examples/several_processes.py --epochs 1
done
