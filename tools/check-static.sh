#!/usr/bin/env bash
# Proves that a binary needs nothing but the kernel, and runs as somebody who owns nothing.
#
#   tools/check-static.sh BINARY
set -euo pipefail
binary=$1
file "$binary"
if readelf --program-headers --wide "$binary" | grep -q INTERP; then
    echo "check-static: $binary asks for a dynamic loader" >&2
    exit 1
fi
# Out of the build folder, which others may not be able to enter.
copy=$(mktemp -d /tmp/workplan-static.XXXXXX)
trap 'rm -rf "$copy"' EXIT
install -m 0755 "$binary" "$copy/workplan"
chmod 0755 "$copy"
if [ "$(id -u)" = 0 ]; then
    nobody=$(id -u nobody)
    (cd / && setpriv --reuid="$nobody" --regid="$(id -g nobody)" --clear-groups \
        env -i "$copy/workplan" --version)
else
    (cd / && env -i "$copy/workplan" --version)
fi
printf '%s bytes\n' "$(stat --format=%s "$binary")"
