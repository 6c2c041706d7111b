#!/usr/bin/env python3
"""A root that debootstrap made, as `--root`: accounts, packages and tools work in it as in a chroot, and it stays as it was.

    debian_root.py --pal build/pal --scratch DIR

Natively the script runs in a chroot of a copy. The root is made once and kept in DIR. Needs root and debootstrap: else skipped (77).
"""
import argparse
import difflib
import os
import shutil
import subprocess
import sys

import support

SCRIPT = r"""
export HOME=/root LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
cat /etc/debian_version; dpkg -l | wc -l; dpkg --audit; echo audit $?; apt-get --version | head -1; apt-cache policy bash | head -2
perl -e 'print "perl $^V\n"'; bash -c 'echo $((6 * 7)) | sed s/4/four/'; ls -ld / /tmp /root /var/lib/dpkg | awk '{print $3, $4}'
touch /marker; sleep 1.1
useradd -m -s /bin/bash somebody; echo useradd $?; getent passwd somebody
su - somebody -c 'id; pwd; echo $HOME; touch here; ls -l here | cut -c1-10; cat /etc/shadow' 2>&1
groupadd -g 4000 things; usermod -aG things somebody; id somebody; echo somebody:secret | chpasswd; echo chpasswd $?
getent shadow somebody | cut -d: -f1; su - somebody -c 'echo wrong | su -c id root' 2>&1 | tail -1
mkdir -p /p/DEBIAN /p/usr/bin; printf '#!/bin/sh\necho installed\n' > /p/usr/bin/thing; chmod 755 /p/usr/bin/thing
printf 'Package: thing\nVersion: 1\nArchitecture: all\nMaintainer: n <n@localhost>\nDescription: t\n' > /p/DEBIAN/control
printf '#!/bin/sh\necho "postinst $1"\n' > /p/DEBIAN/postinst; chmod 755 /p/DEBIAN/postinst
dpkg-deb -b /p /thing.deb > /dev/null; dpkg -i /thing.deb; echo dpkg -i $?; thing; dpkg -s thing | head -2
dpkg -r thing; echo dpkg -r $?; which thing
find / -xdev -type f -newer /marker -not -path '/proc/*' | grep -vE '^/(tmp|dev|sys)' | sort
tar cf - /etc 2>/dev/null | tar tf - | wc -l; ldconfig -p | wc -l; update-alternatives --list awk
dpkg-query -W -f '${Package} ${Version}\n' | md5sum
"""


def checksum(root):
    """Of names, owners, modes, times and contents."""
    tar = subprocess.Popen(["tar", "-C", root, "--sort=name", "-cf", "-", "."], stdout=subprocess.PIPE)
    return subprocess.check_output(["sha256sum"], stdin=tar.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("--scratch", required=True)
    args = parser.parse_args()
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        print("skipped: needs root and debootstrap")
        return 77
    root, copy = f"{args.scratch}/root", f"{args.scratch}/copy"
    if not os.path.isdir(root):
        made = support.run(["debootstrap", "--variant=minbase", "bookworm", root + ".new"], timeout=1200)
        if made.status != 0:
            shutil.rmtree(root + ".new", ignore_errors=True)
            print("skipped: debootstrap failed:", made.err.decode(errors="replace"), made.out.decode(errors="replace")[-300:])
            return 77
        os.rename(root + ".new", root)
    subprocess.check_call(["rm", "-rf", copy])
    subprocess.check_call(["cp", "-a", root, copy])
    # Mounts stand in a namespace of their own, which ends with the script.
    natively = f'mount -t proc proc {copy}/proc && ln -sfn /proc/self/fd {copy}/dev/fd && exec chroot {copy} /bin/bash'
    native = support.run(["unshare", "-m", "--propagation", "private", "sh", "-c", natively], SCRIPT.encode(), 300)
    before = checksum(root)
    guest = support.run(support.pal_run(args.pal, ["--root", root]) + ["/bin/bash"], SCRIPT.encode(), 300)
    subprocess.check_call(["rm", "-rf", "--one-file-system", copy])
    failed = False
    if (native.status, native.out, native.err) != (guest.status, guest.out, guest.err):
        print(f"status native {native.status}, under pal {guest.status}; - native, + under pal:")
        lines = difflib.unified_diff((native.out + native.err).decode(errors="replace").splitlines(),
                                     (guest.out + guest.err).decode(errors="replace").splitlines(), lineterm="", n=1)
        print("\n".join(lines))
        failed = True
    if b"dpkg -i 0" not in native.out:
        print("the native run did not install its package: the test proves nothing")
        failed = True
    if checksum(root) != before:
        print("the root was changed")
        failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
