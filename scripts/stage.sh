#!/usr/bin/env bash
# Builds (debug) and stages the extension as an installation below target/stage, or builds the
# executor. Prints where they are, as NAME=value lines; everything else goes to stderr.
# Usage: scripts/stage.sh [extension|executor]…, both by default.
set -euo pipefail
. "$(dirname "$0")/common.sh"

stage_extension() {
  local stage
  stage=$(target_dir)/stage
  load_setup >&2
  mapfile -t native < <(native_args)
  # Assembled anew, so that what is tested is what stands in the pieces; make lint is what complains
  # when the assembled files were not committed.
  cargo run --quiet --package xtask -- sql >/dev/null
  cargo build --quiet "${native[@]}"
  rm -rf "$stage.new"
  cargo run --quiet --package xtask -- install --profile debug --pg-config "$PG_CONFIG" --destdir "$stage.new" >/dev/null
  # A test run of somebody else may just be copying it: replaced only when it differs.
  if ! diff -rq "$stage.new" "$stage" >/dev/null 2>&1; then
    rm -rf "$stage"
    mv "$stage.new" "$stage"
  fi
  printf '%s=%s\n' PG_CONFIG "$PG_CONFIG" PG_WORKER_STAGE "$stage"
}

stage_executor() {
  cargo build --quiet --package pg-worker-executor
  printf '%s=%s\n' PG_WORKER_EXECUTOR "$(target_dir)/debug/pg-worker-executor"
}

cd "$ROOT"
mkdir -p "$(target_dir)"
exec 9>"$(target_dir)/stage.lock"
flock 9
[ $# -gt 0 ] || set -- extension executor
for part; do "stage_$part"; done
