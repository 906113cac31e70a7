#!/usr/bin/env bash
# a fresh clone on a fresh Debian: make demo as root, make test as an ordinary user, nothing left behind (root, debootstrap, 4 GB)
#
# The machine is a chroot with its own mounts and process ids; only the Rust toolchain and cargo's
# downloads come from here, as they would already be there on a developer's machine.
set -euo pipefail
. "$(dirname "$0")/../common.sh"

skip() { say "skipped: $*"; say "0 passed, 0 failed, 1 skipped"; exit 0; }

[ "$(id -u)" = 0 ] || skip "making a chroot needs root"
command -v debootstrap >/dev/null || skip "debootstrap is not installed (apt-get install debootstrap)"
[ -d "${RUSTUP_HOME:=$HOME/.rustup}" ] || skip "the toolchain is not rustup's"

machine=$(mktemp -d "${TMPDIR:-/tmp}/fresh-machine.XXXXXX")
trap 'rm -rf --one-file-system "$machine"' EXIT
chmod 755 "$machine" # it becomes the root folder, which every account must be able to enter
codename=${1:-$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")}

step "debootstrap $codename"
debootstrap --variant=minbase --include=git,make,ca-certificates,procps "$codename" "$machine" >"$machine.log" 2>&1 ||
  { tail -n 5 "$machine.log"; rm -f "$machine.log"; skip "debootstrap could not make a $codename"; }
rm -f "$machine.log"
cp /etc/resolv.conf "$machine/etc/resolv.conf"
mkdir "$machine/opt/rustup"
(cd "$ROOT" && cargo fetch --quiet --locked)
cp -r "${CARGO_HOME:-$HOME/.cargo}" "$machine/opt/cargo"
chmod -R a+rwX "$machine/opt/cargo"
git clone --quiet "$ROOT" "$machine/home/project"

inside() {
  unshare --mount --pid --fork bash -s "$machine" "$RUSTUP_HOME" <<'SCRIPT'
set -euo pipefail
mount --bind "$2" "$1/opt/rustup"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
exec chroot "$1" /usr/bin/env -i HOME=/root LANG=C.UTF-8 RUSTUP_HOME=/opt/rustup CARGO_HOME=/opt/cargo \
  PATH=/opt/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -s <<'STEPS'
passed=0 failed=0
check() {
  local title=$1
  shift
  if "$@"; then passed=$((passed + 1)); echo "ok: $title"; else failed=$((failed + 1)); echo "FAILED: $title"; fi
}
is_clean() {
  ! pgrep -a postgres && ! compgen -G '/var/lib/postgresql/*/*' && [ ! -e /usr/sbin/policy-rc.d ] &&
    [ ! -e /etc/postgresql-common/createcluster.d ] && ! compgen -G '/tmp/pg*'
}
# What was started for the tests ends with them, but it takes its time.
nothing_left() {
  for _ in {1..60}; do
    is_clean >/dev/null && return
    sleep 1
  done
  is_clean
}
cd /home/project
check "make demo as root" make demo
check "no service, cluster or file is left by make demo" nothing_left
useradd --create-home dev
chown -R dev /home/project
check "make test as an ordinary user without sudo" setpriv --reuid dev --regid dev --clear-groups make test
check "nothing is left by make test" nothing_left
echo "$passed passed, $failed failed, 0 skipped"
STEPS
SCRIPT
}

log=$machine/log
inside </dev/null 2>&1 | tee "$log"
closing=$(tail -n 1 "$log")
# The inner runs print such lines too: what counts here is the last one alone.
[[ $closing == *" 0 failed"* ]]
