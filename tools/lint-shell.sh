#!/usr/bin/env bash
# Every shell script of the repository through shellcheck.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t scripts < <(git ls-files -- '*.sh' .ci/run workplans/demo/bin tests/demo)
exec shellcheck --external-sources --source-path=SCRIPTDIR -- "${scripts[@]}"
