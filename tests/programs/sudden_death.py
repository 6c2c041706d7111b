#!/usr/bin/env python3
"""SIGKILL at random times: pal's own death leaves no process behind within a second, and a carrier's death never hangs pal.

A machine that is busy with other things gets as much longer as it takes to end processes that have nothing to do with pal; one whose
processors are taken away at times gets some rounds in which it takes longer all the same.

With `entered` it is the process that a program on its way through execve has been handed to and that has not taken it up: nobody is to wait for ever.

    sudden_death.py --pal build/pal [--rounds N] [--seed N] pal|carrier|entered
"""
import argparse
import os
import random
import signal
import subprocess
import sys
import time

import support

WORKLOADS = [
    ["/bin/sleep", "100"],
    ["/bin/bash", "-c", "while :; do /bin/true; done"],
    ["/bin/bash", "-c", "for i in 1 2 3 4 5 6 7 8; do (while :; do echo x | cat > /dev/null; done) & done; wait"],
    ["/bin/bash", "-c", "yes | cat | cat > /dev/null"],
    ["/usr/bin/python3", "-c", "import threading, os\n[threading.Thread(target=lambda: [hash(i) for i in range(10**9)]).start() "
     "for _ in range(3)]\nwhile True:\n    if os.fork() == 0: os._exit(0)\n    os.wait()"],
    ["/usr/bin/python3", "-c", "import os, time, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
     "for _ in range(20): os.fork() or (os.setsid(), time.sleep(100))\ntime.sleep(100)"],
]


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def descendants(pid):
    found = children_of(pid)
    for child in list(found):
        found += descendants(child)
    return found


def seconds_to_end_others():
    """How long it takes here and now until twenty plain processes that are killed are gone."""
    others = []
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        others.append(pid)
    start = time.monotonic()
    for pid in others:
        os.kill(pid, signal.SIGKILL)
    for pid in others:
        os.waitpid(pid, 0)
    return time.monotonic() - start


def settled_children(pid):
    """What `pid` has when it has had the same for a while."""
    before, since = children_of(pid), time.monotonic()
    while time.monotonic() - since < 0.3:
        time.sleep(0.02)
        now = children_of(pid)
        if now != before:
            before, since = now, time.monotonic()
    return before


def maps(pid, name):
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as f:
            return name in f.read()
    except OSError:
        return False


def death_on_the_way_in(pal):
    """The last process that was made for later is the first to be used: stopped, it is entered but never gets to run."""
    process = subprocess.Popen(support.pal_run(pal) + ["/bin/bash", "-c", "echo ready; read x; exec /bin/echo done"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True)
    assert process.stdout.readline() == b"ready\n"
    end = time.monotonic() + 200
    while not (spare := [pid for pid in settled_children(process.pid)[1:] if not maps(pid, "/bash")]):
        assert time.monotonic() < end, "no process was made for later"
    for pid in spare:
        os.kill(pid, signal.SIGSTOP)
    process.stdin.write(b"\n")
    process.stdin.flush()
    settled_children(process.pid)
    os.kill(spare[-1], signal.SIGKILL)
    try:
        process.wait(200)
    except subprocess.TimeoutExpired:
        print("pal hangs: a thread waits in a process that is gone")
        process.kill()
        sys.exit(1)
    finally:
        support.leftovers()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("victim", choices=["pal", "carrier", "entered"])
    args = parser.parse_args()
    print(f"seed {args.seed}")
    rng = random.Random(args.seed)
    support.adopt_orphans()
    if args.victim == "entered":
        death_on_the_way_in(args.pal)
        return
    slowest, slow = 0, 0
    for number in range(args.rounds):
        workload = rng.choice(WORKLOADS)
        delay = rng.choice([0, 0.001, 0.005, 0.02, 0.1, 0.4]) * rng.random() * 2
        process = subprocess.Popen(support.pal_run(args.pal) + workload, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, cwd="/", start_new_session=True)
        time.sleep(delay)
        if args.victim == "carrier":
            time.sleep(0.1)
            victims = descendants(process.pid)
            if victims:
                try:
                    os.kill(rng.choice(victims), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            # The guest may go on without that process; pal must still answer to a signal and end.
            time.sleep(0.1)
            process.terminate()
            try:
                process.wait(200)
            except subprocess.TimeoutExpired:
                if workload is WORKLOADS[-1]:  # ignores SIGTERM on purpose
                    process.kill()
                else:
                    print(f"round {number}: {workload}: pal hangs after a carrier died")
                    process.kill()
                    support.leftovers()
                    sys.exit(1)
        else:
            process.kill()
        process.wait()
        seconds, left = support.leftovers()
        late = not left and seconds > 1 and seconds > 20 * seconds_to_end_others()
        slow += late
        if left or late:
            print(f"round {number}: {workload} killed after {delay * 1000:.1f} ms: still running {seconds or 100:.1f} s later: {left}")
        if left or slow > args.rounds // 5:
            sys.exit(1)
        slowest = max(slowest, seconds)
    print(f"{args.rounds} rounds; the last process was gone after {slowest * 1000:.0f} ms at most")


if __name__ == "__main__":
    main()
