#!/usr/bin/env bash
# Lint the Dockerfile. With Docker, build both images, start them, and try the token, a notebook and Ruby.
#
#   ci/container.sh            lint
#   ci/container.sh --build    all
set -euo pipefail
cd "$(dirname "$0")/../examples/container"

hadolint Dockerfile
[ "${1:-}" = --build ] || exit 0

export JUPYTER_TOKEN=token-of-a-test
trap 'docker compose --profile ruby down' EXIT
docker compose --profile ruby up --build --detach --wait
for port in 8888 8889; do
  for address in api/contents:403 "api/contents?token=$JUPYTER_TOKEN:200"; do
    answer=$(curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$port/${address%:*}")
    [ "$answer" = "${address##*:}" ] || { echo "port $port, ${address%:*}: $answer"; exit 1; }
  done
done
[ "$(docker compose exec -T notebook id --user)" != 0 ]
docker compose exec -T notebook jupyter execute examples/notebooks/chapter2.ipynb
docker compose exec -T ruby jupyter execute examples/ruby/mnist.ipynb
docker compose exec -T --env EPOCHS=1 ruby ruby examples/ruby/mnist.rb
