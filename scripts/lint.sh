#!/usr/bin/env bash
# Format, clippy, the generated SQL's freshness, and the shell scripts where shellcheck is there.
set -euo pipefail
. "$(dirname "$0")/common.sh"

cd "$ROOT"
load_setup
step "cargo fmt --check"
cargo fmt --all --check
step "cargo clippy -D warnings"
mapfile -t native < <(native_args)
cargo clippy --quiet "${native[@]}" -- -D warnings
cargo clippy --quiet --workspace --exclude pg_worker_ext --all-targets -- -D warnings
step "generated SQL is fresh"
cargo run --quiet --package xtask -- sql --check
if command -v shellcheck >/dev/null; then
  step "shellcheck"
  shellcheck scripts/*.sh scripts/suites/*.sh .ci/run
else
  step "shellcheck is not installed: the shell scripts were not checked (apt-get install shellcheck)"
fi
step "lint: clean"
