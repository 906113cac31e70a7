#!/usr/bin/env bash
# compose.yaml and its images in a container engine: the guide's podman-compose lines (podman or docker, 20 minutes)
set -euo pipefail
. "$(dirname "$0")/../common.sh"

skip() { say "skipped: $*"; say "0 passed, 0 failed, 1 skipped"; exit 0; }

if command -v podman-compose >/dev/null; then
  compose=(podman-compose)
elif docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
  compose=(docker compose)
else
  skip "neither podman-compose nor docker compose with a running engine is here"
fi

# A copy, so that the settings of whoever runs this are left alone.
copy=$(mktemp -d "${TMPDIR:-/tmp}/containers.XXXXXX")
git -C "$ROOT" archive HEAD | tar -x -C "$copy"
cd "$copy"
health=3902
cat >.env <<ENV
DATABASE_URL=postgres://postgres:suite@postgres:5432/game
POSTGRES_PASSWORD=suite
POSTGRES_PORT=54329
WORKER_PORT=$health
ENV
down() { "${compose[@]}" --profile postgres down -v >/dev/null 2>&1 || true; rm -rf "$copy"; }
trap down EXIT

passed=0 failed=0
check() {
  local title=$1
  shift
  if "$@"; then passed=$((passed + 1)); say "ok: $title"; else failed=$((failed + 1)); say "FAILED: $title"; fi
}
within_a_minute() {
  local end=$((SECONDS + 60))
  until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || return 1; sleep 1; done
}
# Over TCP: while the image makes its data directory the server listens on its socket alone.
in_database() { "${compose[@]}" exec -T postgres psql -h 127.0.0.1 -U postgres -d game -v ON_ERROR_STOP=1 -qAtc "$1"; }
pools_are_full() { [ "$(in_database 'select bool_and(available >= minimum) from content_pool_status')" = t ]; }
served() { [ "$(in_database "select worker.about() -> 'background_worker'")" = true ]; }

check "the images are built" "${compose[@]}" --profile postgres build
check "PostgreSQL starts" "${compose[@]}" --profile postgres up -d postgres
check "PostgreSQL answers" within_a_minute in_database 'select 1'
check "the extension is created" in_database 'create extension pg_worker_ext'
check "worker starts alone" "${compose[@]}" up -d worker
check "/health answers" within_a_minute curl -fsS "http://localhost:$health/health"
check "healthcheck inside" "${compose[@]}" exec -T worker pg-worker-executor healthcheck
check "the variables are inside" "${compose[@]}" exec -T worker env
check "pools fill" within_a_minute pools_are_full
check "the background worker runs" served
check "worker restarts" "${compose[@]}" restart worker
check "/health answers again" within_a_minute curl -fsS "http://localhost:$health/health"
check "worker logs" "${compose[@]}" logs worker
say "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
