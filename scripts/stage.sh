#!/usr/bin/env bash
# Builds the extension and the executor (debug) and stages the extension as an installation below
# target/stage. Prints where all of it is, as NAME=value lines; everything else goes to stderr.
set -euo pipefail
. "$(dirname "$0")/common.sh"

cd "$ROOT"
load_setup >&2
stage=$(target_dir)/stage
mapfile -t native < <(native_args)
cargo build --quiet "${native[@]}"
cargo build --quiet --package pg-worker-executor
cargo run --quiet --package xtask -- stage "$stage"
printf '%s=%s\n' PG_CONFIG "$PG_CONFIG" PG_WORKER_STAGE "$stage" \
  PG_WORKER_EXECUTOR "$(target_dir)/debug/pg-worker-executor"
