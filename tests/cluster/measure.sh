#!/usr/bin/env bash
# Requests and wall time of a plan and of a run that changes nothing, T01 and T04 being done.
#
#   tests/cluster/measure.sh [SEED]     as test.sh
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
trap finish EXIT
file=workplans/CLUSTER-WP-0001.md
prepare
check "run" as operator inside run --target cluster "$file" --yes

# Everything through a proxy that says what it hands on; it must also take port-forwards.
kubectl --kubeconfig "$scratch/operator.conf" proxy --port=18123 -v=3 --reject-paths='^$' >"$scratch/proxy" 2>&1 &
proxy=$!
trap 'kill "$proxy" 2>/dev/null || true; finish' EXIT
for _ in {1..100}; do
    if grep -q 'Starting to serve' "$scratch/proxy"; then break; fi
    sleep 0.1
done
cat >"$scratch/counted.conf" <<X
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:18123"}}]
contexts: [{name: c, context: {cluster: c}}]
current-context: c
X
requests() { grep -c 'Filter accepting' "$scratch/proxy" || true; }
for what in plan run; do
    for round in 1 2 3; do
        before=$(requests) began=$(date +%s%N)
        case $what in
        plan) as counted inside plan --target cluster "$file" ;;
        run) as counted inside run --target cluster "$file" --yes ;;
        esac
        printf '%s, round %s: %s requests, %s ms\n' "$what" "$round" "$(($(requests) - before))" \
            "$((($(date +%s%N) - began) / 1000000))"
    done
done
grep 'Filter accepting' "$scratch/proxy" | sed -E 's/.*accepting ([A-Z]+) ([^? ]+).*/\1 \2/' | sort | uniq -c | sort -rn | head -n 20
