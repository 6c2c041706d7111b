#!/usr/bin/env python3
"""What each option of `pal` does, as its help says.

    command_line.py --pal build/pal --scratch DIR CASE
"""
import argparse
import os
import re
import shutil
import signal
import sys

import support

PAL = ""
SCRATCH = ""


def pal(*words, **more):
    return support.run([PAL, *words], cwd=more.pop("cwd", "/"), timeout=280, **more)


def expect(result, out=None, status=0, err=b""):
    assert result.status == status, f"status {result.status}: {result.err}"
    if out is not None:
        assert result.out == out, result.out
    if err is not None:
        assert result.err == err, result.err


def env(_):
    given = {"PATH": "/usr/bin:/bin", "KEPT": "1", "CHANGED": "old"}
    result = pal("run", "--env", "CHANGED=new", "--env", "ADDED=a=b", "--", "env", env=given)
    expect(result)
    assert set(result.out.split(b"\n")) >= {b"KEPT=1", b"CHANGED=new", b"ADDED=a=b"}, result.out


def clear_env(_):
    expect(pal("run", "--clear-env", "--env", "ONLY=1", "--", "env"), b"ONLY=1\n")


def cwd(_):
    expect(pal("run", "--cwd", "/usr/share", "--", "pwd"), b"/usr/share\n")


def cwd_is_the_current_one(_):
    expect(pal("run", "--", "/bin/pwd", cwd="/usr/bin"), b"/usr/bin\n")


def cwd_falls_back(_):
    # Exists outside only: the guest's /tmp is its own.
    os.makedirs("/tmp/palimpsest-test-only-outside", exist_ok=True)
    try:
        expect(pal("run", "--", "/bin/pwd", cwd="/tmp/palimpsest-test-only-outside"), b"/\n")
    finally:
        os.rmdir("/tmp/palimpsest-test-only-outside")


def dashes_are_optional(_):
    expect(pal("run", "echo", "--stats"), b"--stats\n")


def root(_):
    os.makedirs(SCRATCH + "/root/bin")
    shutil.copy("/bin/busybox", SCRATCH + "/root/bin/busybox")
    expect(pal("run", "--root", SCRATCH + "/root", "--", "/bin/busybox", "ls", "/bin"), b"busybox\n")
    expect(pal("run", "--root", SCRATCH + "/root", "--", "/bin/busybox", "ls", "/usr"), b"", 1, None)
    assert os.listdir(SCRATCH + "/root") == ["bin"]


def changes_stay_inside(_):
    target = SCRATCH + "/victim"
    with open(target, "w", encoding="ascii") as f:
        f.write("old\n")
    mounts = ["--mount", f"{SCRATCH}:/mnt/ro", "--mount", f"{SCRATCH}:/mnt/rw:rw"]
    script = "echo no > /mnt/ro/victim; echo yes > /mnt/rw/made; cat /mnt/ro/made; echo gone > /etc/hostname; rm -rf /usr/share/doc; ls -d /usr/share/doc"
    result = pal("run", *mounts, "--", "bash", "-c", script)
    expect(result, b"yes\n", 2, None)
    assert b"Read-only" in result.err, result.err
    assert open(target, encoding="ascii").read() == "old\n" and open(SCRATCH + "/made", encoding="ascii").read() == "yes\n"
    assert os.path.isdir("/usr/share/doc")


def trace_to_a_file(_):
    file = SCRATCH + "/trace"
    expect(pal("run", "--trace=" + file, "--", "bash", "-c", "trap : USR1; /bin/true; kill -USR1 $$; exit 3"), b"", 3)
    lines = open(file, encoding="utf-8").read().split("\n")
    assert lines.pop() == ""
    for line in lines:
        assert re.fullmatch(r"\[pid \d+\] (\w+\(.*\) = (\?|-?\d+|0x[0-9a-f]+|0[0-7]*)( .*)?|--- SIG.* ---|\+\+\+ .* \+\+\+)", line), line
    text = "\n".join(lines)
    for pattern in (r'\[pid \d+\] openat\(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY\|O_CLOEXEC\) = \d', r'execve\("/bin/true", \["/bin/true"\], 0x[0-9a-f]+ /\* \d+ vars \*/\) = 0',
                    r"\[pid 3\] exit_group\(0\) = \?", r"\[pid 3\] \+\+\+ exited with 0 \+\+\+", r"\[pid 2\] --- SIGCHLD \{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=3,",
                    r"\[pid 2\] --- SIGUSR1 \{si_signo=SIGUSR1, si_code=SI_USER, si_pid=2, si_uid=\d+\} ---", r"wait4\(-1, \[\{WIFEXITED\(s\) && WEXITSTATUS\(s\) == 0\}\]",
                    r"\[pid 2\] \+\+\+ exited with 3 \+\+\+"):
        assert re.search(pattern, text), f"no line like {pattern}"


def trace_to_standard_error(_):
    result = pal("run", "--trace", "--", "/bin/echo", "hi")
    expect(result, b"hi\n", 0, None)
    assert b'write(1, "hi\\n", 3) = 3\n' in result.err, result.err[-500:]


def stats(_):
    result = pal("run", "--stats", "--", "bash", "-c", "/bin/true; (exit 0); busybox sh -c 'exit 4'")
    expect(result, b"", 4, None)
    text = result.err.decode()
    forks = re.search(r"processes: (\d+) forks, (\d+) vforks, 0 threads, (\d+) execs, (\d+) exits", text)
    assert forks and int(forks[1]) + int(forks[2]) >= 2 and int(forks[3]) >= 3, text
    assert re.search(r"\n +\d+ wait4\n", text), text
    assert re.search(r"\n +2 \S+ +\d+ +\d+", text), "no line for the first process:\n" + text
    total = re.search(r"\n +total +(\d+) +(\d+) +(\d+|-) +(\d+) +(\d+|-)", text)
    assert total and int(total[2]) > 0 and int(total[4]) > 0, text


def stats_count_what_still_runs(_):
    # The first process ends before its children, who go on making calls while the table is printed.
    script = "for i in 1 2 3; do while :; do kill -0 $$ 2>/dev/null || :; done & done; sleep 0.3; exit 3"
    result = pal("run", "--stats", "--", "/bin/sh", "-c", script)
    assert result.status == 3, result.status
    lines = result.err.split(b"\n")
    spaces = [line.split()[1] for line in lines[lines.index(next(l for l in lines if l.startswith(b"address spaces"))):] if line.split()[:1] and line.split()[0].isdigit()]
    assert spaces.count(b"sh") >= 4, result.err.decode()
    calls = [line.split()[1] for line in lines if re.match(rb" +\d+ [a-z_0-9]+(:.*)?$", line)]
    assert len(calls) == len(set(calls)), calls


def unsupported_calls_are_counted(_):
    result = pal("run", "--stats", "--", "/usr/bin/python3", "-c", "import ctypes; print(ctypes.CDLL(None).syscall(425, 0, 0))")
    expect(result, b"-1\n", 0, None)
    assert re.search(rb" 1 io_uring_setup: not supported \(ENOSYS\)\n", result.err), result.err


LIMIT = ["--memory", "200M"]


def memory_refuses_what_cannot_be(_):
    expect(pal("run", *LIMIT, "--", "python3", "-c", "import mmap; mmap.mmap(-1, 1 << 30)"), b"", 1, None)
    # What nobody touches costs nothing, in memory or in a file.
    script = "import mmap\nkept = [mmap.mmap(-1, 120 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) for i in range(3)]\nkept[2][5] = 1\n" \
             "with open('/tmp/sparse', 'wb') as f: f.seek(1 << 35); f.write(b'x')\nprint(len(bytearray(20 << 20)))"
    expect(pal("run", *LIMIT, "--", "python3", "-c", script), b"20971520\n")


def memory_kills_the_biggest(_):
    # Reserved without accounting, then filled; the parent goes on.
    script = "import mmap, os\npid = os.fork()\nif pid == 0:\n    kept = mmap.mmap(-1, 1 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)\n" \
             "    for i in range(0, 1 << 30, 4096): kept[i] = 1\nprint(os.waitpid(pid, 0)[1], flush=True)"
    result = pal("run", *LIMIT, "--", "python3", "-c", script)
    expect(result, b"9\n", 0, None)
    assert re.search(rb"^pal: out of memory \(--memory\): killed process 3 \(python3\), which held \d+ MiB$", result.err, re.M), result.err


def memory_limits_files(_):
    script = "f = open('/tmp/big', 'wb')\ntry:\n    for i in range(1000): f.write(bytes(1 << 20))\n" \
             "except OSError as e: print(e.errno, 100 < i < 200 or i)\n" \
             "import os\nos.unlink('/tmp/big'); f.close()\nprint(open('/tmp/next', 'wb').write(bytes(50 << 20)))"
    expect(pal("run", *LIMIT, "--", "python3", "-c", script), b"28 True\n52428800\n", 0, None)


def memory_counts_shared_pages_once(_):
    script = "import os\nkept = bytearray(os.urandom(1 << 20) * 80)\nr, w = os.pipe()\nids = [os.fork() for i in range(3)]\n" \
             "if 0 in ids: os.close(w); os.read(r, 1); os._exit(0)\n" \
             "os.close(w); print(sorted({os.waitpid(-1, 0)[1] for i in range(3)}))"
    expect(pal("run", *LIMIT, "--", "python3", "-c", script), b"[0]\n")


def memory_is_told(_):
    expect(pal("run", *LIMIT, "--", "python3", "-c", "import os; print(os.sysconf('SC_PHYS_PAGES'))"), b"51200\n")


def pids(_):
    script = "import os, threading\nr, w = os.pipe()\nn = 0\ntry:\n    while n < 100:\n        if os.fork() == 0: os.close(w); os.read(r, 1); os._exit(0)\n" \
             "        n += 1\nexcept OSError as e: print(n, e.errno)\ntry: threading.Thread(target=print).start()\nexcept RuntimeError: print('no thread')\n" \
             "os.close(w)\nfor i in range(n): os.wait()\nprint(os.waitpid(os.spawnlp(os.P_NOWAIT, 'true', 'true'), 0)[1])"
    expect(pal("run", "--pids", "20", "--", "python3", "-c", script), b"19 11\nno thread\n0\n")


def fork_bomb(_):
    # Each of its processes leaves two behind and tries again; it cannot get beyond its limit, and ends.
    script = "import os, time\nend = time.monotonic() + 3\nrefused = 0\nwhile time.monotonic() < end or not refused:\n    try:\n        os.fork()\n" \
             "    except OSError as e:\n        refused += e.errno == 11\n        time.sleep(0.01)\nos._exit(0 if refused else 1)"
    expect(pal("run", "--pids", "150", "--", "python3", "-c", script), b"", 0)


def help_and_version(_):
    for words in (["--help"], ["run", "--help"], ["--version"], ["platforms"], ["syscalls"]):
        result = pal(*words)
        expect(result)
        assert result.out.endswith(b"\n"), words
    options = set(re.findall(r"--[a-z-]+", pal("run", "--help").out.decode()))
    assert options >= {"--platform", "--root", "--mount", "--env", "--clear-env", "--cwd", "--memory", "--pids", "--trace", "--stats", "--help"}, options


def platforms(_):
    text = pal("platforms").out.decode()
    assert re.search(r"^linux_user +available +\S", text, re.M) and re.search(r"^noop +", text, re.M), text


def every_interception(_):
    for how in ("auto", "patch", "trap", "seccomp"):
        expect(pal("run", "--intercept", how, "--", "bash", "-c", "echo $(echo nested) | cat"), b"nested\n")


# Answers ENOSYS to membarrier (324) and becomes the rest of the command line. linux/seccomp.h, linux/filter.h
WITHOUT_MEMBARRIER = """
import ctypes, os, struct, sys
rules = ((0x20, 0, 0, 0), (0x15, 0, 1, 324), (0x06, 0, 0, 0x00050000 + 38), (0x06, 0, 0, 0x7fff0000))
code = b"".join(struct.pack("=HBBI", *rule) for rule in rules)
held = ctypes.create_string_buffer(code, len(code))
program = struct.pack("@HP", len(rules), ctypes.addressof(held))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
"""


def patching_where_it_cannot_be(_):
    def run(*words):
        return support.run([sys.executable, "-c", WITHOUT_MEMBARRIER, PAL, "run", *words, "--", "/bin/echo", "well"], cwd="/", timeout=280)
    expect(run(), b"well\n")
    refused = run("--intercept=patch")
    assert refused.status == 125 and re.search(rb"^pal: .*patching: .*\n$", refused.err), (refused.status, refused.err)
    told = run("--stats")
    assert b"patching is off" in told.err, told.err


def small_file_limit(_):
    # The instance's memory is a file to the host, bigger than this limit: ftruncate would be answered by SIGXFSZ.
    limited = support.run(["/bin/sh", "-c", f"ulimit -f 1000; exec {PAL} run -- /bin/echo well"], cwd="/", timeout=280)
    expect(limited, b"well\n")


def closed_streams(_):
    script = f"exec {PAL} run -- /bin/sh -c 'exit 6' <&- >&- 2>&-"
    assert support.run(["sh", "-c", script], timeout=280).status == 6


def children_it_did_not_make(_):
    # Left by whoever became pal: nothing to wait for.
    result = support.run(["sh", "-c", f"sleep 1000 </dev/null >/dev/null 2>&1 & echo $!; exec {PAL} run -- /bin/echo well"], timeout=280)
    os.kill(int(result.out.split()[0]), signal.SIGKILL)
    assert result.status == 0 and result.out.split()[1] == b"well", result.out
    assert result.seconds < 250, f"{result.seconds} s"


def output_nobody_reads(_):
    expect(support.run(["bash", "-c", f"{PAL} run -- yes | head -1; exit ${{PIPESTATUS[0]}}"], timeout=280), b"y\n", 141)


def odd_layouts(_):
    # Where the host loads programs: from below, without randomness, with room for any stack.
    for how in ("setarch -L", "setarch -R", "setarch -L -R", "ulimit -s unlimited; exec", "ulimit -s unlimited; exec setarch -R"):
        words = f"{how} {PAL} run -- /bin/sh -c 'cat; echo \"$@\"' sh 'a b' '' c"
        expect(support.run(["sh", "-c", words], timeout=110, stdin=b"in\n"), b"in\na b  c\n")


CASES = {name: function for name, function in list(globals().items())
         if callable(function) and getattr(function, "__code__", None) and function.__code__.co_varnames[:1] == ("_",)}


def main():
    global PAL, SCRATCH
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("--scratch", required=True)
    parser.add_argument("case", choices=sorted(CASES))
    args = parser.parse_args()
    PAL, SCRATCH = os.path.abspath(args.pal), os.path.abspath(args.scratch) + "/" + args.case
    shutil.rmtree(SCRATCH, ignore_errors=True)
    os.makedirs(SCRATCH)
    support.adopt_orphans()
    CASES[args.case](None)
    _, left = support.leftovers()
    shutil.rmtree(SCRATCH)
    if left:
        sys.exit(f"left running: {left}")


if __name__ == "__main__":
    main()
