#!/bin/sh
# fails.sh TRIES COMMAND...: passes when the command fails, or does not end, in one of so many tries: a control that never fails proves nothing.
# A command that could not begin proves nothing either.
tries=$1
shift
for try in $(seq "$tries"); do
    timeout -k 5 ${LIMIT:-100} "$@" >/dev/null 2>&1
    status=$?
    case $status in
    0) ;;
    2 | 77 | 125 | 126 | 127) echo "did not run: status $status"; exit 1 ;;
    *) echo "failed as it should, try $try, status $status"; exit 0 ;;
    esac
done
echo "passed $tries times: the test does not notice what this control leaves out"
exit 1
