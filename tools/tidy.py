#!/usr/bin/env python3
"""Runs clang-tidy on the given sources, several at a time, within a bound on time.

usage: tidy.py --build FOLDER [--seconds N] [--jobs N] FILE...

FOLDER holds compile_commands.json. Exits with 1 when a check found something. What was not reached in time is said,
and is no failure.
"""

import argparse
import concurrent.futures
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def known_files(build):
    commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    return {str(Path(entry["directory"], entry["file"]).resolve()) for entry in commands}


def for_clang(command):
    """The compile command as clang can follow it: it cannot read what GCC precompiled, nor knows all its warnings."""
    command = re.sub(r" -include \S*cmake_pch\.hxx| -Winvalid-pch| -fpch-preprocess| --param ggc-\S+", "", command)
    return command + " -Wno-unknown-warning-option"


def write_commands(build, folder):
    commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    for entry in commands:
        entry["command"] = for_clang(entry["command"])
    Path(folder, "compile_commands.json").write_text(json.dumps(commands), encoding="utf-8")


def tidy(build, file, deadline):
    """(file, verdict, output); the verdict is one of ok, faults, late."""
    left = deadline - time.monotonic()
    if left <= 0:
        return file, "late", ""
    try:
        done = subprocess.run(["clang-tidy", "-p", build, "--quiet", file], capture_output=True, text=True,
                              timeout=left, check=False)
    except subprocess.TimeoutExpired:
        return file, "late", ""
    return file, "ok" if done.returncode == 0 else "faults", done.stdout + (done.stderr if done.returncode else "")


def main():
    parser = argparse.ArgumentParser(description="clang-tidy, several at a time, within a bound on time")
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()

    known = known_files(options.build)
    files = [file for file in options.files if str(Path(file).resolve()) in known]
    deadline = time.monotonic() + options.seconds
    verdicts = {"ok": [], "faults": [], "late": []}
    with (tempfile.TemporaryDirectory() as folder,
          concurrent.futures.ThreadPoolExecutor(options.jobs) as pool):
        write_commands(options.build, folder)
        runs = [pool.submit(tidy, folder, file, deadline) for file in files]
        for number, run in enumerate(concurrent.futures.as_completed(runs), start=1):
            file, verdict, output = run.result()
            verdicts[verdict].append(file)
            if verdict != "late":
                print(f"[{number}/{len(files)}] {file}: {verdict}", flush=True)
            if verdict == "faults":
                print(output, flush=True)
    if verdicts["late"]:
        print(f"clang-tidy: {len(verdicts['late'])} of {len(files)} files were not reached in {options.seconds:.0f} s "
              "(FRESNEL_TIDY_SECONDS gives more time)")
    print(f"clang-tidy: {len(verdicts['ok'])} files fine, {len(verdicts['faults'])} with faults")
    return 1 if verdicts["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
