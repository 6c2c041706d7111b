"""A machine that Bochs emulates, for nested.py: processors of Intel's with VT-x, or of AMD's, all of whose time is counted in instructions. Debian's
kernel comes from a CD made here, which holds the tree in its initial RAM disk."""
import os
import shutil
import subprocess
import time

ISOLINUX = "/usr/lib/ISOLINUX/isolinux.bin"
LDLINUX = "/usr/lib/syslinux/modules/bios/ldlinux.c32"
DEFAULT_CPU = "corei7_haswell_4770"
NEEDED = (("bochs-bin", "bochs"), (ISOLINUX, "isolinux"), (LDLINUX, "syslinux-common"), ("/usr/share/bochs/BIOS-bochs-latest", "bochsbios"),
          ("/usr/share/bochs/VGABIOS-lgpl-latest", "vgabios"), ("/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so", "bochs-term"),
          ("xorriso", "xorriso"), ("cpio", "cpio"))

# A second of the machine's is that many instructions of each processor: few, so that waiting costs little.
CONFIGURATION = """
cpu: model={cpu}, count={processors}:1:1, ips=40000000, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
display_library: term
ata0-master: type=cdrom, path={folder}/cd, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={folder}/console
com2: enabled=1, mode=file, dev={folder}/answers
clock: sync=none
log: {folder}/log
panic: action=fatal
error: action=ignore
info: action=ignore
"""
LOADER = """DEFAULT linux
PROMPT 0
LABEL linux
 KERNEL /vmlinuz
 APPEND initrd=/tree {words}
"""


def missing():
    """None, or what is not here."""
    for path, package in NEEDED:
        if not (os.path.exists(path) if path.startswith("/") else shutil.which(path)):
            return f"no {path} here (Debian: {package})"
    return None


def make_disk(root, kernel, folder):
    """What the CD will hold, from the tree at `root`."""
    os.makedirs(os.path.join(folder, "files", "isolinux"))
    for path in (ISOLINUX, LDLINUX):
        shutil.copy(path, os.path.join(folder, "files", "isolinux"))
    shutil.copy(os.path.join(kernel, "vmlinuz"), os.path.join(folder, "files"))
    with open(os.path.join(folder, "files", "tree"), "wb") as f:
        names = subprocess.run(["find", "."], cwd=root, stdout=subprocess.PIPE, check=True)
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=root, input=names.stdout, stdout=f, check=True)


def start(arguments, folder, words):
    """Bochs, about to boot the kernel with `words`. It writes to folder/console and folder/answers."""
    with open(os.path.join(folder, "files", "isolinux", "isolinux.cfg"), "w", encoding="ascii") as f:
        f.write(LOADER.format(words=words + " rdinit=/init reboot=t"))
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", os.path.join(folder, "cd"), "-b", "isolinux/isolinux.bin", "-c", "isolinux/catalog",
                    "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", os.path.join(folder, "files")],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    with open(os.path.join(folder, "configuration"), "w", encoding="ascii") as f:
        f.write(CONFIGURATION.format(cpu=arguments.cpu or DEFAULT_CPU, processors=arguments.processors, memory=arguments.memory, folder=folder))
    with open(os.path.join(folder, "debugger"), "w", encoding="ascii") as f:
        f.write("c\n") # where Bochs comes with its debugger
    with open(os.path.join(folder, "answers"), "wb"):
        pass
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "bochs-bin", "-q", "-f", os.path.join(folder, "configuration"), "-rc",
                             os.path.join(folder, "debugger")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            env=dict(os.environ, TERM="dumb"))


def lines(bochs, folder):
    """What the machine says, as it comes; ends Bochs after the last one, since it would ask what to do."""
    with open(os.path.join(folder, "answers"), "rb") as f:
        so_far = b""
        while True:
            ended = bochs.poll() is not None
            so_far += f.read()
            *whole, so_far = so_far.split(b"\n")
            for line in whole:
                yield line + b"\n"
                if line.startswith(b"@@ end"):
                    bochs.kill()
            if ended:
                return
            time.sleep(0.2)

