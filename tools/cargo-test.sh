#!/usr/bin/env bash
# All Rust tests. cargo prints one result for each test binary, the last often of one without
# tests; the sum of them all is the last line.
set -euo pipefail
cd "$(dirname "$0")/.."

# Servers of several tests at once starve each other on two cores.
if [ -n "${CI:-}" ]; then export RUST_TEST_THREADS=1; fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0
"${CARGO:-cargo}" test --locked --workspace "$@" 2>&1 | tee "$log" || code=$?
awk '/^test result:/ { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i-1); if ($i ~ /^failed/) f += $(i-1) } }
     END { printf "\n%d passed, %d failed\n", p, f }' "$log"
exit "$code"
