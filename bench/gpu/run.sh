#!/usr/bin/env bash
# The benchmark of one GPU, at most eight minutes: builds the engine where it must, runs the tests that are meant for a device, then each
# part in a process of its own, and prints a table last.
#   bash bench/gpu/run.sh [OUT] [PART...]          on cuda; OUT (default build/gpu) gets build.log, parts.log, and gpu.json
#   bash bench/gpu/run.sh --tiny [OUT] [PART...]   a small shape on the CPU: tries the script where there is no GPU
# DEVICE=cuda:1 names another card, PYTHON=... the Python whose torch, transformers and peft are the peers (default python3).
set -uo pipefail
export GPU_BENCH_STARTED=$(date +%s)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
size=full device=${DEVICE:-cuda}
if [ "${1:-}" = --tiny ]; then size=tiny device=${DEVICE:-cpu}; shift; fi
out=${1:-build/gpu}
[ $# -eq 0 ] || shift
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
cd "$root" || exit 1
# A second beside the limit of main.ts, should that hang itself.
limited() { timeout -k 3 $((480 - ($(date +%s) - GPU_BENCH_STARTED))) "$@"; }
if ! limited node bin/selm engine install > "$out/build.log" 2>&1; then
  tail -20 "$out/build.log"
  echo "run.sh: the engine cannot be built: $out/build.log"
  exit 1
fi
limited node --import tsx bench/gpu/main.ts "$out" "$device" "$size" "$@"
