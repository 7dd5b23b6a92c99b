"""The benchmarks of single functions, fresnel/*/*_bench.cpp, as Google Benchmark runs them."""

import json
import statistics
import subprocess

from .processes import SERVER_PROCESSOR, Failed, processors

# What Google Benchmark says of every benchmark; the rest are the benchmark's own counters.
KNOWN = {"name", "run_name", "run_type", "family_index", "per_family_instance_index", "repetitions", "repetition_index",
         "threads", "iterations", "real_time", "cpu_time", "time_unit", "items_per_second", "bytes_per_second", "label"}
NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def run(program, work, repetitions, log):
    """[{name, ns, items, bytes, counters}], medians of interleaved repetitions."""
    if not program.exists():
        raise Failed(f"{program} is missing; build it with: ./dev build fresnel_bench")
    log("single functions")
    core = processors()[SERVER_PROCESSOR]
    out = work / "micro.json"
    done = subprocess.run(
        ["taskset", "-c", str(core), program, f"--benchmark_out={out}", "--benchmark_out_format=json",
         f"--benchmark_repetitions={repetitions}", "--benchmark_enable_random_interleaving=true"],
        capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{program.name}: {done.stderr.strip().splitlines()[-1:]}")
    return gather(json.loads(out.read_text(encoding="utf-8"))["benchmarks"])


def gather(lines):
    runs = {}
    # Interleaved repetitions come in any order.
    for line in sorted(lines, key=lambda line: (line.get("family_index", 0), line.get("per_family_instance_index", 0))):
        if line["run_type"] != "iteration":
            continue
        if line.get("error_occurred"):
            raise Failed(f"{line['name']}: {line.get('error_message')}")
        runs.setdefault(line["run_name"], []).append(line)
    return [{"name": short(name), "ns": median(same, "real_time") * NANOSECONDS[same[0]["time_unit"]],
             "items": median(same, "items_per_second"), "bytes": median(same, "bytes_per_second"),
             "counters": {key: median(same, key) for key, value in same[0].items()
                          if key not in KNOWN and isinstance(value, (int, float)) and not isinstance(value, bool)}}
            for name, same in runs.items()]


def short(name):
    """Without how often it ran and which clock timed it."""
    return "/".join(part for part in name.split("/") if not part.startswith("iterations:") and part != "manual_time")


def median(lines, key):
    values = [line[key] for line in lines if key in line]
    return statistics.median(values) if values else None
