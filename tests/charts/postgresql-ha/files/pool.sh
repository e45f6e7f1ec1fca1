# shellcheck shell=bash
# pgpool, told of all nodes.
set -euo pipefail
run=/run/pool
umask 077
read -ra nodes <<<"${NODES:?names the nodes}"
escaped() { sed -e 's/\\/\\\\/g' -e 's/:/\\:/g'; }
secret() { cat "/opt/bitnami/pgpool/secrets/$1"; }

{
    cat <<X
backend_clustering_mode = 'streaming_replication'
listen_addresses = '*'
port = 5432
socket_dir = '$run'
pcp_listen_addresses = '127.0.0.1'
pcp_port = 9898
pcp_socket_dir = '$run'
pid_file_name = '$run/pgpool.pid'
logdir = '$run'
work_dir = '$run'
num_init_children = $NUM_INIT_CHILDREN
reserved_connections = $RESERVED_CONNECTIONS
max_pool = $MAX_POOL
enable_pool_hba = on
pool_passwd = '$run/pool_passwd'
allow_clear_text_frontend_auth = off
load_balance_mode = $LOAD_BALANCE
health_check_period = ${PGPOOL_HEALTH_CHECK_PERIOD:-30}
health_check_timeout = ${PGPOOL_HEALTH_CHECK_TIMEOUT:-10}
health_check_max_retries = ${PGPOOL_HEALTH_CHECK_MAX_RETRIES:-5}
health_check_retry_delay = ${PGPOOL_HEALTH_CHECK_RETRY_DELAY:-5}
health_check_user = '$SR_CHECK_USERNAME'
health_check_password = ''
health_check_database = '$SR_CHECK_DATABASE'
sr_check_period = 30
sr_check_user = '$SR_CHECK_USERNAME'
sr_check_password = ''
sr_check_database = '$SR_CHECK_DATABASE'
connect_timeout = 10000
search_primary_node_timeout = 0
failover_on_backend_error = off
failover_on_backend_shutdown = on
auto_failback = off
X
    for i in "${!nodes[@]}"; do
        cat <<X
backend_hostname$i = '${nodes[$i]}'
backend_port$i = 5432
backend_weight$i = 1
backend_flag$i = 'ALLOW_TO_FAILOVER'
backend_data_directory$i = '/bitnami/postgresql/data'
backend_application_name$i = '${nodes[$i]%%.*}'
X
    done
    cat /scripts/pgpool.conf
} >"$run/pgpool.conf"
cat >"$run/pool_hba.conf" <<X
local all all trust
host all $SR_CHECK_USERNAME all trust
host all all all scram-sha-256
X
printf '%s:%s\n' "$ADMIN_USERNAME" "$(pg_md5 -- "$(secret admin-password)" 2>/dev/null || secret admin-password | md5sum | cut -d' ' -f1)" >"$run/pcp.conf"
printf '127.0.0.1:9898:%s:%s\n' "$ADMIN_USERNAME" "$(secret admin-password)" >"$run/pcppass"
# Where a check has no password in the configuration, which cannot spell a quote, it is looked for here.
{
    printf '%s:TEXT%s\n' "$SR_CHECK_USERNAME" "$(secret sr-check-password | escaped)"
    printf '%s:TEXT%s\n' "$POSTGRESQL_USERNAME" "$(secret pgpool-password | escaped)"
    if [ -e /opt/bitnami/pgpool/custom-users/usernames ]; then
        IFS=';,' read -ra names </opt/bitnami/pgpool/custom-users/usernames || true
        IFS=';,' read -ra words </opt/bitnami/pgpool/custom-users/passwords || true
        for i in "${!names[@]}"; do printf '%s:TEXT%s\n' "${names[$i]}" "$(escaped <<<"${words[$i]}")"; done
    fi
} >"$run/pool_passwd"
# A node that does not answer at the start is down until somebody attaches it.
for _ in {1..120}; do
    up=0
    for node in "${nodes[@]}"; do
        if timeout 3 pg_isready -q -h "$node"; then up=$((up + 1)); fi
    done
    [ "$up" -lt "${#nodes[@]}" ] || break
    sleep 1
done
exec pgpool -n -D -f "$run/pgpool.conf" -F "$run/pcp.conf" -a "$run/pool_hba.conf"
