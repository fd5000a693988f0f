#!/usr/bin/env bash
# Feeds the readers of network input with what libFuzzer makes up, for a bounded time each.
#
#   scripts/fuzz.sh              all of them
#   scripts/fuzz.sh rtp stun     those of fuzz/bins that are named
#
# FUZZ_SECONDS (20) is how long each is fed. Inputs that reach something new gather in
# fuzz/target/found and are begun with the next time. An input that breaks a reader is left in
# fuzz/target/broken; `cargo test -p cloudschool-fuzz-targets` replays what is in fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

seconds=${FUZZ_SECONDS:-20}
host=$(rustc -vV | sed -n 's/^host: //p')
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  targets=(bins/*.rs)
fi

# What tells libFuzzer which way an input went. All of it is in the stable compiler; a memory
# checker is not, and isn't missed where no code is unsafe. With --target it is our programs
# that are instrumented, not what the compiler runs to build them.
export RUSTFLAGS="-Cpasses=sancov-module -Ccodegen-units=1
  -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS=$(echo $RUSTFLAGS)
export CARGO_TARGET_DIR=$PWD/target
cargo build --target "$host"

failed=()
for target in "${targets[@]}"; do
  target=$(basename "$target" .rs)
  found=target/found/$target broken=target/broken/$target
  mkdir -p "$found" "$broken"
  log=target/$target.log
  if "target/$host/debug/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
    -rss_limit_mb=1024 -artifact_prefix="$broken/" -print_final_stats=1 \
    "$found" "corpus/$target" >"$log" 2>&1; then
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n1)
    printf 'fuzz: %-11s held: %s inputs, %s edges\n' "$target" "$executed" "$edges"
  else
    failed+=("$target")
    printf 'fuzz: %-11s BROKE: fuzz/%s\n' "$target" "$log"
    grep -m1 -A2 'panicked at' "$log" || tail -n 5 "$log"
  fi
done

if [ ${#failed[@]} -gt 0 ]; then
  echo "fuzz: the inputs are in fuzz/target/broken. Put each in fuzz/corpus/<target>, named after"
  echo "fuzz: what it does, so that the tests replay it once it is mended." >&2
  exit 1
fi
