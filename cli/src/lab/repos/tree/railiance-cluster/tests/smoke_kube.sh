#!/usr/bin/env bash
# Is everything that should run running? Every component is asked, also the poolers.
set -euo pipefail

GITEA_NAMESPACE=default
POSTGRES_NAMESPACE=default
POSTGRES_POOLER=gitea-postgresql-ha-pgpool

failed=0
check() { # check WHAT COMMAND…
    local what=$1
    shift
    if timeout 20 "$@" >/dev/null 2>&1; then echo "ok    $what"; else
        echo "FAIL  $what"
        failed=1
    fi
}

check "nodes are ready" kubectl wait --for=condition=Ready node --all --timeout=10s
check "Gitea is available" kubectl -n "$GITEA_NAMESPACE" wait --for=condition=Available deployment/gitea --timeout=10s
check "PostgreSQL is ready" kubectl -n "$POSTGRES_NAMESPACE" wait --for=condition=Ready pod \
    -l app.kubernetes.io/name=postgresql-ha,app.kubernetes.io/component=postgresql --timeout=10s
check "the pooler is available" kubectl -n "$POSTGRES_NAMESPACE" wait --for=condition=Available \
    "deployment/$POSTGRES_POOLER" --timeout=10s
exit "$failed"
