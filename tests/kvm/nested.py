#!/usr/bin/env python3
"""nested.py --kernel DIR [--emulator NAME] [--hold HOLD_VM] [--cpu FLAGS] [--memory MIB] [--seconds N] [--count] [--share N] LIST: runs tests on a real
KVM inside an emulated machine.

QEMU emulates two processors with AMD's virtualization, or Bochs some with Intel's (bochs_machine.py), and boots Debian's kernel from DIR
(scripts/fetch-kernel) on a disk made here, which holds busybox, the modules of KVM, and every file that LIST names, at the path it has outside. The machine runs the
tests one after the other and hands back what they printed; this program judges. A machine whose own kernel stands still, or one of its
processors (QEMU before 8.1 may lose the race between a processor that translates code and another that patches it: hold_vm.c; or, by the
like, go round for ever in its list of a page's translations), is said to, with where its processors are, and another one goes on with the
test it stood at, as after one that went down: what stops two machines fails.

LIST has one test a line, fields separated by tabs:
  NAME  STATUS  WORDS  COMMAND   the command ends with STATUS and says WORDS, once ("": says whatever it likes)
  NAME  =       OTHER  COMMAND   status, standard output and standard error are those of the command OTHER in that machine
  NAME  =here   OTHER  COMMAND   the same, of the command OTHER on this machine: where Debian's kernel itself would answer otherwise
  case  NAME    COMMAND          that case of tests/programs/cases.py (*: all) is the same natively in that machine and by COMMAND (pal run ... --)
  file  PATH                     PATH is there, too: a file with the libraries it needs, or a folder with all that is below it
  skip  NAME    REASON           is printed: that test cannot run there
  package  NAME                  so are programs, libraries and headers of that Debian package
Status: 0; 1 when a test failed; 77 with a line that says SKIP when this machine cannot; 125.
"""
import argparse
import difflib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "programs"))
import bochs_machine
import cases

SKIPPED, BROKEN = 77, 125
SILENT = 300 # seconds without a sign of life (one is due every 5, from one processor), or without a processor, after which a machine stands still
MACHINES = 4 # at most, one after the other where they stand still
# QEMU 7.2 sometimes gives a processor that enters the guest's guest the machine's own registers: in 3 of 100 runs of contexts beside another such machine, whatever the
# image. It ends by a triple fault (KVM on AMD then resets it, to that address), or is told of in ring 0 where Linux has its modules (the instruction after kvm_amd's VMRUN) and
# no image has code. Such a test runs once more, and that is said.
LOST, LOST_MOST = "triple fault near 0xfff0|in ring 0 at 0xffffffffc0", 3
PROCESSOR = "max,+svm,+npt,-pku" # the image has no protection keys, so neither has whom it is compared with
NOT_RUN = (126, 127, 134) # statuses of programs that could not start or gave up, which a test natively must not have
BUSYBOX = "/bin/busybox"
MUSL = "/lib/ld-musl-x86_64.so.1"
MKFS = shutil.which("mke2fs") or "/sbin/mke2fs"
MODULES = ("irqbypass", "kvm")
# The module of KVM that each emulator's processor wants, and what that calls nested page tables.
VENDORS = {"qemu": ("kvm-amd", "npt"), "bochs": ("kvm-intel", "ept")}

INIT = """#!/bin/busybox sh
/bin/busybox mkdir /applets
/bin/busybox --install -s /applets
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/applets HOME=/root LC_ALL=C GUEST_VARIABLE=seen
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
for point in /tmp /var/tmp /run; do # unless the checkout lies below
    [ -n "$(ls -A $point)" ] || mount -t tmpfs tmp $point
done
mkdir -p /dev/pts /dev/shm; mount -t devpts pts /dev/pts; mount -t tmpfs shm /dev/shm; chmod 1777 /tmp /var/tmp /dev/shm
ln -s /proc/self/fd /dev/fd; ln -s fd/0 /dev/stdin; ln -s fd/1 /dev/stdout; ln -s fd/2 /dev/stderr
hostname machine
ip link set lo up
stty -F /dev/ttyS1 raw -echo 115200 # what Bochs keeps to
exec 3>/dev/ttyS1
for module in irqbypass kvm "@module@ @nested@=@npt@"; do
    insmod /modules/${module%% *}.ko ${module#${module%% *}} || echo "insmod $module: $?" >&3
done
if [ -x /hold_vm ]; then
    /hold_vm >/run/held 2>&1 &
    until [ -s /run/held ]; do sleep 0.1; done
    grep -qx held /run/held || cat /run/held >&3
fi
while sleep 5; do echo "@@ alive"; done >/dev/ttyS0 &
echo "@@ up $(cut -d ' ' -f 1 /proc/uptime) $(cat /sys/module/*/parameters/@nested@)" >&3
number=0 lost=0
now() { cut -d ' ' -f 1 /proc/uptime; }
run() {
    start=$(now)
    setsid timeout -s KILL "$1" /bin/sh -c "$2" </dev/null >/run/out 2>/run/err 3>&-
    echo "@@ $3 $number $? $start $(now)" >&3
    cat /run/out >&3; echo >&3; echo "@@ err" >&3; cat /run/err >&3; echo >&3
}
while IFS='\t' read -r seconds expected command; do
    number=$((number + 1))
    [ $number -ge ${first:-1} ] || continue
    [ $number -lt $((${first:-1} + @share@)) ] || break
    [ "$expected" = - ] || run "$seconds" "$expected" expected
    run "$seconds" "$command" got
    if grep -Eq "@lost@" /run/out /run/err && [ $lost -lt @lost_most@ ]; then
        lost=$((lost + 1))
        echo "@@ lost $number" >&3
        run "$seconds" "$command" got
    fi
done </tests
echo "@@ end $(cut -d ' ' -f 1 /proc/uptime)" >&3
sleep 1
reboot -f
"""


class Tree:
    """What the disk holds, put together in a folder here."""

    def __init__(self, root):
        self.root = root
        self.have = set()
        for path in ("dev", "proc", "sys", "tmp", "var/tmp", "run", "root", "modules"):
            os.makedirs(os.path.join(root, path))
        for path in ("/bin", "/sbin", "/lib", "/lib64"): # Debian's links
            if os.path.islink(path):
                self._place(path)
                os.makedirs(root + os.path.realpath(path), exist_ok=True)

    def _place(self, path):
        """Makes the folders and links on the way to `path` as they are here. Where it really is."""
        at = "/"
        parts = path.strip("/").split("/")
        while parts:
            part = parts.pop(0)
            if part in ("", "."):
                continue
            at = os.path.dirname(at) if part == ".." else os.path.join(at, part)
            if os.path.islink(at):
                target = os.readlink(at)
                if not os.path.islink(self.root + at):
                    os.makedirs(os.path.dirname(self.root + at), exist_ok=True)
                    os.symlink(target, self.root + at)
                at = "/" if target.startswith("/") else os.path.dirname(at)
                parts = target.strip("/").split("/") + parts
        os.makedirs(os.path.dirname(self.root + at), exist_ok=True)
        return at

    def text(self, path, content, mode=0o755):
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, "wb") as f:
            f.write(content)
        os.chmod(self.root + path, mode)

    def file(self, path, at=None):
        """Was it not there yet?"""
        real = self._place(path) if at is None else at
        if real in self.have:
            return False
        self.have.add(real)
        shutil.copy2(path, self.root + real)
        return True

    def folder(self, path):
        real = self._place(path)
        if real in self.have:
            return
        self.have.add(real)
        shutil.copytree(real, self.root + real, symlinks=True, dirs_exist_ok=True, ignore_dangling_symlinks=True,
                        ignore=lambda where, names: [name for name in names if name == "__pycache__" or not_plain(os.path.join(where, name))])

    def program(self, path):
        """A file with the libraries it needs."""
        if os.path.isdir(path):
            self.folder(path)
            return
        if not self.file(path):
            return
        with open(path, "rb") as f:
            start = f.read(4096)
        if start[:4] != b"\x7fELF":
            return
        if MUSL.encode() in start: # the other C library's, of which ldd knows nothing
            self.file(MUSL)
            return
        needs = subprocess.run(["ldd", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        for library in re.findall(r"(?:=> |^\s)(/\S+) \(0x", needs.stdout.decode(), re.M):
            self.file(library)

    def disk(self, path, mib):
        done = subprocess.run([MKFS, "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-i", "8192", "-d", self.root, path, f"{mib}M"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            sys.exit(f"{MKFS}: {done.stdout.decode(errors='replace')}")


def not_plain(path):
    mode = os.lstat(path).st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)) or not (os.path.islink(path) or os.access(path, os.R_OK))


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(SKIPPED)


class Test:
    def __init__(self, name, status, other, command, order=True):
        self.name, self.status, self.other, self.command, self.order = name, status, other, command, order

    def compared(self):
        return str(self.status).startswith("=")


def files_of_package(name):
    done = subprocess.run(["dpkg", "-L", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return [path for path in done.stdout.decode().split() if re.match(r"(/usr)?/(s?bin|lib|include)/", path) and not os.path.isdir(path)]


def read_case(name, command):
    """A case of cases.py as a script, so that no quotes are lost on the way."""
    case = cases.CASES[name]
    script = f"cd /; exec {shlex.join(case.argv)} <{'/cases/' + name + '.in' if case.stdin else '/dev/null'}\n"
    return Test(name, "=", f"/bin/sh /cases/{name}", f"{command} /bin/sh /cases/{name}", not case.sort), script.encode(), case.stdin


def read_list(path):
    tests, files, scripts = [], [], {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            fields = line.rstrip("\n").split("\t")
            if fields[0] == "file":
                files.append(fields[1])
            elif fields[0] == "skip":
                print(f"skipped {fields[1]}: {fields[2]}")
            elif fields[0] == "package":
                files += files_of_package(fields[1])
            elif fields[0] == "case":
                for name in cases.CASES if fields[1] == "*" else [fields[1]]:
                    test, script, given = read_case(name, fields[2])
                    tests.append(test)
                    scripts["/cases/" + name] = script
                    if given:
                        scripts["/cases/" + name + ".in"] = given
            elif len(fields) == 4:
                tests.append(Test(*fields))
            elif line.strip():
                sys.exit(f"{path}: not a test: {line!r}")
    return tests, files, scripts


def make_disk(arguments, tests, files, scripts, folder):
    tree = Tree(os.path.join(folder, "tree"))
    for path in (BUSYBOX, "/bin/sh", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/debian_version", *files):
        if os.path.exists(path):
            tree.program(path)
    lines = []
    for test in tests:
        inside = test.other if test.status == "=" else ""
        for word in f"{test.command} {inside}".replace("'", " ").split():
            if os.path.isfile(word) and word.startswith("/"):
                tree.program(word)
        lines.append("\t".join((str(arguments.seconds), inside or "-", test.command)) + "\n")
    for path, content in scripts.items():
        tree.text(path, content)
    if arguments.hold:
        tree.file(arguments.hold, "/hold_vm")
    vendor, nested = VENDORS[arguments.emulator]
    for module in (*MODULES, vendor):
        tree.file(os.path.join(arguments.kernel, f"{module}.ko"), f"/modules/{module}.ko")
    tree.text("/tests", "".join(lines).encode())
    init = INIT
    for name, value in (("module", vendor), ("nested", nested), ("npt", int(arguments.npt == "Y")), ("share", arguments.share), ("lost", LOST),
                        ("lost_most", LOST_MOST if arguments.emulator == "qemu" else 0)):
        init = init.replace(f"@{name}@", str(value))
    tree.text("/init", init.encode())
    if arguments.emulator == "bochs":
        bochs_machine.make_disk(tree.root, arguments.kernel, folder)
    else:
        tree.disk(os.path.join(folder, "disk"), arguments.disk)
    shutil.rmtree(tree.root)


class Watch(threading.Thread):
    """Ends QEMU at the deadline, or when nothing has come on the machine's console for long, or when its kernel says there that a processor
    has been out of its reach for long: no program can keep one so."""

    def __init__(self, machine, console, monitor, deadline, silent):
        super().__init__(daemon=True)
        self.machine, self.console, self.monitor, self.deadline, self.silent = machine, console, monitor, deadline, silent
        self.stuck = None # where the processors were

    def _where(self):
        """What QEMU says of the processors' registers."""
        if not self.monitor:
            return "not told"
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.monitor)
            lines = s.makefile("rw")
            for request in ({"execute": "qmp_capabilities"}, {"execute": "human-monitor-command", "arguments": {"command-line": "info registers -a"}}):
                lines.write(json.dumps(request) + "\n")
                lines.flush()
            for line in lines:
                answer = json.loads(line).get("return")
                if isinstance(answer, str):
                    return ", ".join(re.findall(r"CPU#\d|RIP=\w+|CPL=\d|HLT=\d", answer))
        return "?"

    def _longest(self):
        """Seconds for which a processor was out of the kernel's reach, as its watchdog said (every 20 s or so)."""
        with open(self.console, "rb") as f:
            said = re.findall(rb"soft lockup - CPU#\d+ stuck for (\d+)s", f.read())
        return max(map(int, said), default=0)

    def run(self):
        end, size, seen = time.monotonic() + self.deadline, -1, time.monotonic()
        while self.machine.poll() is None:
            time.sleep(1)
            now = time.monotonic()
            if os.path.getsize(self.console) != size:
                size, seen = os.path.getsize(self.console), now
            if now > seen + self.silent or self._longest() > self.silent:
                try:
                    self.stuck = self._where()
                except (OSError, ValueError) as error:
                    self.stuck = f"not told: {error}"
            if now > end or self.stuck is not None:
                self.machine.kill()
                return


def boot(arguments, folder, first, deadline):
    """What a machine said about its tests from number `first` on, what it said on its console, and where it stood still (None: nowhere)."""
    console, monitor = os.path.join(folder, "console"), os.path.join(folder, "monitor")
    with open(console, "wb"):
        pass
    words = f"console=ttyS0 quiet panic=-1 mitigations=off no_timer_check first={first}"
    start = time.monotonic()
    if arguments.emulator == "bochs":
        machine, monitor = bochs_machine.start(arguments, folder, words), None
    else:
        machine = start_qemu(arguments, folder, monitor, words)
    # Where instructions are counted, the machine's seconds may be minutes, and one processor has nobody to race with.
    counts = arguments.count or arguments.emulator == "bochs"
    watch = Watch(machine, console, monitor, deadline, deadline if counts else SILENT)
    watch.start()
    said = []
    with open(os.path.join(folder, "said"), "ab", buffering=0) as so_far: # for whoever looks on
        for line in machine.stdout or bochs_machine.lines(machine, folder):
            so_far.write(line)
            line = line.decode(errors="replace")
            said.append(line)
            if line.startswith("@@ up"):
                took, told = time.monotonic() - start, float(line.split()[2])
                print(f"the machine is up after {took:.1f} s, {told:.1f} s by its own clock", flush=True)
                if told > 2 * took + 5 and not counts: # measured its processors' clocks while the host had other things to do
                    watch.stuck = "ran too fast"
                    machine.kill()
    machine.wait()
    watch.join()
    with open(console, encoding="utf-8", errors="replace") as f:
        return "".join(said), re.sub(r"@@ alive\r?\n", "", f.read()), watch.stuck


def start_qemu(arguments, folder, monitor, words):
    # No tb-size: when QEMU 7.2's cache of translations is full, and it is emptied, a processor inside the guest of the guest may go on with the state of
    # the machine's kernel (1 of 12 runs of the contract tests with 64 MiB; none with its gigabyte, which they do not fill).
    processors = ["-accel", "tcg,thread=multi", "-smp", "2"]
    if arguments.count: # a tick of the counter and of the clock is an instruction
        processors = ["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=0,sleep=off"]
    return subprocess.Popen(
        ["qemu-system-x86_64", *processors, "-M", arguments.machine, "-cpu", PROCESSOR + arguments.cpu,
         "-m", str(arguments.memory), "-nodefaults", "-display", "none", "-no-reboot", "-qmp", f"unix:{monitor},server=on,wait=off",
         "-serial", "file:" + os.path.join(folder, "console"), "-serial", "stdio", "-kernel", os.path.join(arguments.kernel, "vmlinuz"),
         "-drive", f"file={os.path.join(folder, 'disk')},if=none,id=disk,format=raw,cache=unsafe,snapshot=on", "-device", "nvme,drive=disk,serial=disk",
         "-append", f"root=/dev/nvme0n1 rw init=/init tsc=reliable {words}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def answers(said):
    """{number: {"expected" or "got": (status, output, errors, seconds)}}"""
    found = {}
    pattern = re.compile(r"^@@ (expected|got) (\d+) (\d+) (\S+) (\S+)\n(.*?)\n@@ err\n(.*?)\n(?=@@ |\Z)", re.S | re.M)
    for kind, number, status, start, end, output, errors in pattern.findall(said):
        found.setdefault(int(number), {})[kind] = (int(status), output, errors, float(end) - float(start))
    for number in re.findall(r"^@@ lost (\d+)$", said, re.M):
        found.setdefault(int(number), {})["lost"] = True
    return found


def run_machines(arguments, folder, count):
    """What the machines for `count` tests, and others after one that stood still, said: the answers; the last one's words and console."""
    end = time.monotonic() + arguments.deadline
    found, first, stood, stood_at = {}, 1, 0, 0
    while True:
        said, console, stuck = boot(arguments, folder, first, end - time.monotonic())
        found.update(answers(said))
        if stuck is None and "@@ end" in said:
            first += arguments.share
            if first > count:
                return found, said, console
            continue
        at = max((number for number, answer in found.items() if "got" in answer), default=0) + 1
        if stuck is None and (at > count or "@@ up" not in said or time.monotonic() >= end):
            return found, said, console
        what = f"the machine's own kernel stood still (its processors: {stuck})" if stuck else f"the machine went down, its console: {console[-2000:]}"
        stood += 1
        again, stood_at = at == stood_at, at
        if again or stood == MACHINES:
            return found, said, f"{console}\n{what} at test {at}{' again' if again else ''}"
        print(f"{what} at test {at}; another machine goes on there", flush=True)
        first = at


def as_from_a_terminal():
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT): # ignored by what nohup or a script runs in the background
        signal.signal(number, signal.SIG_DFL)


def run_here(test, seconds):
    done = subprocess.run(["sh", "-c", test.other], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
                          env=dict(os.environ, LC_ALL="C", GUEST_VARIABLE="seen", HOME="/root"), timeout=seconds, preexec_fn=as_from_a_terminal,
                          check=False)
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return status, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def judge(test, answer, seconds):
    """None: as it should be; or what is wrong."""
    if "got" not in answer:
        return "was not run to its end"
    got = answer["got"]
    if test.compared():
        if test.status == "=here":
            try:
                expected = run_here(test, seconds)
            except subprocess.TimeoutExpired:
                return f"takes more than {seconds} s on this machine"
        elif "expected" in answer:
            expected = answer["expected"]
            if expected[0] in NOT_RUN:
                return f"ends with {expected[0]} natively: what does it miss there?\n{expected[2]}"
        else:
            return "has nothing to be compared with"
        texts = [[text.splitlines() if test.order else sorted(text.splitlines()) for text in run[1:3]] for run in (expected, got)]
        if got[0] != expected[0] or texts[0] != texts[1]:
            lines = [line for a, b in zip(*texts) for line in difflib.unified_diff(a, b, "expected", "got", n=1, lineterm="")]
            return f"status {got[0]}, expected {expected[0]}\n" + "\n".join(lines[:60])
    else:
        output = got[1] + "\n" + got[2]
        if got[0] != int(test.status):
            return f"status {got[0]}, not {test.status}:\n{output}"
        if test.other and output.count(test.other) != 1:
            return f"does not say {test.other!r} once:\n{output}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--hold", help="hold_vm, which keeps a virtual machine throughout")
    parser.add_argument("--emulator", choices=sorted(VENDORS), default="qemu")
    parser.add_argument("--cpu", default="", help="more of QEMU's -cpu, with a comma before; Bochs's model")
    parser.add_argument("--processors", type=int, default=2, help="of Bochs's machine")
    parser.add_argument("--machine", default="pc")
    parser.add_argument("--npt", choices=("Y", "N"), default="Y", help="nested page tables, of which KVM must say that it uses them or not")
    parser.add_argument("--count", action="store_true", help="one processor, whose time stamp counter counts instructions")
    parser.add_argument("--show", action="store_true", help="print what passing tests print, too")
    parser.add_argument("--memory", type=int, default=1024)
    parser.add_argument("--disk", type=int, default=1024)
    parser.add_argument("--seconds", type=int, default=400, help="for one test")
    # Of a page whose text many processes had QEMU keeps as many translations: late in a long list 100 us a byte were seen where one was cleared.
    parser.add_argument("--share", type=int, default=30, help="tests for one machine; another goes on")
    parser.add_argument("--deadline", type=int, default=1100, help="for all machines")
    parser.add_argument("list")
    arguments = parser.parse_args()
    missing = None if shutil.which("qemu-system-x86_64") else "no qemu-system-x86_64 here"
    if arguments.emulator == "bochs":
        missing = bochs_machine.missing()
    if missing:
        skip(missing)
    if not os.path.exists(BUSYBOX):
        skip("no /bin/busybox here (Debian: busybox-static)")
    for name in ("version", VENDORS[arguments.emulator][0] + ".ko"):
        if not os.path.exists(os.path.join(arguments.kernel, name)):
            skip(f"no {name} in {arguments.kernel}: scripts/fetch-kernel fetches the kernel")
    if arguments.emulator == "qemu" and not os.path.exists(MKFS):
        skip("no mke2fs here (Debian: e2fsprogs)")
    tests, files, scripts = read_list(arguments.list)
    with tempfile.TemporaryDirectory(prefix="nested-") as folder:
        make_disk(arguments, tests, files, scripts, folder)
        start = time.monotonic()
        found, said, console = run_machines(arguments, folder, len(tests))
        seconds = time.monotonic() - start
    up = re.search(r"^@@ up (\S+) (\S+)$", said, re.M)
    if not up:
        print(f"the machine did not come up; it said:\n{said}\nconsole:\n{console[-8000:]}")
        return 1
    if up[2] != arguments.npt:
        print(f"{' '.join(VENDORS[arguments.emulator])} is {up[2]}, not {arguments.npt}")
        return 1
    failed = 0
    for number, test in enumerate(tests, 1):
        answer = found.get(number, {})
        wrong = judge(test, answer, arguments.seconds)
        failed += wrong is not None
        took = f" ({answer['got'][3]:.1f} s)" if "got" in answer else ""
        print(f"{'FAILED' if wrong else 'passed'} {test.name}{took}" + (": " + wrong if wrong else ""))
        if arguments.show and not wrong:
            print(found[number]["got"][1].rstrip("\n"))
        if "lost" in answer and test.name != "triple_fault":
            print(f"   {test.name} ran a second time: the machine had lost its processor")
    if "@@ end" not in said:
        print(f"the machine did not come to its end; console:\n{console[-8000:]}")
        failed += 1
    print(f"{len(tests)} tests, {failed} failed, {seconds:.1f} s")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
