#!/usr/bin/env bash
# Installs what is missing, and nothing that is there. Safe to run again and again.
#
#   tools/setup.sh [build] [demo] [platform] [lint] [release]
#
# Needs Debian 12 or one of its relatives for the packages; where there is no apt, it says what to
# install by hand.
set -euo pipefail

CARGO_DENY=0.20.2
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Servers lie where only root looks, and what was built before, in the user's cache.
PATH=$PATH:/usr/sbin:/sbin:${WORKPLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/workplan}/bin

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

# What Debian has is known to apt only once it has asked; a fresh machine has not.
known() { # known PACKAGE
    have apt-cache || return 1
    if ! apt-cache show "$1" >/dev/null 2>&1 && [ -z "${asked:-}" ]; then
        asked=1
        as_root apt-get -o DPkg::Lock::Timeout=300 -qq update >&2
    fi
    apt-cache show "$1" >/dev/null 2>&1
}

# The newest PostgreSQL server that is here, else the one that this Debian has.
postgres_there() { compgen -G '/usr/lib/postgresql/*/bin/postgres'; }
postgres_major() {
    if postgres_there >/dev/null; then
        postgres_there | sort -V | tail -n 1 | cut -d/ -f5
    elif known postgresql; then
        apt-cache depends postgresql 2>/dev/null | sed -nE 's/.*Depends: postgresql-([0-9]+)$/\1/p' | head -n 1
    fi
}
valkey_there() { have valkey-server || have redis-server; }
valkey_package() {
    if known valkey-server; then echo valkey-server; else echo redis-server; fi
}

install_packages() {
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! have apt-get; then
        say "missing, and there is no apt-get here: ${missing[*]}"
        exit 1
    fi
    local began=$SECONDS
    say "installing ${missing[*]}; this takes about a minute"
    as_root "$TOOLS/apt-quiet.sh" "${missing[@]}"
    say "installed in $((SECONDS - began)) s"
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
        want "postgresql-$(postgres_major)" postgres_there
        want util-linux have setpriv
        want procps have ps
        ;;
    platform) # what the recipes of the platform `local` run, and what decrypts their values
        major=$(postgres_major)
        want "postgresql-$major" postgres_there
        want "postgresql-$major-repmgr" test -x "/usr/lib/postgresql/$major/bin/repmgr"
        want pgpool2 have pgpool
        valkey_there || want "$(valkey_package)" false
        want age have age
        want git have git
        ;;
    lint) want shellcheck have shellcheck; want valgrind have valgrind ;;
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
    platform)
        have sops || "$TOOLS/sops-build.sh" >/dev/null
        have gitea || "$TOOLS/gitea-build.sh" >/dev/null
        ;;
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
