#!/usr/bin/env bash
# make install: release builds of the extension, for PG_CONFIG, and of the executor, into
# PREFIX/bin; both below DESTDIR. Building needs no rights; only the copying asks for sudo.
# Usage: scripts/install.sh [extension|executor]…, both by default.
set -euo pipefail
. "$(dirname "$0")/common.sh"

DESTDIR=${DESTDIR:-}
PREFIX=${PREFIX:-/usr/local}

# Copies one file as root would, if need be. The old one is removed first, never overwritten: a
# running server has it mapped.
put() {
  local run=() folder
  folder=$(dirname "$2")
  can_write "$folder" || run=(as_root)
  "${run[@]}" mkdir -p "$folder"
  "${run[@]}" rm -f "$2"
  "${run[@]}" install -m "$3" "$1" "$2"
  say "    $2"
}

can_write() {
  local folder=$1
  while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
  [ -w "$folder" ]
}

install_extension() {
  local stage file mode
  load_setup
  stage=$(target_dir)/install
  mapfile -t native < <(native_args)
  step "building the extension for $("$PG_CONFIG" --version)"
  cargo build --release "${native[@]}"
  rm -rf "$stage"
  cargo run --quiet --package xtask -- install --pg-config "$PG_CONFIG" --destdir "$stage" >/dev/null
  step "installing the extension"
  while IFS= read -r file; do
    mode=644
    [[ $file != *.so ]] || mode=755
    put "$stage$file" "$DESTDIR$file" "$mode"
  done < <(cd "$stage" && find . -type f | sed 's/^\.//' | sort)
  say "    Add it to the server's settings and restart:  shared_preload_libraries = 'pg_worker_ext'"
  say "    Then, in the game's database:                 CREATE EXTENSION pg_worker_ext;"
}

install_executor() {
  step "building the executor"
  cargo build --release --package pg-worker-executor
  step "installing the executor"
  put "$(target_dir)/release/pg-worker-executor" "$DESTDIR$PREFIX/bin/pg-worker-executor" 755
}

cd "$ROOT"
[ $# -gt 0 ] || set -- extension executor
for part; do
  case $part in
    extension | executor) "install_$part" ;;
    *) die "unknown part '$part': extension or executor" ;;
  esac
done
