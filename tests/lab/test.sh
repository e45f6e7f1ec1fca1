#!/usr/bin/env bash
# RAIL-PL-WP-0001 on a lab: up, plan, run, a second run, rollback. Digests and the outage are printed.
#
#   tests/lab/test.sh [SEED [SIZE]]     WORKPLAN_BIN names the binary
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
trap finish EXIT

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

# Other values are another revision: nobody has seen that one fail over.
values=$lab/railiance-platform/helm/postgresql-ha-values.yaml
cp "$values" "$scratch/values.yaml"
sed -i 's/numInitChildren: 32/numInitChildren: 33/' "$values"
check "other values are deployed" inside run --target lab --task T01 "${plan_file#*/}" --yes
check "… and the workplan is not finished any more" test "$(workplan_status)" = active
inside plan --target lab "${plan_file#*/}" || true
check "… before it has failed over again" said '\+ T04\.kill'
check "… which is taken back" inside rollback "$(run_id)" --yes
cp "$scratch/values.yaml" "$values"
check "… and finished as it was" all_done

check "rollback past the point of no return is refused without a word" \
    exits 8 inside rollback "$run" --yes
check "rollback" inside rollback "$run" --yes --accept-loss
check "everything is as it was" same_world start back

check "lab down" workplan lab down --dir "$lab"
check "… leaves no folder" test ! -e "$lab"
no_process() { ! pgrep -af -- "$lab/" >"$scratch/said"; }
check "… and no process" no_process
