#!/bin/sh
# sandbox_list.sh SANDBOX_TEST DOCUMENT: the table in DOCUMENT is what the filter allows, line by line.
set -eu
allowed=$("$1" --list)
documented=$(grep '^|' "$2")
[ "$(printf '%s\n' "$allowed" | wc -l)" -gt 50 ] || { echo "too short to be the filter's list: $allowed"; exit 1; }
[ "$allowed" = "$documented" ] && exit
echo "the filter allows another list than $2 has; it is:"
printf '%s\n' "$allowed"
exit 1
