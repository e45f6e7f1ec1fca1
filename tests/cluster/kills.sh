#!/usr/bin/env bash
# The engine is killed with SIGKILL in each step of T01 and in the failover, and goes on.
#
#   tests/cluster/kills.sh [SEED]     as test.sh
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
trap finish EXIT
file=workplans/CLUSTER-WP-0001.md
prepare

before=$(versions)
check "plan by an account that may only read" as reader inside plan --target cluster "$file"
check "… changes no object" test "$(versions)" = "$before"

# Kills the engine some time after a step has begun; SECONDS may have a fraction.
kill_in() { # kill_in STEP AFTER COMMAND…
    local step=$1 after=$2
    shift 2
    as operator started "\"kind\":\"step.intent\",\"step\":\"$step\"" "$@" --events jsonl || { killed; return 1; }
    sleep "$after"
    killed
}
check "killed in T01.capture" kill_in T01.capture 0.3 run --target cluster "$file" --yes
# Another clone, as on another machine: it shares no lock with this one but the cluster's own.
sed '1a identity: elsewhere' "$repo/targets/cluster.yaml" >"$repo/targets/elsewhere.yaml"
elsewhere() { as operator inside run --state "$scratch/elsewhere" --target elsewhere "$file" --yes; }
check "a run from elsewhere is refused" exits 8 elsewhere
check "… for the run that the cluster remembers" said "run $(run_id) of .CLUSTER-WP-0001. is not finished .the target remembers it"
check "killed in T01.secrets" kill_in T01.secrets 0 resume --yes
: >"$scratch/said"
(for _ in {1..100}; do [ ! -s "$scratch/said" ] || break; sleep 0.1; done; sleep 4
    cd "$repo" && KUBECONFIG=$scratch/operator.conf "$WORKPLAN_BIN" run --state "$scratch/elsewhere" \
    --target elsewhere "$file" --yes </dev/null >"$scratch/second" 2>&1; echo "exit $?" >>"$scratch/second") &
second=$!
check "killed in T01.deploy, while helm runs" kill_in T01.deploy 0.6 resume --yes
check "killed in T01.deploy, while it waits" kill_in T01.deploy 8 resume --yes
wait "$second" || true
check "two at once: the second is refused" grep -qE 'the target (is in use|remembers)' "$scratch/second"
check "killed in T01.healthy" kill_in T01.healthy 0.2 resume --yes
check "killed in T01.smoke" kill_in T01.smoke 0.2 resume --yes
check "killed in the failover" kill_in T04.failover 4 resume --yes
check "resume" as operator inside resume --yes
check "both tasks are done" test "$(grep -cx 'status: done' "$repo/$file")" = 2
run=$(run_id)
check "no helm is left" test -z "$(pgrep -f -- "helm upgrade --install postgresql-ha .* --namespace $platform" || true)"
check "nothing is pending" test "$(helm list -n "$platform" --pending -q | wc -l)" = 0
check "a second run" as operator inside run --target cluster "$file" --yes
check "… finds nothing to do" said 'nothing to do'
check "rollback" as operator inside rollback "$run" --yes
check "… leaves no release" test -z "$(revision)"
check "… keeps the volumes" test "$(admin get pvc -n "$platform" -o name | wc -l)" = 3
check "… and no other object" test -z "$(left)"
