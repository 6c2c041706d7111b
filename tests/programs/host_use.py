"""What a process of the host and all below it use together."""
import os
import time

KERNEL_STACK_KIB = 16  # of each host thread, x86-64


def below(pid):
    found = [pid]
    for parent in found:
        for task in os.listdir(f"/proc/{parent}/task"):
            with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as f:
                found += [int(child) for child in f.read().split()]
    return found


def memory_files(pid, files):
    """Adds to files {inode: KiB} what the memfds that are mapped in pid hold, also where no process has mapped it. False: not for us to see."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as f:
        lines = [line.split() for line in f if "/memfd:palimpsest" in line]
    for line in lines:
        try:
            status = os.stat(f"/proc/{pid}/map_files/{line[0]}")
        except PermissionError:
            return False
        files[status.st_ino] = status.st_blocks // 2
    return True


def measure(root):
    """Memory in KiB. Pages that n processes share count 1/n in each, so all of it counts once."""
    seen = {"processes": 0, "threads": 0, "descriptors": 0, "anonymous": 0, "shared": 0, "files": 0, "page tables": 0, "mappings": 0}
    kinds = {"Pss_Anon:": "anonymous", "Pss_File:": "files"}
    files, shared = {}, 0
    for pid in below(root):
        seen["processes"] += 1
        seen["threads"] += len(os.listdir(f"/proc/{pid}/task"))
        # pal has a table of its own; its carriers share one, which each of them shows.
        seen["descriptors"] = max(seen["descriptors"], len(os.listdir(f"/proc/{pid}/fd")))
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            for line in f:
                name, value = line.split()[:2]
                if name in kinds:
                    seen[kinds[name]] += int(value)
                elif name == "Pss_Shmem:":
                    shared += int(value)
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith("VmPTE:"):
                    seen["page tables"] += int(line.split()[1])
        with open(f"/proc/{pid}/maps", encoding="ascii") as f:
            seen["mappings"] += len(f.readlines())
        whole = memory_files(pid, files)
    seen["shared"] = sum(files.values()) if whole and files else shared
    return seen


def settled(root):
    """The least of some looks: a process that has just ended is reaped a moment later."""
    least = None
    for _ in range(10):
        time.sleep(0.05)
        try:
            seen = measure(root)
        except OSError:  # one ended meanwhile
            continue
        least = {name: min(seen[name], least[name]) for name in seen} if least else seen
    if least is None:
        raise RuntimeError("processes come and go: nothing to measure")
    return least


def memory_kib(seen):
    """All memory that `seen` means, with the kernel's own for threads and for mappings (0.25 KiB each)."""
    return (seen["anonymous"] + seen["shared"] + seen["files"] + seen["page tables"] + KERNEL_STACK_KIB * seen["threads"] +
            seen["mappings"] / 4)
