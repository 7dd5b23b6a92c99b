#!/usr/bin/env python3
"""Checks that every source under fresnel/<layer>/ includes only from the layers below it.

usage: check_layers.py [ROOT]      ROOT is the repository, by default the one this file lives in

Prints one line a violation, `file:line: what is wrong; how to mend it`, and exits with 1; prints `ok ...` when all is
well. The table is that of docs/architecture.md.
"""

import re
import sys
from pathlib import Path

# layer -> the layers it may include, itself aside.
ALLOWED = {
    "base": "",
    "json": "base",
    "net": "base",
    "wire": "net json base",
    "kube": "net json base",
    "websocket": "wire net json base",
    "broker": "net json base",
    "channel": "websocket broker wire net json base",
    "hub": "kube wire net json base",
    "session": "websocket hub wire net json base",
    "client": "kube wire net json base",
    "plugin": "net json base",
    "sim": "kube net wire json base",
    "gateway": "session channel broker plugin websocket hub kube wire net json base",
    "load": "base",
    "cli": "base json net wire kube websocket broker channel hub session client plugin sim gateway load",
}
ALLOWED = {layer: set(below.split()) for layer, below in ALLOWED.items()}

SUFFIXES = {".hpp", ".cpp", ".h", ".ipp"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def fault_of(layer, quote, path):
    """What is wrong with `path` included from `layer`, with a hint; None when nothing is."""
    parts = path.split("/")
    if parts[0] != "fresnel":
        if quote == "<":
            return None
        return f'"{path}" is not written from the root; write "fresnel/<layer>/<file>" (or <...> for a library)'
    if quote == "<":
        return f'<{path}> is ours; write "{path}"'
    target = parts[1] if len(parts) > 2 else None
    if target not in ALLOWED:
        return f'"{path}" is in no layer; the layers are {", ".join(ALLOWED)}'
    if target == layer or target in ALLOWED[layer]:
        return None
    below = ", ".join(sorted(ALLOWED[layer])) or "nothing"
    return (f'{layer} must not include "{path}": it may include {below}; move what both need to a layer below, '
            f"or pass it in through an interface of {layer}")


def check_file(root, file, layer):
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        match = INCLUDE.match(line)
        fault = match and fault_of(layer, match.group(1), match.group(2))
        if fault:
            yield f"{file.relative_to(root)}:{number}: {fault}"


def check(root):
    """All violations under root/fresnel, and the number of files read."""
    faults, files = [], 0
    for file in sorted((root / "fresnel").rglob("*")):
        if file.suffix not in SUFFIXES or not file.is_file():
            continue
        files += 1
        parts = file.relative_to(root).parts
        layer = parts[1] if len(parts) > 2 else None
        if layer not in ALLOWED:
            faults.append(f"{file.relative_to(root)}:1: this file is in no layer; the layers are {', '.join(ALLOWED)}")
            continue
        faults.extend(check_file(root, file, layer))
    return faults, files


def main(arguments):
    root = Path(arguments[0]).resolve() if arguments else Path(__file__).resolve().parent.parent
    faults, files = check(root)
    if files == 0:
        print(f"{root}/fresnel: no sources found")
        return 2
    for fault in faults:
        print(fault)
    if faults:
        print(f"{len(faults)} includes break the table of layers (docs/architecture.md)")
        return 1
    print(f"ok: {files} files keep to their layers")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
