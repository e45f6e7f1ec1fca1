# shellcheck shell=bash
# What the demonstrations share: how they show a command, and how they end.
# The demonstration that sources this has `ended`, which puts away what it made.
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

finish() {
    local status=$?
    ended
    if [ "$status" -ne 0 ]; then printf '\n%sThe demo did not come to its end (exit %d).%s\n' "$bold" "$status" "$plain" >&2; fi
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n%s# %s%s\n' "$dim" "$*" "$plain"; }
prompt() { printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"; }
show() { # show EXIT COMMAND…: shows a command, runs it, and insists on how it ends
    local wanted=$1 got=0
    shift
    prompt "$*"
    "$@" </dev/null || got=$?
    if [ "$got" -ne "$wanted" ]; then die "\`$*\` ended with $got, not $wanted"; fi
    if [ "$wanted" -ne 0 ]; then printf '%s(exit %d)%s\n' "$dim" "$got" "$plain"; fi
}
