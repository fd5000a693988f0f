#!/usr/bin/env bash
# Licences, sources, duplicates and known vulnerabilities of the dependencies (deny.toml), with
# cargo-deny, which is built into target/tools on first use.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
advisories=https://github.com/RustSec/advisory-db

deny=$(command -v cargo-deny || true)
if [ -z "$deny" ]; then
  deny=target/tools/bin/cargo-deny
  if [ ! -x "$deny" ]; then
    echo "deny: building cargo-deny $version into target/tools, once; this takes some minutes"
    cargo install --locked --quiet --root target/tools --version "$version" cargo-deny
  fi
fi

"$deny" --log-level warn check licenses bans sources
if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --exit-code "$advisories" HEAD >/dev/null 2>&1; then
  "$deny" --log-level warn check advisories
else
  echo "deny: advisories NOT checked: $advisories can't be reached from here"
fi
