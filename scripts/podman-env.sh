# Sourced by what runs podman: settings with which it works inside a container or sandbox too, and names of images
# that mean ours (scripts/base-images.sh). Nothing of the user's own podman is touched.
# shellcheck shell=bash
podman_env() {
  local folder=$1
  cat >"$folder/containers.conf" <<CONF
[containers]
netns = "host"
default_ulimits = ["nofile=20000:20000", "nproc=1024:1024"]
[engine]
runtime = "$(command -v runc >/dev/null && echo runc || echo crun)"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
  cat >"$folder/registries.conf" <<CONF
unqualified-search-registries = ["localhost"]
[aliases]
debian = "localhost/debian"
rust = "localhost/rust"
postgres = "localhost/postgres"
CONF
  export CONTAINERS_CONF=$folder/containers.conf CONTAINERS_REGISTRIES_CONF=$folder/registries.conf
}
