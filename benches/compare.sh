#!/usr/bin/env bash
# Times workplan beside the limit and its rivals: the same steps of `true`, in one interleaved run.
#
#   benches/compare.sh [--steps N] [--rounds N] [--out FILE]
#
# What is not installed is left out and said. Rivals are looked for on the PATH and in the folder
# that RIVALS names. Other work on the machine shows in every number; the smallest of several
# interleaved rounds is the one least disturbed, so it is what is compared, with the median beside it.
set -euo pipefail
cd "$(dirname "$0")/.."

STEPS=500 ROUNDS=7 OUT=
while [ $# -gt 0 ]; do
    case $1 in
    --steps) STEPS=$2 && shift 2 ;;
    --rounds) ROUNDS=$2 && shift 2 ;;
    --out) OUT=$2 && shift 2 ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 2 ;;
    esac
done
export PATH="${RIVALS:+$RIVALS:}$PATH"

have() { command -v "$1" >/dev/null 2>&1; }
have hyperfine || { echo 'compare: hyperfine is missing (Debian: apt-get install hyperfine)' >&2; exit 2; }

target=${CARGO_TARGET_DIR:-target}
tool=$target/release/workplan-bench
workplan=${WORKPLAN_BIN:-$target/x86_64-unknown-linux-musl/release/workplan}
[ -x "$tool" ] || cargo build --locked --release --package workplan-bench >&2
[ -x "$workplan" ] || make release >&2
tool=$(realpath "$tool") workplan=$(realpath "$workplan")

# Beside the sources, not in /tmp, which may be memory: the record has to reach a disk.
world=$(mktemp -d "$PWD/$target/compare.XXXXXX" 2>/dev/null || mktemp -d "$target/compare.XXXXXX")
trap 'rm -rf "$world"' EXIT

for shape in chain wide; do
    "$tool" rivals "$world/$shape" "$shape" "$STEPS"
    (cd "$world/$shape" && if have tofu; then tofu init -no-color >/dev/null 2>&1; fi
        if have terraform; then terraform init -no-color >/dev/null 2>&1; fi) || true
done

# name|prepare|command; each in the folder of its shape.
contestants() { # contestants SHAPE
    local shape=$1 jobs=1
    if [ "$shape" = wide ]; then jobs=2; fi
    echo "limit|true|$tool limit $shape $STEPS $jobs record"
    echo "workplan|rm -rf state|$workplan run workplan.md --yes --jobs $jobs --state state"
    if have make; then echo "make|true|make -s -j$jobs all"; fi
    if have ninja; then echo "ninja|rm -f .ninja_log .ninja_deps|ninja --quiet -j$jobs"; fi
    if have just; then echo "just|true|just --quiet all"; fi
    if have task; then echo "go-task|rm -rf .task|task --silent --concurrency $jobs"; fi
    if have snakemake; then
        echo "Snakemake|rm -rf o .snakemake|snakemake --quiet all --cores $jobs"
    fi
    if have dagu; then
        echo "Dagu|rm -rf dagu|env DAGU_HOME=$world/$shape/dagu dagu start --quiet dag.yaml"
    fi
    local apply="apply -auto-approve -no-color -parallelism=$jobs"
    if have tofu; then echo "OpenTofu|rm -f terraform.tfstate*|tofu $apply"; fi
    if have terraform; then echo "Terraform|rm -f terraform.tfstate*|terraform $apply"; fi
}

for name in make ninja just task dagu snakemake tofu; do
    have "$name" || echo "compare: $name is not installed and is left out" >&2
done

for round in $(seq "$ROUNDS"); do
    for shape in chain wide; do
        while IFS='|' read -r name prepare command; do
            # The slow ones need no seven rounds to be seen to be slow.
            case $name in
            Snakemake | Dagu | OpenTofu | Terraform) [ "$round" -le 3 ] || continue ;;
            esac
            echo "round $round: $shape $name" >&2
            (cd "$world/$shape" && hyperfine --runs 1 --shell=none --style none \
                --prepare "sh -c '$prepare'" --export-json "$world/one.json" "$command" >/dev/null 2>&1) ||
                { echo "compare: $name failed" >&2; continue; }
            python3 -c 'import json,sys
print(sys.argv[2], sys.argv[3], json.load(open(sys.argv[1]))["results"][0]["times"][0])' \
                "$world/one.json" "$shape" "$name" >>"$world/times"
        done < <(contestants "$shape")
    done
done

python3 benches/table.py "$world/times" "$STEPS" | tee ${OUT:+"$OUT"}
