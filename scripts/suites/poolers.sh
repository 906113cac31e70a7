#!/usr/bin/env bash
# executors behind a real pgbouncer, in transaction and in session mode (Debian: apt-get install pgbouncer; 1 minute)
set -euo pipefail
. "$(dirname "$0")/../common.sh"

PG_WORKER_PGBOUNCER=$(PATH=$PATH:/usr/sbin command -v pgbouncer) || skip_suite "pgbouncer is not installed"
export PG_WORKER_PGBOUNCER
run_ignored_tests poolers:: "$@"
