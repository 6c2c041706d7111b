#!/usr/bin/env python3
"""What a program does many times in a row (fork + exit + wait, cycles of sockets) must not make memory, descriptors or processes of the host grow.

    growth.py --pal build/pal PROGRAM COUNT      PROGRAM: tests/guest/fork_marathon.c, socket_cycles.c

Looks at everything below pal after a first part, which fills pools, and again after COUNT more.
"""
import argparse
import os
import subprocess
import sys
import time

import host_use
import support

WARM_UP = 2000
# How much more (KiB of memory) may be there the second time: pools breathe (a spare carrier with its first pages), growth does not stop.
SLACK = {"processes": 1, "threads": 4, "descriptors": 0, "anonymous": 512, "shared": 1024, "page tables": 128, "mappings": 24}


def grown(before, after):
    """Pages of files don't count: other instances share them."""
    return [name for name in SLACK if after[name] > before[name] + SLACK[name]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("program")
    parser.add_argument("count", type=int)
    args = parser.parse_args()
    start = time.monotonic()
    with subprocess.Popen(support.pal_run(args.pal) + [os.path.abspath(args.program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          cwd="/", text=True) as pal:
        def rounds(count):
            pal.stdin.write(f"{count}\n")
            pal.stdin.flush()
            if pal.stdout.readline() != "done\n":
                sys.exit("the guest failed: " + pal.stdout.read())
        rounds(WARM_UP)
        before = host_use.settled(pal.pid)
        rounds(args.count)
        after = host_use.settled(pal.pid)
        for _ in range(30):  # whoever cleans up may have had no processor so far
            if not grown(before, after):
                break
            time.sleep(1)
            seen = host_use.settled(pal.pid)
            after = {name: min(seen[name], after[name]) for name in seen}
        pal.stdin.close()
        status = pal.wait()
    more = grown(before, after)
    for name in SLACK:
        print(f"{name:12} {before[name]:8} {after[name]:8}{'  has grown' if name in more else ''}")
    print(f"{args.count} rounds in {time.monotonic() - start:.1f} s, status {status}")
    sys.exit(1 if more or status else 0)


if __name__ == "__main__":
    main()
