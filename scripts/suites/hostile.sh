#!/usr/bin/env bash
# hostile calls of every function and trigger function by owner, backend, executor and reader, both installs, a million on 15 and on 18: no crash, no right gained (some hours)
#
# scripts/suites/hostile.sh 18   only on this version. HOSTILE_CALLS=n makes so many on each, HOSTILE_SEED=n other ones.
set -euo pipefail
. "$(dirname "$0")/../common.sh"

cd "$ROOT"
passed=0 failed=0 skipped=0
[ $# -gt 0 ] || set -- 15 18
export HOSTILE_CALLS=${HOSTILE_CALLS:-1000000}

# This machine's own, or one that is fetched for here.
pg_config_of() {
  local own=/usr/lib/postgresql/$1/bin/pg_config
  if [ -x "$own" ] && [ -f "$("$own" --includedir-server 2>/dev/null)/postgres.h" ]; then printf '%s\n' "$own"; else scripts/postgres.sh "$1"; fi
}

attack() {
  local major=$1 pg_config log closing p f s
  if ! pg_config=$(pg_config_of "$major"); then say "skipped: no PostgreSQL $major"; skipped=$((skipped + 1)); return; fi
  step "$("$pg_config" --version): $HOSTILE_CALLS calls"
  log=$(mktemp)
  # In a shell of its own: what is staged for this version is nobody else's.
  (
    export CARGO_TARGET_DIR=$ROOT/target/versions PG_CONFIG=$pg_config PGRX_PG_CONFIG_PATH=$pg_config
    built=$(scripts/stage.sh extension)
    PG_WORKER_STAGE=$(sed -n 's/^PG_WORKER_STAGE=//p' <<<"$built")
    PG_WORKER_EXECUTOR=none
    export PG_WORKER_STAGE PG_WORKER_EXECUTOR
    unset CARGO_TARGET_DIR
    run_ignored_tests hostile::many::
  ) 2>&1 | tee "$log" || true
  closing=$(tail -n 1 "$log")
  read -r p f s < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' <<<"$closing") || true
  rm -f "$log"
  passed=$((passed + ${p:-0})) failed=$((failed + ${f:-1})) skipped=$((skipped + ${s:-0}))
}

for major in "$@"; do attack "$major"; done
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
