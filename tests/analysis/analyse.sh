#!/bin/sh
# analyse.sh PRESET SOURCE BUILD [TARGET]: builds TARGET (pal) as the preset says, where findings are errors; runs it if it is a test.
set -eu
preset=$1 source=$2 build=$3 target=${4:-pal}
log=$build.log
mkdir -p "$build"
cd "$source"
cmake --preset "$preset" -B "$build" >"$log" 2>&1 || { cat "$log"; exit 1; }
if ! ninja -k 0 -j 2 -C "$build" "$target" >"$log" 2>&1; then
    grep -E -A 6 'error:|FAILED|undefined' "$log" | head -n 200
    exit 1
fi
case $target in
*_tests) exec "$build/tests/unit/$target" --gtest_brief=1 ;;
esac
