#!/usr/bin/env python3
"""What a document names must exist: each path, each `function` (path) in that file, each other `identifier` somewhere in the sources.

    docs_names.py DOCUMENT
"""
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ("platform", "shim", "pal", "tests", "fuzz", "bench", "scripts", "docs")
PATH = re.compile(r"\b(?:" + "|".join(FOLDERS) + r")/[\w./-]*\w")
IN_FILE = re.compile(r"((?:`\w+`(?:, | and | or )?)+)\s*\(((?:" + "|".join(FOLDERS) + r")/[\w./-]*\w\.(?:c|S|h))\)")


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def defines(text, path, name):
    """A definition: in C at the start of a line, which goes on to a body; in assembly a label."""
    if path.endswith(".S"):
        return re.search(rf"^{name}:", text, re.M)
    return re.search(rf"^(?![ \t#/*]|return)[^\n;=]*\b{name}\([^;{{]*\{{", text, re.M)


def main():
    document = sys.argv[1]
    with open(document, encoding="utf-8") as f:
        text = f.read()
    missing = []
    paths = {path for path in PATH.findall(text) if "*" not in path}
    for path in sorted(paths):
        if not os.path.exists(os.path.join(TOP, path)):
            missing.append(f"no file {path}")
    named = 0
    for names, path in IN_FILE.findall(text):
        for name in re.findall(r"`(\w+)`", names):
            named += 1
            if os.path.exists(os.path.join(TOP, path)) and not defines(read(path), path, name):
                missing.append(f"{path} does not define {name}")
    words = set()
    for folder in ("platform", "shim", "pal"):
        for where, _, files in os.walk(os.path.join(TOP, folder)):
            for file in files:
                if file.endswith((".c", ".h", ".S")):
                    words.update(re.findall(r"\w+", read(os.path.join(where, file))))
    # Words of the shell and of commands stand in backticks as well; what has an underscore is ours.
    for name in re.findall(r"`(?:struct )?([a-z]+_\w+)(?:\(\))?`", text):
        if name not in words:
            missing.append(f"nothing is called {name}")
    print("\n".join(missing) or f"{len(paths)} files and {named} functions in their files: all there")
    sys.exit(1 if missing or named == 0 else 0)


if __name__ == "__main__":
    main()
