#!/usr/bin/env bash
# make bench: release builds of extension and executor, staged below target/, and the benchmark on them.
# Usage: scripts/bench.sh [name=value]…, as tests/src/bench/options.rs says.
set -euo pipefail
. "$(dirname "$0")/common.sh"

cd "$ROOT"
load_setup >&2
mapfile -t native < <(native_args)
cargo build --quiet --release "${native[@]}"
cargo build --quiet --release --package pg-worker-executor
PG_WORKER_STAGE=$(target_dir)/bench-stage
PG_WORKER_EXECUTOR=$(target_dir)/release/pg-worker-executor
export PG_WORKER_STAGE PG_WORKER_EXECUTOR
rm -rf "$PG_WORKER_STAGE"
cargo run --quiet --package xtask -- install --pg-config "$PG_CONFIG" --destdir "$PG_WORKER_STAGE" >/dev/null
cargo run --quiet --package pg-worker-tests --bin bench -- "$@"
