# shellcheck shell=bash
# One data node: makes or follows a cluster, then runs PostgreSQL and repmgrd.
# shellcheck source=common.sh
. /scripts/common.sh
trap 'kill -INT "$(head -n 1 "$data/postmaster.pid" 2>/dev/null)" 2>/dev/null; wait; exit 0' TERM INT
rm -f "$run/joined" "$run/stopping"
umask 077

escaped() { sed -e 's/\\/\\\\/g' -e 's/:/\\:/g'; }
printf '*:*:*:%s:%s\n' "$REPMGR_USERNAME" "$(secret postgresql/secrets/repmgr-password | escaped)" >"$run/pgpass"
conninfo() { printf 'host=%s port=5432 user=%s dbname=%s connect_timeout=%s passfile=%s' \
    "$1" "$REPMGR_USERNAME" "$2" "${CONNECT_TIMEOUT:?in seconds}" "$run/pgpass"; }
cat >"$run/postgresql.conf" <<X
listen_addresses = '*'
port = 5432
unix_socket_directories = '$run'
hba_file = '$run/pg_hba.conf'
max_connections = $MAX_CONNECTIONS
shared_buffers = 32MB
shared_preload_libraries = 'repmgr'
wal_level = replica
hot_standby = on
wal_log_hints = on
max_wal_senders = 16
max_replication_slots = 16
password_encryption = scram-sha-256
X
cat /scripts/extended.conf >>"$run/postgresql.conf"
cat >"$run/pg_hba.conf" <<X
local all all trust
host all all 127.0.0.1/32 trust
host all all all scram-sha-256
host replication all all scram-sha-256
X
cat >"$run/repmgr.conf" <<X
node_id=$((1000 + number))
node_name='$MY_POD_NAME'
conninfo='$(conninfo "$me" "$REPMGR_DATABASE")'
data_directory='$data'
pg_bindir='/usr/lib/postgresql/15/bin'
config_directory='$run'
use_replication_slots=1
failover=automatic
promote_command='repmgr standby promote -f $run/repmgr.conf --log-level NOTICE'
follow_command='repmgr standby follow -f $run/repmgr.conf -W --log-level NOTICE --upstream-node-id=%n'
reconnect_attempts=$RECONNECT_ATTEMPTS
reconnect_interval=$RECONNECT_INTERVAL
monitor_interval_secs=${REPMGR_MONITOR_INTERVAL_SECS:-2}
service_start_command='pg_ctl -D $data -o "-c config_file=$run/postgresql.conf" -w start'
service_stop_command='pg_ctl -D $data -m fast -w stop'
service_restart_command='pg_ctl -D $data -o "-c config_file=$run/postgresql.conf" -w restart'
service_reload_command='pg_ctl -D $data reload'
X

first() { # a new cluster, with its roles
    rm -rf "$data.new"
    initdb -D "$data.new" -U postgres --encoding=UTF8 --locale=C.UTF-8 --auth=trust --data-checksums --no-instructions >/dev/null
    pg_ctl -D "$data.new" -w -s -o "-c config_file=$run/postgresql.conf -c listen_addresses=''" start
    owner=$POSTGRESQL_USERNAME
    password=$(secret postgresql/secrets/password)
    super=$password
    [ "$owner" = postgres ] || super=$(secret postgresql/secrets/postgres-password)
    OWNER=$owner PASSWORD=$password SUPER=$super REPMGR=$REPMGR_USERNAME REPMGR_DB=$REPMGR_DATABASE \
    REPMGR_PASSWORD=$(secret postgresql/secrets/repmgr-password) SR=$SR_CHECK_USERNAME \
    SR_PASSWORD=$(secret pgpool/secrets/sr-check-password) DB=$POSTGRESQL_DATABASE \
        psql -qX -v ON_ERROR_STOP=1 -h "$run" -U postgres -d postgres <<'X'
\getenv owner OWNER
\getenv password PASSWORD
\getenv super SUPER
\getenv repmgr REPMGR
\getenv repmgr_db REPMGR_DB
\getenv repmgr_password REPMGR_PASSWORD
\getenv sr SR
\getenv sr_password SR_PASSWORD
\getenv db DB
alter role postgres password :'super';
create role :"repmgr" login superuser replication password :'repmgr_password';
create database :"repmgr_db" owner :"repmgr";
select :'owner' <> 'postgres' as has_owner \gset
\if :has_owner
create role :"owner" login createdb password :'password';
\endif
create role :"sr" login password :'sr_password';
grant pg_monitor to :"sr";
select :'db' not in ('', 'postgres') as has_db \gset
\if :has_db
create database :"db" owner :"owner";
\endif
X
    pg_ctl -D "$data.new" -w -s -m fast stop
    mv "$data.new" "$data"
}

clone() { # clone PRIMARY
    until [ "$(ask "$1" "select 1 from repmgr.nodes where active and type = 'primary'")" = 1 ]; do sleep 1; done
    rm -rf "$data"
    repmgr -f "$run/repmgr.conf" -h "$1" -p 5432 -U "$REPMGR_USERNAME" -d "$REPMGR_DATABASE" \
        standby clone --fast-checkpoint
}

follow() { # follow PRIMARY
    local slot=repmgr_slot_$((1000 + number))
    if [ ! -e "$data/global/pg_control" ] || [ -e /bitnami/postgresql/clone-again ]; then
        clone "$1"
        rm -f /bitnami/postgresql/clone-again
    elif [ ! -e "$data/standby.signal" ]; then
        ask "$1" checkpoint postgres || true
        rm -f "$data/postmaster.pid"
        pg_rewind --target-pgdata "$data" --source-server "$(conninfo "$1" postgres)" \
            --config-file "$run/postgresql.conf" || clone "$1"
    fi
    touch "$data/standby.signal"
    sed -i '/^primary_conninfo/d; /^primary_slot_name/d' "$data/postgresql.auto.conf"
    printf "primary_conninfo = 'host=%s port=5432 user=%s connect_timeout=%s passfile=''%s'' application_name=''%s'''\n" \
        "$1" "$REPMGR_USERNAME" "$CONNECT_TIMEOUT" "$run/pgpass" "$MY_POD_NAME" >>"$data/postgresql.auto.conf"
    printf "primary_slot_name = '%s'\n" "$slot" >>"$data/postgresql.auto.conf"
    ask "$1" "select pg_create_physical_replication_slot('$slot', true) where not exists
        (select from pg_replication_slots where slot_name = '$slot')" >/dev/null || true
}

leader=
while :; do
    leader=$(primary)
    [ -z "$leader" ] || break
    if [ -e "$data/global/pg_control" ]; then
        # It led, and nobody took over; or it waits for who leads.
        if [ ! -e "$data/standby.signal" ]; then break; fi
        # All of them were down, and none that led comes back: the lowest of those that are there.
        waited=$((${waited:-0} + 1))
        if [ "$waited" -ge 45 ] && [ "$number" = 0 ] && ! answers; then rm "$data/standby.signal"; break; fi
        # A standby that answers may be promoted by its own repmgrd.
        if [ "$waited" -ge 20 ] && answers; then break; fi
    elif [ "$number" = 0 ] && ! answers; then
        first
        break
    fi
    say "waiting for a node that leads"
    sleep 1
done
[ -z "$leader" ] || { say "following $leader"; follow "$leader"; }
rm -f "$data/postmaster.pid"

postgres -D "$data" -c config_file="$run/postgresql.conf" &
server=$!
until pg_isready -q -h "$run"; do kill -0 "$server" || exit 1; sleep 0.2; done
if [ -z "$leader" ] && [ ! -e "$data/standby.signal" ]; then
    psql -qX -h "$run" -U postgres -d "$REPMGR_DATABASE" -c 'create extension if not exists repmgr'
    repmgr -f "$run/repmgr.conf" primary register --force
else
    for _ in {1..60}; do
        [ "$(psql -qAtX -h "$run" -U postgres -d postgres -c "select 1 from pg_stat_wal_receiver where status = 'streaming'")" = 1 ] && ok=1 && break
        [ "$(psql -qAtX -h "$run" -U postgres -d postgres -c 'select pg_is_in_recovery()')" = t ] || { ok=1; break; }
        sleep 0.5
    done
    if [ -z "${ok:-}" ]; then
        say "the data is not of this primary's history: it is cloned again"
        touch /bitnami/postgresql/clone-again
        kill -INT "$server"; wait "$server" || true
        exit 1
    fi
    repmgr -f "$run/repmgr.conf" standby register --force --wait-sync=60
fi
repmgrd -f "$run/repmgr.conf" --daemonize=false --pid-file="$run/repmgrd.pid" &
touch "$run/joined"
say "joined"
wait -n || true
# The hook that stops the server runs in this container, which has to last as long.
while [ -e "$run/stopping" ]; do sleep 1; done
say "a process ended"
kill -INT "$server" 2>/dev/null || true
wait "$server" || true
exit 1
