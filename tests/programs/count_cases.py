#!/usr/bin/env python3
"""Counts the differential cases in tests/guest: of processes, threads, signals and memory, or of files and what else has a descriptor.

A case is a function that main of a guest program calls, or run(), which main calls once for each place, and main itself if it looks at something, when it
asserts: CHECK or FAILS, itself or in a function it calls, or printing what the native run prints as well. Each runs natively and under pal in up to four builds, which count as one.

    count_cases.py [--of GROUP] [--least N]      --least: status 1 when there are fewer
"""
import argparse
import os
import re
import sys

GUEST = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "guest")
FAMILIES = {"processes": {
    "processes": "exec exec_edges fork_isolation fork_many fork_threads fork_instant fork_marathon many_alive process_storm ids capabilities pidfds unshare"
                 " job_signals limits process_calls wait_calls sessions clone_flags priorities prctls",
    "threads": "threads futexes cancels contexts registers segment_bases rseq rseq_deaths membarrier robust_lists",
    "signals": "signals signal_actions signal_queues signal_restarts signal_storm timers jumps single_step events",
    "memory": "memory memory_advice memory_layout mmap_edges mremap_modes memfd process_memory protection_keys generated_code file_mapped"
              " sysv_msg sysv_sem sysv_shm mqueues",
}, "files": {
    "files": "files file_attributes file_data file_flags file_locks file_mapped file_paths file_requests file_stress file_xattr file_corners large_trees"
             " mounts inotify memfd",
    "pipes": "pipes pipe_writers splices",
    "events": "events events_corners polling",
    "sockets": "sockets local_sockets socket_calls socket_cycles tcp udp",
    "terminals": "hang_ups ptys terminals tty_control tty_corners tty_requests",
    "proc": "procfs proc_corners",
}}
FUNCTION = re.compile(r"^(?:static )?(?:__attribute__\(\(.*?\)\) )?(?:static )?[\w ]+[ *]\**(\w+)\([^;{]*?\)\n?\s*\{\n(.*?)^\}", re.M | re.S)
ASSERTS = re.compile(r"\b(CHECK|FAILS\w*|SHOW|printf|puts|show\w*)\(")


def cases_of(text):
    bodies = dict(FUNCTION.findall(text))
    main = bodies.pop("main", "")

    def calls(body):
        return [name for name in dict.fromkeys(re.findall(r"\b(\w+)\(", body)) if name in bodies]

    def asserts(name, seen):
        if name in seen:
            return False
        seen.add(name)
        return bool(ASSERTS.search(bodies[name])) or any(asserts(other, seen) for other in calls(bodies[name]))

    names = calls(main)
    if "run" in names:
        in_run = [name for name in dict.fromkeys(re.findall(r"\w+", bodies["run"])) if name in bodies]  # called by a table, too
        names = [name for name in names if name != "run"] + in_run
        main += bodies["run"]
    found = [name for name in names if asserts(name, set())]
    return found + (["main"] if re.search(r"\b(CHECK|FAILS|SHOW)\(", main) else [])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--of", choices=FAMILIES, default="processes")
    parser.add_argument("--least", type=int, default=0)
    args = parser.parse_args()
    total = [0, 0, 0, 0]
    print(f"{'':24}{'cases':>8}{'asserted':>10}{'of errno':>10}")
    for family, names in FAMILIES[args.of].items():
        sums = [0, 0, 0, 0]
        for name in names.split():
            path = os.path.join(GUEST, name + ".c")
            if not os.path.exists(path):
                continue
            with open(path, encoding="utf-8") as f:
                text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
            row = [1, len(cases_of(text)), len(re.findall(r"\b(?:CHECK|SHOW|FAILS\w*)\(", text)) - len(re.findall(r"#define \w*(?:CHECK|SHOW|FAILS)\w*\(", text)),
                   len(re.findall(r"(?:FAILS\w*\([^;]*?|errno == )-?E[A-Z0-9]{2,}\b", text, re.S))]
            sums = [a + b for a, b in zip(sums, row)]
            print(f"  {name:22}{row[1]:>8}{row[2]:>10}{row[3]:>10}")
        print(f"{family:24}{sums[1]:>8}{sums[2]:>10}{sums[3]:>10}   {sums[0]} programs")
        total = [a + b for a, b in zip(total, sums)]
    print(f"{'all':24}{total[1]:>8}{total[2]:>10}{total[3]:>10}   {total[0]} programs")
    sys.exit(1 if total[1] < args.least else 0)


if __name__ == "__main__":
    main()
