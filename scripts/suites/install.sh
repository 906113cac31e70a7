#!/usr/bin/env bash
# make install into an empty folder: release builds, and every file that CREATE EXTENSION and a person need (10 minutes)
set -euo pipefail
. "$(dirname "$0")/../common.sh"

cd "$ROOT"
load_setup
folder=$(mktemp -d "${TMPDIR:-/tmp}/install.XXXXXX")
trap 'rm -rf "$folder"' EXIT
passed=0 failed=0
check() {
  local title=$1
  shift
  if "$@"; then passed=$((passed + 1)); say "ok: $title"; else failed=$((failed + 1)); say "FAILED: $title"; fi
}
is_there() { compgen -G "$1" >/dev/null; }
runs() { "$1" --help >/dev/null; }

check "make install" make install PG_CONFIG="$PG_CONFIG" DESTDIR="$folder"
extension=$folder$("$PG_CONFIG" --sharedir)/extension
check "the control file" test -s "$extension/pg_worker_ext.control"
check "the SQL of the version" is_there "$extension/pg_worker_ext--*.sql"
check "the library" test -s "$folder$("$PG_CONFIG" --pkglibdir)/pg_worker_ext.so"
check "the executor runs" runs "$folder/usr/local/bin/pg-worker-executor"
say "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
