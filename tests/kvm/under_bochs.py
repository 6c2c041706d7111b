#!/usr/bin/env python3
"""under_bochs.py IMAGE [APPEND]: boots an image alone by its PVH note on the processor that Bochs emulates, which has what QEMU's lacks (PCIDs) and is
strict where QEMU is not. Ends with the image's exit status; 77: no Bochs, or none of the right kind; 125: the machine stopped otherwise.

BOCHS_CPU: the model of the processor. BOCHS_ROM: bochs_rom.S as a flat file.
"""
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile

SKIPPED, BROKEN = 77, 125
ROM_SIZE = 512 << 10
BOOT_SIZE = 8 << 10
LOW = 0xfe000  # of the boot part, as bochs_rom.S has it
START_INFO, MEMORY_MAP, COMMAND_LINE, CODE = 0x20, 0x100, 0x200, 0x1000
MEMORY_MIB = 256
PT_LOAD, PT_NOTE = 1, 4
TSC_KHZ = 50000  # what runs in a second: not more than Bochs can do
DEFAULT_CPU = "corei7_skylake_x"

CONFIGURATION = """
cpu: model={cpu}, count=1, ips=200000000, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
romimage: file={folder}/rom
display_library: term
port_e9_hack: enabled=1
pci: enabled=0
plugin_ctrl: biosdev=0, speaker=0, parallel=0, gameport=0, serial=0, extfpuirq=0
log: {folder}/log
panic: action=fatal
error: action=report
info: action=ignore
"""


def flat_image(path):
    """(physical address, bytes, zeros behind them, entry of the PVH note)"""
    with open(path, "rb") as file:
        elf = file.read()
    (at,) = struct.unpack_from("<Q", elf, 32)
    (count,) = struct.unpack_from("<H", elf, 56)
    flat, base, end, entry = bytearray(), None, 0, 0
    for i in range(count):
        kind, _, offset, _, physical, size, memory, _ = struct.unpack_from("<IIQQQQQQ", elf, at + 56 * i)
        if kind == PT_LOAD:
            base = physical if base is None else base
            flat += bytes(physical - base - len(flat)) + elf[offset:offset + size]
            end = physical - base + memory
        elif kind == PT_NOTE:  # its one note: 12 bytes, "Xen", the entry
            (entry,) = struct.unpack_from("<Q", elf, offset + 16)
    return base, flat, end - len(flat), entry


def make_rom(image, command_line, boot):
    base, flat, zeros, entry = flat_image(image)
    words = f"tsc_khz={TSC_KHZ} {command_line}".encode() + b"\0"
    if len(flat) > ROM_SIZE - BOOT_SIZE or len(boot) != BOOT_SIZE or len(words) > CODE - COMMAND_LINE:
        sys.exit("the image does not fit into the ROM")
    struct.pack_into("<IIIII", boot, 0, (1 << 32) - ROM_SIZE, base, len(flat), zeros, entry)
    # xen/include/public/arch-x86/hvm/start_info.h
    struct.pack_into("<IIIIQQQQII", boot, START_INFO, 0x336ec578, 1, 0, 0, 0, LOW + COMMAND_LINE, 0, LOW + MEMORY_MAP, 1, 0)
    struct.pack_into("<QQII", boot, MEMORY_MAP, 1 << 20, (MEMORY_MIB - 1) << 20, 1, 0)
    boot[COMMAND_LINE:COMMAND_LINE + len(words)] = words
    return flat + bytes(ROM_SIZE - BOOT_SIZE - len(flat)) + boot


def run(folder):
    """Passes on what the image says; its exit status, which bare.c tells where there is no device for it; SKIPPED if Bochs cannot start."""
    status = None
    command = ["setpriv", "--pdeathsig", "KILL", "bochs-bin", "-q", "-f", f"{folder}/rc", "-rc", f"{folder}/debugger"]
    environment = {**os.environ, "TERM": "dumb"}
    # Its own greetings end with a prompt of the debugger's, or the place where it starts.
    started = False
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as bochs:
        try:
            for line in bochs.stdout:
                text = line.decode(errors="replace")
                end = re.match(r"the image ends with status (\d+)$", text.rstrip())
                if end:
                    status = int(end.group(1))
                    break
                if started:
                    sys.stdout.write(text)
                    sys.stdout.flush()
                started = started or text.startswith("(0) [")
        finally:
            bochs.send_signal(signal.SIGKILL)  # it makes a question of others
    return status if started else SKIPPED


def last_lines(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-20:])
    except FileNotFoundError:
        return ""


def main():
    append = sys.argv[2] if len(sys.argv) > 2 else ""
    try:
        models = subprocess.run(["bochs-bin", "--help", "cpu"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except FileNotFoundError:
        print("SKIP: no bochs-bin here")
        return SKIPPED
    cpu = os.environ.get("BOCHS_CPU", DEFAULT_CPU)
    if cpu not in models.stdout.decode(errors="replace").split():
        print(f"SKIP: Bochs has no {cpu}")
        return SKIPPED
    with open(os.environ["BOCHS_ROM"], "rb") as file:
        boot = bytearray(file.read())
    with tempfile.TemporaryDirectory(prefix="under-bochs.") as folder:
        with open(f"{folder}/rom", "wb") as file:
            file.write(make_rom(sys.argv[1], append, boot))
        with open(f"{folder}/rc", "w", encoding="ascii") as file:
            file.write(CONFIGURATION.format(cpu=cpu, memory=MEMORY_MIB, folder=folder))
        with open(f"{folder}/debugger", "w", encoding="ascii") as file:
            file.write("c\n")  # where Bochs comes with its debugger
        status = run(folder)
        if status == SKIPPED:
            print(f"SKIP: Bochs does not start here\n{last_lines(folder + '/log')}", end="")
        elif status is None:
            print(f"{last_lines(folder + '/log')}Bochs ended, not the image")
            return BROKEN
        return status


sys.exit(main())
