#!/usr/bin/env bash
# Makes a Debian or Ubuntu machine ready to build and test: finds a PostgreSQL 15-18 with server
# and headers, installs with apt what is missing, and writes PG_CONFIG to target/setup.env.
# Everything that could stop it is checked before anything is installed.
set -euo pipefail
. "$(dirname "$0")/common.sh"

SUPPORTED=(18 17 16 15)
OLDEST=15 NEWEST=18

check_rust() {
  local wanted found
  wanted=$(sed -nE 's/^rust-version = "([0-9.]+)".*/\1/p' "$ROOT/Cargo.toml" | head -n 1)
  found=$(rustc --version 2>/dev/null | awk '{print $2}') || true
  { [ -n "$found" ] && command -v cargo >/dev/null; } ||
    die "no Rust toolchain found: install Rust $wanted or newer (https://rustup.rs), then run this again"
  [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
    die "Rust $found is too old, $wanted or newer is needed: run 'rustup update stable'"
  has_rustfmt || command -v rustup >/dev/null ||
    die "rustfmt is missing beside Rust $found: install it, then run this again"
}

# pgrx formats with it what it makes of PostgreSQL's headers; rustup's minimal profile goes without.
has_rustfmt() { rustfmt --version >/dev/null 2>&1; }
add_rustfmt() {
  if ! has_rustfmt; then
    step "adding rustfmt with rustup"
    rustup component add rustfmt >/dev/null 2>&1 || die "rustup could not add rustfmt: run 'rustup component add rustfmt'"
  fi
}

supported() { [ -n "$1" ] && [ "$1" -ge "$OLDEST" ] && [ "$1" -le "$NEWEST" ]; }
has_server() { [ -x "$("$1" --bindir)/postgres" ] && [ -x "$("$1" --bindir)/initdb" ]; }
has_headers() { [ -f "$("$1" --includedir-server)/postgres.h" ]; }
complete() { supported "$(pg_major "$1")" && has_server "$1" && has_headers "$1"; }

# The user's own choice is obeyed or refused, never replaced by another one.
chosen_pg_config() {
  local major
  [ -x "$(command -v "$PG_CONFIG")" ] || die "PG_CONFIG=$PG_CONFIG is no program that can be run: name the pg_config of a PostgreSQL $OLDEST-$NEWEST"
  major=$(pg_major "$PG_CONFIG")
  supported "$major" || die "PG_CONFIG=$PG_CONFIG is PostgreSQL ${major:-of an unknown version}: $OLDEST to $NEWEST are supported, name another or unset it"
  if complete "$PG_CONFIG"; then
    command -v "$PG_CONFIG"
  elif [[ $("$PG_CONFIG" --bindir) != /usr/lib/postgresql/* ]]; then
    die "PG_CONFIG=$PG_CONFIG lacks the server or its header files: install them, or unset PG_CONFIG"
  fi
}

# A complete PostgreSQL that is there already, the newest first.
found_pg_config() {
  local candidate
  for candidate in "${SUPPORTED[@]/#//usr/lib/postgresql/}"; do
    candidate+=/bin/pg_config
    if [ -x "$candidate" ] && complete "$candidate"; then printf '%s\n' "$candidate"; return; fi
  done
  for candidate in "$(command -v pg_config || true)" /usr/local/pgsql/bin/pg_config; do
    if [ -x "$candidate" ] && complete "$candidate"; then printf '%s\n' "$candidate"; return; fi
  done
}

# bindgen, which pgrx runs over PostgreSQL's headers, loads libclang.
has_libclang() {
  local folder
  [ -z "${LIBCLANG_PATH:-}" ] || return 0
  for folder in '/usr/lib/llvm-*/lib' '/usr/lib/*' /usr/lib /usr/local/lib; do
    # libclang-cpp is another library.
    if compgen -G "$folder/libclang.so*" || compgen -G "$folder/libclang-[0-9]*.so*"; then return 0; fi
  done >/dev/null
  return 1
}

installable() {
  local package
  for package; do
    [[ $(LC_ALL=C apt-cache policy "$package" 2>/dev/null) =~ Candidate:\ [^\(] ]] || return 1
  done
}

# The version to install or to make complete: one that has its server already is preferred.
version_to_install() {
  local version
  if [ -n "${PG_CONFIG:-}" ]; then
    version=$(pg_major "$PG_CONFIG")
    if installable "postgresql-$version" "postgresql-server-dev-$version"; then printf '%s\n' "$version"; fi
    return
  fi
  for version in "${SUPPORTED[@]}"; do
    if [ -x "/usr/lib/postgresql/$version/bin/postgres" ] && installable "postgresql-server-dev-$version"; then
      printf '%s\n' "$version"; return
    fi
  done
  for version in "${SUPPORTED[@]}"; do
    if installable "postgresql-$version" "postgresql-server-dev-$version"; then printf '%s\n' "$version"; return; fi
  done
}

missing_tools() {
  command -v cc >/dev/null || printf '%s\n' gcc libc6-dev
  command -v make >/dev/null || printf '%s\n' make
  command -v pkg-config >/dev/null || printf '%s\n' pkg-config
  command -v curl >/dev/null || printf '%s\n' curl
  has_libclang || printf '%s\n' clang libclang-dev
}

check_apt() {
  command -v apt-get >/dev/null ||
    die "missing: $1; this system has no apt: install them by hand, then run this again with PG_CONFIG=/path/to/pg_config"
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
    die "missing: $1; to install them run this as root, or install sudo"
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || [ -t 0 ] ||
    die "missing: $1; sudo asks for a password and there is no terminal: run 'sudo true' first, or run this as root"
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y -o Dpkg::Use-Pty=0 "$@"
}

update_lists() {
  local log
  step "reading the package lists (apt-get update)"
  log=$(mktemp)
  apt_get update >"$log" 2>&1 || say "    apt-get update failed, going on with the lists that are there: $(grep -E '^[EW]:' "$log" | head -n 1)"
  rm -f "$log"
}

# Debian's package makes and starts a cluster. Two files that last only as long as the
# installation say no to both; whatever the machine's own policy is stays as it was.
POLICY=/usr/sbin/policy-rc.d
CLUSTER_D=/etc/postgresql-common/createcluster.d
CLUSTER_CONF=$CLUSTER_D/pg-worker-ext-setup.conf
OURS=()
hold_services() {
  trap release_services EXIT
  if [ ! -e "$POLICY" ]; then
    OURS+=("$POLICY")
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
  fi
  OURS+=("$CLUSTER_CONF")
  as_root mkdir -p "$CLUSTER_D"
  printf 'create_main_cluster = false\n' | as_root tee "$CLUSTER_CONF" >/dev/null
}
release_services() {
  as_root rm -f "${OURS[@]}"
  as_root rmdir --ignore-fail-on-non-empty "$CLUSTER_D"
}

install_packages() {
  local log
  [ $# -gt 0 ] || return 0
  step "installing with apt: $*"
  log=$(mktemp)
  if ! apt_get install --no-install-recommends "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    die "apt-get could not install: $* (its last lines stand above)"
  fi
  rm -f "$log"
}

write_result() {
  local major file
  major=$(pg_major "$1")
  file=$(target_dir)/setup.env
  mkdir -p "$(target_dir)"
  # Written aside and moved: two of us may run at once, and neither may read half a file.
  printf 'PG_CONFIG=%q\nPGRX_PG_CONFIG_PATH=%q\nPG_FEATURE=pg%s\n' "$1" "$1" "$major" >"$file.$$"
  mv "$file.$$" "$file"
}

resolve() {
  if [ -n "${PG_CONFIG:-}" ]; then chosen_pg_config; else found_pg_config; fi
}

main() {
  local pg_config version='' missing tools
  check_rust
  pg_config=$(resolve)
  missing=$(missing_tools)
  [ -n "$pg_config" ] || missing="PostgreSQL $OLDEST-$NEWEST with server headers $missing"
  if [ -z "$missing" ]; then
    add_rustfmt
    write_result "$pg_config"
    return
  fi
  check_apt "${missing//$'\n'/ }"
  update_lists
  if [ -z "$pg_config" ]; then
    version=$(version_to_install)
    [ -n "$version" ] ||
      die "apt offers no PostgreSQL $OLDEST-$NEWEST: add the PostgreSQL project's apt repository (apt.postgresql.org), or set PG_CONFIG"
  fi
  hold_services
  # PostgreSQL first: its headers bring the clang that pgrx needs, and a compiler.
  [ -z "$version" ] || install_packages "postgresql-$version" "postgresql-server-dev-$version"
  mapfile -t tools < <(missing_tools)
  install_packages "${tools[@]}"
  add_rustfmt
  pg_config=$(resolve)
  [ -n "$pg_config" ] || die "PostgreSQL ${version:-} is installed but its pg_config was not found: set PG_CONFIG"
  write_result "$pg_config"
  step "ready: $("$pg_config" --version) ($pg_config)"
}

main
