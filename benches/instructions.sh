#!/usr/bin/env bash
# Instructions that the engine executes for one more step or task, counted by callgrind: other work on
# the machine does not change them. Fails when one is above its limit.
#
#   benches/instructions.sh      WORKPLAN_BIN names the binary: the debug build, as tests make it
#
# Counted is the difference between a larger and a smaller workplan, so start and end fall out. A limit
# is the count when it was set (docs/benchmarks.md), and 15 % more.
set -euo pipefail
: "${WORKPLAN_BIN:?names the binary}"
WORKPLAN_BIN=$(realpath "$WORKPLAN_BIN")

if ! command -v valgrind >/dev/null; then
    printf '\n!!!!  SKIPPED: there is no valgrind; tools/setup.sh lint gets it\n\n'
    exit 0
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# A command has a supervisor, which cannot be started below valgrind; a file is written by the engine.
# shellcheck disable=SC2016 # the backticks are Markdown's
chain() { # chain STEPS: each after the one before it
    printf -- '---\nid: W\n---\n\n## T01 — Files\n\n```task\nid: W-T01\nstatus: todo\n```\n\n```steps\n'
    for ((i = 1; i <= $1; i++)); do
        printf -- '- {id: s%d, uses: file.content, with: {path: "f%d", content: "x"}' "$i" "$i"
        if [ "$i" -gt 1 ]; then printf ', needs: [s%d]' "$((i - 1))"; fi
        printf '}\n'
    done
    printf '```\n'
}
# shellcheck disable=SC2016 # the backticks are Markdown's
tasks() { # tasks N: prose, a task block with its status, a step with a check
    printf -- '---\nid: W\n---\n\n'
    for ((i = 1; i <= $1; i++)); do
        printf '## T%d — Task %d\n\nSome words about it, and `code`.\n\n```task\nid: W-T%d\nstatus: todo\n```\n\n' "$i" "$i" "$i"
        printf '```steps\n- id: s\n  uses: file.content\n  with: {path: "f%d", content: "x"}\n```\n\nDone when it is there.\n\n' "$i"
    done
}
count() { # count COMMAND…: instructions of the process itself, not of its children
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$WORKPLAN_BIN" "$@" 2>said >/dev/null || {
        cat said >&2
        return 1
    }
    sed -nE 's/.*Collected : ([0-9]+).*/\1/p' said
}

over=0
compare() { # compare NAME LIMIT SMALL LARGE COMMAND…: `@` is the file's name
    local name=$1 limit=$2 small=$3 large=$4 one
    shift 4
    counts=()
    for n in "$small" "$large"; do
        rm -rf .workplan f*
        counts+=("$(count "${@//@/$made$n.md}")")
    done
    one=$(((counts[1] - counts[0]) / (large - small)))
    if [ "$one" -le "$limit" ]; then printf 'ok    %-14s %8d instructions, limit %d\n' "$name" "$one" "$limit"
    else
        printf 'FAIL  %-14s %8d instructions, limit %d\n' "$name" "$one" "$limit"
        over=1
    fi
}

for n in 30 90; do chain "$n" >"chain$n.md"; done
for n in 80 240; do tasks "$n" >"tasks$n.md"; done
made=chain
compare "a step run" "${LIMIT_RUN:-6000000}" 30 90 run @ --yes --quiet
made=tasks
compare "a task checked" "${LIMIT_CHECK:-785000}" 80 240 check @ --quiet
compare "a task planned" "${LIMIT_PLAN:-1450000}" 80 240 plan @ --quiet
exit "$over"
