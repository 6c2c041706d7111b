#!/usr/bin/env python3
"""Attempts to leave --root or to write what is read-only: all must fail, and the host's files be as they were.

    escapes.py --pal build/pal --programs DIR --scratch DIR CASE

The guest programs (tests/guest/escape_*.c) say what they reached; what they wrote is seen here, by a checksum over contents and metadata.
Cases named control_ show that this would be noticed.
"""
import argparse
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import support

MARKER = "outside-secret"
LEAST = {"leaving": 40, "writing": 60}


def fail(what):
    print(what)
    sys.exit(1)


def checksum(*tops):
    """Of everything but the time of the last read."""
    found = hashlib.sha256()
    for top in tops:
        for folder, dirs, files in os.walk(top):
            dirs.sort()
            for path in [folder] + [os.path.join(folder, name) for name in sorted(dirs + files)]:
                st = os.lstat(path)
                line = [path, st.st_mode, st.st_ino, st.st_nlink, st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_rdev]
                try:
                    line.append([(name, os.getxattr(path, name, follow_symlinks=False)) for name in
                                 sorted(os.listxattr(path, follow_symlinks=False))])
                except OSError:
                    pass
                if os.path.islink(path):
                    line.append(os.readlink(path))
                elif os.path.isfile(path):
                    with open(path, "rb") as f:
                        line.append(hashlib.sha256(f.read()).hexdigest())
                found.update(repr(line).encode())
    return found.hexdigest()


def write(path, text, mode=0o644):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


class Trees:
    """outside: what must not be reached; tree: the root; ro, rw: mounts; elsewhere: where a directory is moved to."""

    kept = None  # where changes of the root are kept; None: in memory

    def __init__(self, scratch, programs):
        self.top = scratch
        self.outside, self.tree, self.ro, self.rw, self.elsewhere = (
            os.path.join(scratch, name) for name in ("outside", "tree", "ro", "rw", "elsewhere"))
        for path in (self.outside, self.ro, self.rw, self.elsewhere, f"{self.tree}/bin", f"{self.tree}/etc/sub", f"{self.tree}/tmp",
                     f"{self.tree}/ro", f"{self.tree}/rw", f"{self.ro}/dir", f"{self.ro}/empty", f"{self.rw}/host-race/dir/far/away",
                     f"{self.outside}/far/away"):
            os.makedirs(path)
        for name in ("escape_reads", "escape_writes"):
            shutil.copy(f"{programs}/{name}.glibc-static", f"{self.tree}/bin/{name}")
        write(f"{self.outside}/secret", f"{MARKER}\n")
        write(f"{self.elsewhere}/secret", f"{MARKER}\n")
        write(f"{self.outside}/far/away/secret", f"{MARKER}\n", 0o751)  # a mode that says where it is
        write(f"{self.outside}/program", f"#!/bin/sh\necho made > {self.outside}/made-by-program\n", 0o755)
        for place, up in ((self.tree, ".."), (self.rw, ".."), (self.ro, "..")):
            os.symlink(f"{self.outside}/secret", f"{place}/absolute")
            os.symlink(f"{up}/outside/secret", f"{place}/relative")
            os.symlink(f"{up}/outside", f"{place}/directory")
        write(f"{self.rw}/interpreted", f"#!{self.outside}/program\n", 0o755)
        os.symlink("../../outside", f"{self.rw}/host-race/link")
        os.symlink("../../outside/secret", f"{self.rw}/host-race/file-link")
        write(f"{self.rw}/host-race/file", "inside\n")
        write(f"{self.ro}/file", "read only\n" * 1000)
        write(f"{self.ro}/mine", "of user 1000\n")
        os.chown(f"{self.ro}/mine", 1000, 1000) if os.geteuid() == 0 else None
        os.symlink("file", f"{self.ro}/link")
        shutil.copy("/bin/true", f"{self.ro}/program")
        write(f"{self.ro}/dir/inner", "inner\n")
        try:
            os.setxattr(f"{self.ro}/file", "user.kept", b"kept")
        except OSError:
            pass
        for name in ("file", "long", "gone", "mapped", "opened", "sub/inner"):
            write(f"{self.tree}/etc/{name}", f"{name} of the host\n" * 500)
        self.socket = socket.socket(socket.AF_UNIX)
        here = os.open(self.outside, os.O_RDONLY)
        self.socket.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        self.socket.listen()
        self.abstract = socket.socket(socket.AF_UNIX)
        try:
            self.abstract.bind(f"\0palimpsest-escape-{MARKER}")
            self.abstract.listen()
        except OSError:
            pass  # another run has it
        self.protected = (self.outside, self.tree, self.ro)

    def command(self, pal, *words, ro="ro"):
        kept = ["--overlay", self.kept] if self.kept else []
        return [os.path.abspath(pal), "run", "--root", self.tree, *kept, "--mount", f"{self.ro}:/ro:{ro}", "--mount", f"{self.rw}:/rw:rw",
                "--cwd", "/", "--", *words]


def judge(case, result, trees, before):
    text = result.out.decode(errors="replace")
    count = re.search(r"^attempts (\d+), escapes (\d+)$", text, re.M)
    print(text, result.err.decode(errors="replace"), sep="")
    if result.status != 0 or not count:
        fail(f"the guest ended with {result.status}")
    if int(count[1]) < LEAST[case] or int(count[2]):
        fail(f"{count[1]} attempts, {count[2]} escapes")
    if checksum(*trees.protected) != before:
        fail("the host's files are not as they were")


def exchange_names(trees, stop):
    """A directory and a symlink that leads outside, and a file and another such symlink, take turns under one name."""
    place = f"{trees.rw}/host-race"
    while not stop.is_set():
        for one, other in (("dir", "link"), ("file", "file-link")):
            try:
                os.rename(f"{place}/{one}", f"{place}/spare")
                os.rename(f"{place}/{other}", f"{place}/{one}")
                os.rename(f"{place}/{one}", f"{place}/{other}")
                os.rename(f"{place}/spare", f"{place}/{one}")
            except OSError:
                pass  # the guest was there first: mend it
            for name, made in (("spare", one), (one, None)):
                if made and os.path.lexists(f"{place}/{name}") and not os.path.lexists(f"{place}/{made}"):
                    os.rename(f"{place}/{name}", f"{place}/{made}")


def move_away(trees, stop):
    while not stop.wait(0.01):
        if os.path.exists(f"{trees.rw}/ready"):
            os.rename(f"{trees.rw}/moving", f"{trees.elsewhere}/moving")
            write(f"{trees.rw}/moved", "")
            return


def leaving(pal, trees):
    before = checksum(*trees.protected)
    stop = threading.Event()
    helpers = [threading.Thread(target=work, args=(trees, stop)) for work in (exchange_names, move_away)]
    for helper in helpers:
        helper.start()
    left_open = os.open(trees.outside, os.O_RDONLY)
    os.set_inheritable(left_open, True)
    command = trees.command(pal, "/bin/escape_reads", trees.outside, str(os.getpid()), str(left_open))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[left_open])
    try:
        out, err = process.communicate(timeout=250)
        status = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        status = "timeout"
    finally:
        stop.set()
        for helper in helpers:
            helper.join()
    judge("leaving", support.Result(status, out, err, 0), trees, before)


def writing(pal, trees):
    before = checksum(*trees.protected)
    judge("writing", support.run(trees.command(pal, "/bin/escape_writes"), timeout=250), trees, before)


def leaving_kept(pal, trees):
    """The same with changes kept in a directory, which holds links that lead out of it."""
    trees.kept = f"{trees.top}/kept"
    os.makedirs(f"{trees.kept}/upper/etc")
    os.symlink("../../outside", f"{trees.kept}/upper/directory")
    os.symlink(f"{trees.outside}/secret", f"{trees.kept}/upper/etc/out")
    leaving(pal, trees)


def writing_kept(pal, trees):
    trees.kept = f"{trees.top}/kept"
    os.makedirs(trees.kept)
    writing(pal, trees)


def control_reads(pal, trees):
    """With the directory outside mounted, the same program must say that it reached it."""
    command = trees.command(pal, "/bin/escape_reads", trees.outside, "1", "9")
    command[2:2] = ["--mount", f"{trees.outside}:/outside:ro", "--mount", f"{trees.outside}:{trees.outside}:ro"]
    write(f"{trees.rw}/moved", "")
    result = support.run(command, timeout=250)
    text = result.out.decode(errors="replace")
    print(text)
    for name in ("absolute path", ".. of a mount, one step", "/relative", "/rw/directory/secret", "/proc/self/root", "own symlink, relative"):
        if not re.search(f"^ESCAPED +{re.escape(name)}$", text, re.M):
            fail(f"not noticed: {name}")


def control_writes(pal, trees):
    """Each kind of change, where it is allowed, changes the checksum."""
    before = checksum(*trees.protected)
    if checksum(*trees.protected) != before:
        fail("the checksum changes by itself")
    kinds = ["data", "mode", "times", "name", "link"] + (["xattr"] if os.listxattr(f"{trees.ro}/file") else [])
    for kind in kinds:
        result = support.run(trees.command(pal, "/bin/escape_writes", "control", kind, ro="rw"), timeout=250)
        after = checksum(*trees.protected)
        print(kind, result.status, result.err.decode(errors="replace"))
        if result.status or after == before:
            fail(f"not noticed: {kind}")
        before = after


CASES = {case.__name__: case for case in (leaving, writing, leaving_kept, writing_kept, control_reads, control_writes)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--scratch", required=True)
    parser.add_argument("case", choices=sorted(CASES))
    args = parser.parse_args()
    os.makedirs(args.scratch, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix=f"{args.case}.", dir=os.path.abspath(args.scratch))
    try:
        CASES[args.case](args.pal, Trees(scratch, args.programs))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
