#!/usr/bin/env python3
"""A timer whose signal nobody takes costs nothing. Nor does the room that a reader makes, for who waits for data at the other end.

A round trip over an object in memory puts each of its two sides to sleep once at most: who is woken runs into no lock of its waker. And
not at all, mostly: a thread whose waits are short looks for the answer before it sleeps (docs/design/0014). One whose waits are long doesn't,
so a program that wakes every millisecond takes next to no processor time.

    wakes.py --pal build/pal NAME

Counted are the host's voluntary context switches of the whole run, so that no load of the machine disturbs it.
"""
import argparse
import os
import sys

import support

TRIPS = 200 * 41  # bench/guest_calls: calls a sample, samples with the one that warms up
MOST = 2.6
# With a look some 0.003, without one 1.1 and more. A busy machine makes a wait long at any time, so the best of a few runs counts.
MOST_LOOKED = 0.5
RUNS = 20
PYTHON = "/usr/bin/python3"
BLOCKED_TIMER = """
import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
signal.setitimer(signal.ITIMER_REAL, 1e-6, 1e-6)
time.sleep(3)
assert signal.sigwait([signal.SIGALRM]) == signal.SIGALRM
"""
ROOM = """
import socket, threading, time
here, there = socket.socketpair()
waiting = threading.Thread(target=here.recv, args=(1,))
waiting.start()
time.sleep(0.2)
here.sendall(bytes(20000))
for _ in range(20000):
    there.recv(1)
there.send(b"x")
waiting.join()
"""
TICKS = """
import threading, time
def answer(asked, given):
    while asked.acquire():
        given.release()
asked, given = threading.Semaphore(0), threading.Semaphore(0)
threading.Thread(target=answer, args=(asked, given), daemon=True).start()
end = time.monotonic() + 2
while time.monotonic() < end:
    time.sleep(0.001)
    asked.release()
    given.acquire()
"""


def sleeps_few_times(pal, script, most):
    argv = support.pal_run(pal) + [PYTHON, "-c", script]
    _, status, used = os.wait4(os.posix_spawn(argv[0], argv, os.environ), 0)
    print(f"{used.ru_nvcsw} voluntary context switches")
    return 0 if status == 0 and used.ru_nvcsw < most else 1


def processor_seconds(argv):
    _, status, used = os.wait4(os.posix_spawn(argv[0], argv, os.environ), 0)
    return used.ru_utime + used.ru_stime if status == 0 else float("inf")


def ticks_are_cheap(pal):
    """Each tick is two sleeps of a millisecond, one of them without an end. To look for 2 ms before each takes four times as long as that."""
    argv = [PYTHON, "-c", TICKS]
    for _ in range(RUNS):
        native, ours = processor_seconds(argv), processor_seconds(support.pal_run(pal) + argv)
        print(f"{native:.3f} s of processor time natively, {ours:.3f} s")
        if ours < 2 * native + 0.1:
            return 0
    return 1


def round_trips(pal, name):
    argv = support.pal_run(pal) + [os.path.dirname(os.path.abspath(pal)) + "/bench/guest_calls.glibc-static", name, "40"]
    for _ in range(RUNS):
        _, status, used = os.wait4(os.posix_spawn(argv[0], argv, os.environ), 0)
        switches = used.ru_nvcsw / TRIPS
        print(f"{name}: {switches:.3f} voluntary context switches a round trip")
        if status != 0 or switches > MOST:
            return 1
        if switches < MOST_LOOKED:
            return 0
    return 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("name", choices=["pipe", "unix", "epoll", "futex", "blocked_timer", "room", "ticks"])
    args = parser.parse_args()
    if args.name == "blocked_timer":
        return sleeps_few_times(args.pal, BLOCKED_TIMER, 5000)
    if args.name == "room":
        return sleeps_few_times(args.pal, ROOM, 500)
    if args.name == "ticks":
        return ticks_are_cheap(args.pal)
    return round_trips(args.pal, args.name)


if __name__ == "__main__":
    sys.exit(main())
