#!/usr/bin/env bash
# The documentation site in a folder, by default docs/_build/site. A warning, an error in a notebook or a dead link fails.
# ANYNET_DOCS_EXECUTE=off leaves out the notebooks' outputs.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-docs/_build/site}

python -m sphinx --fail-on-warning --keep-going --quiet docs "$out"
python ci/check_links.py "$out"
