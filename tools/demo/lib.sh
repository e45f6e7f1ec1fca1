# shellcheck shell=bash
# shellcheck disable=SC2034 # variables are used by those who source this
# The demo's world: two PostgreSQL servers, an app that writes, a folder with the workplan. Sourced.
#
# Folder: `.demo` in the repository, or $WORKPLAN_DEMO_DIR.
#   pg/{old,new}   the servers: data, socket folder, log (owned by an unprivileged user)
#   app/           app.conf, maintenance (a flag), state, acknowledged
#   work/          what steps make: dump, proof
#   site/          a repository with the workplan, its plan file and two targets
#   secrets/       passwords, mode 0600

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
DEMO=${WORKPLAN_DEMO_DIR:-$REPO/.demo}
SEED_ROWS=${DEMO_ROWS:-200000}
APP=$DEMO/app
WORK=$DEMO/work
SITE=$DEMO/site
FILE=workplans/demo/move-database.md

die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# The binaries of the newest PostgreSQL that is here, past Debian's wrappers.
PG_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[ -x "$PG_BIN/postgres" ] || die "there is no PostgreSQL server here; \`make setup\` installs it"
export PATH="$PG_BIN:$PATH"
# What the caller's own settings say about servers is not for these.
unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGSERVICE PGOPTIONS PGPASSFILE WORKPLAN_STATE
export PGCONNECT_TIMEOUT=5

# PostgreSQL refuses to run as root.
if [ "$(id -u)" = 0 ]; then
    if id postgres >/dev/null 2>&1; then SERVER_USER=postgres; else SERVER_USER=nobody; fi
else
    SERVER_USER=
fi

as_user() { # as_user USER COMMAND…; an empty USER stays who we are
    local user=$1
    shift
    if [ -n "$user" ]; then
        setpriv --reuid="$(id -u "$user")" --regid="$(id -g "$user")" --clear-groups -- "$@"
    else
        "$@"
    fi
}

as_server() { as_user "$SERVER_USER" "$@"; }

secret() { cat "$DEMO/secrets/$1"; }
port_of() { cat "$DEMO/pg/$1.port"; }
# Where the server's files really are: elsewhere if its user cannot enter the repository.
home_of() { readlink -f "$DEMO/pg/$1"; }

# A query as the superuser of one side, with nothing shown but the answer.
sql() { # sql SIDE DATABASE, the statements on stdin
    PGPASSWORD=$(secret "$1") PGOPTIONS="-c client_min_messages=warning" psql -XqAt -v ON_ERROR_STOP=1 \
        -h 127.0.0.1 -p "$(port_of "$1")" -U postgres -d "$2"
}

# The digest that the workplan itself uses, for one side, without the table that the app fills all
# the time.
digest_of() {
    (
        export OLD_HOST=127.0.0.1 NEW_HOST=127.0.0.1 OLD_USER=postgres NEW_USER=postgres
        OLD_PORT=$(port_of old) NEW_PORT=$(port_of new)
        OLD_PGPASSWORD=$(secret old) NEW_PGPASSWORD=$(secret new)
        export OLD_PORT NEW_PORT OLD_PGPASSWORD NEW_PGPASSWORD
        "$REPO/workplans/demo/bin/digest" "$1" shop | grep -vE '^(table|sequence) store\.pulse'
    )
}

has_shop() { [ "$(sql "$1" postgres <<<"select count(*) from pg_database where datname = 'shop'")" = 1 ]; }

wait_until() { # wait_until SECONDS WHAT COMMAND…
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            printf 'demo: waited in vain for: %s\n' "$what" >&2
            return 1
        fi
        read -rt 0.02 <> <(:) || true
    done
}

app_says() { [ "$(cat "$APP/state" 2>/dev/null)" = "$*" ]; }
