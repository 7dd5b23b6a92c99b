"""The same messages to N sockets by several servers, in turns: CPU time a delivered message."""

import json
import os
import statistics
import subprocess

from .processes import SERVER_PROCESSOR, Child, Failed, connect, prepare_ws

SERVERS = {
    "floor": "floor: gathered send",
    "one_buffer": "floor: one buffer",
    "fan_out": "Fresnel",
    "deflate": "Fresnel, deflate",
    "naive": "naive Beast",
    "ws": "Node ws",
    "uws": "uWebSockets",
}


def configurations(full):
    """(clients, bytes a message, messages a turn)"""
    if full:
        grid = [(n, size, burst) for n in (1, 10, 100, 1000) for size in (512, 3584, 16384) for burst in (1, 10, 100)]
        return grid + [(200, 256, 10), (1000, 1024, 1), (1000, 1024, 10), (1000, 1024, 100)]
    return [(10, 3584, 1), (10, 3584, 10), (100, 512, 10), (100, 3584, 1), (100, 3584, 10), (100, 3584, 100),
            (100, 16384, 10), (1000, 1024, 1), (1000, 1024, 10), (1000, 1024, 100), (1000, 3584, 10)]


class FanOut:
    def __init__(self, programs, source, log):
        self.programs, self.source, self.log = programs, source, log
        self.notes = []
        self.commands = {"floor": [programs.path("floor")], "one_buffer": [programs.path("floor"), "--one-buffer"],
                         "fan_out": [programs.path("fan_out")],
                         "deflate": [programs.path("fan_out"), "--deflate"], "naive": [programs.path("naive_beast")]}
        node, self.env, note = prepare_ws(programs.work, log)
        if node:
            self.commands["ws"] = [node, source / "ws_server.mjs"]
        else:
            self.notes.append(note)
        self._prepare_uws()

    def _prepare_uws(self):
        folder = os.environ.get("UWS_DIR")
        if not folder:
            self.notes.append("uWebSockets was not measured: UWS_DIR names no checkout.")
            return
        program = self.programs.work / "uwebsockets"
        self.log(f"compiling uWebSockets of {folder}")
        script = self.source / "build_uwebsockets.sh"
        done = subprocess.run(["bash", script, folder, program], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"uWebSockets of {folder} did not compile:\n{done.stderr[-2000:]}")
        self.commands["uws"] = [program]

    def run_once(self, server, clients, size, burst, seconds):
        """CPU microseconds a delivered message, and messages a second."""
        argv = [*self.commands[server], "--clients", clients, "--size", size, "--burst", burst, "--seconds", seconds]
        with Child(argv, SERVER_PROCESSOR, self.env) as child:
            port = child.line()
            offer = ["--deflate"] if server == "deflate" else []
            with self.programs.load(f"ws://127.0.0.1:{port}/", clients, "--blind", "--spin", *offer) as load:
                connect(load)
                answer = json.loads(child.line(60 + 4 * seconds))
                counted = load.ask("drop")
        if not answer["turns"]:
            raise Failed(f"{server} published nothing in {seconds} s")
        return {"us": answer["user_us"] + answer["system_us"], "rate": answer["messages"] / answer["seconds"],
                "bytes": counted["bytes"] / counted["messages"]}

    def run(self, full, rounds, seconds):
        rows = []
        for clients, size, burst in configurations(full):
            self.log(f"fan-out: {clients} clients, {size} B, bursts of {burst}")
            runs = {server: [] for server in self.commands}
            for _ in range(rounds):
                for server, results in runs.items():  # interleaved: all servers meet the same disturbances
                    results.append(self.run_once(server, clients, size, burst, seconds))
            rows.append({"clients": clients, "size": size, "burst": burst,
                         "us": {server: median(r["us"] for r in results) for server, results in runs.items()},
                         "rate": {server: median(r["rate"] for r in results) for server, results in runs.items()},
                         "saved": median(a["bytes"] / b["bytes"] for a, b in zip(runs["fan_out"], runs["deflate"])),
                         "deflate_to_plain": ratio(runs, "deflate", "fan_out"),
                         "to_floor": ratio(runs, "fan_out", "floor"),
                         "to_one_buffer": ratio(runs, "fan_out", "one_buffer"),
                         "naive_to_ours": ratio(runs, "naive", "fan_out")})
        return rows


def median(values):
    return statistics.median(list(values))


def ratio(runs, over, under):
    """The median of the ratios within each round."""
    return median(a["us"] / b["us"] for a, b in zip(runs[over], runs[under]))
