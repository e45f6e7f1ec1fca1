#!/usr/bin/env bash
# RAIL-PL-WP-0001 on a lab, with the engine killed in each of its steps, and resumed. The world must
# look as after a run that nobody disturbed, and must have been worked on as often.
#
#   tests/lab/kills.sh [SEED [SIZE]]     WORKPLAN_BIN names the binary, STEPS some steps instead of all
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

trap finish EXIT

# What the servers say that was done to them, a line each: databases made, tables filled, releases
# changed, commits. Logs are the servers' own.
worked() {
    printf 'databases made: %s\n' "$(logged 'CREATE DATABASE')"
    printf 'tables filled: %s\n' "$(logged 'COPY .* FROM')"
    printf 'commits: %s\n' "$(commits)"
    printf 'backups: %s\n' "$(backups)"
    printf 'revisions of releases: %s\n' "$(cat "$lab"/world/*/releases/*/release.json | grep -c '"revision":')"
}
logged() { cat "$lab"/world/platform/pods/*/postgresql.log 2>/dev/null | grep -ciE -- "(statement|execute [^:]*): $1" || true; }

# Runs `workplan ARGS…` in the background until the line says that STEP runs or is mended, waits for a
# part of the time that it took undisturbed, kills. A step that was over needs nothing but a look: then the
# engine is killed at once, or it would be at the end before the next step's turn.
kill_in() { # kill_in STEP ARGS…
    local name=${1//./\\.} took here
    shift
    took=$(sed -nE "s/^$name +done +([0-9.]+) (ms|s).*/\1 \2/p" "$scratch/undisturbed.said" | head -n 1)
    here="^$name +(running|repairing|adopted|done|so already)"
    started "$here" "$@" || { killed; return 1; }
    here=$(grep -m 1 -oE "$here" "$scratch/said")
    case $here in
        *running | *repairing)
            sleep "$(awk -v r="$RANDOM" -v t="${took% *}" -v u="${took#* }" 'BEGIN { print t * (u == "s" ? 1 : 0.001) * r / 32768 }')"
            ;;
    esac
    killed
    [[ $here = *running || $here = *repairing ]]
}
# Whether a step was done before anybody went on.
is_over() { state >"$scratch/state.json"; awk -v id="\"id\": \"$1\"" 'index($0, id) { f = 1 } f && /"state"/ { print; exit }' "$scratch/state.json" | grep -q '"done"'; }

printf 'seed %s, size %s\n' "$seed" "$size"
check "lab up" workplan lab up --dir "$lab" --seed "$seed" --size "$size"
[ "$failed" -eq 0 ] || exit 1
# Two labs of one seed differ in what is drawn for safety; a lab and its copy do not.
check "lab down, kept" workplan lab down --dir "$lab" --keep
cp -a "$lab" "$scratch/base"
check "up again" workplan lab up --dir "$lab"
check "a run that nobody disturbs" inside run --target lab "${plan_file#*/}" --yes
cp "$scratch/said" "$scratch/undisturbed.said"
steps=$(grep -oE '^T0[0-9]\.[a-z_]+ +running' "$scratch/said" | awk '!seen[$1]++ { print $1 }')
parts undisturbed
worked >"$scratch/undisturbed.worked"
check "lab down" workplan lab down --dir "$lab"
mv "$scratch/base" "$lab"
check "the copy is up" workplan lab up --dir "$lab"

first=1 killed=0
for step in ${STEPS:-$steps}; do
    if [ "$first" = 1 ]; then
        first=0
        check "killed in $step" kill_in "$step" run --target lab "${plan_file#*/}" --yes
    else
        # The kill before may have come when this step was at work already.
        if is_over "$step"; then
            ok "not killed in $step: it is over"
        elif kill_in "$step" resume --yes; then
            killed=$((killed + 1))
            ok "killed in $step"
        elif grep -qE "^$step +(adopted|done|so already)" "$scratch/said"; then
            ok "not killed in $step: it was over"
        else
            bad "resume up to $step"
            break
        fi
    fi
done
if inside status --json && grep -qE '"state": "(succeeded|rolled_back)"' "$scratch/said"; then
    ok "the run is over"
else
    check "resume to the end" inside resume --yes
fi
printf '      killed in %s steps\n' "$((killed + 1))"
check "all six tasks are done, the workplan is finished" all_done
worked >"$scratch/killed.worked"
# A copy that was killed is begun once more, and so is a failover, whose writer has a database of its own.
sed 's/^/      /' "$scratch/killed.worked"
if diff "$scratch/undisturbed.worked" "$scratch/killed.worked" >"$scratch/said"; then
    ok "as often as undisturbed"
elif ! diff "$scratch/undisturbed.worked" "$scratch/killed.worked" |
    grep -E '^[<>]' | grep -vqE 'databases made|tables filled'; then
    made=$(sed -n 's/^databases made: //p' "$scratch/undisturbed.worked")
    now=$(sed -n 's/^databases made: //p' "$scratch/killed.worked")
    check "as often as undisturbed, but for a copy and two failovers begun once more" test "$now" -le $((made + 3))
else
    bad "as often as undisturbed"
fi
check "the world is as after the run that nobody disturbed" same_world undisturbed killed
