#!/usr/bin/env python3
"""nested_test.py: what nested.py makes of machines that answer, answer wrongly, or stand still, with a script in QEMU's place.
Prints what is wrong; status 0, 1, or 77 with a line that says SKIP."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# Plays the machine's part: the file `machines` has one line for each machine, with the answers it gives and how it ends.
FAKE = r"""#!/usr/bin/env python3
import re, sys, time
folder = "@folder@"
console = next(a[5:] for a in sys.argv if a.startswith("file:"))
first = int(re.search(r"first=(\d+)", " ".join(sys.argv))[1])
with open(folder + "/started", "a") as f:
    f.write(f"{first}\n")
with open(folder + "/started") as f:
    number = len(f.read().split())
with open(folder + "/machines") as f:
    answers, end = f.read().split("\n")[number - 1].split()
print("@@ up %s Y" % (200 if end == "fast" else 1.0), flush=True)
if end == "fast":
    time.sleep(60)
for answer in answers.split(","):
    test, status, words = answer.split(":")
    if status == "lost": # by the machine, which runs it again
        print(f"@@ got {test} 134 1.0 2.0\n\n@@ err\ntriple fault near 0xfff0\n\n@@ lost {test}", flush=True)
        status = "0" if words == "right" else "3"
    for kind in ("expected", "got"):
        text = words if kind == "got" or status == "134" else "right"
        state = status if kind == "got" or status == "134" else "0"
        print(f"@@ {kind} {test} {state} 1.0 2.0\n{text}\n\n@@ err\n\n", flush=True)
if end == "end":
    print("@@ end 3.0", flush=True)
else:
    with open(console, "a") as f:
        f.write("watchdog: BUG: soft lockup - CPU#1 stuck for %ss! [pal:1]\n" % end)
    time.sleep(60 if int(end) > 300 else 3)
"""


def nested(folder, machines, share):
    """Status and output of nested.py for three tests, `share` of them for a machine, with these machines."""
    for name, text in (("machines", machines), ("list", "".join(f"t{n}\t=\ttrue\tfalse\n" for n in (1, 2, 3)))):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(text)
    started = os.path.join(folder, "started")
    if os.path.exists(started):
        os.unlink(started)
    done = subprocess.run([sys.executable, os.path.join(HERE, "nested.py"), "--kernel", os.path.join(folder, "kernel"), "--disk", "64", "--share", str(share), os.path.join(folder, "list")],
                          env=dict(os.environ, PATH=folder + ":" + os.environ["PATH"]), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False)
    with open(started, encoding="utf-8") as f:
        return done.returncode, done.stdout.decode(), f.read().split()


# Machines (answers, then the end: "end", or for how long a processor was lost), nested.py's status, words it says, the tests they began at; the share of each.
CASES = {
    "all right": ("1:0:right,2:0:right,3:0:right end", 0, "3 tests, 0 failed", ["1"]),
    "wrong output": ("1:0:right,2:0:wrong,3:0:right end", 1, "FAILED t2", ["1"]),
    "wrong status": ("1:0:right,2:0:right,3:1:right end", 1, "FAILED t3", ["1"]),
    "both give up": ("1:0:right,2:134:right,3:0:right end", 1, "ends with 134 natively", ["1"]),
    "an answer is missing": ("1:0:right,3:0:right end", 1, "FAILED t2: was not run to its end", ["1"]),
    "one stands still": ("1:0:right,2:0:right 301\n3:0:right end", 0, "at test 3; another machine", ["1", "3"]),
    "one goes down": ("1:0:right,2:0:right 30\n3:0:right end", 0, "went down, its console: watchdog", ["1", "3"]),
    "two go down": ("1:0:right 30\n1:0:right 30", 1, "at test 2 again", ["1", "2"]),
    "two stand still": ("1:0:right 301\n2:0:right 301\n3:0:right end", 0, "at test 3; another machine", ["1", "2", "3"]),
    "a clock too fast": ("1:0:right fast\n1:0:right,2:0:right,3:0:right end", 0, "ran too fast", ["1", "1"]),
    "two at the same test": ("1:0:right 301\n1:0:right 301", 1, "at test 2 again", ["1", "2"]),
    "one after the other": ("1:0:right,2:0:right end\n3:0:right end", 0, "3 tests, 0 failed", ["1", "3"], 2),
    "the second stands still": ("1:0:right,2:0:right end\n1:0:right 301\n3:0:right end", 0, "at test 3; another machine", ["1", "3", "3"], 2),
    "a test is lost": ("1:0:right,2:lost:right,3:0:right end", 0, "t2 ran a second time", ["1"]),
    "a test is lost and then fails": ("1:0:right,2:lost:wrong,3:0:right end", 1, "FAILED t2", ["1"]),
    "lost for a while only": ("1:0:right,2:0:right,3:0:right 30", 1, "did not come to its end", ["1"]),
}


def main():
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="nested-test-") as folder:
        fake = os.path.join(folder, "qemu-system-x86_64")
        with open(fake, "w", encoding="utf-8") as f:
            f.write(FAKE.replace("@folder@", folder))
        os.chmod(fake, 0o755)
        os.mkdir(os.path.join(folder, "kernel"))
        for name in ("version", "vmlinuz", "irqbypass.ko", "kvm.ko", "kvm-amd.ko"):
            with open(os.path.join(folder, "kernel", name), "wb"):
                pass
        for name, (machines, status, words, began, *share) in CASES.items():
            got, output, started = nested(folder, machines, share[0] if share else 30)
            if got == 77:
                print(output, end="")
                return 77
            if got != status or words not in output or started != began:
                print(f"{name}: status {got} (not {status}), machines began at {started} (not {began}), said:\n{output}")
                wrong += 1
    print(f"{len(CASES)} cases, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
