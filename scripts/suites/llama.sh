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
if [ -z "${PG_WORKER_STAGE:-}" ] || [ -z "${PG_WORKER_EXECUTOR:-}" ]; then
  built=$(scripts/stage.sh)
  while IFS='=' read -r name value; do export "$name=$value"; done <<<"$built"
fi

# One after the other: several print how fast they were.
cargo test --package pg-worker-tests --test it -- --ignored --test-threads 1 --nocapture "${@:-llama::}" 2>&1 | tee "$log" || status=$?
closing=$(sed -nE 's/^test result: [a-zA-Z]+\. ([0-9]+) passed; ([0-9]+) failed; ([0-9]+) ignored;.*/\1 passed, \2 failed, \3 skipped/p' "$log")
# Without such a line nothing was run, which is a failure.
say "${closing:-0 passed, 1 failed, 0 skipped}"
[ $status = 0 ]
