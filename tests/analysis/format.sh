#!/bin/sh
# format.sh SOURCE: every C source is as .clang-format has it; `clang-format -i` on the files named mends it.
cd "$1" || exit 1
find platform shim pal fuzz tests bench -name '*.[ch]' -o -name '*.cc' | sort | xargs clang-format --dry-run --Werror
