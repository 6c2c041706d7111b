#!/usr/bin/env python3
"""Bad command lines and bad programs: exactly one line on standard error, the right status, nothing left running or mounted.

    bad_input.py --pal build/pal --scratch DIR CASE
"""
import argparse
import os
import re
import shutil
import struct
import sys

import support

EHDR = "<16sHHIQQQIHHHHHH"
PHDR = "<IIQQQQQQ"
PT_LOAD, PT_INTERP = 1, 3


def elf(cls=2, data=1, kind=2, machine=62, entry=0x401000, phoff=64, phentsize=56, phnum=None, phdrs=(), tail=b"\xf4" * 64):
    ident = b"\x7fELF" + bytes([cls, data, 1, 0]) + bytes(8)
    header = struct.pack(EHDR, ident, kind, machine, 1, entry, phoff, 0, 0, 64, phentsize, len(phdrs) if phnum is None else phnum, 0, 0, 0)
    return header + b"".join(struct.pack(PHDR, *p) for p in phdrs) + tail


def load(offset=0, vaddr=0x401000, filesz=100, memsz=100, flags=5, align=4096):
    return (PT_LOAD, flags, offset, vaddr, vaddr, filesz, memsz, align)


def good_program():
    with open("/bin/busybox", "rb") as f:
        return f.read()


def elf32():
    return b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x8048000, 52, 0, 0, 52, 32, 1, 0, 0, 0) + bytes(200)


def with_interpreter(path):
    name = path.encode() + b"\0"
    phdrs = [load(filesz=64 + 2 * 56 + len(name), memsz=4096), (PT_INTERP, 4, 64 + 2 * 56, 0x401000 + 176, 0, len(name), len(name), 1)]
    return elf(phdrs=phdrs, tail=name)


# name: (content, mode, status). The file is run by its path.
FILES = {
    "not-an-elf": (b"just some text, no program\n", 0o755, 126),
    "empty": (b"", 0o755, 126),
    "binary-noise": (bytes((i * 37 + 11) & 0xFF for i in range(5000)), 0o755, 126),
    "elf-32-bit": (elf32(), 0o755, 126),
    "elf-aarch64": (elf(machine=183, phdrs=[load()]), 0o755, 126),
    "elf-big-endian": (elf(data=2, phdrs=[load()]), 0o755, 126),
    "elf-relocatable": (elf(kind=1, phdrs=[load()]), 0o755, 126),
    "elf-header-cut": (good_program()[:40], 0o755, 126),
    "elf-cut-after-header": (good_program()[:64], 0o755, 126),
    "elf-cut-in-program-headers": (good_program()[:150], 0o755, 126),
    "elf-cut-in-text": (good_program()[:100000], 0o755, None),
    "elf-no-program-headers": (elf(), 0o755, 126),
    "elf-headers-outside": (elf(phoff=1 << 40, phnum=4), 0o755, 126),
    "elf-headers-overflow": (elf(phoff=(1 << 64) - 8, phnum=4), 0o755, 126),
    "elf-too-many-headers": (elf(phnum=0xFFFF), 0o755, 126),
    "elf-odd-header-size": (elf(phentsize=8, phdrs=[load()]), 0o755, 126),
    "elf-segment-outside-file": (elf(phdrs=[load(offset=1 << 30, filesz=4096)]), 0o755, 126),
    "elf-segment-offset-overflow": (elf(phdrs=[load(offset=(1 << 64) - 4096, filesz=8192)]), 0o755, 126),
    "elf-segment-memory-below-file": (elf(phdrs=[load(filesz=200, memsz=100)]), 0o755, 126),
    "elf-segment-in-kernel-half": (elf(phdrs=[load(vaddr=0xFFFF800000000000)]), 0o755, 126),
    "elf-segment-wraps": (elf(phdrs=[load(vaddr=0x7FFFFFFFF000, memsz=1 << 62)]), 0o755, 126),
    "elf-segment-misaligned": (elf(phdrs=[load(offset=1, vaddr=0x401000)]), 0o755, 126),
    "elf-interpreter-missing": (with_interpreter("/no/such/ld.so"), 0o755, (126, 127)),
    "elf-interpreter-not-an-elf": (with_interpreter("/etc/passwd"), 0o755, 126),
    "script-interpreter-missing": (b"#!/no/such/interpreter\n", 0o755, (126, 127)),
    "script-interpreter-loop": (b"#!@SELF@\n", 0o755, 126),
    "script-without-interpreter": (b"#!\n", 0o755, 126),
    "no-permission": (good_program(), 0o644, 126),
}
# name: (words after pal, status)
WORDS = {
    "no-such-program": (["run", "--", "no-such-program-anywhere"], 127),
    "no-such-path": (["run", "--", "/no/such/program"], 127),
    "no-such-path-below-a-file": (["run", "--", "/etc/passwd/program"], (126, 127)),
    "empty-name": (["run", "--", ""], 127),
    "a-directory": (["run", "--", "/etc"], 126),
    "long-name": (["run", "--", "/" + "a" * 5000], (126, 127)),
    "no-command": ([], 2),
    "unknown-command": (["walk"], 2),
    "unknown-option": (["run", "--bogus", "--", "true"], 2),
    "unknown-short-option": (["run", "-x", "true"], 2),
    "no-program": (["run"], 2),
    "option-without-value": (["run", "--root"], 2),
    "root-missing": (["run", "--root", "/no/such/dir", "--", "true"], 2),
    "root-is-a-file": (["run", "--root", "/etc/passwd", "--", "true"], 2),
    "root-is-empty": (["run", "--root", "@SCRATCH@/empty-root", "--", "/bin/true"], 127),
    "mount-source-missing": (["run", "--mount", "/no/such:/mnt", "--", "true"], 2),
    "mount-without-target": (["run", "--mount", "/etc", "--", "true"], 2),
    "mount-mode": (["run", "--mount", "/etc:/mnt:rx", "--", "true"], 2),
    "cwd-missing": (["run", "--cwd", "/no/such/dir", "--", "/bin/true"], (2, 126, 127)),
    "cwd-is-a-file": (["run", "--cwd", "/etc/passwd", "--", "/bin/true"], (2, 126, 127)),
    "env-without-value": (["run", "--env", "A", "--", "true"], 2),
    "platform-unknown": (["run", "--platform", "vax", "--", "true"], 2),
    "intercept-unknown": (["run", "--intercept", "magic", "--", "true"], 2),
    "net-unknown": (["run", "--net", "internet", "--", "true"], 2),
    "publish-a-word": (["run", "--publish", "http", "--", "true"], 2),
    "publish-too-high": (["run", "--publish", "65536", "--", "true"], 2),
    "publish-any-to-itself": (["run", "--publish", "0", "--", "true"], 2),
    "publish-without-guest-port": (["run", "--publish", "8080:", "--", "true"], 2),
    "publish-three-ports": (["run", "--publish", "1:2:3", "--", "true"], 2),
    "publish-to-no-network": (["run", "--net=none", "--publish", "8080", "--", "true"], 2),
    "publish-of-the-host": (["run", "--net=host", "--publish", "8080", "--", "true"], 2),
    "trace-file-unwritable": (["run", "--trace=/no/such/dir/file", "--", "true"], 2),
    "platforms-with-arguments": (["platforms", "all"], 2),
}
# Files whose fault shows only when they run: a signal's status, and no line of pal's.
RUNS_AND_DIES = {"elf-cut-in-text"}


def mounts_that_name(args):
    with open("/proc/mounts", encoding="utf-8") as f:
        return [line for line in f if args.scratch in line or "pal" in line]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("--scratch", required=True)
    parser.add_argument("case")
    args = parser.parse_args()
    os.makedirs(args.scratch + "/empty-root", exist_ok=True)
    if args.case in FILES:
        content, mode, status = FILES[args.case]
        path = os.path.abspath(os.path.join(args.scratch, args.case))
        if os.path.exists(path):
            os.unlink(path)
        with open(path, "wb") as f:
            f.write(content.replace(b"@SELF@", path.encode()))
        os.chmod(path, mode)
        command = support.pal_run(args.pal) + [path]
    else:
        words, status = WORDS[args.case]
        command = [os.path.abspath(args.pal)] + [w.replace("@SCRATCH@", args.scratch) for w in words]
    support.adopt_orphans()
    mounts = mounts_that_name(args)
    result = support.run(command, timeout=280, cwd="/")
    seconds, left = support.leftovers()
    mounted = mounts_that_name(args) != mounts

    problems = []
    lines = result.err.decode(errors="replace").splitlines()
    if args.case in RUNS_AND_DIES:
        if result.status not in (132, 134, 135, 139) and not (result.status == 126 and len(lines) == 1):
            problems.append(f"status {result.status}, not that of a fault")
    else:
        if len(lines) != 1 or not re.match(r"pal: .{8,}", lines[0]):
            problems.append(f"standard error is not one line of pal's: {lines}")
        if result.status not in (status if isinstance(status, tuple) else (status,)):
            problems.append(f"status {result.status}, not {status}")
        if status == 2 and lines and "--help" not in lines[0] and "pal platforms" not in lines[0]:
            problems.append(f"no hint where to look: {lines[0]}")
    if result.out:
        problems.append(f"standard output: {result.out[:200]}")
    if left:
        problems.append(f"left running: {left}")
    if mounted:
        problems.append("left something mounted")
    print("\n".join(lines) or "(no message)", f"[status {result.status}]")
    for problem in problems:
        print("PROBLEM:", problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
