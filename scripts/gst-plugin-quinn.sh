#!/bin/bash
# Builds GStreamer's RTP-over-QUIC elements (crate gst-plugin-quinn) into
# target/tools/gst-plugin-quinn, for appliances and the tests with them: `make roq-plugin`. Takes
# about three minutes; what is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.15.4
out=target/tools/gst-plugin-quinn
if [ -e "$out/libgstquinn.so" ]; then
  exit 0
fi
work=target/tools/gst-plugin-quinn-build
mkdir -p "$work/fetch/src" "$out"
cat > "$work/fetch/Cargo.toml" <<TOML
[package]
name = "fetch"
version = "0.0.0"
edition = "2021"
[dependencies]
gst-plugin-quinn = { version = "=$version", default-features = false, features = ["rustls-ring"] }
[workspace]
TOML
touch "$work/fetch/src/lib.rs"
cargo fetch --manifest-path "$work/fetch/Cargo.toml"
source=$(cargo metadata --format-version 1 --manifest-path "$work/fetch/Cargo.toml" \
  | python3 -c 'import json, sys
packages = json.load(sys.stdin)["packages"]
print(next(p["manifest_path"] for p in packages if p["name"] == "gst-plugin-quinn"))')
# A dynamic library is only made of the package that is built itself.
rm -rf "$work/plugin"
cp -r "$(dirname "$source")" "$work/plugin"
printf '\n[workspace]\n' >> "$work/plugin/Cargo.toml"
cargo build --release --lib --no-default-features --features rustls-ring \
  --manifest-path "$work/plugin/Cargo.toml" --target-dir "$work/target"
cp "$work/target/release/libgstquinn.so" "$out/"
