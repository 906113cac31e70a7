#!/usr/bin/env bash
# Adds pg_worker_ext to shared_preload_libraries in a postgresql.conf, keeping what is named there.
# Usage: scripts/preload.sh FILE. Running it again changes nothing; the server reads it at its start.
set -euo pipefail

if [ $# != 1 ] || [ ! -f "$1" ]; then
  echo "usage: $0 POSTGRESQL_CONF" >&2
  exit 2
fi

# PostgreSQL obeys the last of several lines, so that one is what has to be restated.
line=$(grep -E '^[[:space:]]*shared_preload_libraries[[:space:]]*=?' "$1" | tail -n 1 || true)
libraries=$(sed -E "s/^[^=']*=?[[:space:]]*//; s/^'([^']*)'.*/\1/; s/[[:space:]]*#.*//" <<<"$line")
case ",${libraries//[[:space:]]/}," in
  *,pg_worker_ext,*) exit 0 ;;
esac
printf "\nshared_preload_libraries = '%s'\n" "${libraries:+$libraries, }pg_worker_ext" >>"$1"
