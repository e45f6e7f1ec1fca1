# shellcheck shell=bash
# As in the original: asks for the nodes over the trusted socket, and attaches those that are up again.
set -euo pipefail
run=/run/pool
export PCPPASSFILE=$run/pcppass
# Not started yet: it waits for its nodes.
[ -e "$run/pgpool.pid" ] || exit 0
psql -qAtX -F ' ' -h "$run" -U "$POSTGRESQL_USERNAME" -d postgres -c 'show pool_nodes' |
    while read -r id _ _ status by_sql _; do
        if [ "$status" = down ] && [ "$by_sql" = up ]; then
            pcp_attach_node -h 127.0.0.1 -p 9898 -U "$ADMIN_USERNAME" -w -n "$id" || true
        fi
    done
