#!/usr/bin/env bash
# Gets a real llama-server for the tests and prints the path of a program that starts it with the
# made model of tests/llama; further arguments are passed on. Nothing is installed: Debian's package
# is unpacked into target/llama, where it stays; LLAMA_SERVER=/path/to/llama-server takes another one.
# Where none can be had: one line with the reason, and exit code 77.
set -euo pipefail
. "$(dirname "$0")/common.sh"

# Debian has the package from this release on. It is taken beside the machine's own release, with
# its own C library, so that neither touches the other.
SUITE=forky
PACKAGE=llama.cpp-tools

cannot() { say "no llama-server: $*" >&2; exit 77; }

# The Debian mirror that this machine's apt already uses, as "URL key"; the key may be absent.
mirror() {
  # shellcheck disable=SC2016 # these are apt's variables
  apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(SIGNED_BY)' 2>/dev/null |
    awk -F'|' '$1 == "Debian" && $2 !~ /security/ {print $2, ($4 ~ /^\//) ? $4 : ""; exit}'
}

# An apt that reads and writes below one folder only.
private_apt() {
  local program=$1
  shift
  "$program" -q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::Etc::preferences=- \
    -o Dir::Etc::preferencesparts=- -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" \
    -o APT::Sandbox::User=root -o Debug::NoLocking=1 -o Acquire::Retries=2 -o APT::Install-Recommends=0 \
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}

read_lists() {
  local url key
  read -r url key < <(mirror) || true
  if [ -z "${url:-}" ]; then
    apt-get update >/dev/null 2>&1 || true
    read -r url key < <(mirror) || true
  fi
  [ -n "${url:-}" ] || cannot "apt names no Debian mirror here"
  [ -n "$key" ] || key=/usr/share/keyrings/debian-archive-keyring.gpg
  mkdir -p "$apt"/state/lists/partial "$apt"/cache/archives/partial
  : >"$apt/status"
  printf 'deb [signed-by=%s] %s %s main\n' "$key" "$url" "$SUITE" >"$apt/sources.list"
  private_apt apt-get update >"$apt/log" 2>&1 || cannot "the list of Debian $SUITE cannot be read: $(tail -n 1 "$apt/log")"
}

unpack() {
  local packages file
  mapfile -t packages < <(private_apt apt-get -s install "$PACKAGE" 2>>"$apt/log" | awk '$1 == "Inst" {print $2}')
  [ ${#packages[@]} -gt 0 ] || cannot "Debian $SUITE has no $PACKAGE that can be installed for this machine"
  (cd "$apt" && private_apt apt-get download "${packages[@]}") >>"$apt/log" 2>&1 ||
    cannot "a package of Debian $SUITE cannot be downloaded: $(tail -n 1 "$apt/log")"
  for file in "$apt"/*.deb; do dpkg-deb -x "$file" "$new"; done
  rm -rf "$apt"
}

# ggml looks for its CPU back ends beside the running program, and that is the loader.
link_back_ends() {
  local loader file
  loader=$(cd "$new" && find . -name 'ld-linux-*.so.*' | head -n 1)
  [ -n "$loader" ] || cannot "the unpacked C library has no loader"
  mkdir "$new/start"
  cp "$new/$loader" "$new/start/loader"
  find "$new" -path '*/ggml/*' -name 'libggml-cpu*.so*' | while read -r file; do
    ln -s "../${file#"$new"/}" "$new/start/"
  done
}

# The loader is told where to look; the machine's own libraries are never mixed in.
write_starter() {
  cat >"$new/start/llama-server" <<'STARTER'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
root=${here%/start}
libraries=$(find "$root" -name '*.so*' -not -path '*/start/*' -exec dirname {} + | sort -u | tr '\n' ':')
program=$(find "$root" -path '*/bin/llama-server' | head -n 1)
exec "$here/loader" --inhibit-cache --library-path "$libraries" "$program" --model "$root/../model.gguf" "$@"
STARTER
  chmod +x "$new/start/llama-server"
}

get_server() {
  command -v apt-get >/dev/null || cannot "this machine has no apt"
  rm -rf "$new"
  mkdir -p "$new"
  apt=$new/apt
  read_lists
  unpack
  link_back_ends
  write_starter
  "$new/start/llama-server" --version >"$new/version" 2>&1 || cannot "it does not run here: $(tail -n 1 "$new/version")"
  rm -rf "$folder/server"
  mv "$new" "$folder/server"
}

folder=$(target_dir)/llama
mkdir -p "$folder"
new=$folder/server.new
exec 9>"$folder/lock"
flock 9
gunzip -c "$ROOT/tests/llama/model.gguf.gz" >"$folder/model.gguf.new"
mv "$folder/model.gguf.new" "$folder/model.gguf"
folder=$(cd "$folder" && pwd)
if [ -n "${LLAMA_SERVER:-}" ]; then
  "$LLAMA_SERVER" --version >/dev/null 2>&1 || cannot "LLAMA_SERVER=$LLAMA_SERVER does not run"
  printf '#!/bin/sh\nexec "%s" --model "%s" "$@"\n' "$LLAMA_SERVER" "$folder/model.gguf" >"$folder/own"
  chmod +x "$folder/own"
  say "$folder/own"
else
  [ -x "$folder/server/start/llama-server" ] || get_server
  say "$folder/server/start/llama-server"
fi
