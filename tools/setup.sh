#!/usr/bin/env bash
# Installs what is missing, and nothing that is there. Safe to run again and again.
#
#   tools/setup.sh [build] [demo] [lint] [release]
#
# Needs Debian 12 or one of its relatives for the packages; where there is no apt, it says what to
# install by hand.
set -euo pipefail

CARGO_DENY=0.20.2

say() { printf 'setup: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif have sudo; then sudo "$@"
    else
        say "need root for: $*"
        say "install it by hand, or install sudo, then try again"
        exit 1
    fi
}

missing=()
want() { # want PACKAGE TEST…: the package, unless the test succeeds
    local package=$1
    shift
    if ! "$@" >/dev/null 2>&1; then missing+=("$package"); fi
}

postgres_there() { compgen -G '/usr/lib/postgresql/*/bin/postgres'; }

# The server's package makes and starts a cluster of its own, which has no business here. It is
# told so while it is being installed, and only where no cluster exists.
QUIET=/etc/postgresql-common/createcluster.d/workplan-setup.conf
no_packaged_cluster() {
    if compgen -G '/etc/postgresql/*/*' >/dev/null; then return; fi
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends postgresql-common >&2
    trap 'as_root rm -f "$QUIET"' EXIT
    as_root mkdir -p "${QUIET%/*}"
    printf 'create_main_cluster = false\n' | as_root tee "$QUIET" >/dev/null
}

install_packages() {
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! have apt-get; then
        say "missing, and there is no apt-get here: ${missing[*]}"
        exit 1
    fi
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    local package
    for package in "${missing[@]}"; do
        case $package in postgresql-*) no_packaged_cluster ;; esac
    done
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

rust() {
    export PATH="$HOME/.cargo/bin:$PATH"
    if ! have cargo; then
        say "there is no cargo: install Rust from https://rustup.rs, then try again"
        exit 1
    fi
}

component() { # component NAME COMMAND: a rustup component that some set-ups leave out
    if ! cargo "$2" --version >/dev/null 2>&1; then
        have rustup || { say "there is no cargo $2 and no rustup to get it with"; exit 1; }
        rustup component add "$1" >&2
    fi
}

for part in "${@:-build}"; do
    case $part in
    build) # sqlite and ring are C; git and ssh-keygen are called.
        want gcc have cc
        want libc6-dev test -e /usr/include/stdlib.h
        want git have git
        want openssh-client have ssh-keygen
        ;;
    demo)
        want postgresql-15 postgres_there
        want util-linux have setpriv
        want procps have ps
        ;;
    lint) want shellcheck have shellcheck ;;
    release)
        want musl-tools have musl-gcc
        want file have file
        ;;
    *) say "there is no part $part"; exit 2 ;;
    esac
done
install_packages

for part in "${@:-build}"; do
    case $part in
    build) rust ;;
    lint)
        rust
        component rustfmt fmt
        component clippy clippy
        if ! cargo deny --version >/dev/null 2>&1; then
            say "building cargo-deny $CARGO_DENY, once; this takes some minutes"
            cargo install --locked --quiet "cargo-deny@$CARGO_DENY"
        fi
        ;;
    release)
        rust
        if ! [ -d "$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-musl" ]; then
            have rustup || { say "the target x86_64-unknown-linux-musl is missing, and rustup too"; exit 1; }
            rustup target add x86_64-unknown-linux-musl >&2
        fi
        ;;
    esac
done
