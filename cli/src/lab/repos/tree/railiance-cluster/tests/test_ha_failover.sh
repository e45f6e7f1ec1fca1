#!/usr/bin/env bash
# Kills the primary of PostgreSQL and asserts that Gitea's login page of URL comes back.
#
#   tests/test_ha_failover.sh URL
set -euo pipefail

url=${1:?GITEA_URL is missing}
namespace=default
window=60

primary() {
    kubectl -n "$namespace" get pods -o name \
        -l app.kubernetes.io/name=postgresql-ha,app.kubernetes.io/component=postgresql |
        while read -r pod; do
            if [ "$(kubectl -n "$namespace" exec "$pod" -- psql -XqtA -U postgres -c 'select pg_is_in_recovery()')" = f ]; then
                echo "$pod"
            fi
        done
}

killed=$(primary)
echo "killing $killed"
kubectl -n "$namespace" delete --wait=false --grace-period=0 --force "$killed"
began=$SECONDS
until curl -fsS --max-time 5 "$url/user/login" >/dev/null; do
    if [ $((SECONDS - began)) -gt "$window" ]; then
        echo "no login page within $window s"
        exit 1
    fi
    sleep 1
done
echo "the login page was back after $((SECONDS - began)) s"
