#!/usr/bin/env python3
"""same_as_native.py PAL COMMAND: COMMAND, a line of shell, gives the same status and output natively and under `PAL run --platform=kvm`; 77 skips."""
import os
import shlex
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs"))
import support

SKIPPED = 77
SECONDS = 420 # software KVM emulates ring 0


def run(command):
    done = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=SECONDS, check=False)
    return done.returncode, done.stdout, done.stderr


def main():
    pal, command = sys.argv[1:]
    platforms = subprocess.run([pal, "platforms"], stdout=subprocess.PIPE, check=True).stdout.decode()
    line = next(line for line in platforms.splitlines() if line.startswith("kvm "))
    if line.split()[1] != "available":
        print(f"SKIP: {line}")
        return SKIPPED
    native, guest = run(command), run(f"{shlex.join(support.pal_run(pal, ['--platform=kvm']))} {command}")
    if guest[:2] == native[:2]:
        return 0
    print(f"native: {native}\nkvm: {guest}")
    return 1


sys.exit(main())
