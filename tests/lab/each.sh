#!/usr/bin/env bash
# RAIL-PL-WP-0001 on a lab, from T03 on: something goes wrong at each step. The run says what, and a
# rollback leaves the lab as it was before the task.
#
#   tests/lab/each.sh [SEED [SIZE]]     WORKPLAN_BIN names the binary, STEPS some steps instead of all
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

frozen=()
at_end() {
    local pid
    for pid in "${frozen[@]}"; do kill -CONT "$pid" 2>/dev/null || true; done
    if mountpoint -q "$lab/backup" 2>/dev/null; then umount -l "$lab/backup" || true; fi
    finish
}
trap at_end EXIT

# What goes wrong, each with its end. `harm` is done when the step's turn has come, `heal` when the run has
# failed and before it is taken back.
pid_of() { # pid_of POD: its main process
    "$WORKPLAN_BIN" lab status --dir "$lab" --json 2>/dev/null |
        grep -A4 "\"name\": \"$1\"" | sed -nE 's/.*"incarnation": "([0-9]+)@.*/\1/p' | head -n 1
}
# A standby of the new database.
standby() {
    "$WORKPLAN_BIN" lab status --dir "$lab" --json 2>/dev/null | grep -B2 '"note": "standby"' |
        sed -nE 's/.*"name": "(postgresql-ha-postgresql-[0-9])".*/\1/p' | head -n 1
}
# Somebody is at work on the file, and has not committed it.
harm_dirty() { printf '# mine\n' >>"$lab/$1"; }
heal_dirty() { sed -i '$d' "$lab/$1"; }
# The text that the step looks for has changed since the workplan was written.
harm_changed() { # harm_changed REPO/PATH|TEXT
    local path=${1%|*} text=${1#*|}
    sed -i "s|$text|CHANGED|" "$lab/$path"
    git -C "$lab/${path%%/*}" -c user.name=u -c user.email=u@example.org commit -qm "Changed by somebody" -- "${path#*/}"
}
heal_changed() {
    local path=${1%|*}
    git -C "$lab/${path%%/*}" reset -q --soft HEAD^
    git -C "$lab/${path%%/*}" restore -q --staged --worktree -- "${path#*/}"
}
# A server hangs.
harm_frozen() { # harm_frozen POD|standby
    local pod=$1
    [ "$pod" != standby ] || pod=$(standby)
    frozen=("$(pid_of "$pod")")
    kill -STOP "${frozen[0]}"
}
heal_frozen() { # heal_frozen POD|standby
    kill -CONT "${frozen[0]}"
    frozen=()
    if [ "$1" = standby ]; then attach; fi
}
# As the image's liveness probe does: nodes that are back are taken in by the pooler.
attach() {
    local pod=$lab/world/platform/pods/postgresql-ha-pgpool-0 node pcp
    pcp=(-w -h 127.0.0.1 -U admin -p "$(sed -nE 's/^pcp_port = ([0-9]+)$/\1/p' "$pod/pgpool.conf")")
    export PCPPASSFILE=$pod/pcppass
    for node in 0 1 2; do
        # The third is its status; 3 is down.
        if pcp_node_info "${pcp[@]}" -n "$node" | awk '$3 != 3 { exit 1 }'; then
            pcp_attach_node "${pcp[@]}" -n "$node" || true
        fi
    done
}
# A file is elsewhere.
harm_away() { mv "$lab/$1" "$scratch/away"; }
heal_away() { mv "$scratch/away" "$lab/$1"; }
# A file cannot be executed any more.
harm_mode() { chmod -x "$lab/$1"; }
heal_mode() { chmod +x "$lab/$1"; }
# The newest backup is not what was written.
harm_bits() {
    bent=$(find "$lab/backup" -name '*.age' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
    cp -a "$bent" "$scratch/bent"
    printf 'X' | dd of="$bent" bs=1 seek=$(($(stat -c %s "$bent") / 2)) conv=notrunc status=none
}
heal_bits() { cp -a "$scratch/bent" "$bent"; }
# No space is left for backups.
harm_full() {
    cp -a "$lab/backup" "$scratch/backup"
    mount -t tmpfs -o "size=$(($(du -sk "$scratch/backup" | cut -f1) + 100))k" tmpfs "$lab/backup"
    cp -a "$scratch/backup/." "$lab/backup/"
}
heal_full() {
    umount "$lab/backup"
    rm -rf "$scratch/backup"
}
# The step before this one is the last that is done.
harm_cut() { cut=1; }
heal_cut() { :; }

# A step with the exit code (8 where it cannot tell what it sees, and asks somebody), its harm, and the
# words that the run must find.
plan_of_harm() {
    cat <<'END'
T03.retire          8 dirty railiance-cluster/Makefile                                 not committed
T03.move            8 dirty railiance-cluster/helm/gitea-values.sops.yaml              not committed
T03.make_deploy     8 dirty railiance-apps/Makefile                                    not committed
T03.make_status     8 dirty railiance-apps/Makefile                                    not committed
T03.smoke_test      8 changed railiance-cluster/tests/smoke_kube.sh|POSTGRES_POOLER      find|found|contain
T03.failover_test   8 dirty railiance-cluster/tests/test_ha_failover.sh                not committed
T03.works           1 frozen gitea-0                                                    T03\.works
T04.smoke           1 frozen gitea-0                                                    T04\.smoke
T04.fast_stop       1 frozen standby                                                    T04\.fast_stop
T04.kill            1 frozen standby                                                    T04\.kill
T04.healthy         1 frozen standby                                                    T04\.healthy
T05.split           1 away railiance-cluster/tools/cmd/railiance-backup               railiance-backup
T05.make_s2         8 dirty railiance-cluster/Makefile                                 not committed
T05.move            8 dirty railiance-cluster/tools/cmd/railiance-backup               not committed
T05.parts           8 changed railiance-platform/tools/cmd/railiance-backup|PARTS=       find|found|contain
T05.folder          8 dirty railiance-platform/tools/cmd/railiance-backup              not committed
T05.make_backup     8 dirty railiance-platform/Makefile                                not committed
T05.covered         1 mode railiance-cluster/tools/cmd/railiance-backup-s2            T05\.covered
T05.backup          1 full -                                                          space|full
T05.restorable      1 bits -                                                          backup
T06.secret          8 away railiance-apps/helm/gitea-values.sops.yaml                 gitea-values
T06.make_deploy     8 dirty railiance-platform/Makefile                                not committed
T06.make_status     8 dirty railiance-platform/Makefile                                not committed
T06.valkey          1 away railiance-platform/helm/valkey-values.yaml                   valkey-values
T06.running         1 frozen valkey-primary-0                                           T06\.running
T06.drain           1 frozen gitea-valkey-primary-0                                     T06\.drain
T06.stop            1 cut -                                                          T06\.meddled
T06.values          8 dirty railiance-apps/helm/gitea-values.sops.yaml                 not committed
T06.deploy          1 frozen valkey-primary-0                                           T06\.deploy
T06.works           1 frozen valkey-primary-0                                           T06\.works
T06.open            1 cut -                                                          T06\.meddled
T06.gone            1 cut -                                                          T06\.meddled
T06.backup_tool     8 dirty railiance-platform/tools/cmd/railiance-backup              not committed
END
}

run_task() { inside run --target lab --task "$1" "${plan_file#*/}" --yes; }
run_meddled() { # run_meddled TASK HARM ON
    local code=0
    started "^$1\.meddled +running" run --target lab --steps "$scratch/meddled.yaml" --task "$1" \
        "${plan_file#*/}" --yes || true
    cut=
    "harm_$2" "$3"
    if [ -n "$cut" ]; then : >"$scratch/meddled"; else echo on >"$scratch/meddled"; fi
    ended || code=$?
    "heal_$2" "$3"
    return "$code"
}

printf 'seed %s, size %s\n' "$seed" "$size"
check "lab up" workplan lab up --dir "$lab" --seed "$seed" --size "$size"
[ "$failed" -eq 0 ] || exit 1
check "T01 and T02" inside run --target lab --task T02 "${plan_file#*/}" --yes
[ "$failed" -eq 0 ] || exit 1

task=
while read -r id code harm on words; do
    if [ -n "${STEPS:-}" ] && [[ " $STEPS " != *" $id "* ]]; then continue; fi
    while [ "$task" != "${id%.*}" ]; do
        # All of the tasks before it are done, and stay.
        case $task in
            '') task=T03 ;;
            *)
                check "$task, undisturbed" run_task "$task"
                task=T0$((${task#T0} + 1))
                ;;
        esac
        parts start
    done
    if [ "$harm" = full ] && [ "$(id -u)" != 0 ]; then
        printf '\n!!!!  SKIPPED: %s with no space: only root may mount\n\n' "$id"
        continue
    fi
    meddled_plan "$task" "${id#*.}"
    check "$id, $harm: the run fails" exits "$code" run_meddled "$task" "$harm" "$on"
    if said "$words"; then ok "$id: it says so"; else bad "$id: no word of /$words/"; fi
    grep -E '^error|^  *(what|because)|failed ' "$scratch/said" | head -n 3 | cut -c1-200 | sed 's/^/      | /' || true
    check "$id: rollback" inside rollback "$(run_id)" --yes --accept-loss
    check "$id: everything is as before $task" same_world start back
done < <(plan_of_harm)
check "$task, undisturbed" run_task "$task"
if [ -z "${STEPS:-}" ]; then check "all tasks are done" all_done; fi
