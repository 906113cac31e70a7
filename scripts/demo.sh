#!/usr/bin/env bash
# make demo: the whole path on this machine, in a private PostgreSQL that is gone afterwards.
# KEEP=1 leaves it running. LOCAL_LLM_ENDPOINT lets a model write; else the built-in generator does.
set -euo pipefail
. "$(dirname "$0")/common.sh"

HERE=$ROOT/scripts/demo
GAME=game
folder='' executor_pid='' finished=0

# PostgreSQL refuses to run as root: as root the server gets an ordinary account.
server_account() {
  local name
  for name in "${PG_TEST_USER:-postgres}" nobody; do
    if id -u "$name" >/dev/null 2>&1; then printf '%s\n' "$name"; return; fi
  done
  die "PostgreSQL refuses to run as root and there is no account for it: set PG_TEST_USER"
}
as_server() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && setpriv --reuid "$account" --regid "$(id -g "$account")" --clear-groups env -u RUST_BACKTRACE LC_ALL=C.UTF-8 "$@")
  else
    (cd / && env LC_ALL=C.UTF-8 "$@")
  fi
}

free_port() {
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  printf '%s\n' "$port"
}

sql() { "$bin/psql" -X -q -At -v ON_ERROR_STOP=1 -d "$url" "$@"; }

# The same folders as an installation has, below a folder that the server may read.
extension_settings() {
  local stage=$folder/extension
  mkdir "$stage"
  cp -r "$PG_WORKER_STAGE/." "$stage"
  chmod -R a+rX "$stage"
  if [ "$major" -ge 18 ]; then
    printf "extension_control_path = '%s:\$system'\n" "$stage$("$PG_CONFIG" --sharedir)"
  else
    printf "extension_destdir = '%s'\n" "$stage"
  fi
  printf "dynamic_library_path = '%s:\$libdir'\n" "$stage$("$PG_CONFIG" --pkglibdir)"
}

start_postgres() {
  step "starting a private PostgreSQL $major in $folder"
  as_server "$bin/initdb" -A trust -U postgres -N -E UTF8 --locale=C.UTF-8 -D "$folder/data" >"$folder/initdb.log" 2>&1 ||
    die "initdb failed: $(tail -n 3 "$folder/initdb.log")"
  {
    printf "port = %s\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '%s'\n" "$port" "$folder"
    printf "shared_preload_libraries = 'pg_worker_ext'\n"
    extension_settings
  } >>"$folder/settings"
  as_server cp "$folder/settings" "$folder/data/postgresql.auto.conf"
  as_server "$bin/pg_ctl" -s -D "$folder/data" -l "$folder/data/log" -w start ||
    die "the server did not start: $(tail -n 5 "$folder/data/log")"
  "$bin/createdb" -h 127.0.0.1 -p "$port" -U postgres "$GAME"
}

start_executor() {
  if [ -n "${LOCAL_LLM_ENDPOINT:-}" ]; then
    step "starting the executor; the model at LOCAL_LLM_ENDPOINT writes"
  else
    step "starting the executor; the built-in generator writes (set LOCAL_LLM_ENDPOINT for a model)"
  fi
  DATABASE_URL=$url WORKER_PORT=$health_port setsid "$PG_WORKER_EXECUTOR" run >"$folder/executor.log" 2>&1 </dev/null &
  executor_pid=$!
}

executor_lives() {
  kill -0 "$executor_pid" 2>/dev/null || die "the executor stopped: $(tail -n 5 "$folder/executor.log")"
}

pools() { sql -F ' ' -c "select kind, available, minimum, on_the_way from content_pool_status where minimum > 0 order by kind"; }

# A bar for each pool, drawn over the last ones on a terminal.
draw() {
  local kind available minimum on_the_way filled
  [ "$drawn" = 0 ] || printf '\033[%dA' "$drawn"
  drawn=0
  while read -r kind available minimum on_the_way; do
    filled=$((available < minimum ? available * 30 / minimum : 30))
    printf '\033[K    %-10s %s%s %3d of %d%s\n' "$kind" "$(repeat "$filled" '#')" "$(repeat $((30 - filled)) '.')" \
      "$available" "$minimum" "$([ "$on_the_way" = 0 ] || echo ", $on_the_way on the way")"
    drawn=$((drawn + 1))
  done <<<"$1"
}
repeat() { if [ "$1" -gt 0 ]; then printf "%0.s$2" $(seq "$1"); fi; }

# One plain line for all pools, where there is no terminal to draw on.
plain() { awk '{printf "%s%s %d/%d", (NR == 1 ? "    " : ", "), $1, $2, $3} END {print ""}' <<<"$1"; }

all_full() { awk '$2 < $3 {short = 1} END {exit (short || NR < 5)}' <<<"$1"; }

# A model may take minutes for one item; word lists may not.
patience() { if [ -n "${LOCAL_LLM_ENDPOINT:-}" ]; then echo 900; else echo 60; fi; }

watch_pools() {
  local state last='' changed=$SECONDS
  drawn=0
  while true; do
    executor_lives
    state=$(pools)
    if [ "$state" != "$last" ]; then
      if [ -t 1 ]; then draw "$state"; else plain "$state"; fi
      last=$state changed=$SECONDS
    fi
    if all_full "$state"; then return; fi
    [ $((SECONDS - changed)) -lt "$(patience)" ] ||
      die "no progress for $(patience) s: $(sql -c "select string_agg(distinct last_failure, '; ') from content_pool_status"); $(tail -n 5 "$folder/executor.log")"
    sleep 0.5
  done
}

summarise() {
  local job state='' end=$((SECONDS + $(patience)))
  step "summarising the evening"
  job=$(sql -c "select enqueue_worker_job('summarize_session', jsonb_build_object('character_id', id)) from characters")
  while [ "$state" != completed ]; do
    executor_lives
    if [ "$state" = failed ] || [ $SECONDS -ge $end ]; then
      die "no summary: $(sql -c "select status, error_message from worker_jobs where id = '$job'")"
    fi
    sleep 0.2
    state=$(sql -c "select status from worker_jobs where id = '$job'")
  done
}

stop_all() {
  if [ -n "$executor_pid" ]; then kill -TERM "$executor_pid" 2>/dev/null || true; wait "$executor_pid" 2>/dev/null || true; fi
  if [ -f "$folder/data/postmaster.pid" ]; then as_server "$bin/pg_ctl" -s -D "$folder/data" -m fast -w stop || true; fi
  if [ -n "$folder" ]; then rm -rf "$folder"; fi
}
at_exit() {
  if [ "${KEEP:-}" = 1 ] && [ $finished = 1 ]; then return; fi
  stop_all
}

# A stop script beside the data: it needs nothing of this run.
write_stop_script() {
  local become=''
  [ "$(id -u)" != 0 ] || become="setpriv --reuid $account --regid $(id -g "$account") --clear-groups "
  cat >"$folder/stop" <<STOP
#!/bin/sh
kill -TERM $executor_pid 2>/dev/null
cd / && ${become}$bin/pg_ctl -s -D $folder/data -m fast -w stop
rm -rf $folder
STOP
  chmod +x "$folder/stop"
}

# Breaks long lines between words and keeps what follows under its beginning.
show() {
  awk -v width="$(width)" '{
    match($0, /^ *([A-Z]+  +)?(- |[0-9]+\. )?/)
    indent = sprintf("%" RLENGTH "s", "")
    line = substr($0, 1, RLENGTH)
    count = split(substr($0, RLENGTH + 1), words, " ")
    gap = ""
    for (i = 1; i <= count; i++) {
      if (gap != "" && length(line) + 1 + length(words[i]) > width) { print line; line = indent; gap = "" }
      line = line gap words[i]
      gap = " "
    }
    print line
  }'
}
width() { local columns=${COLUMNS:-$(tput cols 2>/dev/null || echo 80)}; echo $((columns > 100 ? 100 : columns)); }

step "building the extension and the executor"
built=$("$ROOT/scripts/stage.sh")
while IFS='=' read -r name value; do declare "$name=$value"; done <<<"$built"
bin=$("$PG_CONFIG" --bindir)
major=$(pg_major "$PG_CONFIG")
account=$([ "$(id -u)" != 0 ] || server_account)
trap at_exit EXIT
trap 'exit 130' INT TERM
folder=$(mktemp -d "${TMPDIR:-/tmp}/pg-worker-demo.XXXXXX")
chmod 755 "$folder"
[ "$(id -u)" != 0 ] || chown "$account" "$folder"
port=$(free_port 54320)
health_port=$(free_port "${WORKER_PORT:-3002}")
url=postgres://postgres@127.0.0.1:$port/$GAME

start_postgres
step "a small game, and CREATE EXTENSION pg_worker_ext beside it"
sql -f "$HERE/game.sql"
sql -c "create extension pg_worker_ext"
start_executor
step "SELECT schedule_pool_check()"
sql -c "select schedule_pool_check()" >/dev/null
watch_pools
full=$SECONDS
summarise
step "the game claims one of each kind"
sql -f "$HERE/claims.sql" | show
step "GET http://127.0.0.1:$health_port/health"
curl -fsS "http://127.0.0.1:$health_port/health"
say ""
finished=1
step "every pool was full after $full s; all of it took $SECONDS s"
if [ "${KEEP:-}" = 1 ]; then
  write_stop_script
  say "It goes on running:"
  say "    psql $url"
  say "    curl http://127.0.0.1:$health_port/health"
  say "    tail -f $folder/executor.log"
  say "To stop it and remove it: $folder/stop"
fi
