#!/usr/bin/env bash
# Builds sops from its Go module, once, and prints where it is. Progress goes to stderr.
#
#   WORKPLAN_CACHE   where it goes, in `bin` (default ~/.cache/workplan)
set -euo pipefail
# shellcheck source=go.sh
. "$(dirname "${BASH_SOURCE[0]}")/go.sh"

VERSION=3.13.2

BIN=$CACHE/bin

say() { printf 'sops: %s\n' "$*" >&2; }
there() { "$BIN/sops" --version --disable-version-check 2>/dev/null | grep -qxF "sops $VERSION"; }

# Read as a whole before it runs: the file may be edited meanwhile.
main() {
    if ! there; then
        mkdir -p "$BIN"
        exec 9>"$CACHE/.sops.lock"
        if ! flock --nonblock 9; then
            say "somebody else builds it; waiting"
            flock 9
        fi
    fi
    if ! there; then
        local began=$SECONDS folder
        go_ready
        # What a killed build left; nobody else has the lock.
        rm -rf "$BIN"/.sops.*
        # Under its name only when it is whole.
        folder=$(mktemp -d "$BIN/.sops.XXXXXX")
        # shellcheck disable=SC2064 # the folder of now is meant
        trap "rm -rf '$folder'" EXIT
        say "building $VERSION from its Go module, once; this takes some minutes"
        CGO_ENABLED=0 GOBIN=$folder go install -trimpath -ldflags '-s -w' \
            "github.com/getsops/sops/v3/cmd/sops@v$VERSION" >&2
        mv -f "$folder/sops" "$BIN/sops"
        there || { say "what was built does not say that it is $VERSION"; exit 1; }
        say "built in $((SECONDS - began)) s"
    fi
    printf '%s\n' "$BIN/sops"
    exit
}
main
