"""Runs a shell script natively and under `pal run` and compares: same output, same status.

A script gets $PORT and $PORT2, free on the host, and works in a directory of its own, $dir. Its output tells no times, speeds or
numbers of processes. Programs it needs are named beside it; without them the test is skipped (status 77) and says which; so it is
when the script itself ends natively with that status.
"""
import argparse
import difflib
import os
import shutil
import sys

import support

PREPARE = """
set -u
dir=$(mktemp -d) && cd "$dir" || exit 9
trap 'rm -rf "$dir"' EXIT
wait_for() { for i in $(seq 2000); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; echo "never came: $*"; return 1; }
"""


def add(scripts, name, needs, text, timeout=280, options=()):
    """timeout: seconds, for each of the two runs; options: of `pal run`."""
    scripts[name] = (needs, PREPARE + text, timeout, options)


def begin(scripts):
    """The command line, of which --pal, --verbose and a name out of `scripts` are known, and the environment for the script; its
    first member are the programs it needs: without them the test ends here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variable for the script")
    parser.add_argument("name", choices=scripts)
    args = parser.parse_args()
    path, libraries = support.program_path()
    missing = [n for n in scripts[args.name][0] if not shutil.which(n, path=path)]
    if missing:
        print("skipped: not installed:", *missing)
        sys.exit(77)
    port, port2 = support.free_ports(2)
    os.environ.pop("TMPDIR", None)  # which may be a place in the host's /tmp: the guest has one of its own
    return args, dict(os.environ, LC_ALL="C", HOME="/root", PORT=str(port), PORT2=str(port2), PATH=path, LD_LIBRARY_PATH=libraries,
                      **dict(item.split("=", 1) for item in args.set))


def main(scripts):
    args, env = begin(scripts)
    _, text, timeout, options = scripts[args.name]
    argv = ["/bin/bash", "-c", text]
    support.adopt_orphans()
    native = support.run(argv, b"", timeout, env, "/")
    support.leftovers(1)
    if native.status == 77:
        sys.stdout.write(native.out.decode(errors="replace"))
        return 77
    guest = support.run(support.pal_run(args.pal, options) + argv, b"", timeout, env, "/")
    if args.verbose:
        print(f"native {native.seconds:.1f} s, under pal {guest.seconds:.1f} s")
        sys.stdout.write(guest.out.decode(errors="replace"))
    equal = True
    for title, a, b in (("standard output", native.out, guest.out), ("standard error", native.err, guest.err)):
        if a != b:
            print(f"{title} differs (- native, + under pal):")
            lines = difflib.unified_diff(a.decode(errors="replace").splitlines(), b.decode(errors="replace").splitlines(),
                                         lineterm="", n=1)
            print("\n".join(list(lines)[:60]))
            equal = False
    if native.status != guest.status:
        print(f"status differs: native {native.status}, under pal {guest.status}")
        equal = False
    if native.status != 0:
        print(f"the native run ended with {native.status}: the test proves nothing")
        equal = False
    _, left = support.leftovers()
    if left:
        print(f"left running: {left}")
        equal = False
    return 0 if equal else 1

