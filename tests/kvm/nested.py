#!/usr/bin/env python3
"""nested.py --kernel DIR [--cpu FLAGS] [--memory MIB] [--seconds N] [--count] LIST: runs tests on a real KVM inside an emulated machine.

QEMU emulates two processors with AMD's virtualization and boots Debian's kernel from DIR (scripts/fetch-kernel) with an initial file
system made here: busybox, the modules of KVM, and every file that LIST names, at the path it has outside. The machine runs the
tests one after the other and hands back what they printed; this program judges.

LIST has one test a line, fields separated by tabs:
  NAME  STATUS  WORDS  COMMAND   the command ends with STATUS and says WORDS, once ("": says whatever it likes)
  NAME  =       OTHER  COMMAND   status and standard output are those of the command OTHER
  file  PATH                     PATH is there, too
Status: 0; 1 when a test failed; 77 with a line that says SKIP when this machine cannot; 125.
"""
import argparse
import difflib
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

SKIPPED, BROKEN = 77, 125
BUSYBOX = "/bin/busybox"
MODULES = ("irqbypass.ko", "kvm.ko", "kvm-amd.ko")

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin:/sbin HOME=/tmp
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm /var/tmp; mount -t devpts pts /dev/pts; mount -t tmpfs shm /dev/shm; chmod 1777 /tmp /var/tmp
ip link set lo up
stty -F /dev/ttyS1 raw -echo
exec 3>/dev/ttyS1
for module in irqbypass kvm "kvm-amd npt=@npt@"; do
    insmod /modules/${module%% *}.ko ${module#${module%% *}} || echo "insmod $module: $?" >&3
done
echo "@@ up $(cut -d ' ' -f 1 /proc/uptime) $(cat /sys/module/kvm_amd/parameters/npt)" >&3
number=0
now() { cut -d ' ' -f 1 /proc/uptime; }
run() {
    start=$(now)
    timeout -s KILL "$1" sh -c "$2" </dev/null >/tmp/.out 2>/tmp/.err
    echo "@@ $3 $number $? $start $(now)" >&3
    cat /tmp/.out >&3; echo >&3; echo "@@ err" >&3; cat /tmp/.err >&3; echo >&3
}
while IFS='\t' read -r seconds expected command; do
    number=$((number + 1))
    [ "$expected" = - ] || run "$seconds" "$expected" expected
    run "$seconds" "$command" got
done </tests
echo "@@ end $(cut -d ' ' -f 1 /proc/uptime)" >&3
sleep 1
reboot -f
"""


class Archive:
    """A cpio archive ("newc"), as the kernel unpacks it."""

    def __init__(self):
        self.data = bytearray()
        self.have = set()

    def _add(self, path, mode, content=b"", device=(0, 0)):
        name = path.strip("/").encode() + b"\0"
        fields = (len(self.have) + 1, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0)
        self.data += b"070701" + b"".join(b"%08X" % f for f in fields) + name
        self.data += b"\0" * (-len(self.data) % 4) + content
        self.data += b"\0" * (-len(self.data) % 4)

    def folder(self, path):
        path = "/" + path.strip("/")
        if path == "/" or path in self.have:
            return
        self.folder(os.path.dirname(path))
        self.have.add(path)
        self._add(path, 0o40755)

    def put(self, path, content, mode=0o100755):
        if path not in self.have:
            self.folder(os.path.dirname(path))
            self.have.add(path)
            self._add(path, mode, content)

    def file(self, path, at=None):
        with open(path, "rb") as f:
            self.put(at or path, f.read(), 0o100755 if os.access(path, os.X_OK) else 0o100644)

    def program(self, path):
        """A file with the libraries it needs."""
        if path in self.have:
            return
        self.file(path)
        with open(path, "rb") as f:
            if f.read(4) != b"\x7fELF":
                return
        needs = subprocess.run(["ldd", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        for library in re.findall(r"(?:=> |^\s)(/\S+) \(0x", needs.stdout.decode(), re.M):
            self.file(library)

    def finish(self):
        self._add("dev/console", 0o20600, device=(5, 1))
        self._add("TRAILER!!!", 0)
        return gzip.compress(bytes(self.data), compresslevel=1)


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(SKIPPED)


def read_list(path):
    tests, files = [], []
    with open(path, encoding="utf-8") as f:
        for line in f:
            fields = line.rstrip("\n").split("\t")
            if fields[0] == "file":
                files.append(fields[1])
            elif len(fields) == 4:
                tests.append(fields)
            elif line.strip():
                sys.exit(f"{path}: not a test: {line!r}")
    return tests, files


def make_archive(arguments, tests, files):
    archive = Archive()
    for folder in ("dev", "proc", "sys", "tmp"):
        archive.folder(folder)
    archive.file(BUSYBOX)
    for path in files:
        archive.program(path)
    lines = []
    for _, status, words, command in tests:
        for text in (command, words if status == "=" else ""):
            for word in text.replace("'", " ").split():
                if os.path.isfile(word) and word.startswith("/") and word != BUSYBOX:
                    archive.program(word)
        lines.append("\t".join((str(arguments.seconds), words if status == "=" else "-", command)) + "\n")
    for module in MODULES:
        archive.file(os.path.join(arguments.kernel, module), "/modules/" + module)
    archive.put("/tests", "".join(lines).encode(), 0o100644)
    archive.put("/init", INIT.replace("@npt@", "1" if arguments.npt == "Y" else "0").encode())
    return archive.finish()


def boot(arguments, folder):
    """What the machine said about its tests, and on its console."""
    console = os.path.join(folder, "console")
    processors = ["-accel", "tcg,thread=multi", "-smp", "2"]
    if arguments.count: # a tick of the counter and of the clock is an instruction
        processors = ["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=0,sleep=off"]
    qemu = subprocess.Popen(
        ["qemu-system-x86_64", *processors, "-M", arguments.machine, "-cpu", "max,+svm,+npt" + arguments.cpu,
         "-m", str(arguments.memory), "-nodefaults", "-display", "none", "-no-reboot",
         "-serial", "file:" + console, "-serial", "stdio", "-kernel", os.path.join(arguments.kernel, "vmlinuz"),
         "-initrd", os.path.join(folder, "initrd"),
         "-append", "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    watchdog = threading.Timer(arguments.deadline, qemu.kill)
    watchdog.start()
    said = []
    start = time.monotonic()
    for line in qemu.stdout:
        line = line.decode(errors="replace")
        said.append(line)
        if line.startswith("@@ up"):
            print(f"the machine is up after {time.monotonic() - start:.1f} s")
            sys.stdout.flush()
    qemu.wait()
    watchdog.cancel()
    with open(console, encoding="utf-8", errors="replace") as f:
        return "".join(said), f.read(), time.monotonic() - start


def answers(said):
    """{number: {"expected" or "got": (status, output, errors, seconds)}}"""
    found = {}
    pattern = re.compile(r"^@@ (expected|got) (\d+) (\d+) (\S+) (\S+)\n(.*?)\n@@ err\n(.*?)\n(?=@@ |\Z)", re.S | re.M)
    for kind, number, status, start, end, output, errors in pattern.findall(said):
        found.setdefault(int(number), {})[kind] = (int(status), output, errors, float(end) - float(start))
    return found


def judge(test, answer):
    """None: as it should be; or what is wrong."""
    _, status, words, _ = test
    if "got" not in answer:
        return "was not run to its end"
    got = answer["got"]
    if status == "=":
        if "expected" not in answer:
            return "has nothing to be compared with"
        expected = answer["expected"]
        if got[:2] != expected[:2]:
            lines = difflib.unified_diff(expected[1].splitlines(), got[1].splitlines(), "expected", "got", n=1, lineterm="")
            return f"status {got[0]}, expected {expected[0]}\n" + "\n".join([*lines, got[2]])
    else:
        output = got[1] + "\n" + got[2]
        if got[0] != int(status):
            return f"status {got[0]}, not {status}:\n{output}"
        if words and output.count(words) != 1:
            return f"does not say {words!r} once:\n{output}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--cpu", default="", help="more of QEMU's -cpu, with a comma before")
    parser.add_argument("--machine", default="pc")
    parser.add_argument("--npt", choices=("Y", "N"), default="Y", help="nested page tables, which kvm_amd must say it uses or not")
    parser.add_argument("--count", action="store_true", help="one processor, whose time stamp counter counts instructions")
    parser.add_argument("--show", action="store_true", help="print what passing tests print, too")
    parser.add_argument("--memory", type=int, default=1024)
    parser.add_argument("--seconds", type=int, default=400, help="for one test")
    parser.add_argument("--deadline", type=int, default=1100, help="for the machine")
    parser.add_argument("list")
    arguments = parser.parse_args()
    if not shutil.which("qemu-system-x86_64"):
        skip("no qemu-system-x86_64 here")
    if not os.path.exists(BUSYBOX):
        skip("no /bin/busybox here (Debian: busybox-static)")
    if not os.path.exists(os.path.join(arguments.kernel, "version")):
        skip(f"no kernel in {arguments.kernel}: scripts/fetch-kernel fetches it")
    tests, files = read_list(arguments.list)
    with tempfile.TemporaryDirectory(prefix="nested-") as folder:
        with open(os.path.join(folder, "initrd"), "wb") as f:
            f.write(make_archive(arguments, tests, files))
        said, console, seconds = boot(arguments, folder)
    up = re.search(r"^@@ up (\S+) (\S+)$", said, re.M)
    if not up:
        print(f"the machine did not come up; it said:\n{said}\nconsole:\n{console[-8000:]}")
        return 1
    if up[2] != arguments.npt:
        print(f"kvm_amd's npt is {up[2]}, not {arguments.npt}")
        return 1
    found = answers(said)
    failed = 0
    for number, test in enumerate(tests, 1):
        answer = found.get(number, {})
        wrong = judge(test, answer)
        failed += wrong is not None
        took = f" ({answer['got'][3]:.1f} s)" if "got" in answer else ""
        print(f"{'FAILED' if wrong else 'passed'} {test[0]}{took}" + (": " + wrong if wrong else ""))
        if arguments.show and not wrong:
            print(found[number]["got"][1].rstrip("\n"))
    if "@@ end" not in said:
        print(f"the machine did not come to its end; console:\n{console[-8000:]}")
        failed += 1
    print(f"{len(tests)} tests, {failed} failed, {seconds:.1f} s")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
