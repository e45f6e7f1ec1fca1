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
    local url
    url=$("$WORKPLAN_BIN" lab status --dir "$lab" | sed -nE 's/^default\/gitea: .*(http:[^ ]+).*/\1/p')
    inside "do" http.check --with "url=$url/api/v1/repos/search?limit=1" --with 'contains="ok":true' --with wait=20s --yes
}
# A file of the old world's first database server.
old=world/default/pods/gitea-postgresql-ha-postgresql-0
port_of() { sed -nE "s/^port = '?([0-9]+)'?.*/\1/p" "$lab/$1/postgresql.conf" | head -n 1; }

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
run() { inside run --target lab "${plan_file#*/}" --yes; }
# The run, with something done as soon as a step runs.
run_and() { # run_and STEP COMMAND…
    local step=$1 code=0 engine
    shift
    : >"$scratch/said"
    (cd "$lab/railiance-platform" && exec "$WORKPLAN_BIN" run --target lab "${plan_file#*/}" --yes </dev/null >"$scratch/said" 2>&1) &
    engine=$!
    while ! grep -qE "^$step +running" "$scratch/said"; do
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.01
    done
    "$@"
    wait "$engine" || code=$?
    return "$code"
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
password=$(SOPS_AGE_KEY_FILE=$lab/keys/age.txt sops decrypt --extract '["postgresql-ha"]["global"]["postgresql"]["password"]' "$lab/railiance-cluster/helm/gitea-values.sops.yaml")
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

# After all of this nothing is in the way.
check "then it passes" run
check "all six tasks are done, the workplan is finished" all_done
