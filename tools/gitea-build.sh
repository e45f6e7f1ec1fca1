#!/usr/bin/env bash
# Builds Gitea from its Go module, once, and prints the folder with the program and the files that
# it reads at run time (templates, options, public). Progress goes to stderr.
#
#   WORKPLAN_GITEA_CACHE   where builds are kept, a folder for each version; by default
#                          /var/cache/workplan-gitea where we may write, else the user's cache
#   WORKPLAN_JOBS          how many compilers run at a time (default: one for each processor)
#
# What is not in the module: the compiled frontend. Pages are plain HTML; nothing depends on more.
set -euo pipefail
# shellcheck source=go.sh
. "$(dirname "${BASH_SOURCE[0]}")/go.sh"

MODULE=code.gitea.io/gitea
VERSION=v1.26.0
# What https://sum.golang.org says of this version. A module's own go.sum does not list itself.
SUM_ZIP=h1:fJP9dqLbzKrKWUVnCVTfVersZdVDuyJQLEDzCAOmKKA=
SUM_MOD=h1:lQQerj+Xp70MDr1Cpxa85QmkS4ltqYpSyG++R77EFQQ=

say() { printf 'gitea: %s\n' "$*" >&2; }

# The first place with a finished build, else the first one where we may make one.
choose() {
    local places=(/var/cache/workplan-gitea "$CACHE/gitea") place
    if [ -n "${WORKPLAN_GITEA_CACHE:-}" ]; then places=("$WORKPLAN_GITEA_CACHE"); fi
    for place in "${places[@]}"; do
        if [ -e "$place/$VERSION/.complete" ]; then
            printf '%s\n' "$place"
            return
        fi
    done
    for place in "${places[@]}"; do
        if mkdir -p "$place" 2>/dev/null && [ -w "$place" ]; then
            printf '%s\n' "$place"
            return
        fi
    done
    say "nowhere to keep a build: ${places[*]}"
    return 1
}

# `go install` refuses a module with replace directives, and Gitea has some. So its requirements
# become those of a module of ours, which then requires Gitea itself.
wrap() { # wrap SOURCE
    {
        sed -e 's|^module .*|module workplan.invalid/gitea|' -e '/^tool /d' "$1/go.mod"
        printf '\nrequire %s %s\n' "$MODULE" "$VERSION"
    } >go.mod
    {
        cat "$1/go.sum"
        printf '%s %s %s\n' "$MODULE" "$VERSION" "$SUM_ZIP" "$MODULE" "$VERSION/go.mod" "$SUM_MOD"
    } >go.sum
}

# What the program reads at run time, and empty stand-ins for the frontend, so that its log is not
# full of errors about each missing file.
files() { # files SOURCE TARGET
    local name
    for name in templates options public; do
        cp -r --no-preserve=mode,ownership "$1/$name" "$2/$name"
    done
    mkdir -p "$2"/public/assets/{.vite,css,js}
    printf '{}\n' >"$2/public/assets/.vite/manifest.json"
    touch "$2"/public/assets/css/{index,theme-gitea-auto}.css "$2"/public/assets/js/{iife,index}.js
}

build() { # build CACHE
    local out=$1/$VERSION work source began=$SECONDS
    exec 9>"$1/.lock"
    if ! flock --nonblock 9; then
        say "somebody else builds it; waiting"
        flock 9
    fi
    if [ -e "$out/.complete" ]; then return; fi
    go_ready
    # What a killed build left; nobody else has the lock.
    rm -rf "$1"/.build.*
    work=$(mktemp -d "$1/.build.XXXXXX")
    # shellcheck disable=SC2064 # the folder of now is meant
    trap "rm -rf '$work'" EXIT
    say "building ${VERSION#v} from its Go module into $out, once; this takes about five minutes on two processors"
    mkdir "$work/wrapper"
    cd "$work/wrapper"
    source=$(go mod download -json "$MODULE@$VERSION" | sed -nE 's/^\t"Dir": "(.*)",?$/\1/p')
    if [ ! -d "$source" ]; then
        say "the Go module proxy did not give $MODULE@$VERSION"
        return 1
    fi
    wrap "$source"
    CGO_ENABLED=0 go build -p "${WORKPLAN_JOBS:-$(nproc)}" -trimpath \
        -ldflags "-s -w -X main.Version=${VERSION#v}" -o "$work/gitea" "$MODULE" >&2
    files "$source" "$work"
    cd /
    rm -rf "$work/wrapper"
    # Its servers run as an unprivileged user.
    chmod -R u=rwX,go=rX "$work"
    "$work/gitea" --version >&2
    touch "$work/.complete"
    # Without the mark it is what a removal left over.
    rm -rf "$out"
    mv "$work" "$out"
    say "built in $((SECONDS - began)) s"
}

# Read as a whole before it runs: the file may be edited meanwhile.
main() {
    local cache
    cache=$(choose)
    if [ ! -e "$cache/$VERSION/.complete" ]; then build "$cache"; fi
    printf '%s\n' "$cache/$VERSION"
    exit
}
main
