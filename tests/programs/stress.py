#!/usr/bin/env python3
"""A stressor of Debian's stress-ng under pal: it must end well and find nothing to complain about.

    stress.py --pal build/pal --seconds N STRESSOR
"""
import argparse
import os
import re
import shutil
import sys

import support

SKIPPED = 77
# Not as root: some stressors refuse that, others do more as root than a process may ask of its host.
AS_SOMEBODY = "import os, sys\n" \
              "if os.getuid() == 0: os.setgroups([]), os.setresgid(1000, 1000, 1000), os.setresuid(1000, 1000, 1000)\n" \
              "os.execvp(sys.argv[1], sys.argv[1:])"
COMPLAINT = re.compile(r"stress-ng: (fail|error|warn)|skipping stressor|not implemented|terminated by|unsuccessful")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("stressor")
    args = parser.parse_args()
    if not shutil.which("stress-ng"):
        print("skipped: stress-ng is not installed")
        sys.exit(SKIPPED)
    support.adopt_orphans()
    # It asks /sys how many processors and caches there are.
    options = ["--mount", "/sys:/sys", "--cwd", "/tmp", "--pids", "3000", "--memory", "2G"]
    seconds = args.seconds
    while True:
        argv = support.pal_run(args.pal, options) + [
            "/usr/bin/python3", "-c", AS_SOMEBODY,
            "stress-ng", f"--{args.stressor}", "2", "--timeout", str(seconds), "--temp-path", "/tmp", "--verify", "--metrics-brief"]
        # What it has begun it ends, which takes long on a slow machine.
        result = support.run(argv, timeout=100 + 10 * seconds, cwd="/")
        text = (result.out + result.err).decode(errors="replace")
        sys.stdout.write(text)
        complaints = [line for line in text.splitlines() if COMPLAINT.search(line)]
        _, left = support.leftovers()
        work = re.search(rf"\b{args.stressor} +(\d+) +[0-9.]+ ", text)
        print(f"status {result.status} after {result.seconds:.1f} s, {len(complaints)} complaints, left running: {left}")
        if result.status != 0 or complaints or left or not work:
            sys.exit(1)
        if int(work[1]) > 0:
            return
        # One of its operations can be long: on a loaded machine the time was over before one was done.
        seconds *= 2
        if seconds > 40:
            sys.exit("it did nothing")


if __name__ == "__main__":
    main()
