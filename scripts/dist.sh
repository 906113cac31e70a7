#!/usr/bin/env bash
# make dist: the executor as one static program and as a loadable container image, below target/dist, so that the
# machine next to the GPU compiles nothing and pulls nothing:
#
#   pg-worker-executor-VERSION-ARCH            runs on any Linux
#   pg-worker-executor-VERSION-ARCH.image.tar  podman load -i … (or docker load), then podman-compose up -d worker
set -euo pipefail
. "$(dirname "$0")/common.sh"

# env is in the image because the guide asks for the variables inside; nothing else is.
static_busybox() {
  local folder=$work/busybox
  if [ "$(command -v busybox)" ] && ! ldd "$(command -v busybox)" >/dev/null 2>&1; then command -v busybox; return; fi
  command -v apt-get >/dev/null || die "a static busybox is needed: install it, then run this again"
  mkdir -p "$folder"
  (cd "$folder" && apt-get -q -o APT::Sandbox::User=root download busybox-static >&2 && dpkg-deb -x busybox-static_*.deb .) ||
    die "apt could not give busybox-static"
  find "$folder" -path '*bin/busybox' | head -n 1
}

# musl where the toolchain has it. glibc linked statically looks names up by itself since 2.34.
build_static() {
  local arch target flags='-C target-feature=+crt-static'
  arch=$(uname -m)
  target=$arch-unknown-linux-gnu
  if rustup target list --installed 2>/dev/null | grep -qx "$arch-unknown-linux-musl" && command -v musl-gcc >/dev/null; then
    target=$arch-unknown-linux-musl
  fi
  step "building for $target"
  RUSTFLAGS=$flags cargo build --locked --release --target "$target" --package pg-worker-executor
  cp "$(target_dir)/$target/release/pg-worker-executor" "$1"
  ! ldd "$1" 2>/dev/null | grep -q '=>' || die "$1 is not static"
}

# What `docker save` writes: one layer, its settings, a list of both. No container engine is needed for that.
write_image() {
  local program=$1 out=$2 root=$work/root image=$work/image layer config
  mkdir -p "$root"/{usr/local/bin,usr/bin,etc} "$image"
  cp "$program" "$root/usr/local/bin/pg-worker-executor"
  cp "$(static_busybox)" "$root/usr/bin/busybox"
  ln -s busybox "$root/usr/bin/env"
  printf 'worker:x:65532:65532::/:/bin/false\n' >"$root/etc/passwd"
  chmod 755 "$root/usr/local/bin/pg-worker-executor" "$root/usr/bin/busybox"
  tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$image/layer.tar" .
  layer=$(sha256sum "$image/layer.tar" | cut -d ' ' -f 1)
  # As executor/Dockerfile says it.
  cat >"$image/config.json" <<JSON
{"architecture": "$(dpkg --print-architecture 2>/dev/null || echo amd64)", "os": "linux", "created": "1970-01-01T00:00:00Z",
 "config": {"User": "65532:65532", "Env": ["PATH=/usr/local/bin:/usr/bin"], "Entrypoint": ["pg-worker-executor"], "Cmd": ["run"],
  "ExposedPorts": {"3002/tcp": {}}, "StopSignal": "SIGTERM",
  "Healthcheck": {"Test": ["CMD", "pg-worker-executor", "healthcheck"], "Interval": 30000000000, "Timeout": 5000000000, "StartPeriod": 30000000000, "Retries": 3}},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$layer"]}, "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "make dist"}]}
JSON
  config=$(sha256sum "$image/config.json" | cut -d ' ' -f 1)
  mv "$image/config.json" "$image/$config.json"
  mkdir "$image/$layer"
  mv "$image/layer.tar" "$image/$layer/layer.tar"
  # podman looks for the second name, docker for the first; compose.yaml names neither registry.
  cat >"$image/manifest.json" <<JSON
[{"Config": "$config.json", "RepoTags": ["pg-worker-executor:latest", "localhost/pg-worker-executor:latest"], "Layers": ["$layer/layer.tar"]}]
JSON
  tar -C "$image" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$out" .
}

cd "$ROOT"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(sed -nE 's/^version = "([0-9.]+)".*/\1/p' Cargo.toml | head -n 1)
dist=$(target_dir)/dist
name=$dist/pg-worker-executor-$version-$(uname -m)
mkdir -p "$dist"
build_static "$name"
step "writing the image"
write_image "$name" "$name.image.tar"
for file in "$name" "$name.image.tar"; do
  say "    $file  $(stat --format %s "$file" | awk '{printf "%.1f MB", $1 / 1e6}')"
done
