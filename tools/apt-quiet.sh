#!/usr/bin/env bash
# Installs Debian packages without a server of theirs starting, now or at the next boot. As root.
#
#   tools/apt-quiet.sh PACKAGE…
#
# Nothing that was there before is touched: neither a database cluster nor a running server.
set -euo pipefail

export DEBIAN_FRONTEND=noninteractive
# Another apt may be at work, perhaps the machine's own.
apt() { apt-get -o DPkg::Lock::Timeout=300 -qq "$@" >&2; }

# Debian's package scripts ask this program before they start a service.
POLICY=/usr/sbin/policy-rc.d
KEPT=$POLICY.workplan-kept
# PostgreSQL's makes and starts a cluster unless it is told not to.
CLUSTER=/etc/postgresql-common/createcluster.d/workplan-setup.conf
# These are run by us, with settings and data of ours. Those of the packages stay off.
SERVICES=(pgpool2 redis-server repmgrd valkey-server)

restore() {
    rm -f "$CLUSTER"
    if grep -qs workplan-setup "$POLICY"; then rm -f "$POLICY"; fi
    if [ -e "$KEPT" ]; then mv -f "$KEPT" "$POLICY"; fi
}

forbid() {
    restore # what a killed one of us left
    if [ -e "$POLICY" ]; then mv "$POLICY" "$KEPT"; fi
    printf '#!/bin/sh\n# workplan-setup: no service starts while packages are installed\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
    mkdir -p "${CLUSTER%/*}"
    printf 'create_main_cluster = false\n' >"$CLUSTER"
}

# Read as a whole before it runs: the file may be edited meanwhile.
main() {
    exec 9>/run/lock/workplan-setup.lock
    flock 9
    local package service new=() brought=()
    for package in "$@"; do
        if ! dpkg-query --show --showformat '${Status}' "$package" 2>/dev/null | grep -q ' installed$'; then
            new+=("$package")
        fi
    done
    if [ ${#new[@]} -eq 0 ]; then exit; fi
    apt update
    for service in "${SERVICES[@]}"; do
        if [ ! -e "/etc/init.d/$service" ]; then brought+=("$service"); fi
    done
    trap restore EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    forbid
    apt install -y --no-install-recommends "${new[@]}"
    for service in "${brought[@]}"; do
        if [ -e "/etc/init.d/$service" ]; then update-rc.d "$service" disable >&2; fi
    done
    exit
}
main "$@"
