#!/usr/bin/env python3
"""The guest's file tree and the host's: what the overlay shows, what mounts let through, what stays out of reach.

    file_trees.py --pal build/pal --scratch DIR CASE

A case of OVERLAY is a shell script that runs in a copy of one tree, under pal first and natively afterwards: outputs must be equal
and pal must have left the host's copy as it was.
"""
import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

import support

BUSYBOX = "/bin/busybox"

OVERLAY = {
    "copy_up": "echo more >> a; cat a; echo new > b; cat b; : > c; wc -c c; chmod 600 d/x; stat -c %a d/x; cat d/x; "
               "sed -i s/x/y/ d/x; cat d/x; touch -d @1000 d/y; stat -c '%Y %s' d/y; cat d/y; cat big | wc -c; "
               "printf Z | dd of=big bs=1 seek=70000 conv=notrunc 2>/dev/null; wc -c big; md5sum big; truncate -s 70001 big; md5sum big",
    "removal": "rm a; cat a; ls; echo again > a; cat a; ls; rm -r d; ls; ls d; mkdir d; ls -a d; echo in > d/new; ls d; rmdir d; rm -r d; "
               "ls; rmdir e; ls e; rm -r e; ls",
    "renames": "mv a z; ls; cat z; cat a; mv z a; cat a; mv d moved; ls . moved; cat moved/x; echo t >> moved/x; cat moved/x; mv moved/x x; "
               "ls moved; mkdir d; ls d; mv moved d/inside; ls d d/inside; cat d/inside/y; mv b d/inside/y; cat d/inside/y; mv e/f/g deep; "
               "find . | sort; mv d e/f; find . | sort; cat e/f/d/inside/y",
    "links": "ln a hard; stat -c %h a hard; echo both >> hard; cat a; rm a; cat hard; stat -c %h hard; ln -s hard soft; cat soft; rm link; "
             "ls -l soft | grep -c hard; cat to-d/x; rm to-d; cat d/x; ln -s e to-d; ls to-d; ln d/x e/x; rm -r d; cat e/x; readlink broken",
    "names": "cp a A; ls; mkdir -p d/1/2/3 e/1; cp -r d e/copy; find . | sort; rm -r d/1; find d | sort; rmdir e/1; mv e/copy .; find copy | sort; "
             "for i in 1 2 3 4 5 6 7 8 9; do echo $i > n$i; done; rm n*; ls; ls -a d | wc -l; stat -c '%F %a' d e a big link",
    # head, for the host's cat lets a pipe show pages that are written afterwards
    "open_files": "exec 3<a 4<big; echo changed > a; cat <&3; echo tail >> big; tail -c 5 /proc/self/fd/4; rm b; exec 5<d/x; rm d/x; cat <&5; "
                  "exec 6<>d/y; echo 123 >&6; head d/y; mv d/y d/w; echo 456 >&6; cat d/w",
    "tar": "tar cf all.tar a b d e; rm -r a b d e; tar xf all.tar; find . | sort; cat d/x; tar tf all.tar | sort",
}


def make_tree(top):
    os.makedirs(f"{top}/d")
    os.makedirs(f"{top}/e/f/g")
    for name, text in {"a": "alpha\n", "b": "beta\n", "c": "gamma\n", "d/x": "x in d\n", "d/y": "y in d\n", "e/f/g/h": "deep\n"}.items():
        with open(f"{top}/{name}", "w") as f:
            f.write(text)
    with open(f"{top}/big", "w") as f:
        f.write("0123456789" * 20000)
    os.symlink("a", f"{top}/link")
    os.symlink("d", f"{top}/to-d")
    os.symlink("none", f"{top}/broken")


def fingerprint(top):
    """Everything about the tree that a write could change."""
    found = []
    for folder, dirs, files in os.walk(top):
        for name in sorted(dirs + files):
            path = os.path.join(folder, name)
            st = os.lstat(path)
            data = os.readlink(path) if os.path.islink(path) else open(path, "rb").read() if os.path.isfile(path) else None
            found.append((path, st.st_mode, st.st_nlink, st.st_mtime_ns, st.st_uid, st.st_size if data is not None else 0, data))
        dirs.sort()
    return found


def fail(what):
    print(what)
    sys.exit(1)


def check_overlay(pal, scratch, script):
    tree = f"{scratch}/tree"
    make_tree(tree)
    shell = [BUSYBOX, "sh", "-c", script]
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    before = fingerprint(tree)
    guest = support.run(support.pal_run(pal, ["--cwd", tree]) + shell, env=env, cwd="/")
    if fingerprint(tree) != before:
        fail("pal changed the host's tree")
    native = support.run(shell, env=env, cwd=tree)
    for title, a, b in (("output", native.out, guest.out), ("errors", native.err, guest.err), ("status", native.status, guest.status)):
        if a != b:
            fail(f"{title} differ\n--- native\n{a if isinstance(a, int) else a.decode()}\n--- under pal\n{b if isinstance(b, int) else b.decode()}")


def jail(scratch):
    """A root with a shell, beside a secret that it must not reach."""
    root = f"{scratch}/around/jail"
    for folder in ("bin", "proc", "dev", "tmp", "sub/deeper"):
        os.makedirs(f"{root}/{folder}")
    shutil.copy(BUSYBOX, f"{root}/bin/busybox")
    secret = f"{scratch}/around/secret"
    with open(secret, "w") as f:
        f.write("SECRET\n")
    os.symlink("../secret", f"{root}/up")
    os.symlink("../../../secret", f"{root}/sub/up")
    os.symlink(secret, f"{root}/absolute")
    os.symlink("..", f"{root}/dots")
    os.symlink("/..", f"{root}/rootdots")
    return root, secret


ESCAPES = """
b=/bin/busybox
try() { $b cat "$1" 2>/dev/null; }
for p in up sub/up absolute dots/secret rootdots/secret ../secret /../secret /../../../../secret sub/../../secret \
    sub/deeper/../../../secret dots/../secret HOST /proc/self/root/../secret /proc/self/cwd/../secret /proc/1/root/../secret \
    /proc/self/root/proc/self/root/../../secret HOST/. //secret ./../secret; do try "$p"; done
cd sub/deeper; try ../../../secret; try ../../up
cd /; $b ln -s ../../../../../../../..HOST l1; try l1; $b ln -s /../..HOST l2; try l2
$b chroot sub /../bin/busybox cat /../../secret 2>/dev/null
exec 3</; cd sub; try /proc/self/fd/3/../secret
$b ls -a / | $b tr '\\n' ' '
"""


def escapes_from_root(pal, scratch):
    root, secret = jail(scratch)
    script = ESCAPES.replace("HOST", secret)
    result = support.run([pal, "run", "--root", root, "--", "/bin/busybox", "sh", "-c", script], cwd="/")
    if b"SECRET" in result.out + result.err:
        fail("the guest read a file outside its root:\n" + result.out.decode())
    if b"sub" not in result.out:
        fail(f"the script did not run to its end: {result.out} {result.err}")


def escapes_from_mount(pal, scratch):
    root, secret = jail(scratch)
    os.makedirs(f"{scratch}/elsewhere")
    shutil.copytree(f"{root}/bin", f"{scratch}/elsewhere/bin")
    script = "cd /m; " + ESCAPES.replace("HOST", secret)
    for mode in ("ro", "rw"):
        result = support.run([pal, "run", "--root", f"{scratch}/elsewhere", "--mount", f"{root}:/m:{mode}", "--", "/bin/busybox", "sh", "-c",
                              script], cwd="/")
        if b"SECRET" in result.out + result.err:
            fail(f"{mode}: the guest read a file outside its mounts:\n" + result.out.decode())
        if b" m " not in result.out:
            fail(f"{mode}: the script did not run to its end: {result.out} {result.err}")
    if open(secret).read() != "SECRET\n" or sorted(os.listdir(f"{scratch}/around")) != ["jail", "secret"]:
        fail("the guest changed something outside its mounts")


def mount_read_only(pal, scratch):
    tree = f"{scratch}/tree"
    make_tree(tree)
    before = fingerprint(tree)
    script = ("cd /mnt/here && cat a && ls && echo x > a; echo x > new; rm a; mkdir q; mv a q; chmod 1 a; ln a q; touch a; ln -s a q; "
              "cat a; cat d/../link; cd /; rmdir /mnt/here")
    result = support.run(support.pal_run(pal, ["--mount", f"{tree}:/mnt/here:ro"]) + [BUSYBOX, "sh", "-c", script], cwd="/")
    if fingerprint(tree) != before:
        fail("the mount is not read-only")
    if result.err.count(b"Read-only file system") < 8 or result.out.count(b"alpha") != 3:
        fail(f"unexpected: {result.out.decode()}{result.err.decode()}")


def mount_writable(pal, scratch):
    tree = f"{scratch}/tree"
    make_tree(tree)
    twin = f"{scratch}/twin"
    make_tree(twin)
    script = ("cd TREE && echo more >> a && cat a; mkdir q q/r; echo in > q/r/s; mv q moved; cat moved/r/s; rm b; ls; ln a hard; stat -c %h a; "
              "chmod 640 c; stat -c %a c; : > c; stat -c %s c; ln -s a new-link; cat new-link; rm -r d; exec 3<>e/f/g/h; rm e/f/g/h; cat <&3; "
              "echo 5 >&3; touch -d @99 big; stat -c %Y big; mkfifo pipe; rm pipe; mv a a2; cat hard; cat a; find . | sort; ls -a moved; "
              "sed -i s/in/out/ moved/r/s; cat moved/r/s; truncate -s 5 big; cat big; umask 0; mkdir wide; stat -c %a wide; cp hard cp; cmp hard cp")
    guest = support.run(support.pal_run(pal, ["--mount", f"{tree}:/mnt/here:rw"]) + [BUSYBOX, "sh", "-c", script.replace("TREE", "/mnt/here")],
                        cwd="/")
    native = support.run([BUSYBOX, "sh", "-c", script.replace("TREE", twin)], cwd="/")
    if guest.out != native.out or guest.err != native.err:
        fail(f"--- native\n{native.out.decode()}{native.err.decode()}\n--- under pal\n{guest.out.decode()}{guest.err.decode()}")
    difference = subprocess.run(["diff", "-r", "--no-dereference", tree, twin], stdout=subprocess.PIPE, check=False).stdout
    if difference:
        fail("what the guest left differs from what a native run leaves:\n" + difference.decode())


def sparse_copy_up(pal, scratch):
    """A file of 40 GiB that stores almost nothing costs as little when it is changed: nobody has 40 GiB of memory to copy it into."""
    path = f"{scratch}/sparse"
    with open(path, "wb") as f:
        for at in (0, 5 << 30, (40 << 30) - 10):
            f.seek(at)
            f.write(b"0123456789")
    before = os.stat(path)
    script = ("echo more >> sparse; stat -c %s sparse; tail -c 15 sparse; dd if=sparse bs=1 skip=5368709120 count=10 2>/dev/null; "
              "test $(stat -c %b sparse) -lt 10000 && echo still sparse; printf X | dd of=sparse bs=1 seek=30000000000 conv=notrunc 2>/dev/null; "
              "dd if=sparse bs=1 skip=30000000000 count=1 2>/dev/null; head -c 10 sparse")
    words = [BUSYBOX, "sh", "-c", script]
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    guest = support.run(support.pal_run(pal, ["--cwd", scratch, "--memory", "1G"]) + words, env=env, cwd="/")
    after = os.stat(path)
    if (after.st_size, after.st_mtime_ns, after.st_blocks) != (before.st_size, before.st_mtime_ns, before.st_blocks):
        fail("pal changed the host's file")
    native = support.run(words, env=env, cwd=scratch)
    if (guest.out, guest.err, guest.status) != (native.out, native.err, native.status) or b"still sparse" not in guest.out:
        fail(f"--- native\n{native.out.decode()}{native.err.decode()}\n--- under pal\n{guest.out.decode()}{guest.err.decode()}")


LOOK = ("cd /tree; find . | sort; for f in $(find . -type f | sort); do stat -c '%n %a %s %h' $f; cat $f; done; "
        "for l in $(find . -type l | sort); do readlink $l; done; find . -type d | sort | while read d; do stat -c '%n %a' $d; ls -a $d; done")


def in_chroot(root, script):
    """The shell natively, with this root."""
    return support.run([sys.executable, "-c", "import os, sys\nos.chroot(sys.argv[1])\nos.chdir('/tree')\n"
                        "os.execv('/bin/busybox', ['busybox', 'sh', '-c', sys.argv[2]])", root, script], env={"PATH": "/bin", "LC_ALL": "C"}, cwd="/")


def mounted(lower, kept, at, script):
    """The script where Linux has mounted the two directories as an overlay; None where it may not."""
    os.makedirs(at, exist_ok=True)
    code = ("import ctypes, os, sys\nlower, kept, at = sys.argv[1:4]\nlibc = ctypes.CDLL(None, use_errno=True)\n"
            "CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 16384, 1 << 18\n"
            "if libc.unshare(CLONE_NEWNS) or libc.mount(b'none', b'/', None, MS_REC | MS_PRIVATE, None): sys.exit(77)\n"
            "options = f'lowerdir={lower},upperdir={kept}/upper,workdir={kept}/work'.encode()\n"
            "if libc.mount(b'overlay', at.encode(), b'overlay', 0, options): sys.exit(77)\n"
            "os.chroot(at)\nos.chdir('/tree')\nos.execv('/bin/busybox', ['busybox', 'sh', '-c', sys.argv[4]])")
    result = support.run([sys.executable, "-c", code, lower, kept, at, script], env={"PATH": "/bin", "LC_ALL": "C"}, cwd="/")
    return None if result.status == 77 else result


def small_root(top):
    os.makedirs(f"{top}/bin")
    for folder in ("proc", "dev/shm", "tmp", "sys"):
        os.makedirs(f"{top}/{folder}")
    shutil.copy(BUSYBOX, f"{top}/bin/busybox")
    for applet in ("find", "sort", "stat", "cat", "readlink", "ls", "cp", "mv", "rm", "mkdir", "rmdir", "ln", "echo", "sed", "touch", "chmod", "wc", "dd",
                   "md5sum", "truncate", "tar", "grep", "head", "tail"):
        os.symlink("busybox", f"{top}/bin/{applet}")
    make_tree(f"{top}/tree")
    for folder, dirs, files in os.walk(f"{top}/tree", topdown=False):
        for name in dirs + files:
            os.utime(f"{folder}/{name}", (10**9, 10**9), follow_symlinks=False)  # tar keeps them
    os.utime(f"{top}/tree", (10**9, 10**9))


def equal(what, a, b):
    if (a.out, a.err, a.status) != (b.out, b.err, b.status):
        fail(f"{what} differs\n--- native {a.status}\n{a.out.decode()}{a.err.decode()}\n--- other {b.status}\n{b.out.decode()}{b.err.decode()}")


def kept_overlay(pal, scratch):
    """--overlay: each script does what it does natively; a second run finds what the first one left, and so does Linux's overlayfs, whose own
    changes pal finds in turn. The host's tree stays as it was."""
    if os.geteuid() != 0:
        print("skipped: it takes chroot to compare with")
        sys.exit(77)
    by_linux = 0
    for name, script in OVERLAY.items():
        top = f"{scratch}/{name}"
        lower, twin, kept, linux = (f"{top}/{part}" for part in ("lower", "twin", "kept", "linux"))
        small_root(lower)
        small_root(twin)
        for folder in (kept, f"{linux}/upper", f"{linux}/work"):
            os.makedirs(folder)
        before = fingerprint(lower)

        def guest(where, words):
            return support.run([pal, "run", "--root", lower, "--overlay", where, "--cwd", "/tree", "--", "/bin/busybox", "sh", "-c", words],
                               env={"PATH": "/bin", "LC_ALL": "C"}, cwd="/")
        script = script.replace("tail -c 5 /proc/self/fd/4; ", "")  # the native run has no /proc
        equal(f"{name}: the script", in_chroot(twin, script), guest(kept, script))
        seen = in_chroot(twin, LOOK)
        equal(f"{name}: the tree, by a second run", seen, guest(kept, LOOK))
        if os.listdir(f"{kept}/work"):
            fail(f"{name}: left in the work directory: {os.listdir(f'{kept}/work')}")
        result = mounted(lower, kept, f"{top}/at", LOOK)
        if result:
            by_linux += 1
            equal(f"{name}: the tree, by Linux's overlayfs", seen, result)
            mounted(lower, linux, f"{top}/at", script)
            equal(f"{name}: what Linux's overlayfs has changed", mounted(lower, linux, f"{top}/at", LOOK), guest(linux, LOOK))
        if fingerprint(lower) != before:
            fail(f"{name}: the host's tree has changed")
    print(f"{len(OVERLAY)} scripts, {by_linux} compared with Linux's overlayfs")


def killed_overlay(pal, scratch):
    """Killed at any moment of many copy-ups, pal leaves every file as it was or as it was to become."""
    lower = f"{scratch}/lower"
    small_root(lower)
    old, names = b"0123456789" * 30000, [f"f{i}" for i in range(60)]
    for name in names:
        with open(f"{lower}/tree/{name}", "wb") as f:
            f.write(old)
    copied = 0
    for delay in (0, 0.15, 0.3, 0.45):
        kept = f"{scratch}/kept{delay}"
        os.makedirs(kept)
        argv = [pal, "run", "--root", lower, "--overlay", kept, "--cwd", "/tree", "--", "/bin/busybox", "sh", "-c"]
        with subprocess.Popen([*argv, "echo ready; for f in f*; do chmod 640 $f; done"], stdout=subprocess.PIPE, cwd="/") as process:
            process.stdout.readline()
            first, end = f"{kept}/upper/tree/{names[0]}", time.monotonic() + 200
            while not os.path.exists(first) and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(delay)
            process.kill()
        support.leftovers()
        seen = support.run([*argv, "stat -c '%n %a %s' f*; cat f* | md5sum"], cwd="/")
        lines = seen.out.decode().splitlines()
        good = {f"{name} {mode} {len(old)}" for name in names for mode in ("640", "644")}
        expected = hashlib.md5(old * len(names)).hexdigest()
        if len(lines) != len(names) + 1 or not set(lines[:-1]) <= good or not lines[-1].startswith(expected):
            fail(f"after {delay} s: {seen.out.decode()} {seen.err.decode()}")
        copied += sum(" 640 " in line for line in lines)
    if not copied:
        fail("nothing was copied before the end")
    print(f"{copied} of {4 * len(names)} files were copied")


def shared_overlay(pal, scratch):
    """A directory of changes is one run's at a time; a second run is told so, and gets it when the first one ends, even killed."""
    lower, kept = f"{scratch}/lower", f"{scratch}/kept"
    small_root(lower)
    os.makedirs(kept)
    argv = [pal, "run", "--root", lower, "--overlay", kept, "--", "/bin/busybox", "sh", "-c"]
    for end in ("killed", "told to end"):
        with subprocess.Popen([*argv, "echo ready; read line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as first:
            first.stdout.readline()
            second = support.run([*argv, "echo second"], cwd="/")
            if second.out or second.status != 125 or second.err.decode() != f"pal: --overlay: '{kept}' is in use by another run\n":
                fail(f"a second run beside the first: {second.status} {second.out} {second.err}")
            if end == "killed":
                first.kill()
            else:
                first.communicate(b"go\n")
        deadline = time.monotonic() + 100  # what is killed ends when its machine lets it
        while True:
            third = support.run([*argv, "echo third"], cwd="/")
            if third.status != 125 or time.monotonic() > deadline:
                break
        if (third.out, third.err, third.status) != (b"third\n", b"", 0):
            fail(f"after the first was {end}: {third.status} {third.out} {third.err}")
    support.leftovers()


CASES = {"kept_overlay": kept_overlay, "shared_overlay": shared_overlay, "killed_overlay": killed_overlay, "sparse_copy_up": sparse_copy_up, "escapes_from_root": escapes_from_root, "escapes_from_mount": escapes_from_mount, "mount_read_only": mount_read_only,
         "mount_writable": mount_writable}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("--scratch", required=True)
    parser.add_argument("case")
    args = parser.parse_args()
    scratch = os.path.join(os.path.abspath(args.scratch), args.case)
    shutil.rmtree(scratch, ignore_errors=True)
    if support.hidden_from_guest(scratch):
        # A mount would do away with the overlay that these cases are about.
        scratch = tempfile.mkdtemp(dir="/var/tmp")
    else:
        os.makedirs(scratch)
    try:
        if args.case in OVERLAY:
            check_overlay(os.path.abspath(args.pal), scratch, OVERLAY[args.case])
        else:
            CASES[args.case](os.path.abspath(args.pal), scratch)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
