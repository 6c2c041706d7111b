#!/usr/bin/env python3
"""A timer whose signal nobody takes costs nothing. Nor does the room that a reader makes, for who waits for data at the other end.

A round trip over an object in memory puts each of its two sides to sleep once at most: who is woken runs into no lock of its waker.

    wakes.py --pal build/pal NAME

Counted are the host's voluntary context switches of the whole run, so that no load of the machine disturbs it.
"""
import argparse
import os
import sys

import support

TRIPS = 200 * 41  # bench/guest_calls: calls a sample, samples with the one that warms up
MOST = 2.6
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


def sleeps_few_times(pal, script, most):
    argv = support.pal_run(pal) + [PYTHON, "-c", script]
    _, status, used = os.wait4(os.posix_spawn(argv[0], argv, os.environ), 0)
    print(f"{used.ru_nvcsw} voluntary context switches")
    return 0 if status == 0 and used.ru_nvcsw < most else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("name", choices=["pipe", "unix", "epoll", "futex", "blocked_timer", "room"])
    args = parser.parse_args()
    if args.name == "blocked_timer":
        return sleeps_few_times(args.pal, BLOCKED_TIMER, 5000)
    if args.name == "room":
        return sleeps_few_times(args.pal, ROOM, 500)
    argv = support.pal_run(args.pal) + [os.path.dirname(os.path.abspath(args.pal)) + "/bench/guest_calls.glibc-static", args.name, "40"]
    pid = os.posix_spawn(argv[0], argv, os.environ)
    _, status, used = os.wait4(pid, 0)
    switches = used.ru_nvcsw / TRIPS
    print(f"{args.name}: {switches:.2f} voluntary context switches a round trip")
    # A round trip that is none would be no test: without a sleep on either side there is nothing to count.
    return 0 if status == 0 and 0.01 < switches <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
