#!/usr/bin/env python3
"""Stressors of Debian's stress-ng under pal, at once: they must end well and find nothing to complain about.

    stress.py --pal build/pal --seconds N [--on-host] STRESSOR...
"""
import argparse
import os
import re
import shutil
import sys
import tempfile

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
    parser.add_argument("--on-host", action="store_true", help="files in a writable mount, not in the guest's own /tmp")
    parser.add_argument("stressor", nargs="+")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as there:
        os.chmod(there, 0o777)
        run(args, os.path.realpath(there))


def run(args, there):
    if not shutil.which("stress-ng"):
        print("skipped: stress-ng is not installed")
        sys.exit(SKIPPED)
    support.adopt_orphans()
    # It asks /sys how many processors and caches there are.
    options = ["--mount", "/sys:/sys", "--cwd", "/tmp", "--pids", "3000", "--memory", "2G"]
    files = "/tmp"
    if args.on_host:
        files = "/var/tmp"
        options += ["--mount", f"{there}:/var/tmp:rw"]
    # Two of the same kind get into each other's way; several kinds do so anyway.
    instances = [word for name in args.stressor for word in (f"--{name}", "2" if len(args.stressor) == 1 else "1")]
    seconds = args.seconds
    while True:
        argv = support.pal_run(args.pal, options) + [
            "/usr/bin/python3", "-c", AS_SOMEBODY,
            "stress-ng", *instances, "--timeout", str(seconds), "--temp-path", files, "--verify", "--metrics-brief"]
        # What it has begun it ends, which takes long on a slow machine.
        result = support.run(argv, timeout=280 + 10 * seconds, cwd="/")
        text = (result.out + result.err).decode(errors="replace")
        sys.stdout.write(text)
        complaints = [line for line in text.splitlines() if COMPLAINT.search(line)]
        _, left = support.leftovers()
        work = [re.search(rf"\] {name} +(\d+) +[0-9.]+ ", text) for name in args.stressor]
        print(f"status {result.status} after {result.seconds:.1f} s, {len(complaints)} complaints, left running: {left}")
        if result.status != 0 or complaints or left or not all(work):
            sys.exit(1)
        if all(int(done[1]) > 0 for done in work):
            return
        # One of their operations can be long: on a loaded machine the time was over before one was done.
        seconds *= 2
        if seconds > 40:
            sys.exit("nothing done by " + " ".join(name for name, done in zip(args.stressor, work) if int(done[1]) == 0))


if __name__ == "__main__":
    main()
