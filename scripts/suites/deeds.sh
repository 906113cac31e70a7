#!/usr/bin/env bash
# whatever the owner does to the tables every verb gives a clear error at most, and nobody rises by what stands in our way: all cells, both installs (an hour)
set -euo pipefail
. "$(dirname "$0")/../common.sh"

cd "$ROOT"
[ $# -gt 0 ] || set -- deeds:: squatter::
run_ignored_tests "$@"
