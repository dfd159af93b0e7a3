#!/usr/bin/env bash
# Reports of several runs, looked at in headless Chromium: two widths, light and dark, axe-core. More pages may be named.
#
#   ci/pages.sh [PAGE…]             the pictures are in the folder $PICTURES, by default build/pictures
#
# It needs Node.js and Chromium (apt install nodejs npm chromium).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT

npm ci --silent --no-fund --no-audit --prefix "$here/pages"
python "$here/pages/reports.py" "$pages"
node "$here/pages/look.mjs" --out "${PICTURES:-build/pictures}" "$pages"/*.html "$@"
