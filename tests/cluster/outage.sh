#!/usr/bin/env bash
# The API server goes away for half a minute in the middle of a deploy. Only on the test cluster.
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

deploy() {
    as operator inside "do" release.deploy --target cluster --yes --with timeout=2m --with release=valkey \
        --with "namespace=$platform" --with chart=valkey --with values=platform:helm/valkey-values.yaml
}
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
