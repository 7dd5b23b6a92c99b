#!/usr/bin/env python3
"""Measures the gateway and its way out against other servers, and writes build/bench/report.md with plots.

usage: bench/run.py [--quick | --full] [--only PART,PART...]
                    PART: micro, fan-out, gateway, subscriptions, latency, slow-clients, toolkit
       bench/run.py --update-docs                                copies the last report into docs/performance.md

Needs the programs of `./dev build bench_programs fresnel_bench`; node and npm for the comparison with `ws`; gnuplot-nox for plots. Every
figure of the report is measured in the run that writes it. Keep the machine idle meanwhile.
"""

import argparse
import datetime
import json
import os
import platform
import re
import resource
import subprocess
import sys
from pathlib import Path

from runner import micro, report, toolkit
from runner.fan_out import FanOut
from runner.gateway import Gateway
from runner.processes import Failed, Programs, processors

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("micro", "fan-out", "gateway", "subscriptions", "latency", "slow-clients", "toolkit")
MARKS = ("<!-- begin: bench/run.py --update-docs -->", "<!-- end: bench/run.py --update-docs -->")
TOOLKIT_MARKS = ("<!-- begin: bench/run.py --only toolkit --update-docs -->",
                 "<!-- end: bench/run.py --only toolkit --update-docs -->")


def log(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def output_of(*argv):
    try:
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


def describe_machine(build, arguments):
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8"), re.M)
    flags = re.search(r"^CMAKE_CXX_FLAGS_RELEASE:\w+=(.*)$", (build / "CMakeCache.txt").read_text(encoding="utf-8"), re.M)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": output_of("git", "describe", "--always", "--dirty") or "unknown",
        "processor": f"{cpu.group(1) if cpu else platform.processor()}, {len(processors())} cores usable",
        "memory": f"{int(memory.group(1)) / (1 << 20):.0f} GiB" if memory else "unknown",
        "kernel": platform.release(),
        "compiler": (output_of("g++", "--version") or "unknown").split("\n", maxsplit=1)[0]
                    + (f", {flags.group(1)}" if flags else ""),
        "node": output_of("node", "--version") or "none",
        "command": "bench/run.py " + " ".join(arguments),
    }


def measure(args, programs):
    results = {}
    chosen = args.only or PARTS
    if "micro" in chosen:
        results["micro"] = micro.run(args.build / "fresnel_bench", programs.work, 5 if args.full else 1, log)
    if "fan-out" in chosen:
        fan_out = FanOut(programs, ROOT / "bench", log)
        results["fan_out"] = fan_out.run(args.full, rounds=3, seconds=1.0 if args.full else 0.6)
        results["notes"] = fan_out.notes
    gateway = Gateway(programs, log)
    if "gateway" in chosen:
        results["gateway"] = gateway.events(rounds=5 if args.full else 3, seconds=5 if args.full else 2)
    if "subscriptions" in chosen:
        results["subscriptions"] = gateway.subscriptions()
    if "latency" in chosen:
        results["latency"] = gateway.latency(seconds=20 if args.full else 4)
    if "slow-clients" in chosen:
        results["slow_clients"] = gateway.slow_clients(seconds=60 if args.full else 10)
    if "toolkit" in chosen:
        bench, notes = toolkit.for_bench(programs, ROOT / "bench", log)
        results["toolkit"] = {**bench.run(args.full), "notes": notes}
    return results


def blocks(results):
    """What the document gets, with the marks it stands between: the toolkit's figures, and all others. A part that was
    not measured stays as it is."""
    machine = {key: results[key] for key in ("machine", "disturbed") if key in results}
    others = {key: value for key, value in results.items() if key not in ("toolkit", *machine)}
    if others:
        yield MARKS, {**machine, **others}
    if "toolkit" in results:
        yield TOOLKIT_MARKS, {**machine, "toolkit": results["toolkit"]}


def update_docs(work):
    source, target = work / "results.json", ROOT / "docs/performance.md"
    if not source.exists():
        raise Failed(f"{source} is missing: run the benchmarks first")
    text = target.read_text(encoding="utf-8")
    for (first, last), results in blocks(json.loads(source.read_text(encoding="utf-8"))):
        begin, end = text.find(first), text.find(last)
        if begin < 0 or end < begin:
            raise Failed(f"{target} has no place for the report: a line {first!r} and a line {last!r}")
        # Pictures stay beside the report, and its headings become the document's.
        copied = re.sub(r"^!\[.*\n", "", report.render(results), flags=re.M)
        copied = re.sub(r"^# Benchmarks\n", "", re.sub(r"^## ", "### ", copied, flags=re.M))
        text = text[:begin] + first + "\n" + copied.strip() + "\n" + text[end:]
    target.write_text(text, encoding="utf-8")
    log(f"copied the figures of {source} into {target}")


def parse(argv):
    parser = argparse.ArgumentParser(description="Measures the gateway and its way out against other servers.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a subset, some minutes (the default)")
    size.add_argument("--full", action="store_true", help="everything, an hour or so")
    parser.add_argument("--only", metavar="PART,PART...", type=lambda text: text.split(","), help=", ".join(PARTS))
    parser.add_argument("--build", type=Path, default=ROOT / "build/release", help="where the programs were built")
    parser.add_argument("--update-docs", action="store_true", help="copy the last report into docs/performance.md")
    args = parser.parse_args(argv)
    if unknown := set(args.only or ()) - set(PARTS):
        parser.error(f"--only: unknown part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return args


def main(argv):
    args = parse(argv)
    work = ROOT / "build/bench"
    work.mkdir(parents=True, exist_ok=True)
    try:
        if args.update_docs and not (args.quick or args.full or args.only):
            update_docs(work)
            return 0
        if len(processors()) < 2:
            raise Failed("two processors are needed: one for the server, one for the load")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
        load = os.getloadavg()[0]
        results = {"machine": describe_machine(args.build, argv)}
        if load > 0.5:
            results["disturbed"] = f"the load average was {load:.1f} when the benchmarks began"
            log(f"warning: {results['disturbed']}")
        results.update(measure(args, Programs(args.build, work)))
        (work / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
        report.plot(results, work, log)
        (work / "report.md").write_text(report.render(results), encoding="utf-8")
        log(f"the report is {work / 'report.md'}")
        if args.update_docs:
            update_docs(work)
    except Failed as failure:
        log(f"error: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
