#!/usr/bin/env bash
# RAIL-PL-WP-0001 on a lab: up, plan, run, a second run, rollback. Digests and the outage are printed.
#
#   tests/lab/test.sh [SEED [SIZE]]     WORKPLAN_BIN names the binary
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
trap finish EXIT

# A plan by somebody who may write nothing in the lab, has no key, and reads the database as such a role.
nobody_plans() {
    if [ "$(id -u)" != 0 ]; then
        printf '\n!!!!  SKIPPED: a plan as another user: only root may become one\n\n'
        return
    fi
    mkdir "$scratch/nobody"
    install -m 0755 "$WORKPLAN_BIN" "$scratch/nobody/workplan"
    sed -e "s#\.\./#$lab/#" -e "s#^  old: .*\(database: .*\)}#  old: {host: 127.0.0.1, port: $(port_of "$old"), user: reader, password: \"env:READER\", \1}#" \
        "$lab/railiance-platform/targets/lab.yaml" >"$scratch/nobody/reader.yaml"
    as_nobody() {
        READER='only to read' quietly setpriv --reuid=nobody --regid=nogroup --clear-groups \
            "$scratch/nobody/workplan" plan --target "$scratch/nobody/reader.yaml" "$lab/$plan_file"
    }
    check "a plan as nobody, who may only read" as_nobody
    check "… reads the repositories" said 'T01\.make_deploy \(make\.target\): it is not so'
    check "… reads the database" said 'T02\.fence \(postgres\.fence\): it is not so'
    check "… names the key that is not to be read" said 'T01\.capture .*/age\.txt. cannot be read: Permission denied'
    check "… does not say the password" test -z "$(grep -F 'only to read' "$scratch/said" | grep -v '^ok' || true)"
    check "… changes nothing" test "$(digest)" = "$start"
}

# An issue, and a branch that is pushed and taken away again, as the administrator from outside.
users_write() {
    local url repo header
    url=$(gitea_url)
    header="Authorization: Basic $(printf '%s:%s' "$(value '["gitea"]["admin"]["username"]')" \
        "$(value '["gitea"]["admin"]["password"]')" | base64 -w0)"
    repo=$(curl -sf -H @- "$url/api/v1/repos/search?limit=1" <<<"$header" | sed -nE 's/.*"full_name":"([^"]+)".*/\1/p')
    check "users write to $repo" curl -sf -H @- -H 'Content-Type: application/json' -o /dev/null \
        -d '{"title": "Written after the move"}' "$url/api/v1/repos/$repo/issues" <<<"$header"
    export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.extraHeader GIT_CONFIG_VALUE_0=$header
    check "… and clone it" quietly git clone -q "$url/$repo" "$scratch/clone"
    git -C "$scratch/clone" -c user.name=u -c user.email=u@example.org commit -q --allow-empty -m "After the move"
    check "… push to it" quietly git -C "$scratch/clone" push -q origin HEAD:refs/heads/after-the-move
    check "… and take the branch away" quietly git -C "$scratch/clone" push -q origin :after-the-move
    unset GIT_CONFIG_COUNT GIT_CONFIG_KEY_0 GIT_CONFIG_VALUE_0
}
# Jobs in Gitea's queues, as the old Valkey's volume still has them: a server reads a copy of it.
jobs_left() {
    local server client data=$scratch/valkey count=0 key
    server=$(command -v valkey-server || command -v redis-server)
    client=$(command -v valkey-cli || command -v redis-cli)
    cp -a "$lab/world/default/volumes/valkey-data-gitea-valkey-primary-0" "$data"
    "$server" --port 0 --unixsocket "$data.sock" --dir "$data" --appendonly yes --save '' --daemonize yes \
        --logfile "$data.log" >/dev/null
    until [ "$("$client" -s "$data.sock" ping 2>/dev/null)" = PONG ]; do
        [ ! -s "$data.log" ] || ! grep -q 'Fatal error' "$data.log" || return 1
        sleep 0.05
    done
    # The job of a session or a cache is none: what the queues hold are lists.
    for key in $("$client" -s "$data.sock" --scan --pattern '*_queue'); do
        count=$((count + $("$client" -s "$data.sock" llen "$key")))
    done
    "$client" -s "$data.sock" shutdown nosave >/dev/null 2>&1 || true
    echo "$count"
}

printf 'seed %s, size %s\n' "$seed" "$size"
began=$SECONDS
check "lab up" workplan lab up --dir "$lab" --seed "$seed" --size "$size"
[ "$failed" -eq 0 ] || exit 1
printf '      lab up took %s s\n' "$((SECONDS - began))"
before=$(starts)
check "a second lab up" workplan lab up --dir "$lab"
check "… restarts nothing" test "$(starts)" = "$before"
# A role that may only read.
check "a role that may only read" superuser "create role reader login password 'only to read'; grant pg_read_all_data, pg_monitor to reader;"
start=$(digest)
parts start
printf '      at the start %s\n' "$start"
check "two digests of a quiet lab are equal" test "$(digest)" = "$start"

nobody_plans

check "check" inside check --target lab "${plan_file#*/}"
check "plan" exits 4 inside plan --target lab "${plan_file#*/}" --detailed-exitcode
check "… changes nothing" test "$(digest)" = "$start"

began=$SECONDS
check "run" inside run --target lab "${plan_file#*/}" --yes
check "… says how long Gitea was away" said '^outage +closed +after [0-9]'
check "… both times" said '^switch +closed +after [0-9]'
run=$(run_id)
printf '      the run took %s s\n' "$((SECONDS - began))"
grep -E '^(outage|switch) +closed|^T04\.[a-z_]+ +done' "$scratch/said" | sed 's/^/      /' || true
check "all six tasks are done, the workplan is finished" all_done
check "… and nothing else is written into it" nothing_else_written
check "the policies are kept" inside check --target lab "${plan_file#*/}"
check "no job was left in the old Valkey" test "$(jobs_left)" = 0
moved=$(digest)
parts moved
printf '      after the run %s\n' "$moved"
check "the run changed the world" test "$moved" != "$start"

before=$(starts) counted="$(commits) $(backups)"
check "a second run" inside run --target lab "${plan_file#*/}" --yes
check "… finds nothing to do" said 'nothing to do'
check "… leaves to T06 what T06 has settled" said 'superseded by .T06'
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

# Users write after the opening: an issue, and a push of a branch that goes again.
users_write
check "a dry-run of the rollback" inside rollback "$run" --dry-run
lost='T02\.open.*: .*[1-9][0-9]* push.*, 1 issue,'
# Gitea writes a push down when its queue comes to it.
for _ in {1..30}; do
    if said "$lost"; then break; fi
    sleep 1
    inside rollback "$run" --dry-run
done
check "… says what users wrote since" said "$lost"
check "rollback past the point of no return is refused without a word" \
    exits 8 inside rollback "$run" --yes
check "… and says what it would lose" said "error: .*T02.open.*loses.*[1-9][0-9]* push.*, 1 issue,"
check "rollback" inside rollback "$run" --yes --accept-loss
check "everything is as it was" same_world start back

check "lab down" workplan lab down --dir "$lab"
check "… leaves no folder" test ! -e "$lab"
no_process() { ! pgrep -af -- "$lab/" >"$scratch/said"; }
check "… and no process" no_process
