"""What the program tests share: running things with a deadline, and finding what they left behind."""
import ctypes
import glob
import os
import random
import resource
import signal
import socket
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def hidden_from_guest(path):
    """pal gives the guest a /tmp of its own; a checkout below the host's /tmp has to be mounted to be seen."""
    return os.path.abspath(path).startswith("/tmp/")


def task_limit():
    """How many threads this process and its descendants can have at once, by all limits that are easily known."""
    limits = []
    for path in ("/proc/sys/kernel/threads-max", "/proc/sys/kernel/pid_max", "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"):
        try:
            with open(path, encoding="ascii") as f:
                limits.append(int(f.read()))
        except (OSError, ValueError):  # there is none, or it is "max"
            pass
    own = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if os.geteuid() != 0 and own != resource.RLIM_INFINITY:
        limits.append(own)
    return min(limits) - 1000 if limits else 1 << 20  # what else runs here


def mount_targets(options):
    """Where the --mount options among `options`, of one word or two, put things in the guest's tree."""
    values = [word.split("=", 1)[1] if "=" in word else following for word, following in zip(options, [*options[1:], ""])
              if word == "--mount" or word.startswith("--mount=")]
    return [value.split(":")[1] for value in values]


def pal_run(pal, options=()):
    """The command up to the guest program. What `options` mount may cover this checkout: it is mounted once more, above that."""
    places = [TOP]
    build = os.path.dirname(os.path.abspath(pal))
    if not build.startswith(TOP + "/"):
        places.append(build)
    before, after = [], []
    for place in places:
        if any(place.startswith(target.rstrip("/") + "/") for target in mount_targets(options)):
            after += ["--mount", f"{place}:{place}"]
        elif hidden_from_guest(place):
            before += ["--mount", f"{place}:{place}"]
    return [os.path.abspath(pal), "run", *before, *options, *after, "--"]


def free_ports(count):
    """Below the range that the host gives to clients: nobody is given one before the script's server has it."""
    ports = []
    while len(ports) < count:
        port = random.randrange(15000, 32000)
        try:
            with socket.create_server(("127.0.0.1", port)):
                pass
        except OSError:
            continue
        if port not in ports:
            ports.append(port)
    return ports


def program_path():
    """(PATH, LD_LIBRARY_PATH) that find the machine's programs first, then those of scripts/fetch-programs."""
    fetched = f"{TOP}/build/programs/root"
    places = ["/usr/sbin", "/sbin", *sorted(glob.glob("/usr/lib/postgresql/*/bin")), *sorted(glob.glob(f"{fetched}/usr/lib/postgresql/*/bin")),
              f"{fetched}/usr/bin", f"{fetched}/usr/sbin"]
    libraries = f"{fetched}/usr/lib/x86_64-linux-gnu"
    return ":".join([os.environ.get("PATH", "/usr/bin:/bin"), *places]), libraries if os.path.isdir(libraries) else ""


class Result:
    def __init__(self, status, out, err, seconds):
        self.status, self.out, self.err, self.seconds = status, out, err, seconds


def run(argv, stdin=b"", timeout=60, env=None, cwd=None):
    """Runs argv in its own session and waits; when time is up the whole session is killed. status: as a shell reports it."""
    start = time.monotonic()
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
                               cwd=cwd, start_new_session=True)
    try:
        out, err = process.communicate(stdin, timeout=timeout)
        status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        status = "timeout"
    return Result(status, out, err, time.monotonic() - start)


def adopt_orphans():
    """From now on whatever loses its parent below this process becomes its child, so that leftovers() sees it."""
    PR_SET_CHILD_SUBREAPER = 36
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def leftovers(seconds=100.0):
    """Waits for all children to end. Result: (seconds it took, []) or (None, what still runs), which is then killed."""
    start = time.monotonic()
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return time.monotonic() - start, []
        if pid == 0:
            if time.monotonic() - start > seconds:
                break
            time.sleep(0.002)
    found = []
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as f:
        for pid in f.read().split():
            try:
                with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
                    found.append(stat.read()[:60])
            except OSError:
                pass
            os.kill(int(pid), signal.SIGKILL)
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return None, found
