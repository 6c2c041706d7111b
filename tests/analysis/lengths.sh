#!/bin/sh
# lengths.sh SOURCE: no source file above 800 lines.
cd "$1" || exit 1
find platform shim pal fuzz tests bench -name '*.[chS]' -o -name '*.cc' | xargs wc -l |
    awk '$1 > 800 && $2 != "total" { print; bad = 1 } END { exit bad }'
