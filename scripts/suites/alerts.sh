#!/usr/bin/env bash
# the alert rules of docs/prometheus, by promtool (Debian: apt-get install prometheus, or only its promtool)
set -euo pipefail
. "$(dirname "$0")/../common.sh"

if ! command -v promtool >/dev/null; then
  say "skipped: promtool is not installed (it comes with the package prometheus)"
  say "0 passed, 0 failed, 1 skipped"
  exit 0
fi
cd "$ROOT/docs/prometheus"
passed=0 failed=0
for check in "check rules alerts.yml" "test rules alerts.test.yml"; do
  # shellcheck disable=SC2086
  if promtool $check; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
say "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
