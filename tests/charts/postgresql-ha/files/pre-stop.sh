# shellcheck shell=bash
# Stops the server, then waits until another one leads, as the original does: a pod that comes back
# at once would lead again, and its pooler would not have seen that it was away.
# shellcheck source=common.sh
. /scripts/common.sh
led=0
if [ "$(psql -qAtX -h "$run" -U postgres -d postgres -c 'select pg_is_in_recovery()')" = f ]; then led=1; fi
rm -f "$run/joined"
touch "$run/stopping"
pkill repmgrd || true
pg_ctl -D "$data" -m fast -w -t 20 stop || true
if [ "$led" = 1 ]; then
    for _ in {1..20}; do
        [ -z "$(primary)" ] || break
        sleep 1
    done
fi
