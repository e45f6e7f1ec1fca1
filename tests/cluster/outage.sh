#!/usr/bin/env bash
# The API server goes away for half a minute in the middle of a deploy; an engine sleeps, and another
# one comes meanwhile. Only on the test cluster.
#
#   tests/cluster/outage.sh [SEED]     as test.sh
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
trap finish EXIT
server=$(pgrep -xo kube-apiserver || true)
if [ -n "${WORKPLAN_TEST_KUBECONFIG:-}" ] || [ -z "$server" ]; then
    printf '\n!!!!  SKIPPED: an API server that is away: only that of the test cluster can be stopped\n\n'
    exit 0
fi
prepare_small
trap 'kill -CONT "$server" 2>/dev/null || true; finish' EXIT

valkey=("do" release.deploy --yes --with timeout=2m --with release=valkey --with "namespace=$platform"
    --with chart=valkey --with values=platform:helm/valkey-values.yaml)
deploy() { as operator inside "${valkey[@]}" --target cluster "$@"; }
(
    # When the release is on record, Helm has begun.
    for _ in {1..150}; do
        if [ "$(helm list -n "$platform" --all -q)" = valkey ]; then break; fi
        sleep 0.2
    done
    kill -STOP "$server"
    sleep 30
    kill -CONT "$server"
) &
stopper=$!
began=$SECONDS
check "a deploy, while the API server is away for 30 s" deploy
printf '      it took %s s\n' "$((SECONDS - began))"
wait "$stopper"
check "… is deployed" test "$(helm list -n "$platform" --deployed -q)" = valkey
check "the lock was not lost" test -z "$(admin get lease workplan -n "$platform" -o jsonpath='{.spec.holderIdentity}')"
check "a second one finds nothing to do" deploy
check "… says so" said 'nothing to do|is so'

# It is stopped before Helm begins. When it wakes, its word of honour has expired.
check "a deploy that falls asleep" as operator started 'do +running' "${valkey[@]}" --target cluster \
    --with "set.primary.configuration=maxclients 100"
kill -STOP "$engine"
# Another state folder, as another machine has: it shares no lock with the sleeper but the cluster's own.
sed '1a identity: elsewhere' "$repo/targets/cluster.yaml" >"$repo/targets/elsewhere.yaml"
elsewhere() {
    (cd "$repo" && KUBECONFIG=$scratch/operator.conf "$WORKPLAN_BIN" "${valkey[@]}" --state "$scratch/elsewhere" \
        --target elsewhere --with "set.primary.configuration=maxclients 200" </dev/null >"$scratch/other" 2>&1)
}
check "another one is refused at first" exits 6 elsewhere
sleep 31
check "… and takes the target when the sleeper has said nothing for 30 s" elsewhere
sed 's/^/      | /' "$scratch/other" | tail -n 3
before=$(revision)
kill -CONT "$engine"
check "the sleeper wakes, and fails" exits 1 ended
# A request that was under way has counted its 15 s while it slept; else the Lease is asked before a write.
check "… in words" said 'another run has taken the target while this one was asleep|did not answer within 15 s'
check "… before it writes" test "$(revision)" = "$before"
