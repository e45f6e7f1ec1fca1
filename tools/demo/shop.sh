#!/usr/bin/env bash
# The demonstration: a real database moves from one real server to another by a workplan of plain
# commands; the engine is killed in the middle; the run goes on, is proven, and is taken back.
#
#   tools/demo/shop.sh      WORKPLAN_BIN names the binary; everything happens in `.demo`
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

: "${WORKPLAN_BIN:?names the binary; \`make demo-shop\` builds one}"
[ -x "$WORKPLAN_BIN" ] || die "there is no $WORKPLAN_BIN"

engine=
ended() {
    if [ -n "$engine" ]; then kill "$engine" 2>/dev/null || true; fi
    "$REPO/tools/demo/world.sh" down || true
}
# shellcheck source=show.sh
. "$REPO/tools/demo/show.sh"

same() { # same WHAT BEFORE AFTER
    if [ "$2" != "$3" ]; then
        diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") >&2 || true
        die "not the same: $1"
    fi
    printf 'the same: %s\n' "$1"
}

# Everything but what the app does by itself all the time.
world() {
    digest_of old
    if has_shop new; then digest_of new; else echo 'nothing on the new server'; fi
    sql new postgres <<<'select rolname from pg_roles order by 1'
    sha256sum "$APP/app.conf" | cut -c1-64
    find "$WORK" -type f -exec sha256sum {} +
    (cd "$SITE" && git status --porcelain && find .git -path '*/workplan/*' | sort)
}

restoring() {
    [ "$(sql new postgres <<<"select count(*) > 0 from pg_stat_activity
        where application_name like 'workplan:%T02.restore%'
        and (query like 'COPY%' or query like 'CREATE INDEX%')")" = t ]
}

say "Set-up: two PostgreSQL servers, a database with $SEED_ROWS orders, an app that writes all the time"
began=$SECONDS
"$REPO/tools/demo/world.sh" up
mkdir -p "$DEMO/bin"
ln -sf "$WORKPLAN_BIN" "$DEMO/bin/workplan"
PATH=$DEMO/bin:$PATH
OLD_PGPASSWORD=$(secret old) NEW_PGPASSWORD=$(secret new)
export OLD_PGPASSWORD NEW_PGPASSWORD
cd "$SITE"
prompt "cat app.conf; cat state"
cat "$APP/app.conf" "$APP/state"
began=$((SECONDS - began))
show_from=$SECONDS

say "Is the workplan in order?"
show 0 workplan check "$FILE" --target demo

say "What would it do? A dry-run looks, and changes nothing"
before=$(world)
show 0 workplan plan "$FILE" --target demo
same "both servers and all files, before and after the dry-run" "$before" "$(world)"

say "A wrong password: said before anything is touched"
prompt "NEW_PGPASSWORD=wrong workplan run $FILE --target demo --yes --quiet"
code=0
NEW_PGPASSWORD=wrong workplan run "$FILE" --target demo --yes --quiet </dev/null || code=$?
printf '%s(exit %d)%s\n' "$dim" "$code" "$plain"
[ "$code" -ne 0 ] || die "a wrong password was taken"
same "both servers and all files, after the refusal" "$(digest_of old)" "$(head -n "$(digest_of old | wc -l)" <<<"$before")"

say "Now in earnest; and in the middle of the restore the engine is killed"
prompt "workplan run $FILE --target demo --yes"
workplan run "$FILE" --target demo --yes </dev/null &
engine=$!
wait_until 60 "the restore to copy rows" restoring
prompt "kill -9 $engine"
kill -9 "$engine"
# The shell would tell the death of its child; everybody has just read it.
{ wait "$engine" || true; } 2>/dev/null
engine=

say "The app is down. The journal knows it"
show 0 workplan status

say "Go on from where it was: what is done is looked at, not done again"
show 0 workplan resume --yes

say "Proof: the digests of both servers, by another look than the run's own"
same "$(digest_of old | grep -c .) objects on the old and the new server" "$(digest_of old)" "$(digest_of new)"
prompt "cat app.conf; cat state"
cat "$APP/app.conf" "$APP/state"

say "What became of the workplan itself"
prompt "git diff --stat; git diff -U0 | grep '^[+-]'"
git diff --stat
git diff -U0 | grep '^[+-]' || true

run=$(workplan runs --json | grep -oE '"id": ?"[^"]+"' | head -n 1 | cut -d'"' -f4)
say "Once more: nothing to do, and why"
show 0 workplan run "$FILE" --target demo --yes

say "And all the way back. The app has written to the new server since: that has to be said"
show 8 workplan rollback "$run" --yes
show 0 workplan rollback "$run" --yes --accept-loss
same "both servers and app.conf, as before the move" \
    "$(head -n "$(digest_of old | wc -l)" <<<"$before")" "$(digest_of old)"
prompt "cat app.conf; cat state"
cat "$APP/app.conf" "$APP/state"

say "Done: set-up $began s, the rest $((SECONDS - show_from)) s"
