#!/usr/bin/env python3
"""One file of CPython's own test-suite (Debian: libpython3.11-testsuite), natively and under `pal run`: what passes there passes here.

    cpython.py --pal build/pal --scratch DIRECTORY test_mmap      ends with 77, and says why, where the suite is not installed
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

import support

QUICK = [
    "test_epoll",
    "test_fileio",
    "test_mmap",
    "test_os",
    "test_pathlib",
    "test_posix",
    "test_pty",
    "test_shutil",
    "test_tempfile",
]
LONG = [
    "test_asyncio",
    "test_faulthandler",
    "test_ftplib",
    "test_httplib",
    "test_io",
    "test_mailbox",
    "test_multiprocessing_fork",
    "test_selectors",
    "test_signal",
    "test_socket",
    "test_ssl",
    "test_subprocess",
    "test_tarfile",
    "test_threading",
    "test_zipfile",
]
# Families of sockets that there are not; a test of VSOCK's waits for ever on some hosts.
IGNORED = {"test_socket": ["*UDPLITE*", "*VSOCK*"]}


def outcomes(prefix, scratch, name, only=()):
    """{test: passed, skipped or what went wrong}; tests of `only` alone if there are any."""
    report = os.path.join(scratch, "report.xml")
    if os.path.exists(report):
        os.unlink(report)
    argv = [*prefix, "/usr/bin/python3", "-m", "test", "--junit-xml", report]
    for test in only:
        argv += ["-m", test]
    for test in IGNORED.get(name, []):
        argv += ["-i", test]
    result = support.run([*argv, name], timeout=1500, env=dict(os.environ, LC_ALL="C.UTF-8"), cwd="/")
    found = {}
    if os.path.exists(report):
        for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase"):
            told = [child for child in case if child.tag in ("skipped", "failure", "error")]
            found[case.get("name")] = "passed" if not told else told[0].tag if told[0].tag == "skipped" else told[0].text or told[0].tag
    if not found:
        print(f"no report; status {result.status}\n" + (result.out + result.err).decode(errors="replace")[-4000:])
    return found


def has_suite(name):
    """Debian's python3 is asked: the one that runs this script may be another."""
    ask = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('test.{name}') is None)"
    return os.path.exists("/usr/bin/python3") and subprocess.run(["/usr/bin/python3", "-c", ask], check=False).returncode == 0


def worse(native, guest):
    """What passes natively and not here; and what is skipped natively and fails here: it may find its limits lower, and run."""
    allowed = {"passed": ["passed"], "skipped": ["skipped", "passed"]}
    return sorted(test for test, told in native.items() if told in allowed and guest.get(test) not in allowed[told])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("--scratch", required=True)
    parser.add_argument("name", choices=QUICK + LONG)
    args = parser.parse_args()

    if not has_suite(args.name):
        print("skipped: no test-suite of Python's here (Debian's package libpython3.11-testsuite)")
        sys.exit(77)
    os.makedirs(args.scratch, exist_ok=True)
    scratch = tempfile.mkdtemp(dir=os.path.abspath(args.scratch))
    pal = support.pal_run(args.pal, ["--mount", f"{scratch}:{scratch}:rw"])
    support.adopt_orphans()
    native = outcomes([], scratch, args.name)
    guest = outcomes(pal, scratch, args.name)
    differ = worse(native, guest)
    # The suite has tests that count on a machine with nothing else to do: those may pass at a second go, by themselves.
    for _ in range(2):
        if differ:
            print("once more:", *differ)
            guest.update(outcomes(pal, scratch, args.name, differ))
            native.update(outcomes([], scratch, args.name, differ))
            differ = worse(native, guest)
    shutil.rmtree(scratch, ignore_errors=True)
    for test in differ:
        print(f"{test}: natively {native[test]}, under pal {guest.get(test, 'not run')}")
    print(f"{len(native)} tests, {sum(told == 'passed' for told in native.values())} pass natively, "
          f"{sum(told == 'passed' for told in guest.values())} under pal")
    sys.exit(0 if native and not differ else 1)


if __name__ == "__main__":
    main()
