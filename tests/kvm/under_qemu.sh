#!/bin/sh
# under_qemu.sh IMAGE [APPEND]: boots an image alone by its PVH note, processor emulated. Ends with its exit status; 77: no QEMU.
command -v qemu-system-x86_64 >/dev/null || { echo "SKIP: no qemu-system-x86_64 here"; exit 77; }
qemu-system-x86_64 -accel tcg -M microvm -cpu max -m 256 -nodefaults -display none -no-reboot \
    -chardev stdio,id=console -device isa-debugcon,iobase=0xe9,chardev=console \
    -device isa-debug-exit,iobase=0x501 -kernel "$1" -append "${2-}"
status=$?
# The device ends QEMU with 2 n + 1; an even status is QEMU's own (0: a triple fault).
[ $((status % 2)) -eq 1 ] || { echo "QEMU ended with status $status: the image did not"; exit 125; }
exit $((status / 2))
