#!/bin/sh
# fails.sh TRIES COMMAND...: passes when the command fails, or does not end, in one of so many tries: a control that never fails proves nothing.
tries=$1
shift
for try in $(seq "$tries"); do
    timeout -k 5 20 "$@" >/dev/null 2>&1 || { echo "failed as it should, try $try, status $?"; exit 0; }
done
echo "passed $tries times: the test does not notice what this control leaves out"
exit 1
