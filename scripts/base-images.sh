#!/usr/bin/env bash
# Makes, where no registry can be reached, the images that our Dockerfiles begin with, under localhost/: debian from
# debootstrap, rust with this machine's toolchain and cargo's downloads, postgres with Debian's server and an
# entrypoint like the official one's. What is there already is kept.
set -euo pipefail
. "$(dirname "$0")/common.sh"

there() { podman image exists "localhost/$1"; }

work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT

if ! there debian:bookworm-slim; then
  step "debootstrap bookworm"
  debootstrap --variant=minbase bookworm "$work/debian" >"$work/log" 2>&1 || { tail -n 5 "$work/log"; exit 1; }
  tar -C "$work/debian" -c . | podman import --quiet - localhost/debian:bookworm-slim >/dev/null
fi
if ! there rust:1.95-bookworm; then
  step "an image with this machine's Rust"
  mkdir -p "$work/rust/rustup/toolchains" "$work/rust/cargo/bin"
  cp -r "$(rustc --print sysroot)" "$work/rust/rustup/toolchains/"
  printf 'default_toolchain = "%s"\nversion = "12"\n' "$(basename "$(rustc --print sysroot)")" >"$work/rust/rustup/settings.toml"
  cp -a "${CARGO_HOME:-$HOME/.cargo}"/bin/{rustup,cargo,rustc,rustfmt} "$work/rust/cargo/bin/"
  cp -r "${CARGO_HOME:-$HOME/.cargo}/registry" "$work/rust/cargo/"
  podman build --quiet --tag localhost/rust:1.95-bookworm --file - "$work/rust" >/dev/null <<'FILE'
FROM localhost/debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make ca-certificates
COPY rustup /usr/local/rustup
COPY cargo /usr/local/cargo
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
FILE
fi
if ! there postgres:15-bookworm; then
  step "an image with Debian's PostgreSQL 15"
  podman build --quiet --tag localhost/postgres:15-bookworm --file - "$ROOT/tests/containers" >/dev/null <<'FILE'
FROM localhost/debian:bookworm-slim
RUN apt-get update && mkdir -p /etc/postgresql-common/createcluster.d \
 && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/none.conf \
 && apt-get install -y --no-install-recommends postgresql-15 \
 && mv /usr/share/postgresql/15/postgresql.conf.sample /usr/share/postgresql/ \
 && ln -s ../postgresql.conf.sample /usr/share/postgresql/15/postgresql.conf.sample
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENV PGDATA=/var/lib/postgresql/data PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
VOLUME /var/lib/postgresql/data
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
FILE
fi
