#!/usr/bin/env bash
# make test and make test-all. Builds, runs every cargo test binary and ends with one closing line
# "N passed, N failed, N skipped". Skipped tests are named with their reason, suites that were left
# out with their command.
set -euo pipefail
. "$(dirname "$0")/common.sh"

all=0
[ "${1:-}" != --all ] || all=1
cd "$ROOT"
load_setup
# Most of what a test does is to wait for a server.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))}
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Adds the counts of a finished run. A run that ended badly without counting a failure (a test
# binary that did not compile or that crashed) is one failure itself.
add_up() {
  local status=$1 pattern=$2 p f s
  read -r p f s < <(sed -nE "$pattern" "$log" | awk '{p += $1; f += $2; s += $3} END {print p + 0, f + 0, s + 0}')
  if [ "$status" != 0 ] && [ "$f" = 0 ]; then f=1; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

run_cargo_tests() {
  local status=0
  step "cargo test: the executor, the tools, and the integration tests on $("$PG_CONFIG" --version)"
  cargo test --no-fail-fast --workspace --exclude pg_worker_ext "$@" 2>&1 | tee "$log" || status=$?
  add_up "$status" 's/^test result: [a-zA-Z]+\. ([0-9]+) passed; ([0-9]+) failed; ([0-9]+) ignored;.*/\1 \2 \3/p'
  if grep -qE '^test .* \.\.\. ignored' "$log"; then
    say ""
    say "Skipped tests:"
    sed -nE 's/^test (.*) \.\.\. ignored,? ?(.*)/  \1: \2/p' "$log"
  fi
}

# A suite is a script in scripts/suites: its second line says what it proves, it may need more than
# one PostgreSQL and the toolchain, and it ends with a line "N passed, N failed, N skipped".
run_suite() {
  local status=0
  say ""
  step "$1: $(suite_title "$1")"
  "$1" 2>&1 | tee "$log" || status=$?
  # What runs inside a suite may print such lines too; its own is the last.
  tail -n 1 "$log" >"$log.last"
  mv "$log.last" "$log"
  add_up "$status" 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p'
}

suite_title() { sed -nE '2s/^# *//p' "$1"; }

step "building the extension and the executor"
built=$(scripts/stage.sh)
while IFS='=' read -r name value; do export "$name=$value"; done <<<"$built"

if [ $all = 1 ]; then
  # Those of a suite are run by the suite, which brings what they need or says that it cannot.
  run_cargo_tests -- --include-ignored --skip llama:: --skip poolers:: --skip supabase:: --skip pg_upgrade:: --skip longlife::a_million --skip pairs::no_two_verbs_end_as_a_deadlock_whichever
  for suite in scripts/suites/*.sh; do run_suite "$suite"; done
else
  run_cargo_tests
  say ""
  say "Left out (make test-all runs everything):"
  for suite in scripts/suites/*.sh; do say "  $suite: $(suite_title "$suite")"; done
fi
say ""
say "It took $((SECONDS / 60)) min $((SECONDS % 60)) s on $(nproc) cores."
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
