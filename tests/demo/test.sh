#!/usr/bin/env bash
# The demo's workplan as a test, against real servers: a dry-run changes nothing, a kill at each step
# is survived, a failure at each step is taken back, a second run does nothing.
#
#   tests/demo/test.sh      WORKPLAN_BIN names the binary
set -euo pipefail
: "${WORKPLAN_BIN:?names the binary}"
scratch=$(mktemp -d /tmp/workplan-demo-test.XXXXXX)
chmod 0755 "$scratch"
export WORKPLAN_DEMO_DIR=$scratch/demo DEMO_ROWS=${DEMO_ROWS:-400}
# shellcheck source=../../tools/demo/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/demo/lib.sh"

passed=0 failed=0 engine=
ok() { passed=$((passed + 1)); printf 'ok    %s\n' "$*"; }
# Prints what was said, so that a failure can be understood from the log alone.
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
skip() { printf '\n!!!!  SKIPPED: %s\n\n' "$*"; }

finish() {
    local status=$?
    if [ -n "$engine" ]; then kill -9 "$engine" 2>/dev/null || true; fi
    "$REPO/tools/demo/world.sh" down || true
    rm -rf "$scratch"
    printf '%d passed, %d failed\n' "$passed" "$failed"
    if [ "$status" -ne 0 ]; then
        printf 'the test itself stopped with %d\n' "$status"
        exit "$status"
    fi
    [ "$failed" -eq 0 ] || exit 1
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$REPO/tools/demo/world.sh" up
HOOKS=$scratch/hooks
mkdir -p "$HOOKS" "$scratch/bin"
# A copy, because other users may not be able to enter the build folder.
install -m 0755 "$WORKPLAN_BIN" "$scratch/bin/workplan"
PATH=$scratch/bin:$PATH
OLD_PGPASSWORD=$(secret old) NEW_PGPASSWORD=$(secret new) AUDIT_PGPASSWORD=$(secret audit)
export OLD_PGPASSWORD NEW_PGPASSWORD AUDIT_PGPASSWORD
export NO_COLOR=1
cd "$SITE"

# A shell in front of the real one. Where the test has asked for it, the script of one step is held
# or fails, once: before it did anything, or after it did everything.
cat >"$HOOKS/sh" <<'EOF'
#!/bin/bash
hooks=$(dirname "$0")
if [ -e "$hooks/now" ]; then
    { read -r step; read -r mode; read -r marker; } <"$hooks/now"
    if [[ ${WORKPLAN_ATTEMPT:-} == *":$step:"* && ${3:-} == *"$marker"* ]]; then
        mv "$hooks/now" "$hooks/used"
        case $mode in
        *-after) /bin/sh "$@" || exit ;;
        *-half-*) # In the same shell, so that what it does on its way out is done.
            half=$(head -n "${mode##*-}" <<<"$3")
            case $mode in
            hold-*) exec /bin/sh -e -c "$half
: >'$hooks/held'
sleep 300" ;;
            fail-*) exec /bin/sh -e -c "$half
echo 'made to fail' >&2
exit 7" ;;
            esac
            ;;
        esac
        case $mode in
        hold-*) : >"$hooks/held"; exec sleep 300 ;;
        fail-*) echo "made to fail" >&2; exit 7 ;;
        spoil-*) exec /bin/sh -e "$hooks/spoil" ;;
        esac
    fi
fi
exec /bin/sh "$@"
EOF
chmod 0755 "$HOOKS/sh"
# What tells the `run` of a step from its check and its undo.
declare -A MARKER=(
    [T01.role]='create role'
    [T01.database]='create database'
    [T02.stop]='touch '
    [T02.dump]='pg_dump'
    [T02.restore]='pg_restore'
    [T02.compare]='bin/compare'
    [T02.start]='rm -f '
)
# Lines of a `run` after which something is there, but not all.
declare -A HALF=([T02.stop]=2 [T02.dump]=6 [T02.restore]=2 [T02.start]=1)
STEPS=(T01.role T01.database T02.stop T02.dump T02.restore T02.compare T02.start)

inject() { # inject STEP MODE
    rm -f "$HOOKS/held" "$HOOKS/used"
    printf '%s\n%s\n%s\n' "$1" "$2" "${MARKER[$1]}" >"$HOOKS/now.part"
    mv "$HOOKS/now.part" "$HOOKS/now"
}

reset() {
    rm -f "$HOOKS/now" "$HOOKS/held" "$HOOKS/used"
    (cd "$REPO" && tools/demo/world.sh reset)
    cd "$SITE"
}

# Everything that the engine could have touched: rows, roles, databases, files with their times.
# What the app does by itself is left out.
world() {
    digest_of old
    if has_shop new; then digest_of new; fi
    local side
    for side in old new; do
        sql "$side" postgres <<<"select rolname from pg_roles where rolname !~ '^pg_' order by 1;
            select datname, shobj_description(oid, 'pg_database') from pg_database order by 1;"
    done
    find "$SITE" "$WORK" "$APP/app.conf" -printf '%p %m %u %s %T@\n' | sort
    cat "$APP/app.conf"
}

# The world as it is to be after a rollback: without times, evidence and the journal.
essence() {
    digest_of old
    if has_shop new; then echo 'a database on the new server'; fi
    sql new postgres <<<"select rolname from pg_roles where rolname !~ '^pg_' order by 1"
    cat "$APP/app.conf"
    stat --format='%a %U' "$APP/app.conf"
    find "$WORK" -mindepth 1
    sha256sum "$SITE/$FILE"
    app_says "writes to 127.0.0.1:$(port_of old)" && echo 'the app writes to the old server'
}

workplan_() { workplan "$@" </dev/null >"$scratch/said" 2>&1; }
hooked() { PATH=$HOOKS:$PATH workplan_ "$@"; }
exits() { # exits CODE COMMAND…
    local wanted=$1 got=0
    shift
    "$@" || got=$?
    [ "$got" -eq "$wanted" ] || { printf 'exit %s, wanted %s\n' "$got" "$wanted" >>"$scratch/said"; return 1; }
}
said() { grep -qiE -- "$1" "$scratch/said"; }
same() { # same BEFORE AFTER
    [ "$1" = "$2" ] || { diff <(printf '%s\n' "$1") <(printf '%s\n' "$2") >>"$scratch/said"; return 1; }
}
equal() { same "$(digest_of old)" "$(digest_of new)"; }
# Every row that the app was ever told to be safe is on this side.
kept_on() { # kept_on SIDE [FILE]
    local told lost
    told=$(cat "${2:-$APP/acknowledged}")
    lost=$(sql "$1" shop <<<'select n from store.pulse' | sort -u | comm -13 - <(sort -u <<<"$told"))
    [ -z "$lost" ] || { printf 'lost: %s\n' "$lost" >>"$scratch/said"; return 1; }
}
nothing_left() { # no process of a step outlives the engine
    ! grep -lsz "^WORKPLAN_ATTEMPT=workplan:" /proc/[0-9]*/environ 2>/dev/null | xargs -r -n1 dirname |
        xargs -r -I{} readlink {}/cwd | grep -q "^$SITE"
}
RUN=(run "$FILE" --target demo --yes)
latest() { workplan runs --json 2>/dev/null </dev/null | grep -oE '"id": ?"[^"]+"' | head -n 1 | cut -d'"' -f4; }

echo '--- a dry-run changes nothing'
before=$(world)
check 'plan: exit 0' exits 0 workplan_ plan "$FILE" --target demo
check 'plan: nothing changed' same "$before" "$(world)"
check 'run --dry-run: exit 0' exits 0 workplan_ run "$FILE" --target demo --dry-run
check 'run --dry-run: nothing changed' same "$before" "$(world)"
check 'plan --detailed-exitcode: 4' exits 4 workplan_ plan "$FILE" --target demo --detailed-exitcode
check 'plan with a role that may only read: exit 0' exits 0 workplan_ plan "$FILE" --target auditor
check 'plan with a role that may only read: nothing changed' same "$before" "$(world)"
if [ "$(id -u)" = 0 ]; then
    as_nobody() { as_user nobody workplan plan "$FILE" --target auditor </dev/null >"$scratch/said" 2>&1; }
    check 'plan as a user who may write nowhere: exit 0' exits 0 as_nobody
    check 'plan as a user who may write nowhere: nothing changed' same "$before" "$(world)"
else
    skip 'a dry-run as another user needs root'
fi

echo '--- a wrong password'
before=$(essence)
wrong() { NEW_PGPASSWORD=$1 hooked "${RUN[@]}"; }
check 'it does not run' exits 9 wrong 'n0-such-pa55word'
check 'what: which line is not met' said 'Both servers answer'
check 'why: the server says it itself' said 'password authentication failed'
check 'help: what to do' said '(hint|help)'
check 'the password is not repeated' test -z "$(grep -F 'n0-such-pa55word' "$scratch/said")"
check 'nothing changed' same "$before" "$(essence)"

echo '--- a run, and a second one'
reset
before=$(essence)
check 'run: exit 0' exits 0 hooked "${RUN[@]}"
check 'both servers hold the same' equal
check 'no acknowledged row is lost' kept_on new
check 'nothing is left running' nothing_left
check 'the workplan says done' grep -q '^status: done' "$FILE"
first=$(latest)
quiet_again() { # no step started, no bracket opened
    workplan run "$FILE" --target demo --yes --events jsonl </dev/null >"$scratch/events" 2>"$scratch/said" &&
        grep -q '"kind": *"run.ended"' "$scratch/events" &&
        ! grep -E '"kind": *"(step.intent|step.repair_intent|undo.intent|bracket.opened)"' "$scratch/events" >>"$scratch/said"
}
check 'again: no command, no outage' quiet_again
state=$(git rev-parse --git-common-dir)/workplan
check 'the journal is where it is said to be' test -d "$state"
mv "$state" "$scratch/journal"
check 'again without the journal: no command, no outage' quiet_again
rm -rf "$state"
mv "$scratch/journal" "$state"

echo '--- the way back, after the app wrote to the new server'
check 'refused without a word about the loss' exits 8 hooked rollback "$first" --yes
check 'rollback: exit 0' exits 0 hooked rollback "$first" --yes --accept-loss
wait_until 20 'the app on the old server' app_says "writes to 127.0.0.1:$(port_of old)" || true
check 'the old world is back' same "$before" "$(essence)"

echo '--- killed at each step: before, in the middle of, and after what it does'
for step in "${STEPS[@]}"; do
    for when in before ${HALF[$step]:+"half-${HALF[$step]}"} after; do
        reset
        inject "$step" "hold-$when"
        PATH=$HOOKS:$PATH workplan "${RUN[@]}" </dev/null >"$scratch/said" 2>&1 &
        engine=$!
        if wait_until 60 "$step to be held" test -e "$HOOKS/held"; then
            kill -9 "$engine"
            wait "$engine" 2>/dev/null || true
            engine=
            wait_until 20 'the steps to be ended' nothing_left || true
            check "killed $when $step: nothing is left running" nothing_left
            check "killed $when $step: resume, exit 0" exits 0 hooked resume --yes
            check "killed $when $step: both servers hold the same" equal
            check "killed $when $step: no acknowledged row is lost" kept_on new
        else
            kill -9 "$engine" 2>/dev/null || true
            wait "$engine" 2>/dev/null || true
            engine=
            bad "killed $when $step: it was never held"
        fi
    done
done

# A step without a shell: the engine is killed as soon as it has told its intent.
for step in T02.switch T03.outside; do
    reset
    rm -f "$scratch/events"
    mkfifo "$scratch/events"
    PATH=$HOOKS:$PATH workplan "${RUN[@]}" --events jsonl </dev/null >"$scratch/events" 2>"$scratch/said" &
    engine=$!
    seen=no
    while read -rt 60 line; do
        if [[ $line == *step.intent* && $line == *"$step"* ]]; then
            seen=yes
            kill -9 "$engine"
            break
        fi
    done <"$scratch/events"
    wait "$engine" 2>/dev/null || true
    engine=
    if [ "$seen" = yes ]; then
        check "killed in $step: resume, exit 0" exits 0 hooked resume --yes
    elif [ "$step" = T03.outside ]; then
        # It may be found done without an attempt.
        check "$step: done without an attempt" grep -q '^status: done' "$FILE"
    else
        bad "killed in $step: its intent was never told"
    fi
    check "killed in $step: both servers hold the same" equal
    check "killed in $step: no acknowledged row is lost" kept_on new
done

echo '--- killed, then taken back'
reset
before=$(essence)
inject T02.restore hold-after
PATH=$HOOKS:$PATH workplan "${RUN[@]}" </dev/null >"$scratch/said" 2>&1 &
engine=$!
wait_until 60 'T02.restore to be held' test -e "$HOOKS/held" || true
kill -9 "$engine"
wait "$engine" 2>/dev/null || true
engine=
check 'status says that the outage is on' exits 0 workplan_ status
check 'status leads with it' said '^shop is DOWN since'
check 'a second run is refused' exits 8 hooked "${RUN[@]}"
check 'rollback: exit 0' exits 0 hooked rollback --yes
check 'the old world is back' same "$before" "$(essence)"
check 'no acknowledged row is lost' kept_on old

echo '--- a failure at each step, then the way back'
for step in "${STEPS[@]}"; do
    for when in before ${HALF[$step]:+"half-${HALF[$step]}"}; do
        # Half a start is a start: the app is in, and what it writes counts.
        [ "$step-${when%-*}" != T02.start-half ] || continue
        reset
        before=$(essence)
        inject "$step" "fail-$when"
        check "failed $when $step: exit 1" exits 1 hooked "${RUN[@]}"
        check "failed $when $step: what" said "$step"
        check "failed $when $step: why" said 'made to fail'
        check "failed $when $step: where the log is" said '(log|output).*/'
        check "failed $when $step: what to do" said '^(next|help):'
        check "failed $when $step: the app is back by itself" \
            wait_until 20 'the app on the old server' app_says "writes to 127.0.0.1:$(port_of old)"
        check "failed $when $step: rollback, exit 0" exits 0 hooked rollback "$(latest)" --yes
        check "failed $when $step: the old world is back" same "$before" "$(essence)"
        check "failed $when $step: no acknowledged row is lost" kept_on old
    done
done

echo '--- a failure after all was done: the world is asked, and says so'
for step in "${STEPS[@]}"; do
    reset
    inject "$step" fail-after
    check "failed after $step: exit 0" exits 0 hooked "${RUN[@]}"
    check "failed after $step: it was made to" test -e "$HOOKS/used"
    check "failed after $step: both servers hold the same" equal
    check "failed after $step: no acknowledged row is lost" kept_on new
done

echo '--- a difference is found'
reset
before=$(essence)
inject T02.restore spoil-after
cat >"$HOOKS/spoil" <<'EOF'
bin/on new psql -Xq -d shop -c "update store.customers set note = '' where id = (select min(id) from store.customers where note is null)"
EOF
check 'one NULL that became an empty text: exit 1' exits 1 hooked "${RUN[@]}"
check 'the table is named' said 'store\.customers'
check 'the app is back by itself' \
    wait_until 20 'the app on the old server' app_says "writes to 127.0.0.1:$(port_of old)"
check 'rollback: exit 0' exits 0 hooked rollback "$(latest)" --yes
check 'the old world is back' same "$before" "$(essence)"
