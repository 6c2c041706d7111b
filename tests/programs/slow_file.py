#!/usr/bin/env python3
"""A process's text lies in a file that the host takes its time to read; what others do does not wait for that.

    slow_file.py PAL PROGRAM       PROGRAM: tests/guest/slow_text.c
    exit status: 0; 1: somebody waited; 77: nobody may hold up reads here (fanotify needs privileges)

Reads of the file are held up by a fanotify permission mark (FAN_ACCESS_PERM), as a server of a network file system might.
"""
import ctypes
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile

import support

FAN_CLOEXEC, FAN_CLASS_CONTENT, FAN_MARK_ADD, FAN_ACCESS_PERM, FAN_ALLOW = 1, 4, 1, 0x20000, 1
AT_FDCWD = -100
PATIENCE = 200


class Gate:
    """Holds up reads of one file. Made before anybody opens it: later Linux asks only about files opened under a mark (6.14)."""

    def __init__(self, path):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.fanotify_init(FAN_CLOEXEC | FAN_CLASS_CONTENT, os.O_RDONLY)
        if self.fd < 0 or not self.mark(path):
            print("skipped: nobody may hold up reads here:", os.strerror(ctypes.get_errno()))
            sys.exit(77)

    def mark(self, path):
        add = self.libc.fanotify_mark
        add.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p]
        return add(self.fd, FAN_MARK_ADD, FAN_ACCESS_PERM, AT_FDCWD, path.encode()) == 0

    def let_through(self):
        for _, _, _, _, _, event, _ in struct.iter_unpack("=IBBHQii", os.read(self.fd, 24)):
            os.write(self.fd, struct.pack("=iI", event, FAN_ALLOW))
            os.close(event)


class Guest:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def fail(self, what):
        print(what)
        self.process.kill()
        sys.exit(1)

    def expect(self, line, gate=None):
        """The next line, while `gate`, if given, lets everything through."""
        wanted = [self.process.stdout] + ([gate.fd] if gate else [])
        ready, _, _ = select.select(wanted, [], [], PATIENCE)
        while gate and gate.fd in ready:
            gate.let_through()
            ready, _, _ = select.select(wanted, [], [], PATIENCE)
        got = self.process.stdout.readline().decode().strip() if ready else "nothing"
        if got != line:
            self.fail(f"wanted: {line}; came: {got}")

    def go_on(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()


def main():
    pal, program = sys.argv[1:3]
    program = os.path.abspath(program)
    with tempfile.TemporaryDirectory(prefix="slow_file.", dir=os.path.dirname(program)) as place:
        copy = os.path.join(place, "copy")
        shutil.copy(program, copy)
        gate = Gate(copy)
        guest = Guest([*support.pal_run(pal), program, copy])
        guest.expect("mapped", gate)
        guest.go_on()
        guest.expect("begun")
        if not select.select([gate.fd], [], [], PATIENCE)[0]:
            guest.fail("nobody read the file: its calls were not patched")
        guest.go_on()
        guest.expect("others are done")
        guest.go_on()
        guest.expect("all are done, status 0", gate)
        guest.process.wait(PATIENCE)
    print("nobody waited for the file but those who run it")


main()
