# shellcheck shell=bash
# What the tests on a lab share: words, a scratch folder with a lab in it, and its end.
: "${WORKPLAN_BIN:?names the binary}"
# The arguments of the test: SEED [SIZE].
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
quietly() { "$@" >"$scratch/said" 2>&1; }
workplan() { quietly "$WORKPLAN_BIN" "$@" </dev/null; }
# In the repository where the workplan's runs are.
repo=$lab/railiance-platform
inside() { (cd "$repo" && workplan "$@"); }
# The same in the background, up to a line that says WORDS; fails when it ends before.
engine=
started() { # started WORDS ARGS…
    local words=$1
    shift
    : >"$scratch/said"
    (cd "$repo" && exec "$WORKPLAN_BIN" "$@" </dev/null >"$scratch/said" 2>&1) &
    engine=$!
    until said "$words"; do
        kill -0 "$engine" 2>/dev/null || return 1
        sleep 0.01
    done
}
# Its end: its own, with its exit code, or by a signal that it cannot see.
ended() {
    local code=0
    wait "$engine" || code=$?
    engine=
    return "$code"
}
killed() {
    if [ -n "$engine" ]; then kill -9 "$engine" 2>/dev/null || true; fi
    ended 2>/dev/null || true
}
exits() { # exits CODE COMMAND…
    local wanted=$1 got=0
    shift
    "$@" || got=$?
    [ "$got" -eq "$wanted" ] || { printf 'exit %s, wanted %s\n' "$got" "$wanted" >>"$scratch/said"; return 1; }
}
said() { grep -qE -- "$1" "$scratch/said"; }
digest() { "$WORKPLAN_BIN" lab digest --dir "$lab" </dev/null 2>"$scratch/said"; }
parts() { "$WORKPLAN_BIN" lab digest --dir "$lab" --json </dev/null 2>/dev/null >"$scratch/$1.json"; }
state() { (cd "$repo" && "$WORKPLAN_BIN" status --json 2>/dev/null); }
run_id() { state | sed -nE 's/^ *"id": "([^"]+)",?$/\1/p' | head -n 1; }
# Which start of which server: pods with process number and start time.
starts() {
    "$WORKPLAN_BIN" lab status --dir "$lab" --json 2>/dev/null |
        grep -E '"(name|incarnation)"' | tr -d ' ,"' | paste - - | sort
}
# A file of the old world's first database server, and the port of one.
# shellcheck disable=SC2034 # for those who source this
old=world/default/pods/gitea-postgresql-ha-postgresql-0
port_of() { sed -nE "s/^port = '?([0-9]+)'?.*/\1/p" "$lab/$1/postgresql.conf" | head -n 1; }
# A value of Gitea's, by sops' PATH; before and after the file has moved.
value() {
    local file=$lab/railiance-apps/helm/gitea-values.sops.yaml
    [ -e "$file" ] || file=$lab/railiance-cluster/helm/gitea-values.sops.yaml
    SOPS_AGE_KEY_FILE=$lab/keys/age.txt sops decrypt --extract "$1" "$file"
}
# SQL as the superuser of the old server.
superuser() {
    PGPASSWORD=$(value '["postgresql-ha"]["postgresql"]["postgresPassword"]') psql -qX -v ON_ERROR_STOP=1 \
        -h 127.0.0.1 -p "$(port_of "$old")" -U postgres -d postgres <<<"$1"
}
gitea_url() { "$WORKPLAN_BIN" lab status --dir "$lab" | sed -nE 's/^default\/gitea: .*(http:[^ ]+).*/\1/p'; }
commits() { for repo in "$lab"/railiance-*; do git -C "$repo" rev-list --all --count; done | paste -sd' '; }
backups() { find "$lab/backup" -name manifest.json 2>/dev/null | wc -l; }
# Whether the world is as it was when its parts were written down; says what differs.
same_world() { # same_world BEFORE NOW
    parts "$2"
    diff -U6 "$scratch/$1.json" "$scratch/$2.json" >"$scratch/said" || true
    # The first digest is that of all of it; lists may come in another order.
    [ "$(grep -m 1 '"digest"' "$scratch/$1.json")" = "$(grep -m 1 '"digest"' "$scratch/$2.json")" ]
}

# The lab's plan, beside the lab, with a step `meddled` before another one: it waits until somebody has
# written into a file of that name, and fails if that is empty. What would wait long waits less.
meddled_plan() { # meddled_plan TASK STEP
    rm -f "$scratch/meddled"
    awk -v task="  $1:" -v step="      - id: $2" -v done="$scratch/meddled" '
        function flush(   i, needs) {
            for (i = 1; i <= n; i++)
                if (match(block[i], /^        needs: \[/)) {
                    needs = substr(block[i], RLENGTH + 1)
                    sub(/\].*/, "", needs)
                    block[i] = "        needs: [meddled]"
                    found = 1
                }
            print "      - {id: meddled, uses: command, needs: [" needs "], timeout: 2m, with: {run: \"until test -e $DONE; do sleep 0.05; done; test -s $DONE\", undo: \"true\", env: {DONE: \"" done "\"}}}"
            print block[1]
            if (!found) print "        needs: [meddled]"
            for (i = 2; i <= n; i++) print block[i]
            n = 0
        }
        /^  T[0-9]+:$/ { here = ($0 == task) }
        n && (/^ {0,6}[^ ]/ || /^$/) { flush() }
        here && $0 == step { block[n = 1] = $0; found = 0; next }
        n { if ($0 ~ /^        timeout: /) $0 = "        timeout: 20s"; sub(/wait: .*}/, "wait: 3s}"); sub(/wait: [0-9]+[sm]$/, "wait: 3s"); block[++n] = $0; next }
        { print }
        END { if (n) flush() }
    ' "$lab/railiance-platform/plans/RAIL-PL-WP-0001.yaml" >"$scratch/meddled.yaml"
}

finish() {
    local status=$?
    if [ -n "$engine" ]; then killed; fi
    "$WORKPLAN_BIN" lab down --dir "$lab" </dev/null >/dev/null 2>&1 ||
        printf 'FAIL  the lab could not be ended: %s\n' "$lab"
    [ -d "$lab" ] || rm -rf "$scratch"
    printf '%d passed, %d failed (seed %s, size %s)\n' "$passed" "$failed" "$seed" "$size"
    if [ "$status" -ne 0 ]; then exit "$status"; fi
    [ "$failed" -eq 0 ] || exit 1
}
all_done() {
    local task
    for task in T01 T02 T03 T04 T05 T06; do
        grep -A3 "id: RAIL-PL-WP-0001-$task" "$lab/$plan_file" | grep -qx 'status: done' || return 1
    done
    [ "$(workplan_status)" = finished ]
}
workplan_status() { sed -n 's/^status: //p' "$lab/$plan_file" | head -n 1; }
# Statuses, dates and our own lines are written into the workplan, and nothing else.
nothing_else_written() {
    git -C "$lab/railiance-platform" show "HEAD:${plan_file#*/}" | diff - "$lab/$plan_file" |
        grep '^[<>]' | grep -vE '^[<>] (status: [a-z]+|updated: "?[0-9-]+"?|Completed on .*)$|^> ?$' >"$scratch/said" || true
    [ ! -s "$scratch/said" ]
}
trap 'exit 130' INT
trap 'exit 143' TERM
