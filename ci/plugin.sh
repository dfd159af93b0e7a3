#!/usr/bin/env bash
# Install the example plug-in beside anynet and run anynet's own tests on it, outside the repository.
#
#     ci/plugin.sh PYTHON     an interpreter whose environment has anynet, pytest and hypothesis
set -euo pipefail
python=$(realpath -s "$1")
cd "$(dirname "$0")/.."
root=$PWD
outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT

# A copy, because a build leaves files.
cp -r examples/plugin "$outside/plugin"
"$python" -m pip install --quiet "$outside/plugin"
cd "$outside"
"$python" - <<'PROGRAM'
import anynet
from anynet import layers, losses, optimizers, random

backend = anynet.get_backend("tinyarray")
xp = backend.xp
x = random.normal(random.key(0, backend), (60, 4), dtype=xp.float64)
t = xp.astype(x[:, 0] > 0, xp.int32)
net = layers.Sequential(layers.Linear(4, 8), layers.ReLU(), layers.Linear(8, 2), seed=0, backend=backend, dtype=xp.float64)
history = anynet.fit(net, (x, t), (x, t), optimizer=optimizers.Adam(0.05), epochs=20, progress=False)
assert type(x).__module__ == "tinyarray", type(x)
assert history.epochs[-1].train_score > 0.9, history.epochs[-1]
print(anynet.check_gradients(lambda net: losses.cross_entropy(net(x), t), net))
PROGRAM
cd "$root/tests"
"$python" -m pytest --quiet -p no:cacheprovider --backend tinyarray -k tinyarray \
  test_backend.py layers/test_every_layer.py primitives/test_{affine,batch_norm,convolution,pooling,update}.py
