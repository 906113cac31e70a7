# What the other scripts share. Sourced, never run.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PRODUCT=pg-worker-ext

say() { printf '%s\n' "$*"; }
step() { printf '==> %s\n' "$*"; }
die() { printf '%s: %s\n' "$PRODUCT" "$*" >&2; exit 1; }

# Runs a command as root: as it is for root, through sudo for everybody else.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# The major version of a pg_config, or nothing where it does not work.
pg_major() {
  "$1" --version 2>/dev/null | sed -nE 's/^PostgreSQL ([0-9]+).*/\1/p'
}

# Finds or installs what a build needs, then brings its result into this shell:
# PG_CONFIG, PGRX_PG_CONFIG_PATH (what pgrx calls it) and PG_FEATURE (pg15 … pg18).
load_setup() {
  "$ROOT/scripts/setup.sh" || exit 1
  # shellcheck source=/dev/null
  . "$(target_dir)/setup.env"
  export PG_CONFIG PGRX_PG_CONFIG_PATH PG_FEATURE
}

target_dir() { printf '%s\n' "${CARGO_TARGET_DIR:-$ROOT/target}"; }

# The cargo arguments that select this PostgreSQL in the native layer.
native_args() { printf '%s\n' --package pg_worker_ext --lib --no-default-features --features "$PG_FEATURE"; }

# For suites. Leaves this one out, saying why.
skip_suite() { say "skipped: $*"; say "0 passed, 0 failed, 1 skipped"; exit 0; }

# Runs the ignored tests of a suite, named by their module, builds what they need, and ends with the closing line.
run_ignored_tests() {
  local built name value log status=0 closing
  cd "$ROOT" || exit 1
  if [ -z "${PG_WORKER_STAGE:-}" ] || [ -z "${PG_WORKER_EXECUTOR:-}" ]; then
    built=$(scripts/stage.sh)
    while IFS='=' read -r name value; do export "$name=$value"; done <<<"$built"
  fi
  log=$(mktemp)
  cargo test --package pg-worker-tests --test it -- --ignored --nocapture "$@" 2>&1 | tee "$log" || status=$?
  closing=$(sed -nE 's/^test result: [a-zA-Z]+\. ([0-9]+) passed; ([0-9]+) failed; ([0-9]+) ignored;.*/\1 passed, \2 failed, \3 skipped/p' "$log")
  rm -f "$log"
  # Without such a line nothing was run, which is a failure.
  say "${closing:-0 passed, 1 failed, 0 skipped}"
  [ $status = 0 ]
}
