#!/usr/bin/env bash
# The demonstration: RAIL-PL-WP-0001 on a lab of real parts. Gitea leaves the PostgreSQL HA of its
# own release for a standalone one, with proof; then a second lab sees a kill, a resume, and the way
# back.
#
#   tools/demo.sh [clean]      WORKPLAN_BIN names the binary; `clean` ends what a killed demo left
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# What stays afterwards: the page. The labs lie where the servers' own account gets in.
OUT=${WORKPLAN_DEMO_DIR:-$REPO/.demo}
LEFT=$OUT/labs
PATH=$PATH:/usr/sbin:${WORKPLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/workplan}/bin
FILE=workplans/RAIL-PL-WP-0001-platform-baseline.md
unset WORKPLAN_STATE WORKPLAN_TARGET

: "${WORKPLAN_BIN:?names the binary; \`make demo\` builds one}"
WORKPLAN_BIN=$(realpath -e "$WORKPLAN_BIN")

# Ends the labs that this demo or a killed one has made. One that cannot be ended is kept, for the next try.
clean() {
    local folder lab left=()
    [ -f "$LEFT" ] || return 0
    while read -r folder; do
        [ -d "$folder" ] || continue
        for lab in "$folder"/*/; do
            [ -f "$lab/lab.json" ] || continue
            "$WORKPLAN_BIN" lab down --dir "$lab" </dev/null >/dev/null 2>&1 ||
                printf 'demo: a lab could not be ended: %s\n' "$lab" >&2
        done
        if compgen -G "$folder/*/lab.json" >/dev/null; then left+=("$folder"); else rm -rf "$folder"; fi
    done <"$LEFT"
    rm -f "$LEFT"
    if [ "${#left[@]}" -gt 0 ]; then printf '%s\n' "${left[@]}" >"$LEFT"; fi
}
engine='' upper=''
ended() {
    if [ -n "$engine" ]; then kill "$engine" 2>/dev/null || true; fi
    if [ -n "$upper" ]; then
        kill "$upper" 2>/dev/null || true
        wait "$upper" 2>/dev/null || true
    fi
    clean
}
# shellcheck source=demo/show.sh
. "$REPO/tools/demo/show.sh"

mkdir -p "$OUT"
if [ "${1:-}" = clean ]; then exit 0; fi
clean

same() { # same WHAT BEFORE AFTER
    [ "$2" = "$3" ] || die "not the same: $1: $2, then $3"
    printf 'the same digest: %s\n' "$1"
}
workplan() { "$WORKPLAN_BIN" "$@"; }
digest() { workplan lab digest --dir "$1" </dev/null 2>/dev/null; }
# A step's state in the newest run.
is_running() { workplan status --json 2>/dev/null | tr -d ' \n' | grep -q "\"id\":\"$1\",\"state\":\"running\""; }

began=$SECONDS
labs=$(mktemp -d /tmp/workplan-demo.XXXXXX)
chmod 0755 "$labs"
printf '%s\n' "$labs" >>"$LEFT"

say "A proving ground: five repositories, a Gitea with users, repositories, issues and pull requests," \
    "on a PostgreSQL HA and a Valkey that live in its own release. All of it real, all of it here"
show 0 workplan lab up --dir "$labs/one"
# Made while the first one is at work.
workplan lab up --dir "$labs/two" </dev/null >"$labs/two.log" 2>&1 &
upper=$!
cd "$labs/one/railiance-platform"

say "What would the workplan do? A dry-run looks, and changes nothing"
before=$(digest "$labs/one")
show 0 workplan plan "$FILE" --target lab
same "all of the lab (rows, roles, files, releases, who listens where), after the dry-run" \
    "$before" "$(digest "$labs/one")"

say "Now in earnest"
show 0 workplan run "$FILE" --target lab --yes

say "What was proved, and by what"
show 0 workplan report --text
workplan report -o "$OUT/RAIL-PL-WP-0001.html" >/dev/null
printf '\nthe same as a page: %s\n' "$OUT/RAIL-PL-WP-0001.html"

say "What became of the workplan itself: statuses and evidence, and not a byte more"
prompt "git diff -U0 -- $FILE | grep '^[+-]'"
git diff -U0 -- "$FILE" | grep '^[+-]' || true

say "Once more: nothing to do, and nothing is restarted"
show 0 workplan run "$FILE" --target lab --yes --quiet
prompt "workplan runs"
workplan runs | head -n 3
workplan lab down --dir "$labs/one" >/dev/null </dev/null

say "A second lab, up to T02. With Gitea down, and its database half copied, the engine is killed"
wait "$upper" || { cat "$labs/two.log" >&2; die "the second lab did not come up"; }
upper=''
cd "$labs/two/railiance-platform"
before=$(digest "$labs/two")
prompt "workplan run $FILE --target lab --task T02 --yes"
workplan run "$FILE" --target lab --task T02 --yes </dev/null 2>&1 | tail -n 6 &
for ((i = 0; i < 3000; i++)); do
    if is_running T02.copy; then break; fi
    sleep 0.1
done
is_running T02.copy || die "the second run did not come to its copy"
engine=$(workplan status --json | sed -nE 's/^ *"pid": ([0-9]+),?$/\1/p' | head -n 1)
kill -9 "$engine"
engine=''
wait
prompt "kill -9 its process"
show 0 workplan status

say "Go on from where it was: what is done is looked at, not done again"
show 0 workplan resume --yes --quiet
show 0 workplan status

say "And all the way back: Gitea on its old database, everything as it was"
run=$(workplan runs --json | grep -oE '"id": ?"[^"]+"' | head -n 1 | cut -d'"' -f4)
show 8 workplan rollback "$run" --yes
show 0 workplan rollback "$run" --yes --accept-loss
same "all of the second lab, as before its run" "$before" "$(digest "$labs/two")"

say "Done in $((SECONDS - began)) s. The page stays: $OUT/RAIL-PL-WP-0001.html"
