"""The programs that a benchmark runs, each on its own processor, and what can be read of them from outside."""

import json
import os
import re
import selectors
import shutil
import subprocess
import time

SERVER_PROCESSOR = 0
LOAD_PROCESSOR = 1
WS_VERSION = "8.18.0"


class Failed(Exception):
    """A program did not do what it should; the message says which and what."""


def processors():
    return sorted(os.sched_getaffinity(0))


class Child:
    """A child process with line-wise standard output, bound to one processor. A context manager: it does not outlive
    its block."""

    def __init__(self, argv, processor, env=None):
        self.name = os.path.basename(str(argv[0]))
        cores = processors()
        core = cores[processor % len(cores)]
        self.process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={**os.environ, **(env or {})},
                                        preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        self.pid = self.process.pid
        self._received = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.process.stdout, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self._selector.close()

    def line(self, timeout=30):
        deadline = time.monotonic() + timeout
        while b"\n" not in self._received:
            if not self._selector.select(max(0, deadline - time.monotonic())):
                raise Failed(f"{self.name} said nothing for {timeout:.0f} s")
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                raise Failed(f"{self.name} ended early, with status {self.process.wait()}")
            self._received += piece
        line, self._received = self._received.split(b"\n", 1)
        return line.decode()

    def ask(self, command, timeout=30):
        """One command, its JSON answer."""
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.line(timeout))
        if answer.get("fault"):
            raise Failed(f"{self.name}: {answer['fault']}")
        return answer

    def cpu_seconds(self):
        """User and system time of the process so far, to the nanosecond (clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def memory(self, field="VmRSS"):
        """Bytes; VmHWM is the highest VmRSS so far."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return int(re.search(rf"^{field}:\s+(\d+) kB", status.read(), re.M).group(1)) * 1024


class Programs:
    """Where the build left its programs."""

    def __init__(self, build, work):
        self.build, self.work = build, work

    def path(self, name):
        file = self.build / ("fresnel" if name == "fresnel" else f"bench/bench_{name}")
        if not file.exists():
            raise Failed(f"{file} is missing; build it with: ./dev build bench_programs")
        return file

    def load(self, url, clients, *arguments, messages=()):
        argv = [self.path("load"), "--url", url, "--clients", clients, "--receive-buffer", 256 << 10, *arguments]
        if messages:
            file = self.work / "messages.txt"
            file.write_text("".join(message + "\n" for message in messages), encoding="utf-8")
            argv += ["--messages", file]
        return Child(argv, LOAD_PROCESSOR)

    def cluster(self, pods, size, namespaces=1):
        child = Child([self.path("cluster"), "--pods", pods, "--size", size, "--namespaces", namespaces],
                      LOAD_PROCESSOR)
        child.greeting = json.loads(child.line(120))
        return child

    def gateway(self, cluster):
        """`fresnel serve` in front of the cluster, with one thread."""
        kubeconfig = self.work / "kubeconfig"
        kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": {"server": cluster.greeting["url"]}}],
            "users": [{"name": "bench", "user": {}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}]}), encoding="utf-8")
        child = Child([self.path("fresnel"), "serve", "--kubeconfig", kubeconfig, "--listen", "127.0.0.1:0",
                       "--threads", 1, "--log-level", "error"], SERVER_PROCESSOR)
        child.url = re.search(r"http://[^/ ]+", child.line()).group(0)
        return child


def request(path, query="watch=1"):
    """A REQUEST of the multiplexer."""
    return json.dumps({"clusterId": "bench", "path": path, "query": query, "userId": "bench", "type": "REQUEST"})


def connect(load, timeout=60):
    """Connects all clients and waits until they have their initial data."""
    answer = load.ask(f"connect {timeout}", timeout + 10)
    if answer["failed"] or answer["closed"] or answer["errors"]:
        raise Failed("clients failed: " + (answer["first_fault"] or answer["first_error"]))
    return answer


def prepare_ws(work, log):
    """Node, and the environment in which its programs find `ws`, which npm fetches into `work`; or None, nothing, and
    why `ws` will be missing from the report."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None, {}, "Node `ws` was not measured: node and npm are not installed."
    modules = work / "node_modules"
    if not (modules / "ws").exists():
        log(f"installing ws {WS_VERSION} from npm into {modules}")
        done = subprocess.run([npm, "install", "--no-audit", "--no-fund", "--prefix", work, f"ws@{WS_VERSION}"],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            log(done.stderr)
            return None, {}, "Node `ws` was not measured: npm could not install it."
    return node, {"FRESNEL_BENCH_MODULES": str(work)}, ""
