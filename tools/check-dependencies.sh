#!/usr/bin/env bash
# Whether docs/dependencies.md names exactly the direct dependencies of the workspace.
set -euo pipefail
cd "$(dirname "$0")/.."
# The keys of every dependency table; members name each other as `workplan-…`.
actual=$(awk '/^\[/ { on = /dependencies\]$/ } on && /^[a-z]/ { sub(/[ .=].*/, ""); print }' \
    engine/Cargo.toml platform/Cargo.toml steps/Cargo.toml cli/Cargo.toml |
    grep -v '^workplan-' | sort -u)
# shellcheck disable=SC2016 # a backquote is meant
named=$(grep -E '^\| `' docs/dependencies.md | cut -d'|' -f2 | grep -oE '`[^`]+`' | tr -d '`' | sort -u)
if ! diff <(printf '%s\n' "$named") <(printf '%s\n' "$actual"); then
    echo 'check-dependencies: < is named in docs/dependencies.md only, > is missing there' >&2
    exit 1
fi
