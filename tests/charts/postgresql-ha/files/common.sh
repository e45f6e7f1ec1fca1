# shellcheck shell=bash
# What the scripts of a data node share. All state that must not be cloned is outside of the data folder.
set -euo pipefail
# shellcheck disable=SC2034 # for those who source this
data=/bitnami/postgresql/data
run=/run/node
read -ra nodes <<<"${NODES:?names the nodes}"
number=${MY_POD_NAME##*-}
me=${nodes[$number]}
export PGPASSFILE=$run/pgpass PGCONNECT_TIMEOUT=2

say() { printf '%s %s\n' "$(date -u +%T)" "$*"; }
secret() { cat "/opt/bitnami/$1"; }
# leads HOST: whether a server takes writes. Fails where it does not answer.
ask() { timeout 4 psql -qAtX -h "$1" -U "$REPMGR_USERNAME" -d "${3:-$REPMGR_DATABASE}" -c "$2" 2>/dev/null; }
leads() { [ "$(ask "$1" 'select pg_is_in_recovery()')" = f ]; }
# The other node that leads; nothing where none does.
primary() {
    local node
    for node in "${nodes[@]}"; do
        [ "$node" != "$me" ] || continue
        if leads "$node"; then printf '%s' "$node"; return; fi
    done
}
answers() {
    local node
    for node in "${nodes[@]}"; do
        [ "$node" != "$me" ] || continue
        if timeout 3 pg_isready -q -h "$node"; then return 0; fi
    done
    return 1
}
