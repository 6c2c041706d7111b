#!/usr/bin/env bash
# follow_step.sh SOURCE STEP: types the first code block of that step of docs/porting.md in a fresh copy of the sources.
set -euo pipefail
source=$1 step=$2
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar -C "$source" --exclude='./build*' --exclude=./.git --exclude=./fuzz/corpus -cf - . | tar -C "$copy" -xf -

commands=$(awk -v step="## $step. " '
    index($0, "## ") == 1 { inside = index($0, step) == 1 }
    inside && /^```$/ { exit }
    inside && open { print }
    inside && /^```sh$/ { open = 1 }' "$source/docs/porting.md")
[ -n "$commands" ] || { echo "no commands for step $step in docs/porting.md" >&2; exit 1; }
printf '%s\n' "$commands"
cd "$copy"
bash -euo pipefail -x -c "$commands"
