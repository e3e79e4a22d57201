#!/usr/bin/env bash
# run.sh BUILD INPUTS [SEED [FOLDER [OPTION...]]]: the fuzzers of BUILD with so many inputs each. What they learn is kept in FOLDER,
# where a longer run goes on; an input that fails is kept there as crash-..., timeout-... or oom-...
set -euo pipefail
build=$1 inputs=$2 seed=${3:-1} folder=${4:-$(mktemp -d)}
here=$(cd "$(dirname "$0")" && pwd)
for name in potential functions c_api; do
    mkdir -p "$folder/$name"
    "$build/fuzz/fuzz_$name" -runs="$inputs" -seed="$seed" -max_len=8192 -timeout=20 -rss_limit_mb=2000 \
        -verbosity=0 -print_funcs=0 -mutate_depth=1 -entropic=0 -detect_leaks=0 -dict="$here/keywords.dict" \
        -artifact_prefix="$folder/" "$folder/$name" "$here/corpus/$name" "${@:5}"
done
