#!/usr/bin/env bash
# Starts, resets and ends the demo's world.
#
#   world.sh up       two servers, the database, the app, the folder with the workplan
#   world.sh reset    back to the beginning without seeding again
#   world.sh down     ends everything that `up` started, removes the folder
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# What a shell, a URL, a password file and SQL would each trip over.
password() { printf '%s%s\n' "$(head -c 12 /dev/urandom | base64 | tr -d '=\n')" " p@s:s/w\\'\"\$%#ö"; }

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start_server() { # start_server SIDE
    local side=$1 home port try
    home=$(home_of "$side")
    for try in 1 2 3 4 5 6 7 8 9 10; do
        # Below the range that the kernel hands out by itself (32768 and up).
        port=$((20000 + RANDOM % 12000))
        port_is_free "$port" || continue
        # The server's own log has the reason; another try takes another port.
        if as_server "$PG_BIN/pg_ctl" --silent --wait --timeout=30 -D "$home/data" -l "$home/log" \
            -o "-p $port -k '$home/socket' -c listen_addresses=127.0.0.1" start </dev/null >/dev/null 2>&1; then
            echo "$port" >"$DEMO/pg/$side.port"
            return
        fi
    done
    tail -n 20 "$home/log" >&2 || true
    die "the $side server does not start ($try tries)"
}

make_server() { # make_server SIDE
    local side=$1 home=$DEMO/pg/$1
    install -d -m 0755 "$home"
    if [ -n "$SERVER_USER" ]; then
        chown "$SERVER_USER" "$home"
        # The repository may lie where this user cannot go, under /root for example; the path of a
        # socket is short anyway.
        if ! as_server test -w "$home" || [ ${#home} -gt 80 ]; then
            rmdir "$home"
            home=$(mktemp -d "/var/tmp/workplan-demo-$side.XXXXXX")
            chmod 0755 "$home"
            chown "$SERVER_USER" "$home"
            ln -s "$home" "$DEMO/pg/$side"
        fi
    fi
    (
        # Also because an unprivileged process may not be able to return to where we are.
        cd "$home"
        as_server mkdir -m 0700 socket
        # shellcheck disable=SC2016 # for the inner shell
        secret "$side" | as_server sh -c 'umask 077; cat >"$1"' - "$home/password"
        as_server "$PG_BIN/initdb" --pgdata="$home/data" --username=postgres \
            --pwfile="$home/password" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 \
            --no-sync >"$DEMO/pg/$side.initdb" 2>&1
        rm -f password
    ) || { cat "$DEMO/pg/$side.initdb" >&2; die "initdb of the $side server failed"; }
    (cd "$home" && start_server "$side")
    sql "$side" postgres <<<"
        \getenv pw AUDIT_PGPASSWORD
        create role auditor login in role pg_read_all_data password :'pw';"
}

start_app() {
    # On its own: no terminal, no pipe of ours, a session of its own.
    PGPASSWORD=$(secret app) setsid --fork "$REPO/tools/demo/app.sh" "$APP" </dev/null >/dev/null 2>"$APP/stderr"
    wait_until 20 "the app to write" app_says "writes to 127.0.0.1:$(port_of old)"
}

# The pid, if it still is the app's and not somebody's who got the number later.
app_pid() {
    local pid
    pid=$(cat "$APP/pid" 2>/dev/null) || return 0
    if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "tools/demo/app.sh $APP "; then
        echo "$pid"
    fi
}

app_is_gone() { [ -z "$(app_pid)" ]; }

conf() { printf 'host=127.0.0.1\nport=%s\ndbname=shop\nuser=shop\n' "$(port_of "$1")"; }

target() { # target USER
    local user=$1 old_secret=OLD_PGPASSWORD new_secret=NEW_PGPASSWORD
    if [ "$user" = auditor ]; then old_secret=AUDIT_PGPASSWORD new_secret=AUDIT_PGPASSWORD; fi
    cat <<EOF
kind: local
identity: demo:$DEMO
values:
  app: "$APP"
  env:
    OLD_HOST: "127.0.0.1"
    OLD_PORT: "$(port_of old)"
    OLD_USER: "$user"
    NEW_HOST: "127.0.0.1"
    NEW_PORT: "$(port_of new)"
    NEW_USER: "$user"
    APP: "$APP"
    WORK: "$WORK"
  secrets:
    OLD_PGPASSWORD: "env:$old_secret"
    NEW_PGPASSWORD: "env:$new_secret"
EOF
}

make_site() {
    rm -rf "$SITE" "$WORK"
    mkdir -p "$SITE/workplans" "$SITE/plans" "$SITE/targets" "$WORK"
    cp -a "$REPO/workplans/demo" "$SITE/workplans/"
    cp "$REPO/plans/DEMO-WP-0001.yaml" "$SITE/plans/"
    target postgres >"$SITE/targets/demo.yaml"
    target auditor >"$SITE/targets/auditor.yaml"
    (
        cd "$SITE"
        git init --quiet --initial-branch=main
        git add --all
        git -c user.name=demo -c user.email=demo@example.org -c commit.gpgsign=false \
            commit --quiet --message "The workplan, its plan file and two targets"
    )
}

up() {
    if [ -e "$DEMO/.workplan-demo" ]; then
        down
    elif [ -n "$(ls -A "$DEMO" 2>/dev/null)" ]; then
        die "$DEMO is not empty and not ours"
    fi
    umask 022
    mkdir -p "$DEMO/pg" "$APP" "$WORK"
    touch "$DEMO/.workplan-demo"
    (
        umask 077
        mkdir -p "$DEMO/secrets"
        local name
        for name in old new app audit; do password >"$DEMO/secrets/$name"; done
    )
    AUDIT_PGPASSWORD=$(secret audit)
    export AUDIT_PGPASSWORD
    make_server old &
    local first=$!
    make_server new
    wait "$first"
    APP_PGPASSWORD=$(secret app) sql old postgres <<<"
        \getenv pw APP_PGPASSWORD
        create role shop login password :'pw';
        create database shop owner shop template template0;"
    { printf '\\set rows %d\n' "$SEED_ROWS"; cat "$REPO/tools/demo/seed.sql"; } | sql old shop >/dev/null
    conf old >"$APP/app.conf"
    : >"$APP/acknowledged"
    start_app
    make_site
}

reset() {
    touch "$APP/maintenance"
    wait_until 20 "the app to pause" app_says paused
    sql new postgres <<<"drop database if exists shop with (force);"
    sql new postgres <<<"drop role if exists shop;"
    rm -f "$APP/app.conf"
    conf old >"$APP/app.conf"
    chmod 0644 "$APP/app.conf"
    # Numbers go on, so that none is told twice; only those of the old server count from here on.
    tail -n 1 "$APP/acknowledged" >"$APP/acknowledged.part"
    sql old shop <<<"select n from store.pulse where n = $(cat "$APP/acknowledged.part")" >"$APP/there"
    [ -s "$APP/there" ] || sql old shop <<<"insert into store.pulse (n) values ($(cat "$APP/acknowledged.part"))"
    mv "$APP/acknowledged.part" "$APP/acknowledged"
    rm -f "$APP/there" "$APP/maintenance"
    wait_until 20 "the app to write" app_says "writes to 127.0.0.1:$(port_of old)"
    make_site
}

down() {
    local side pid
    [ -e "$DEMO/.workplan-demo" ] || return 0
    pid=$(app_pid)
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    wait_until 10 "the app to end" app_is_gone || true
    for side in old new; do
        [ -e "$DEMO/pg/$side" ] || continue
        local home
        home=$(home_of "$side")
        if [ -f "$home/data/postmaster.pid" ]; then
            (cd / && as_server "$PG_BIN/pg_ctl" --silent --wait -D "$home/data" --mode=immediate stop) >/dev/null || true
        fi
        [ "$home" = "$DEMO/pg/$side" ] || rm -rf "$home"
    done
    rm -rf "$DEMO"
}

case ${1:-} in
up | reset | down) "$1" ;;
*) die "usage: world.sh up|reset|down" ;;
esac
