#!/bin/sh
# fails.sh TRIES STATUSES COMMAND...: passes when the command ends with one of STATUSES (with commas between) in one of so many tries: a control
# that never fails proves nothing, and one that fails in another way, or could not begin, does not either. 77: it cannot be tried here.
tries=$1 wanted=$2
shift 2
other=
for try in $(seq "$tries"); do
    said=$(timeout -k 5 "${LIMIT:-100}" "$@" 2>&1)
    status=$?
    case ,$wanted, in
    *,$status,*)
        echo "failed as it should, try $try, status $status"
        exit 0 ;;
    esac
    case $status/$said in
    0/*) ;;
    77/* | 125/*patching:*)
        echo "skipped: $said"
        exit 77 ;;
    *) other="try $try failed in another way, status $status: $said" ;;
    esac
done
echo "${other:-ended well $tries times: the test does not notice what this control leaves out}"
exit 1
