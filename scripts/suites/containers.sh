#!/usr/bin/env bash
# compose.yaml, both Dockerfiles and make dist in podman: every compose line of the guide (podman or docker, debootstrap where no registry is; 30 minutes)
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$(dirname "$0")/../podman-env.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/containers.XXXXXX")
trap 'rm -rf "$work"' EXIT
if command -v podman-compose >/dev/null; then
  compose=(podman-compose) engine=podman
  podman_env "$work"
elif docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
  compose=(docker compose) engine=docker
else
  skip_suite "neither podman-compose nor docker compose with a running engine is here"
fi
if [ $engine = podman ] && [ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null; then
  "$ROOT/scripts/base-images.sh" || skip_suite "the base images could not be made"
fi

# A copy, so that the settings of whoever runs this are left alone.
copy=$work/copy
mkdir "$copy"
git -C "$ROOT" archive HEAD | tar -x -C "$copy"
cd "$copy"
health=3902
cat >.env <<ENV
DATABASE_URL=postgres://postgres:suite@postgres:5432/game
POSTGRES_PASSWORD=suite
POSTGRES_PORT=54329
WORKER_PORT=$health
ENV
# The names of what runs, for what compose does not take away: services that are only started when they are named.
containers() { $engine ps -a --format '{{.Names}}' | grep -E '^copy[_-](worker|postgres)[_-]' || true; }
down() {
  "${compose[@]}" down -v >/dev/null 2>&1 || true
  containers | xargs -r $engine rm -f >/dev/null 2>&1 || true
  $engine volume rm -f copy_postgres-data >/dev/null 2>&1 || true
  rm -rf "$work"
}
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
# Early versions of podman-compose give exit code 0 for whatever was run inside: the engine is asked itself.
inside() { local name; name=$(containers | grep -E "[_-]$1[_-]") && $engine exec "$name" "${@:2}" </dev/null; }
# Over TCP: while the image makes its data directory the server listens on its socket alone.
in_database() { inside postgres psql "postgres://postgres:suite@127.0.0.1/game" -v ON_ERROR_STOP=1 -qAtc "$1"; }
pools_are_full() { [ "$(in_database 'select bool_and(available >= minimum) from content_pool_status')" = t ]; }
served() { [ "$(in_database "select worker.native_info() -> 'background_worker'")" = true ]; }
job_done() { [ "$(in_database "select status from worker_jobs where id = '$job'")" = completed ]; }
shows_variables() { "${compose[@]}" exec -T worker env </dev/null >"$work/env" 2>&1; grep -q '^DATABASE_URL=' "$work/env"; }
about() { $engine inspect --format "$2" "$(containers | grep -E "[_-]$1[_-]")"; }
is_nobody() { [ "$(about worker '{{.Config.User}}')" = 65532:65532 ]; }
read_only() { [ "$(about worker '{{.HostConfig.ReadonlyRootfs}}')" = true ]; }
# podman-restart.service starts at boot what this lists; docker's daemon does the same by itself.
restarts() { $engine ps -a --filter restart-policy=always --format '{{.Names}}' | grep -q '[_-]worker[_-]'; }
follows_log() { timeout 5 "${compose[@]}" logs -f worker >"$work/log" 2>&1 || true; grep -q 'INFO' "$work/log"; }
says_health() { curl -fsS "http://localhost:$health/health" | grep -q '"status": *"success"'; }
megabytes() { $engine image inspect --format '{{.Size}}' "$1" | awk '{printf "%.0f MB", $1 / 1e6}'; }
resident() { awk '/VmRSS/ {printf "%.1f MB", $2 / 1024}' "/proc/$(about worker '{{.State.Pid}}')/status"; }

check "the images are built" "${compose[@]}" build worker postgres
say "    pg-worker-executor: $(megabytes pg-worker-executor), postgres-worker: $(megabytes postgres-worker)"
check "PostgreSQL starts" "${compose[@]}" up -d postgres
check "PostgreSQL answers" within_a_minute in_database 'select 1'
check "the extension is created" in_database 'create extension pg_worker_ext'
began=$SECONDS
check "worker starts alone" "${compose[@]}" up -d worker
check "/health answers from outside" within_a_minute says_health
check "pools fill" within_a_minute pools_are_full
say "    pools are full $((SECONDS - began)) s after the executor's start; it has $(resident) of memory"
check "the background worker runs" served
job=$(in_database "select enqueue_worker_job('generate_quests', '{\"count\": 3}', 1)")
check "a job enqueued in one container is stored by the other" within_a_minute job_done
check "healthcheck inside" inside worker pg-worker-executor healthcheck
check "the variables are inside" shows_variables
check "it is not root" is_nobody
check "its root is read-only" read_only
check "it is among what starts after a reboot" restarts
check "podman-compose ps" "${compose[@]}" ps
check "podman-compose logs -f worker" follows_log
check "podman-compose restart worker" "${compose[@]}" restart worker
check "/health answers again" within_a_minute says_health
check "podman-compose logs worker" "${compose[@]}" logs worker

containers | grep -E '[_-]worker[_-]' | xargs -r $engine rm -f >/dev/null 2>&1 || true
$engine rmi -f pg-worker-executor >/dev/null 2>&1 || true
check "make dist" "$ROOT/scripts/dist.sh"
image=$(compgen -G "${CARGO_TARGET_DIR:-$ROOT/target}/dist/*.image.tar" | head -n 1)
check "its image is loaded" $engine load -q -i "$image"
say "    the image of make dist: $(megabytes pg-worker-executor)"
check "it starts without a build" "${compose[@]}" up -d --no-build worker
check "its /health answers" within_a_minute says_health
check "its healthcheck" inside worker pg-worker-executor healthcheck
check "the variables are inside it too" shows_variables
say "    it has $(resident) of memory"
say "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
