#!/usr/bin/env bash
# Gets a PostgreSQL that this Debian does not offer, below target/postgres/VERSION, without installing anything, and
# prints its pg_config. 17 and 18: server and headers of a later Debian, with its own C library, so that they run
# here. 16, which no Debian has: server and headers of a wheel from PyPI, which finds its parts where it lies.
# Exit 77: not to be had.
# Usage: scripts/postgres.sh 16|17|18
set -euo pipefail
. "$(dirname "$0")/common.sh"

version=${1:?a major version}
place=$(target_dir)/postgres/$version

unavailable() { printf 'PostgreSQL %s: %s\n' "$version" "$*" >&2; exit 77; }

# An apt of its own: lists, cache and a record of installed packages that is empty, so that all that is needed comes.
apt_of() {
  local suite=$1 site
  # shellcheck disable=SC2016 # apt's own placeholder
  site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -v security | head -n 1)
  [ -n "$site" ] || unavailable "apt has no mirror"
  mkdir -p "$apt"/{lists,archives}/partial "$apt/none"
  : >"$apt/status"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$site" "$suite" >"$apt/sources.list"
  options=(-q -y -o "Dir::State::lists=$apt/lists" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt"
    -o "Dir::Etc::sourcelist=$apt/sources.list" -o "Dir::Etc::sourceparts=$apt/none" -o "Dir::Etc::preferencesparts=$apt/none"
    -o APT::Install-Recommends=false -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update >&2 || unavailable "the package lists of $suite could not be read"
}

of_debian() {
  local apt=$place.apt options loader program
  for program in apt-get dpkg-deb patchelf; do
    command -v "$program" >/dev/null || unavailable "$program is not installed"
  done
  apt_of "$1"
  apt-get "${options[@]}" --download-only install "postgresql-$version" >&2 || unavailable "$1 could not give it"
  # Only its headers: what it depends on is a compiler.
  (cd "$apt/archives" && apt-get "${options[@]}" download "postgresql-server-dev-$version") >&2
  rm -rf "$place"
  mkdir -p "$place"
  for program in "$apt"/archives/*.deb; do dpkg-deb -x "$program" "$place"; done
  loader=$(find "$place/usr/lib" -name 'ld-linux*.so.*' | head -n 1)
  for program in "$place/usr/lib/postgresql/$version/bin"/*; do
    # Scripts are left as they are.
    patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$(dirname "$loader")" "$program" 2>/dev/null || true
  done
  rm -rf "$apt"
}

of_pypi() {
  local wheel
  if ! command -v pip >/dev/null || ! command -v python3 >/dev/null; then unavailable "pip is not installed"; fi
  wheel=$(mktemp -d)
  pip download -q --no-deps --only-binary :all: --python-version 3.11 --platform manylinux2014_x86_64 -d "$wheel" pgserver==0.1.4 >&2 ||
    unavailable "the wheel could not be downloaded"
  rm -rf "$place"
  mkdir -p "$place"
  # As it stands in the wheel: its programs look for their libraries beside it.
  python3 -m zipfile -e "$wheel"/*.whl "$place"
  rm -rf "$wheel"
  chmod +x "$place"/pgserver/pginstall/bin/*
}

case $version in
  16) pg_config=$place/pgserver/pginstall/bin/pg_config; [ -x "$pg_config" ] || of_pypi ;;
  17) pg_config=$place/usr/lib/postgresql/17/bin/pg_config; [ -x "$pg_config" ] || of_debian trixie ;;
  18) pg_config=$place/usr/lib/postgresql/18/bin/pg_config; [ -x "$pg_config" ] || of_debian forky ;;
  *) unavailable "unknown here" ;;
esac
[ "$(pg_major "$pg_config")" = "$version" ] || unavailable "$pg_config does not run"
printf '%s\n' "$pg_config"
