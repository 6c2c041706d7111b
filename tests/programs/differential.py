#!/usr/bin/env python3
"""Runs a program natively and under `pal run --`; passes when standard output, standard error and status are equal.

    differential.py --pal build/pal CASE             one of cases.py
    differential.py --pal build/pal -- PROGRAM ...   any command
"""
import argparse
import difflib
import os
import sys

import cases
import support


def show(title, native, guest):
    sys.stdout.write(f"{title} differs (- native, + under pal):\n")
    lines = difflib.unified_diff(native.decode(errors="replace").splitlines(), guest.decode(errors="replace").splitlines(),
                                 lineterm="", n=1)
    for i, line in enumerate(lines):
        if i == 60:
            sys.stdout.write("...\n")
            break
        sys.stdout.write(line + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("--option", action="append", default=[], help="option of `pal run`")
    parser.add_argument("--timeout", type=int, help="seconds for each of the two runs")
    parser.add_argument("--status", type=int, help="what the native run must end with")
    parser.add_argument("--tasks", type=int, default=0, help="skipped where the host does not let so many tasks live")
    parser.add_argument("--native", default="", help="words before the native command; skipped where they cannot run `true`")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("words", nargs="+")
    args = parser.parse_args()

    if len(args.words) == 1 and args.words[0] in cases.CASES:
        case = cases.CASES[args.words[0]]
    else:
        case = cases.Case(argv=args.words, status=None)
    case.timeout = args.timeout or case.timeout
    case.status = case.status if args.status is None else args.status
    limit = support.task_limit()
    if limit < args.tasks:
        print(f"skipped: {args.tasks} tasks at once, and the host allows {limit}")
        sys.exit(77)
    env = dict(os.environ, LC_ALL="C", GUEST_VARIABLE="seen", HOME="/root")
    # Where both runs find the same: pal's /tmp is its own, so the host's is no place to start in.
    support.adopt_orphans()
    before = args.native.split()
    if before and support.run(before + ["true"]).status != 0:
        print(f"skipped: {args.native} does not work here")
        sys.exit(77)
    native = support.run(before + case.argv, case.stdin, case.timeout, env, "/")
    support.leftovers(1)
    guest = support.run(support.pal_run(args.pal, args.option) + case.argv, case.stdin, case.timeout, env, "/")

    if args.verbose:
        sys.stdout.write(native.out.decode(errors="replace"))
    equal = True
    for title, a, b in (("standard output", native.out, guest.out), ("standard error", native.err, guest.err)):
        if case.sort:
            a, b = (b"\n".join(sorted(text.split(b"\n"))) for text in (a, b))
        if a != b:
            show(title, a, b)
            equal = False
    if native.status != guest.status:
        sys.stdout.write(f"status differs: native {native.status}, under pal {guest.status}\n")
        equal = False
    _, left = support.leftovers()
    if left:
        sys.stdout.write(f"left running: {left}\n")
        equal = False
    if b": not true: " in native.out:  # a CHECK of tests/guest/guest.h, in whichever process
        sys.stdout.write(native.out.decode(errors="replace") + "the native run failed as well: the case itself is wrong\n")
        equal = False
    if native.status == "timeout":
        sys.stdout.write("the native run took too long: the case itself is wrong\n")
        equal = False
    if case.status is not None and native.status != case.status:
        sys.stdout.write(f"the native run ended with {native.status}, not {case.status}: {native.err.decode(errors='replace')}\n")
        equal = False
    sys.stdout.write(f"native {native.seconds:.2f} s, under pal {guest.seconds:.2f} s\n")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
