#!/usr/bin/env bash
# builds and clippy for PostgreSQL 15 to 18, the behavioural suite on real servers of 16, 17 and 18, pg_upgrade from 15 to 17 (downloads 200 MB with apt and pip; Debian: apt-get install patchelf; an hour)
#
# scripts/suites/versions.sh 17 upgrade   only these parts; each of 15 16 17 18 upgrade, all by default
set -euo pipefail
. "$(dirname "$0")/../common.sh"

cd "$ROOT"
passed=0 failed=0 skipped=0
parts=("$@")
[ $# -gt 0 ] || parts=(15 16 17 18 upgrade)

# PG_CONFIG of a version: this machine's own, or one that is fetched for here.
pg_config_of() {
  local own=/usr/lib/postgresql/$1/bin/pg_config
  if [ -x "$own" ] && [ -f "$("$own" --includedir-server 2>/dev/null)/postgres.h" ]; then printf '%s\n' "$own"; else scripts/postgres.sh "$1"; fi
}

# Builds and stages the extension for a version, apart from what the tests of the main version use.
stage_for() {
  local major=$1 pg_config=$2 built
  export CARGO_TARGET_DIR=$ROOT/target/versions
  built=$(PG_CONFIG=$pg_config PGRX_PG_CONFIG_PATH=$pg_config scripts/stage.sh extension) || return
  unset CARGO_TARGET_DIR
  rm -rf "$ROOT/target/versions/$major"
  mv "$(sed -n 's/^PG_WORKER_STAGE=//p' <<<"$built")" "$ROOT/target/versions/$major"
  looks_elsewhere "$pg_config" || put_inside "$major" "$pg_config"
}

# Debian's servers before 18 have a setting for where extensions lie, 18 has one of its own.
looks_elsewhere() { "$("$1" --bindir)/postgres" --describe-config | grep -qE '^extension_(destdir|control_path)'; }

# Others look only into their own folders. Such a server was fetched for these tests.
put_inside() {
  local folder
  for folder in "$("$2" --sharedir)/extension" "$("$2" --pkglibdir)"; do cp -r "$ROOT/target/versions/$1$folder/." "$folder"; done
  cp sql/released/pg_worker_ext--*.sql "$("$2" --sharedir)/extension"
}

lint_for() {
  PGRX_PG_CONFIG_PATH=$2 CARGO_TARGET_DIR=$ROOT/target/versions \
    cargo clippy --quiet --package pg_worker_ext --lib --no-default-features --features "pg$1" -- -D warnings
}

count() { if "${@:2}"; then passed=$((passed + 1)); say "ok: $1"; else failed=$((failed + 1)); say "FAILED: $1"; fi; }

# Headers are enough to build. setup.sh wants a server too, so this goes past it.
build_only() {
  local major=$1 pg_config=$2
  PGRX_PG_CONFIG_PATH=$pg_config CARGO_TARGET_DIR=$ROOT/target/versions \
    cargo build --quiet --package pg_worker_ext --lib --no-default-features --features "pg$major"
}

behave_on() {
  local major=$1 pg_config=$2 stage=$ROOT/target/versions/$1 without=() log p f s
  log=$(mktemp)
  if ! looks_elsewhere "$pg_config"; then
    stage=/
    without=(--skip supabase::)
    say "PostgreSQL $major: not run: supabase:: (its platform's settings are made beside the server's own folders)"
  fi
  if ! "$pg_config" --configure | grep -qE 'with-(openssl|ssl)'; then
    without+=(--skip executor::tls)
    say "PostgreSQL $major: not run: executor::tls (this server was built without TLS)"
  fi
  PG_CONFIG=$pg_config PG_WORKER_STAGE=$stage \
    cargo test --package pg-worker-tests --test it -- "${without[@]}" 2>&1 | tee "$log" || true
  read -r p f s < <(sed -nE 's/^test result: [a-zA-Z]+\. ([0-9]+) passed; ([0-9]+) failed; ([0-9]+) ignored;.*/\1 \2 \3/p' "$log") || true
  rm -f "$log"
  say "PostgreSQL $major: ${p:-0} passed, ${f:-1} failed"
  passed=$((passed + ${p:-0})) failed=$((failed + ${f:-1})) skipped=$((skipped + ${s:-0}))
}

# Whether this is a server that tests can start, and not headers alone.
runs() {
  "$("$1" --bindir)/initdb" --version >/dev/null 2>&1 || return
  [ "$(id -u)" != 0 ] || setpriv --reuid nobody --clear-groups test -x "$1"
}

try_version() {
  local major=$1 pg_config
  if ! pg_config=$(pg_config_of "$major"); then say "skipped: no PostgreSQL $major"; skipped=$((skipped + 1)); return; fi
  step "PostgreSQL $major: $("$pg_config" --version)"
  if ! runs "$pg_config"; then
    count "builds for $major" build_only "$major" "$pg_config"
    count "clippy for $major" lint_for "$major" "$pg_config"
    return
  fi
  count "builds for $major" stage_for "$major" "$pg_config"
  count "clippy for $major" lint_for "$major" "$pg_config"
  # 15 is what make test runs on.
  if [ "$major" != 15 ]; then behave_on "$major" "$pg_config"; fi
}

try_upgrade() {
  local old new
  if ! old=$(pg_config_of 15) || ! new=$(pg_config_of 17) || ! runs "$new"; then
    say "skipped: pg_upgrade needs 15 and 17"; skipped=$((skipped + 1)); return
  fi
  [ -d "$ROOT/target/versions/15" ] || count "builds for 15" stage_for 15 "$old"
  [ -d "$ROOT/target/versions/17" ] || count "builds for 17" stage_for 17 "$new"
  export PG_CONFIG=$new PG_WORKER_STAGE=$ROOT/target/versions/17
  export PG_WORKER_OLD_PG_CONFIG=$old PG_WORKER_OLD_STAGE=$ROOT/target/versions/15
  count "pg_upgrade 15 → 17" cargo test --package pg-worker-tests --test it -- --ignored --exact pg_upgrade::keeps_everything
}

PG_WORKER_EXECUTOR=$(scripts/stage.sh executor | sed -n 's/^PG_WORKER_EXECUTOR=//p')
export PG_WORKER_EXECUTOR
for part in "${parts[@]}"; do
  case $part in
    upgrade) try_upgrade ;;
    *) try_version "$part" ;;
  esac
done
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
