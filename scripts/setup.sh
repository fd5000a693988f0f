#!/usr/bin/env bash
# Installs what Cloudschool needs from Debian's packages, and checks the tools it does not install.
#
#   scripts/setup.sh           what building and running need
#   scripts/setup.sh --tests   also what the tests need
#
# Says what it does and asks nothing. Does nothing, quickly, when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

build_packages=(
  # C and C++ parts of Rust dependencies: Opus, OpenH264, AWS-LC, SQLite
  cmake g++ nasm pkg-config
  # the recorder and the native classroom client
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstreamer-plugins-bad1.0-dev
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
  gstreamer1.0-plugins-ugly gstreamer1.0-libav
)
test_packages=(
  chromium ffmpeg fonts-noto-cjk gstreamer1.0-tools
  # what forwarding is compared with, in a network of its own
  janus iproute2
  # independent WHIP and WHEP clients
  gstreamer1.0-nice gir1.2-gst-plugins-bad-1.0 python3-gi python3-venv
)

# Where these can't be had, the tests with them are left out.
wished_packages=(firefox-esr)

wanted=("${build_packages[@]}")
wished=()
case "${1:-}" in
  '') ;;
  --tests) wanted+=("${test_packages[@]}"); wished=("${wished_packages[@]}") ;;
  *) echo "setup: unknown option '$1' (there is only --tests)" >&2; exit 2 ;;
esac

problems=()

# version_at_least HAVE WANT
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]; }

# need TOOL WANT ADVICE: the tool must be there, in at least that version ('' for any)
need() {
  local tool=$1 want=$2 advice=$3 have
  if ! command -v "$tool" >/dev/null; then
    problems+=("$tool is not installed: $advice")
    return 0
  fi
  [ -n "$want" ] || return 0
  have=$("$tool" --version 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n1 || true)
  version_at_least "${have:-0}" "$want" \
    || problems+=("$tool is version ${have:-unknown}, and $want or newer is needed: $advice")
}

rust_version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml | head -n1)
need rustc "$rust_version" "see https://rustup.rs, or 'rustup update stable'"
need cargo "$rust_version" "it comes with rustc"
need node 20 "see https://nodejs.org"
need npm '' "it comes with node"
need gcc '' "apt-get install gcc"
need make '' "apt-get install make"
if [ ${#problems[@]} -gt 0 ]; then
  echo "setup: this machine is not ready:" >&2
  printf '  - %s\n' "${problems[@]}" >&2
  exit 1
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "setup: this is not Debian, so nothing is installed here. The names of what is needed, as Debian has them:" >&2
  echo "  ${wanted[*]}" >&2
  for module in gstreamer-1.0 gstreamer-app-1.0; do
    pkg-config --exists "$module" 2>/dev/null \
      || { echo "setup: pkg-config does not find $module: install GStreamer 1.22 or newer with its headers" >&2; exit 1; }
  done
  exit 0
fi

# lacking PACKAGE…: those of them that are not installed, one a line
lacking() {
  local package status
  for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || echo "$package"
  done
}
mapfile -t missing < <(lacking "${wanted[@]}")
mapfile -t more < <(lacking "${wished[@]}")
if [ ${#missing[@]} -eq 0 ] && [ ${#more[@]} -eq 0 ]; then
  echo "setup: everything is there"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  elif [ ${#missing[@]} -eq 0 ]; then
    echo "setup: all is there but ${more[*]}, and the tests with that are left out"
    exit 0
  else
    echo "setup: these packages are missing, and installing them needs root. Run this once, then again what you ran:" >&2
    echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
fi

# apt_get ARGUMENTS…: its many lines are shown only when it fails
apt_get() {
  local log
  log=$(mktemp)
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    echo "setup: 'apt-get $*' failed; its output is above" >&2
    exit 1
  fi
  rm -f "$log"
}

if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]}"
  apt_get update
  apt_get install -y --no-install-recommends "${missing[@]}"
fi
if [ ${#more[@]} -gt 0 ]; then
  echo "setup: installing ${more[*]}"
  (apt_get update && apt_get install -y --no-install-recommends "${more[@]}") >/dev/null 2>&1 \
    || echo "setup: ${more[*]} can't be installed here, and the tests with it are left out"
fi
# Debian starts the services it installs; the bench starts a Janus of its own.
if [[ " ${missing[*]} " == *" janus "* ]] && command -v systemctl >/dev/null; then
  "${as_root[@]}" systemctl disable --now janus >/dev/null 2>&1 || true
fi
echo "setup: done"
