#!/usr/bin/env python3
"""failing_writes.py PAL: what the guest writes to a pipe without a reader, and to a file over the host's limit, fails for the guest as it
does natively, and the instance lives on; 77 skips."""
import os
import subprocess
import sys
import tempfile

SKIPPED = 77
SECONDS = 240  # software KVM emulates ring 0
# The signal is ignored, so the guest sees the error and can tell of it.
READER = "trap '' PIPE; /bin/busybox yes 2>/dev/null; echo status $? >&2"
LIMIT = "trap '' XFSZ; /bin/busybox dd if=/dev/zero bs=4096 count=64 2>/dev/null; echo status $? >&2"


def with_closed_reader(command):
    process = subprocess.Popen(command + [READER], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = process.stdout.read(2)
    process.stdout.close()
    said = process.stderr.read()
    return process.wait(SECONDS), first, said


def with_small_files(command):
    limit = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh"]
    with tempfile.TemporaryFile() as out:
        done = subprocess.run(limit + command + [LIMIT], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE,
                              timeout=SECONDS, check=False)
        return done.returncode, os.fstat(out.fileno()).st_size, done.stderr


def main():
    pal = sys.argv[1]
    platforms = subprocess.run([pal, "platforms"], stdout=subprocess.PIPE, check=True).stdout.decode()
    line = next(line for line in platforms.splitlines() if line.startswith("kvm "))
    if line.split()[1] != "available":
        print(f"SKIP: {line}")
        return SKIPPED
    shell = ["/bin/busybox", "sh", "-c"]
    failed = 0
    for run in with_closed_reader, with_small_files:
        native, guest = run(shell), run([pal, "run", "--platform=kvm", "--"] + shell)
        print(f"{run.__name__}: native {native}, kvm {guest}")
        failed |= native != guest or b"status 1" not in native[2]
    return failed


sys.exit(main())
