#!/usr/bin/env bash
# T01 of RAIL-PL-WP-0001 and a failover on a real cluster: plan, run, a second run, kills, rollback.
#
#   tests/cluster/test.sh [SEED]     WORKPLAN_BIN names the binary, WORKPLAN_TEST_KUBECONFIG a cluster
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
trap finish EXIT
file=workplans/CLUSTER-WP-0001.md

prepare
printf '      prepared after %s s\n' "$SECONDS"

before=$(versions)
check "plan by an account that may only read" as reader inside plan --target cluster "$file"
check "… sees what is deployed" said 'T01\.deploy \(release\.deploy\): it is not so'
check "… changes no object" test "$(versions)" = "$before"

began=$SECONDS
check "run" as operator inside run --target cluster "$file" --yes
printf '      the run took %s s\n' "$((SECONDS - began))"
grep -E 'T0[14]\.[a-z_]+ +done' "$scratch/said" | sed 's/^/      /' || true
run=$(run_id)
check "both tasks are done" test "$(grep -cx 'status: done' "$repo/$file")" = 2
check "the values are deployed as revision 1" test "$(revision)" = 1

before=$(pods)
began=$SECONDS
check "a second run" as operator inside run --target cluster "$file" --yes
printf '      the second run took %s s\n' "$((SECONDS - began))"
check "… finds nothing to do" said 'nothing to do'
check "… restarts nothing" test "$(pods)" = "$before"

check "rollback" as operator inside rollback "$run" --yes
check "… leaves no release" test -z "$(revision)"
check "… keeps the volumes" test "$(admin get pvc -n "$platform" -o name | wc -l)" = 3
check "… and no other object" test -z "$(left)"
