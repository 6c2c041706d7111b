#!/usr/bin/env python3
"""The guest's file tree and the host's: what the overlay shows, what mounts let through, what stays out of reach.

    file_trees.py --pal build/pal --scratch DIR CASE

A case of OVERLAY is a shell script that runs in a copy of one tree, under pal first and natively afterwards: outputs must be equal
and pal must have left the host's copy as it was.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

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


CASES = {"sparse_copy_up": sparse_copy_up, "escapes_from_root": escapes_from_root, "escapes_from_mount": escapes_from_mount, "mount_read_only": mount_read_only,
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
