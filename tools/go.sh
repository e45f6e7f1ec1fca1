# shellcheck shell=bash
# shellcheck disable=SC2034 # variables are used by those who source this
# Where what we build from Go modules goes, and the Go to build it with. Sourced.
#
#   WORKPLAN_CACHE   the user's cache of things that are built once (default ~/.cache/workplan)

CACHE=${WORKPLAN_CACHE:-${XDG_CACHE_HOME:-${HOME:?names the home folder}/.cache}/workplan}
# Where Go's own archive puts it; login shells look there, others do not.
PATH=$PATH:/usr/local/go/bin

# From 1.21 on, Go gets the newer toolchain that a module asks for by itself.
GO_LEAST=21

# Makes `go` one that can build what asks for a newer one.
go_ready() {
    local minor
    minor=$(go env GOVERSION 2>/dev/null | sed -nE 's/^go1\.([0-9]+).*/\1/p') || true
    if [ "${minor:-0}" -lt "$GO_LEAST" ]; then
        echo "$0: Go 1.$GO_LEAST or newer is needed to build this (found: ${minor:+1.}${minor:-none});" \
            "install it from https://go.dev/dl/, then try again" >&2
        return 1
    fi
    # Settings of one's own work, such as an older toolchain or a workspace, are not meant for this.
    export GOTOOLCHAIN=auto GOWORK=off GOFLAGS=-buildvcs=false
}
