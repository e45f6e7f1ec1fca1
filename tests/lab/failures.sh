#!/usr/bin/env bash
# RAIL-PL-WP-0001 on a lab, with something wrong in it: the run says what, Gitea works on its old
# database afterwards, and a rollback leaves the lab as it was.
#
#   tests/lab/failures.sh [SEED [SIZE]]     WORKPLAN_BIN names the binary
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

victims=()
at_end() {
    for pid in "${victims[@]}"; do kill -CONT "$pid" 2>/dev/null || true; kill "$pid" 2>/dev/null || true; done
    if mountpoint -q "$lab/backup" 2>/dev/null; then umount -l "$lab/backup" || true; fi
    finish
}
trap at_end EXIT

# It answers with what it reads from its database. A whole `app.check` would change rows.
gitea_works() {
    inside "do" http.check --with "url=$(gitea_url)/api/v1/repos/search?limit=1" --with 'contains="ok":true' --with wait=20s --yes
}

# The run fails with these words; whoever was let out is let in again; all of it can be taken back.
fails() { # fails WHAT WORDS COMMAND…
    local what=$1 words=$2
    shift 2
    check "$what: the run fails" exits 1 "$@"
    if said "$words"; then ok "$what: it says so"; else bad "$what: no word of /$words/"; fi
    grep -E '^outage +(released|closed)' "$scratch/said" | sed 's/^/      /' || true
}
back() { # back WHAT
    check "$1: Gitea works" gitea_works
    check "$1: rollback" inside rollback --yes
    check "$1: everything is as it was" same_world start back
}
run() { inside run --target lab "${changed[@]}" "${plan_file#*/}" --yes; }
# The lab's plan with something changed, beside the lab; for the next runs.
changed=()
change_plan() { # change_plan SED-SCRIPT
    sed -E "$1" "$lab/railiance-platform/plans/RAIL-PL-WP-0001.yaml" >"$scratch/changed.yaml"
    changed=(--steps "$scratch/changed.yaml")
}
# The run, with something done as soon as a step runs.
run_and() { # run_and STEP COMMAND…
    local step=$1
    shift
    started "^$step +running" run --target lab "${changed[@]}" "${plan_file#*/}" --yes || true
    "$@"
    ended
}

printf 'seed %s, size %s\n' "$seed" "$size"
check "lab up" workplan lab up --dir "$lab" --seed "$seed" --size "$size"
[ "$failed" -eq 0 ] || exit 1
parts start

# The key that the values are sealed for is another one.
mv "$lab/keys/age.txt" "$scratch/age.txt"
age-keygen -o "$lab/keys/age.txt" 2>/dev/null
code=0
run || code=$?
if [ "$code" -eq 0 ]; then bad "wrong key: the run passes"; else ok "wrong key: the run ends with $code"; fi
if said 'decrypt|key|age'; then ok "wrong key: it says so"; else bad "wrong key: no word of it"; fi
mv "$scratch/age.txt" "$lab/keys/age.txt"
inside rollback --yes || true
check "wrong key: everything is as it was" same_world start back

# No space for the backup.
if [ "$(id -u)" = 0 ] && cp -a "$lab/backup" "$scratch/backup" &&
    mount -t tmpfs -o "size=$(($(du -sk "$scratch/backup" | cut -f1) + 150))k" tmpfs "$lab/backup" 2>/dev/null; then
    cp -a "$scratch/backup/." "$lab/backup/"
    fails "no space" 'space|full' run
    umount "$lab/backup"
    back "no space"
else
    printf '\n!!!!  SKIPPED: no space for the backup: only root may mount\n\n'
fi

# A session that does not end when it is told to: its server process is stopped.
password=$(value '["postgresql-ha"]["global"]["postgresql"]["password"]')
role=$(sed -nE 's/^  role: "(.*)"$/\1/p' "$lab/railiance-platform/targets/lab.yaml")
database=$(sed -nE 's/^  database: "(.*)"$/\1/p' "$lab/railiance-platform/targets/lab.yaml")
coproc WRITER { PGPASSWORD=$password psql -qAtX -h 127.0.0.1 -p "$(port_of "$old")" -U "$role" -d "$database" 2>&1; }
victims+=("$WRITER_PID")
printf 'begin; select pg_backend_pid();\n' >&"${WRITER[1]}"
read -r backend <&"${WRITER[0]}"
kill -STOP "$backend"
victims+=("$backend")
fails "a writer that will not go" "$backend|did not end|does not end|still connected" run
kill -CONT "$backend"
kill "$WRITER_PID" 2>/dev/null || true
back "a writer that will not go"

# The new primary dies while it is copied to.
new_primary_dies() {
    local pid
    pid=$(head -n 1 "$lab/world/platform/volumes/data-postgresql-ha-postgresql-0/data/postmaster.pid")
    sleep 0.3
    kill -9 "$pid"
}
fails "a primary that dies" 'copy' run_and T02.copy new_primary_dies
back "a primary that dies"

# Somebody listens on a port that a server of a new release has: PostgreSQL's, before the outage …
listener=
listen() { # listen OWNER
    port=$(sed -nE "s#^ *\"$1\": ([0-9]+),?#\1#p" "$lab/world/ports.json")
    "$(command -v valkey-server redis-server | head -n 1)" --bind 127.0.0.1 --port "$port" --save '' >/dev/null &
    listener=$!
    victims+=("$listener")
    while ! bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null; do sleep 0.01; done
}
leave() { kill "$listener" && { wait "$listener" || true; }; }
listen platform/postgresql-ha-postgresql-1/postgresql
fails "a port of PostgreSQL is taken" "port $port of .*postgresql-ha-postgresql-1.* is taken by process $listener " run
leave
back "a port of PostgreSQL is taken"

# … and Gitea's, while it is down: it looks as if somebody had started it. Who listens goes when the run
# has seen it, and Gitea has its port again, on its old database.
listen_until_it_failed() {
    listen default/gitea-0/http
    while kill -0 "$engine" 2>/dev/null && ! said '^T02\.[a-z]+ +failed'; do sleep 0.01; done
    leave
}
fails "Gitea's port is taken" 'T02\.stop.*\(port [0-9]+, process [0-9]+ .*(redis|valkey)' \
    run_and T02.fence listen_until_it_failed
check "Gitea's port is taken: by the one that was there" said "port $port, process $listener "
check "Gitea's port is taken: Gitea was let in again" said '^outage +released +after'
back "Gitea's port is taken"

# A value with which Gitea ends at its start, and only at its start.
change_plan 's/^( *)gitea\.config\.database\.DB_TYPE: .*/&\n\1gitea.config.indexer.ISSUE_INDEXER_TYPE: opensearch/'
fails "Gitea does not come up" 'Unknown issue indexer type: opensearch' run
check "Gitea does not come up: Gitea was let in again" said '^outage +released +after'
back "Gitea does not come up"

# Somebody opens the old database and starts Gitea on it, between the comparison and the switch.
meddled_plan T02 values
changed=(--steps "$scratch/meddled.yaml")
start_gitea() {
    superuser "alter role \"$role\" login; alter database \"$database\" connection limit -1;" >>"$scratch/meddled.log" 2>&1 || true
    sed "s#\.\./#$lab/#" "$lab/railiance-platform/targets/lab.yaml" >"$scratch/other.yaml"
    (cd "$scratch" && "$WORKPLAN_BIN" "do" release.deploy --state "$scratch/other-state" --target "$scratch/other.yaml" \
        --with release=gitea --with namespace=default --with chart=gitea --with version=12.7.0 \
        --with values=railiance-cluster:helm/gitea-values.sops.yaml --yes </dev/null >>"$scratch/meddled.log" 2>&1) || true
    echo on >"$scratch/meddled"
}
fails "Gitea started behind our back" 'T02\.values.*T02\.(stop|fence)' run_and T02.meddled start_gitea
check "Gitea started behind our back: the switch was not begun" test -z "$(grep -E '^T02\.values +running' "$scratch/said")"
check "Gitea started behind our back: Gitea was let in again" said '^outage +released +after'
sed 's/^/      | /' "$scratch/meddled.log" | tail -n 5
back "Gitea started behind our back"
changed=()

# After all of this nothing is in the way.
check "then it passes" run
check "all tasks are done" all_done

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
