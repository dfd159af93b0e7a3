#!/usr/bin/env bash
# The public conformance suite of the Array API standard (data-apis/array-api-tests) on the differentiable namespace.
#   ci/array_api_tests.sh [CHECKOUT]      a checkout of the suite, with its submodule array-api, needs no network
# ANYNET_BACKENDS lists the libraries. A test may fail only if it also fails on the bare library.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ $# -gt 0 ]; then
  suite=$(realpath "$1")
else
  suite=$work/suite
  git clone --quiet --depth 1 --recurse-submodules https://github.com/data-apis/array-api-tests "$suite"
fi
pip install --quiet -r "$suite/requirements.txt"
export PYTHONPATH=$PWD/ci ARRAY_API_TESTS_VERSION=2024.12

# suite MODULE LOG TESTS... : run it from its folder, and keep the names of the failed tests
suite() {
  local module=$1 log=$2
  shift 2
  (cd "$suite" && ARRAY_API_TESTS_MODULE=array_api_module.$module python -m pytest --quiet --tb=short -W ignore \
    -p no:cacheprovider "$@" > "$log" 2>&1) || true
  sed -nE 's/^(FAILED|ERROR) (.*)/\2/p' "$log" | sed 's/ - .*//' | sort > "$log.failed"
  tail -n 1 "$log"
}

status=0
for backend in ${ANYNET_BACKENDS:-numpy array_api_strict torch}; do
  export ANYNET_BACKEND=$backend
  echo "$backend, bare:           $(suite plain "$work/plain" --max-examples "${MAX_EXAMPLES:-20}" array_api_tests)"
  echo "$backend, differentiable: $(suite xp "$work/xp" --max-examples "${MAX_EXAMPLES:-20}" array_api_tests)"
  comm -13 "$work/plain.failed" "$work/xp.failed" > "$work/new"
  if [ -s "$work/new" ]; then
    # Examples are random, so a new failure may be the library's own, met on one side only. Hypothesis remembers the
    # failed examples, and tries them first on the bare library.
    xargs -d '\n' bash -c "$(declare -f suite); suite=$suite; suite plain $work/again \
      --max-examples 200 \"\$@\"" bash < "$work/new" > /dev/null
    comm -13 "$work/again.failed" "$work/new" > "$work/left"
    if [ -s "$work/left" ]; then
      echo "fails on the differentiable namespace only, over $backend:"
      cat "$work/left"
      status=1
    fi
  fi
done
exit $status
