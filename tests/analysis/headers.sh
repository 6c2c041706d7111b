#!/bin/sh
# headers.sh SOURCE COMPILER: every header can be included first and alone.
set -eu
cd "$1"
failed=0
for header in $(find platform shim pal fuzz tests -name '*.h' ! -path 'shim/base/include/*' ! -name '*_frame.h' ! -path 'tests/guest/*'); do
    case $header in
    pal/* | fuzz/* | tests/*) flags="" ;;
    *) flags="-ffreestanding -mgeneral-regs-only -Ishim/base/include" ;;
    esac
    # shellcheck disable=SC2086
    "$2" -std=gnu11 -fsyntax-only -Wall -Wextra -Werror -Wno-unused-function -Wno-pragma-once-outside-header -I. $flags -x c "$header" ||
        failed=1
done
exit $failed
