#!/usr/bin/env python3
"""image_test.py STATUS WORDS -- COMMAND...: COMMAND ends with STATUS and says WORDS, once; 77 skips."""
import subprocess
import sys

SKIPPED = 77


def main():
    split = sys.argv.index("--")
    status, words = int(sys.argv[1]), sys.argv[2]
    command = sys.argv[split + 1:]
    if "--platform=kvm" in command:
        platforms = subprocess.run([command[0], "platforms"], stdout=subprocess.PIPE, check=True).stdout.decode()
        line = next(line for line in platforms.splitlines() if line.startswith("kvm "))
        if line.split()[1] != "available":
            print(f"SKIP: {line}")
            return SKIPPED
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    output = done.stdout.decode(errors="replace")
    print(output, end="")
    if done.returncode == SKIPPED and "SKIP:" in output:
        return SKIPPED
    if done.returncode != status:
        print(f"status {done.returncode}, not {status}")
        return 1
    if output.count(words) != 1:
        print(f"does not say {words!r} once")
        return 1
    return 0


sys.exit(main())
