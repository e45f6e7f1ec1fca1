#!/usr/bin/env bash
# The shop's app: reads app.conf, writes a row, tells what it does. A service, started by the set-up
# and obeying a flag file; no step starts or ends it.
#
#   app.sh FOLDER      PGPASSWORD in the environment
set -uo pipefail
folder=$1
cd "$folder" || exit 1
echo $$ >pid
said=
n=$(tail -n 1 acknowledged 2>/dev/null || true)
n=${n:-0}
trap 'exit 0' TERM

say() {
    [ "$said" != "$*" ] || return 0
    said=$*
    printf '%s\n' "$*" >state.part
    mv state.part state
}

setting() { sed -n "s/^$1=//p" app.conf; }

while :; do
    if [ -e maintenance ]; then
        say paused
    else
        host=$(setting host) port=$(setting port)
        n=$((n + 1))
        if psql -Xq -v ON_ERROR_STOP=1 -h "$host" -p "$port" -U "$(setting user)" \
            -d "$(setting dbname)" -c "insert into store.pulse (n) values ($n)" 2>error.log; then
            # Told to be safe: from here on it may not get lost.
            printf '%s\n' "$n" >>acknowledged
            say "writes to $host:$port"
        else
            say "cannot write: $(head -n 1 error.log)"
        fi
    fi
    sleep 0.1
done
