#!/usr/bin/env python3
"""Other processes of the host change a mounted tree under a guest that asks for the same long paths again and again: it sees each change as
soon as the call that made it is over, as a native program does.

    host_changes.py --pal build/pal --scratch DIR CASE
"""
import argparse
import ctypes
import errno
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import support

HERE = "/mnt/here"
ASKS = 40  # pal remembers the way to where it was asked for often
LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_EXCHANGE, CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = -100, 2, 0x20000, 16384, 1 << 18, 2

# Answers each line, a path, with what it is the first and the last of many times, and what can be read there. The upper bits of a number tell
# file systems of the host apart.
ASKER = """
import os, sys
def ask(path):
    try:
        st = os.stat(path)
        text = f"{st.st_ino % (1 << 48)} {st.st_mode:o} {st.st_size} {st.st_nlink} {st.st_mtime_ns}"
    except OSError as e:
        text = str(e.errno)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        text += f" {os.fstat(fd).st_ino % (1 << 48)}"
        if not os.path.isdir(path):
            text += " " + os.read(fd, 100).decode().strip()
        os.close(fd)
    except OSError as e:
        text += f" {e.errno}"
    return text
"""
GUEST = ASKER + f"""
for line in sys.stdin:
    first = ask(line.rstrip("\\n"))
    for i in range({ASKS}):
        last = ask(line.rstrip("\\n"))
    print(first, "|", last, flush=True)
"""

# Reads how far the host is, then looks: what it sees may not be older.
RACER = """
import os, sys
here = sys.argv[1]
marks = [os.open(f"{here}/{name}", os.O_RDONLY) for name in ("mark-c", "mark-e")]
looks = seen = gone = 0
while True:
    at_c, at_e = (os.fstat(mark).st_size for mark in marks)
    if at_c == 10**9:
        break
    for path, least in ((f"{here}/a/b/c/d/file", at_c), (f"{here}/a/b/e/d/file", at_e), (f"{here}/a/b/link/file", at_e)):
        try:
            size = os.stat(path).st_size
        except FileNotFoundError:
            gone += 1
            continue
        looks += 1
        if size < least:
            sys.exit(f"{path}: size {size} after {least}")
        if size == 999999:
            sys.exit(f"{path}: outside")
    seen = max(seen, least)
print("looks", looks, "gone", gone > 0, "seen", seen)
"""


def fail(what):
    print(what)
    sys.exit(1)


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def build(top):
    """Four directories of one kind at each of the upper levels; files that say where they were made."""
    for path in ("a/b/c/d", "a/b/c/x", "a/b/y/d", "a/z/c/d", "w/b/c/d"):
        os.makedirs(f"{top}/{path}", exist_ok=True)
        write(f"{top}/{path}/file", f"made in {path}\n")


PATHS = ("a/b/c/d/file", "a/b/c/x/file", "a/b/c/d", "a/b/y/d/file", "a/b/c/d/none", "a/b/c/file", "w/b/c/d/file", "a/z/c/d/file", "a/b/link/d/file")
DIRECTORIES = ("a", "a/b", "a/b/c", "a/b/c/d", "w", "w/b", "a/z", "a/b/y")


class Host:
    """One change at a time; what cannot be done now is not done."""

    def __init__(self, top, seed, mounts):
        self.top, self.dice, self.mounts, self.made, self.mounted = top, random.Random(seed), mounts, 0, None

    def pick(self):
        return f"{self.top}/{self.dice.choice(DIRECTORIES)}"

    def away_and_back(self):
        one = self.pick()
        there, here = (f"{one}.away", one) if not os.path.lexists(f"{one}.away") else (one, f"{one}.away")
        os.rename(here, there) if not os.path.lexists(there) else None

    def exchange(self):
        if LIBC.renameat2(AT_FDCWD, self.pick().encode(), AT_FDCWD, self.pick().encode(), RENAME_EXCHANGE):
            raise OSError

    def link_in_its_place(self):
        one = self.pick()
        if os.path.islink(one):
            os.unlink(one)
            os.rename(f"{one}.real", one)
        else:
            os.rename(one, f"{one}.real")
            os.symlink(os.path.basename(one) + ".real", one)

    def made_again(self):
        one = self.pick()
        if os.path.islink(one):
            raise OSError
        shutil.rmtree(one)
        os.makedirs(f"{one}/d", exist_ok=True)
        self.made += 1
        for place in (one, f"{one}/d"):
            write(f"{place}/file", f"made again {self.made}\n")

    def moved_over(self):
        """An empty directory gives its name to another."""
        one = self.pick()
        inner = f"{one}.inner"
        if os.path.lexists(inner) or os.path.islink(one):
            raise OSError
        os.mkdir(inner)
        write(f"{inner}/file", "of the inner one\n")
        shutil.rmtree(one)
        os.mkdir(one)
        self.look(one)
        os.rename(inner, one)

    def look(self, path):
        """The guest, too, has seen the empty one."""

    def file_replaced(self):
        one = self.pick()
        self.made += 1
        write(f"{one}/new", "replaced " * self.made)
        os.rename(f"{one}/new", f"{one}/file")

    def mount_over(self):
        if not self.mounts:
            return self.away_and_back()
        if self.mounted:
            self.unmount()
        else:
            one = os.path.realpath(self.pick())
            if LIBC.mount(b"none", one.encode(), b"tmpfs", 0, b"size=64k"):
                raise OSError
            self.mounted = os.open(one, os.O_PATH)  # its name may change
            os.makedirs(f"{one}/d")
            write(f"{one}/d/file", "of another file system\n")
        return None

    def unmount(self):
        LIBC.umount2(f"/proc/self/fd/{self.mounted}".encode(), MNT_DETACH)
        os.close(self.mounted)
        self.mounted = None

    def modes(self):
        one = self.pick()
        os.chmod(one, 0o700 if os.stat(one).st_mode & 0o777 == 0 else 0)

    def restore(self):
        if self.mounted:
            self.unmount()
        for folder, dirs, _ in os.walk(self.top):
            for name in dirs:
                if not os.path.islink(f"{folder}/{name}"):
                    os.chmod(f"{folder}/{name}", 0o755)
        for name in os.listdir(self.top):
            if os.path.islink(f"{self.top}/{name}"):
                os.unlink(f"{self.top}/{name}")
            else:
                shutil.rmtree(f"{self.top}/{name}")
        build(self.top)


KINDS = (Host.away_and_back, Host.away_and_back, Host.exchange, Host.link_in_its_place, Host.made_again, Host.moved_over, Host.file_replaced,
         Host.mount_over, Host.modes)


def own_mounts():
    """From here on mounts of this process are its own and its children's. False: it may not have any."""
    return LIBC.unshare(CLONE_NEWNS) == 0 and LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0


def without_the_right_to_pass():
    """From here on modes count for this process and its children, though their user be root."""
    PR_CAPBSET_DROP, CAPGET, CAPSET = 24, 125, 126
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    for cap in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        LIBC.prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)
    if LIBC.syscall(CAPGET, header, data):
        raise OSError
    for i in range(3):
        data[i] &= ~6
    if LIBC.syscall(CAPSET, header, data):
        raise OSError


def native_ask():
    names = {}
    exec(ASKER, names)  # the very same
    return names["ask"]


def take_turns(pal, top):
    os.mkdir(top)
    build(top)
    host = Host(top, 1, own_mounts())
    ask = native_ask()
    words = support.pal_run(pal, ["--mount", f"{top}:{HERE}:rw"]) + ["/usr/bin/python3", "-c", GUEST]
    changes = {kind.__name__: 0 for kind in KINDS}
    try:
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/") as guest:
            def compare(path, what):
                guest.stdin.write(f"{HERE}/{path}\n")
                guest.stdin.flush()
                answer = guest.stdout.readline().rstrip("\n")
                native = ask(f"{top}/{path}")
                if answer != f"{native} | {native}":
                    fail(f"{path} after {what}:\n--- native\n{native}\n--- under pal, the first and the last time\n{answer}")

            host.look = lambda path: compare(os.path.relpath(f"{path}/file", top), "emptying")
            for path in PATHS:
                compare(path, "nothing")
            for turn in range(1200):
                kind = host.dice.choice(KINDS)
                try:
                    kind(host)
                except OSError:
                    continue
                changes[kind.__name__] += 1
                compare(host.dice.choice(PATHS[:4]), kind.__name__)
                compare(host.dice.choice(PATHS), kind.__name__)
                if turn % 12 == 11:
                    host.restore()
                    for path in PATHS:
                        compare(path, "making everything anew")
            guest.stdin.close()
            if guest.wait(60):
                fail(f"the guest ended with {guest.returncode}")
            host.restore()
    finally:
        if host.mounted:
            host.unmount()
    print(changes, "mounts" if host.mounts else "no mounts here")
    if min(changes.values()) < 5:
        fail("too few")


def in_turns(pal, scratch):
    """One change, then one question, many times."""
    take_turns(pal, f"{scratch}/tree")


def in_turns_by_modes(pal, scratch):
    """The same where the host looks at the modes of directories, whatever the guest's user may."""
    without_the_right_to_pass()
    take_turns(pal, f"{scratch}/tree")


def at_once(pal, scratch):
    """The host renames, replaces and links while the guest looks."""
    top = f"{scratch}/tree"
    for path in ("a/b/c/d", "a/b/e/d", f"{scratch}/outside/d"):
        os.makedirs(os.path.join(top, path))
    write(f"{scratch}/outside/file", "x" * 999999)
    write(f"{scratch}/outside/d/file", "x" * 999999)
    write(f"{top}/a/b/c/d/file", "x")
    write(f"{top}/a/b/e/d/file", "x")
    os.symlink("e/d", f"{top}/a/b/link")
    write(f"{top}/mark-c", "x")  # their sizes: how far the host is; nobody ever sees half a size
    write(f"{top}/mark-e", "x")
    words = support.pal_run(pal, ["--mount", f"{top}:{HERE}:rw"]) + ["/usr/bin/python3", "-c", RACER, HERE]
    stop = threading.Event()

    def swap():
        """Under the name `other`, a directory and a link that leads outside."""
        while not stop.is_set():
            os.symlink("../../../../outside", f"{top}/a/b/other")
            os.rename(f"{top}/a/b/other", f"{top}/a/b/link")
            os.symlink("e/d", f"{top}/a/b/other")
            os.rename(f"{top}/a/b/other", f"{top}/a/b/link")
            stop.wait(0.003)

    swapper = threading.Thread(target=swap)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/") as guest:
        swapper.start()
        size, old, end = 1, [], time.monotonic() + 8
        while time.monotonic() < end and guest.poll() is None:
            size += 1
            level = ("a/b/c", "a/b/c/d", "a/b/c", "a/b/e")[size % 4]  # above them, `swap` is at work
            inside = "" if level == "a/b/c/d" else "/d"
            os.makedirs(f"{top}/new{inside}")
            write(f"{top}/new{inside}/file", "x" * size)
            old.append(f"{top}/old{size}")
            if size % 3 == 0:
                os.rename(f"{top}/{level}", old[-1])
                os.rename(f"{top}/new", f"{top}/{level}")
            else:
                LIBC.renameat2(AT_FDCWD, f"{top}/new".encode(), AT_FDCWD, f"{top}/{level}".encode(), RENAME_EXCHANGE)
                os.rename(f"{top}/new", old[-1])
            os.truncate(f"{top}/mark-{level[4]}", size)
            if len(old) > 20:
                shutil.rmtree(old.pop(0))
            time.sleep(0.002 * (size % 8))
        stop.set()
        swapper.join()
        os.truncate(f"{top}/mark-c", 10**9)
        out, err = guest.communicate(timeout=60)
    print(out, size, "changes")
    if guest.returncode or err:
        fail(f"status {guest.returncode}: {out}{err}")
    if int(out.split()[1]) < 1000:
        fail("too few looks")


HOLDER = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
print("open", flush=True)
sys.stdin.readline()
for flags in (os.O_RDONLY, os.O_RDWR):
    try:
        os.open(f"/proc/self/fd/{fd}", flags)
        print(0)
    except OSError as e:
        print(e.errno)
"""


def removed_while_open(pal, scratch):
    """What the host removed can be opened again by its descriptor to be read; to be written, too, natively, but it is never stale."""
    for runner, where in (([], scratch), (support.pal_run(pal, ["--mount", f"{scratch}:{HERE}:rw"]), HERE)):
        write(f"{scratch}/gone", "x")
        with subprocess.Popen([*runner, "python3", "-c", HOLDER, f"{where}/gone"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as guest:
            guest.stdout.readline()
            os.unlink(f"{scratch}/gone")
            out, _ = guest.communicate("go\n", timeout=100)
        if out not in (["0\n0\n"] if not runner else ["0\n0\n", f"0\n{errno.ENOENT}\n"]):
            fail(f"{'pal' if runner else 'native'}: {out!r}")


CASES = {case.__name__: case for case in (in_turns, in_turns_by_modes, at_once, removed_while_open)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("--scratch", required=True)
    parser.add_argument("case", choices=sorted(CASES))
    args = parser.parse_args()
    os.makedirs(args.scratch, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        CASES[args.case](os.path.abspath(args.pal), os.path.abspath(scratch))


if __name__ == "__main__":
    main()
