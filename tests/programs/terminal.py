#!/usr/bin/env python3
"""A person at a terminal: ^C, ^Z, ^D, window size, job control, first natively and then under pal.

    terminal.py --pal build/pal SCENARIO
"""
import argparse
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

import support


class Terminal:
    """A program that is the session leader and foreground job of a new terminal."""

    def __init__(self, argv):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
            os.chdir("/")
            env = dict(os.environ, PS1="$ ", TERM="dumb", LC_ALL="C", HISTFILE="")
            try:
                os.execvpe(argv[0], argv, env)
            finally:
                os._exit(127)

    def send(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern, seconds=200):
        """Waits until what came since the last match holds `pattern`; forgets everything up to it."""
        deadline = time.monotonic() + seconds
        while True:
            match = re.search(pattern.encode(), self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return match.group(0).decode()
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise AssertionError(f"waited for {pattern!r}, got {self.seen[-500:]!r}")
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            if not data:
                raise AssertionError(f"ended while waiting for {pattern!r}, got {self.seen[-500:]!r}")
            self.seen += data

    def state(self, options=0, seconds=200):
        """Wait status: ("exited", n), ("killed", sig) or ("stopped", sig)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG | options)
            if pid:
                if os.WIFSTOPPED(status):
                    return "stopped", os.WSTOPSIG(status)
                if os.WIFSIGNALED(status):
                    return "killed", os.WTERMSIG(status)
                return "exited", os.WEXITSTATUS(status)
            if select.select([self.fd], [], [], 0.01)[0]:
                try:
                    self.seen += os.read(self.fd, 4096)
                except OSError:
                    time.sleep(0.01)
        raise AssertionError(f"still running; got {self.seen[-500:]!r}")

    def is_end(self, kind, number):
        end = self.state()
        assert end == (kind, number), f"ended as {end}, not {(kind, number)}; got {self.seen[-500:]!r}"


def asleep(begin):
    """A program that may be killed from now on, and most probably sleeps."""
    t = begin(["/bin/sh", "-c", "echo ready; exec sleep 1000"])
    t.expect("ready")
    time.sleep(0.5)
    return t


def interrupt_kills(start):
    t = asleep(start)
    t.send("\x03")
    t.is_end("killed", signal.SIGINT)


def quit_kills(start):
    t = asleep(start)
    t.send("\x1c")
    t.is_end("killed", signal.SIGQUIT)


def interrupt_is_caught(start):
    t = start(["/bin/bash", "-c", "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.1; done"])
    t.expect("ready")
    t.send("\x03")
    t.expect("caught")
    t.is_end("exited", 5)


def interrupt_reaches_a_pipeline(start):
    t = start(["/bin/bash", "-c", "trap 'echo shell lives' INT; s='echo ready >&2; exec sleep 1000'; sh -c \"$s\" | sh -c \"$s\"; echo ${PIPESTATUS[@]}; exit 4"])
    t.expect("ready")
    t.expect("ready")
    time.sleep(0.5)
    t.send("\x03")
    t.expect("shell lives")
    t.expect("130 130")
    t.is_end("exited", 4)


def suspend_and_continue(start):
    t = start(["/bin/bash", "-c", "echo ready; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 0.2; done; echo finished"])
    t.expect("ready")
    t.send("\x1a")
    # A session leader that is alone gets no default stop: its group is orphaned. Then the program simply goes on.
    t.expect("finished")
    t.is_end("exited", 0)


def suspend_from_a_shell(start):
    """The everyday case: a native interactive shell starts the program; ^Z, fg, ^C."""
    t = Terminal(["/bin/bash", "--norc", "--noprofile", "-i"])
    t.expect(r"\$ ")
    prefix = start.prefix
    t.send(" ".join(prefix + ["/bin/sh", "-c", "'echo $((40 + 2)); exec sleep 1000'"]) + "\n")
    t.expect(r"\n42")  # not in the path of pal, which the shell echoes
    t.send("\x1a")
    t.expect("Stopped")
    t.expect(r"\$ ")
    t.send("jobs\n")
    t.expect("Stopped")
    t.send("fg\n")
    t.expect("sleep 1000")
    while os.tcgetpgrp(t.fd) == t.pid:  # the shell has yet to hand it over
        time.sleep(0.01)
    t.send("\x03")
    t.expect(r"\$ ")
    t.send("echo status $?\n")
    t.expect("status 130")
    t.send("exit 0\n")
    t.is_end("exited", 0)


def interactive_shell(start):
    t = start(["/bin/bash", "--norc", "--noprofile", "-i"])
    t.expect(r"\$ ")
    t.send("echo $((6 * 7))\n")
    t.expect("42")
    t.expect(r"\$ ")
    t.send("sh -c 'echo $((40 + 1)); exec sleep 1000'\n")  # a subshell of bash may lose ^C before its exec
    t.expect("41")
    t.send("\x03")
    t.expect(r"\$ ")
    t.send("echo status $?\n")
    t.expect("status 130")
    t.send("sh -c 'echo $((40 + 3)); exec sleep 1001'\n")
    t.expect("43")
    t.send("\x1a")
    t.expect("Stopped")
    t.send("jobs; bg\n")
    t.expect("Stopped")
    t.expect("sleep 1001' &")
    t.send("kill %1; wait; echo gone\n")
    t.expect(r"\ngone")
    t.send("cat | tr a-z A-Z\n")
    t.send("some words\n")
    t.expect("SOME WORDS")
    t.send("\x04")
    t.expect(r"\$ ")
    t.send("exit 3\n")
    t.is_end("exited", 3)


def shell_job_control(start):
    t = start(["/bin/bash", "--norc", "--noprofile", "-i"])
    t.expect(r"\$ ")
    t.send("sleep 0.3 & wait; echo waited\n")
    t.expect(r"\nwaited|\rwaited")
    t.send("(sleep 0.2; echo from the background) & wait\n")
    t.expect(r"\nfrom the background")
    t.send("cat &\n")
    t.expect(r"\$ ")
    t.send("until jobs | grep -q Stopped; do sleep 0.1; done; jobs | grep -c Stopped; echo listed\n")
    t.expect(r"1\r?\nlisted")  # stopped by SIGTTIN; the command itself has ended
    t.send("fg\n")
    t.expect("cat\r\n")
    t.send("typed\n")
    t.expect("typed\r\ntyped")
    t.send("\x04")
    t.expect(r"\$ ")
    t.send("exit 0\n")
    t.is_end("exited", 0)


def end_of_file(start):
    t = start(["/bin/sh", "-c", "echo ready; exec cat"])
    t.expect("ready\r\n")
    t.send("line\n")
    t.expect("line\r\nline\r\n")
    t.send("\x04")
    t.is_end("exited", 0)


def window_size(start):
    t = start(["/bin/bash", "-c", "stty size; trap 'stty size; exit 6' WINCH; echo ready; while :; do sleep 0.1; done"])
    t.expect("33 101")
    t.expect("ready")
    fcntl.ioctl(t.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 55, 0, 0))
    t.expect("44 55")
    t.is_end("exited", 6)


def is_a_terminal(start):
    t = start(["/bin/bash", "-c", "test -t 0 && test -t 1 && test -t 2 && echo all; stty -a | grep -o -w 'icanon'; ls /dev/tty; exit 8"])
    t.expect("all")
    t.expect("icanon")
    t.expect("/dev/tty")
    t.is_end("exited", 8)


def raw_mode(start):
    t = start(["/bin/bash", "-c", "stty raw -echo; echo ready; head -c 3 | od -An -c; stty sane; echo back"])
    t.expect("ready")
    t.send("a\x03b")
    t.expect("a 003   b")
    t.expect("back")
    t.is_end("exited", 0)


def modes_come_back(start):
    """However pal ends, but by SIGKILL: the shell that started it finds its terminal as it was. Natively nothing undoes what a program did."""
    if not start.prefix:
        return
    raw = "stty raw -echo; echo ready; exec sleep 1000"
    for stdin in ("<&3", "</dev/null"):
        for sig in ("TERM", "HUP", "SEGV", "ABRT", "BUS"):
            script = 'exec 3<&0; "$@" ' + stdin + ' & echo "pid $!"; wait $!; echo "status $?"; stty -a; echo over'
            inside = raw if stdin == "<&3" else raw.replace("-echo", "-echo </dev/tty")
            t = Terminal(["/bin/bash", "-c", script, "bash", *start.prefix, "/bin/bash", "-c", inside])
            pid = int(t.expect(r"pid \d+")[4:])
            t.expect("ready")
            os.kill(pid, signal.Signals["SIG" + sig])
            status = int(t.expect(r"status \d+")[7:])
            assert status == 128 + signal.Signals["SIG" + sig], f"{sig}: ended with {status}"
            t.expect(r"[ \n]icanon")
            t.expect(r" echo ")
            t.is_end("exited", 0)


def hangup(start):
    t = asleep(start)
    os.close(t.fd)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        pid, status = os.waitpid(t.pid, os.WNOHANG)
        if pid:
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGHUP, status
            return
        time.sleep(0.02)
    raise AssertionError("still running after its terminal went away")


SCENARIOS = {name: function for name, function in list(globals().items())
             if callable(function) and getattr(function, "__code__", None) and function.__code__.co_varnames[:1] == ("start",)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("--only", choices=["native", "pal"])
    parser.add_argument("scenario", choices=sorted(SCENARIOS))
    args = parser.parse_args()
    support.adopt_orphans()
    failed = False
    for where, prefix in (("native", []), ("pal", support.pal_run(args.pal))):
        if args.only not in (None, where):
            continue

        def start(argv, prefix=prefix):
            return Terminal(prefix + argv)

        start.prefix = prefix
        try:
            SCENARIOS[args.scenario](start)
            print(f"{where}: as expected")
        except AssertionError as e:
            print(f"{where}: {e}")
            failed = True
        _, left = support.leftovers()
        if left and not failed:
            print(f"{where}: left running: {left}")
            failed = True
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
