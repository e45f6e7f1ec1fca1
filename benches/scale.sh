#!/usr/bin/env bash
# How workplan's costs grow: steps of a run, tasks of a workplan, events of a journal, bytes of output.
#
#   benches/scale.sh [--most STEPS] [--rounds N]
#
# The smallest time of several rounds counts, of the largest ones that of one round; the largest resident
# size is what the kernel says of the engine's own process. `--most` bounds the run with the most steps
# (100000 takes a few minutes).
set -euo pipefail
cd "$(dirname "$0")/.."

MOST=100000 ROUNDS=3
while [ $# -gt 0 ]; do
    case $1 in
    --most) MOST=$2 && shift 2 ;;
    --rounds) ROUNDS=$2 && shift 2 ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 2 ;;
    esac
done

target=${CARGO_TARGET_DIR:-target}
tool=$target/release/workplan-bench
workplan=${WORKPLAN_BIN:-$target/x86_64-unknown-linux-musl/release/workplan}
[ -x "$tool" ] || cargo build --locked --release --package workplan-bench >&2
[ -x "$workplan" ] || make release >&2
tool=$(realpath "$tool") workplan=$(realpath "$workplan")
# Beside the sources, not in /tmp, which may be memory: the record has to reach a disk.
world=$(mktemp -d "$PWD/$target/scale.XXXXXX" 2>/dev/null || mktemp -d "$target/scale.XXXXXX")
trap 'rm -rf "$world"' EXIT
cd "$world"

# Prints the smallest seconds of all rounds and the largest resident size in MiB.
best() { # best PREPARE COMMAND…
    local prepare=$1 round
    shift
    for round in $(seq "$rounds"); do
        sh -c "$prepare"
        python3 - "$round" "$@" <<'PY'
import os, subprocess, sys, time
begun = time.monotonic()
child = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
took = time.monotonic() - begun
if os.waitstatus_to_exitcode(status) != 0:
    sys.exit(f"failed: {sys.argv[2:]}")
print(took, usage.ru_maxrss / 1024)
PY
    done | awk 'NR == 1 || $1 < t { t = $1 } $2 > m { m = $2 } END { printf "%.4f %.0f\n", t, m }'
}

echo '| run of a chain of true | s | ms a step | MiB |'
echo '|---|---|---|---|'
for steps in 100 1000 10000 100000; do
    [ "$steps" -le "$MOST" ] || continue
    rounds=$((steps < 100000 ? ROUNDS : 1))
    "$tool" rivals "chain$steps" chain "$steps"
    read -r s m < <(best 'rm -rf state' "$workplan" run "chain$steps/workplan.md" --yes --state state)
    awk -v n="$steps" -v s="$s" -v m="$m" 'BEGIN { printf "| %d steps | %.2f | %.3f | %d |\n", n, s, s * 1000 / n, m }'
done
rm -rf state

echo
echo '| tasks | check: s (MiB) | plan: s (MiB) | status: s (MiB) |'
echo '|---|---|---|---|'
for tasks in 1000 10000 100000; do
    rounds=$((tasks < 100000 ? ROUNDS : 1))
    "$tool" tasks "tasks$tasks.md" "$tasks"
    row="| $tasks"
    for words in check plan; do
        read -r s m < <(best true "$workplan" "$words" "tasks$tasks.md" --state "state$tasks")
        row+=$(printf ' | %.2f (%d)' "$s" "$m")
    done
    # A run that was killed early has all of them in its record.
    "$workplan" run "tasks$tasks.md" --yes --state "state$tasks" >/dev/null 2>&1 &
    while ! "$workplan" log --state "state$tasks" >/dev/null 2>&1; do sleep 0.2; done
    kill -KILL $! 2>/dev/null || true
    wait $! 2>/dev/null || true
    read -r s m < <(best true "$workplan" status --state "state$tasks")
    echo "$row$(printf ' | %.2f (%d) |' "$s" "$m")"
done

echo
rounds=$ROUNDS
"$tool" journal million 1000 499
"$tool" rivals small chain 20
"$workplan" run small/workplan.md --yes --state million >/dev/null 2>&1
read -r s m < <(best true "$workplan" status --state million)
awk -v s="$s" -v m="$m" 'BEGIN { printf "status beside 1,000,000 events in 1,000 runs: %.1f ms, %d MiB\n", s * 1000, m }'

cat >loud.md <<'MD'
# Loud

```sh step=loud
head -c 1073741824 /dev/zero | tr '\0' 'x' | fold -w 100
```
MD
read -r s m < <(best 'rm -rf loud' "$workplan" run loud.md --yes --state loud)
awk -v s="$s" -v m="$m" 'BEGIN { printf "1 GiB of output of a step: %.1f s, %d MiB\n", s, m }'
