#!/usr/bin/env bash
# a million jobs through one queue: leases stay cheap, table and indexes small (half an hour)
set -euo pipefail
. "$(dirname "$0")/../common.sh"

cd "$ROOT"
run_ignored_tests "${@:-longlife::}"
