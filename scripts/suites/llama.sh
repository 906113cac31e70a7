#!/usr/bin/env bash
# a real llama-server with a made model fills the pools, is killed, loads, refuses (downloads Debian's llama.cpp-tools, 20 MB; 5 minutes)
set -euo pipefail
. "$(dirname "$0")/../common.sh"

cd "$ROOT"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
PG_WORKER_LLAMA=$(scripts/llama-server.sh 2>"$log") || status=$?
case $status in
  0) ;;
  77) say "skipped: $(tail -n 1 "$log")"; say "0 passed, 0 failed, 1 skipped"; exit 0 ;;
  *) cat "$log"; say "0 passed, 1 failed, 0 skipped"; exit 1 ;;
esac
export PG_WORKER_LLAMA
# One after the other: several print how fast they were.
run_ignored_tests --test-threads 1 "${@:-llama::}"
