#!/usr/bin/env python3
"""fork + exit + wait many times in a row must not make memory, descriptors or processes of the host grow.

    growth.py --pal build/pal PROGRAM COUNT      PROGRAM: tests/guest/fork_marathon.c

Looks at everything below pal after a first part, which fills pools, and again after COUNT more.
"""
import argparse
import os
import subprocess
import sys
import time

import support

WARM_UP = 2000
# How much more may be there the second time: pools breathe (a spare carrier with its first pages), growth does not stop.
SLACK = {"processes": 1, "threads": 4, "descriptors": 0, "anonymous KiB": 512, "shared KiB": 1024, "page table KiB": 128, "mappings": 24}


def below(pid):
    found = [pid]
    for parent in found:
        for task in os.listdir(f"/proc/{parent}/task"):
            with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as f:
                found += [int(child) for child in f.read().split()]
    return found


def measure(pal):
    """What all processes of the instance have together. Files' pages don't count: other instances share them."""
    seen = {"processes": 0, "threads": 0, "descriptors": 0, "anonymous KiB": 0, "shared KiB": 0, "page table KiB": 0, "mappings": 0}
    for pid in below(pal):
        seen["processes"] += 1
        seen["threads"] += len(os.listdir(f"/proc/{pid}/task"))
        # pal has a table of its own; the others share one, which each of them shows.
        seen["descriptors"] = max(seen["descriptors"], len(os.listdir(f"/proc/{pid}/fd")))
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            for line in f:
                name, value = line.split()[:2]
                if name == "Pss_Anon:":
                    seen["anonymous KiB"] += int(value)
                elif name == "Pss_Shmem:":
                    seen["shared KiB"] += int(value)
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith("VmPTE:"):
                    seen["page table KiB"] += int(line.split()[1])
        with open(f"/proc/{pid}/maps", encoding="ascii") as f:
            seen["mappings"] += len(f.readlines())
    return seen


def settled(pal):
    """The least of some looks: a process that has just ended is reaped a moment later."""
    least = None
    for _ in range(10):
        time.sleep(0.05)
        try:
            seen = measure(pal)
        except OSError:  # it ended meanwhile
            continue
        least = {name: min(seen[name], least[name]) for name in seen} if least else seen
    if least is None:
        sys.exit("processes come and go: nothing to measure")
    return least


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("program")
    parser.add_argument("count", type=int)
    args = parser.parse_args()
    start = time.monotonic()
    with subprocess.Popen(support.pal_run(args.pal) + [os.path.abspath(args.program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          cwd="/", text=True) as pal:
        def forks(count):
            pal.stdin.write(f"{count}\n")
            pal.stdin.flush()
            if pal.stdout.readline() != "done\n":
                sys.exit("the guest failed: " + pal.stdout.read())
        forks(WARM_UP)
        before = settled(pal.pid)
        forks(args.count)
        after = settled(pal.pid)
        pal.stdin.close()
        status = pal.wait()
    grown = [name for name in before if after[name] > before[name] + SLACK[name]]
    for name in before:
        print(f"{name:16} {before[name]:8} {after[name]:8}{'  has grown' if name in grown else ''}")
    print(f"{args.count} forks in {time.monotonic() - start:.1f} s, status {status}")
    sys.exit(1 if grown or status else 0)


if __name__ == "__main__":
    main()
