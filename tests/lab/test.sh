#!/usr/bin/env bash
# RAIL-PL-WP-0001 on a lab: up, plan, run, a second run, rollback. Digests and the outage are printed.
#
#   tests/lab/test.sh [SEED [SIZE]]     WORKPLAN_BIN names the binary
set -euo pipefail
: "${WORKPLAN_BIN:?names the binary}"
seed=${1:-$((RANDOM * 32768 + RANDOM))} size=${2:-1}
WORKPLAN_BIN=$(realpath "$WORKPLAN_BIN")
PATH=$PATH:/usr/sbin:${WORKPLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/workplan}/bin
export NO_COLOR=1

for program in sops age git pgpool; do
    if ! command -v "$program" >/dev/null; then
        printf '\n!!!!  SKIPPED: there is no %s; tools/setup.sh platform gets it\n\n' "$program"
        exit 0
    fi
done

scratch=$(mktemp -d /tmp/workplan-lab-test.XXXXXX)
# The servers' account must get in.
chmod 0755 "$scratch"
lab=$scratch/lab
plan_file=railiance-platform/workplans/RAIL-PL-WP-0001-platform-baseline.md
passed=0 failed=0

ok() { passed=$((passed + 1)); printf 'ok    %s\n' "$*"; }
bad() {
    failed=$((failed + 1))
    printf 'FAIL  %s\n' "$*"
    sed 's/^/      | /' "$scratch/said" 2>/dev/null | tail -n 60 || true
}
check() { # check WHAT COMMAND…
    local what=$1
    shift
    if "$@"; then ok "$what"; else bad "$what"; fi
}
workplan() { "$WORKPLAN_BIN" "$@" </dev/null >"$scratch/said" 2>&1; }
# In the lab's repository, where the workplan's runs are.
inside() { (cd "$lab/railiance-platform" && workplan "$@"); }
exits() { # exits CODE COMMAND…
    local wanted=$1 got=0
    shift
    "$@" || got=$?
    [ "$got" -eq "$wanted" ] || { printf 'exit %s, wanted %s\n' "$got" "$wanted" >>"$scratch/said"; return 1; }
}
said() { grep -qE -- "$1" "$scratch/said"; }
digest() { "$WORKPLAN_BIN" lab digest --dir "$lab" </dev/null 2>"$scratch/said"; }
parts() { "$WORKPLAN_BIN" lab digest --dir "$lab" --json </dev/null 2>/dev/null >"$scratch/$1.json"; }
state() { (cd "$lab/railiance-platform" && "$WORKPLAN_BIN" status --json 2>/dev/null); }
run_id() { state | sed -nE 's/^ *"id": "([^"]+)",?$/\1/p' | head -n 1; }
# Which start of which server: pods with process number and start time.
starts() {
    "$WORKPLAN_BIN" lab status --dir "$lab" --json 2>/dev/null |
        grep -E '"(name|incarnation)"' | tr -d ' ,"' | paste - - | sort
}
commits() { for repo in "$lab"/railiance-*; do git -C "$repo" rev-list --all --count; done | paste -sd' '; }
backups() { find "$lab/backup" -name manifest.json 2>/dev/null | wc -l; }
# What differs between two digests, by parts.
differing() { # differing BEFORE AFTER
    diff "$scratch/$1.json" "$scratch/$2.json" >"$scratch/said" || true
}

finish() {
    local status=$?
    "$WORKPLAN_BIN" lab down --dir "$lab" </dev/null >/dev/null 2>&1 ||
        printf 'FAIL  the lab could not be ended: %s\n' "$lab"
    [ -d "$lab" ] || rm -rf "$scratch"
    printf '%d passed, %d failed (seed %s, size %s)\n' "$passed" "$failed" "$seed" "$size"
    if [ "$status" -ne 0 ]; then exit "$status"; fi
    [ "$failed" -eq 0 ] || exit 1
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

printf 'seed %s, size %s\n' "$seed" "$size"
began=$SECONDS
check "lab up" workplan lab up --dir "$lab" --seed "$seed" --size "$size"
[ "$failed" -eq 0 ] || exit 1
printf '      lab up took %s s\n' "$((SECONDS - began))"
before=$(starts)
check "a second lab up" workplan lab up --dir "$lab"
check "… restarts nothing" test "$(starts)" = "$before"
start=$(digest)
parts start
printf '      at the start %s\n' "$start"
check "two digests of a quiet lab are equal" test "$(digest)" = "$start"

check "check" inside check --target lab "${plan_file#*/}"
check "plan" exits 4 inside plan --target lab "${plan_file#*/}" --detailed-exitcode
check "… changes nothing" test "$(digest)" = "$start"

began=$SECONDS
check "run" inside run --target lab "${plan_file#*/}" --yes
check "… says how long Gitea was away" said '^outage +closed +after [0-9]'
run=$(run_id)
printf '      the run took %s s\n' "$((SECONDS - began))"
grep -E '^outage +closed' "$scratch/said" | sed 's/^/      /' || true
check "T01 and T02 are done" sh -c "
    grep -A3 'id: RAIL-PL-WP-0001-T01' '$lab/$plan_file' | grep -qx 'status: done' &&
    grep -A3 'id: RAIL-PL-WP-0001-T02' '$lab/$plan_file' | grep -qx 'status: done'"
moved=$(digest)
parts moved
printf '      after the run %s\n' "$moved"
check "the run changed the world" test "$moved" != "$start"

before=$(starts) counted="$(commits) $(backups)"
check "a second run" inside run --target lab "${plan_file#*/}" --yes
check "… finds nothing to do" said 'nothing to do'
check "… restarts nothing" test "$(starts)" = "$before"
check "… commits and backs up nothing" test "$(commits) $(backups)" = "$counted"
check "… changes nothing" test "$(digest)" = "$moved"

rm -rf "$scratch/state"
mv "$lab/railiance-platform/.git/workplan" "$scratch/state"
check "a run without the journal" inside run --target lab "${plan_file#*/}" --yes
check "… finds nothing to do" said 'nothing to do'
check "… restarts, commits and backs up nothing" \
    test "$(starts) $(commits) $(backups)" = "$before $counted"
rm -rf "$lab/railiance-platform/.git/workplan"
mv "$scratch/state" "$lab/railiance-platform/.git/workplan"

check "rollback past the point of no return is refused without a word" \
    exits 8 inside rollback "$run" --yes
check "rollback" inside rollback "$run" --yes --accept-loss
parts back
differing start back
check "everything is as it was" test "$(digest)" = "$start"

check "lab down" workplan lab down --dir "$lab"
check "… leaves no folder" test ! -e "$lab"
check "… and no process" sh -c "! pgrep -f '$lab/' >/dev/null"
