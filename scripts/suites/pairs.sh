#!/usr/bin/env bash
# every pair of writing verbs in every order of their steps: no deadlock, no wait beyond its bound (15 minutes)
#
# SEED=n draws another tail, PERCENT=n tries so much of it, AT_ONCE=n databases at the same time (4).
set -euo pipefail
. "$(dirname "$0")/../common.sh"

cd "$ROOT"
# One after the other: each uses several databases at once.
run_ignored_tests "${@:-pairs::}" --test-threads 1
