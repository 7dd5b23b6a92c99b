"""The whole gateway between a simulated API server and many multiplexer clients. The gateway has one thread on a
processor of its own; cluster and load generator share another."""

import statistics
import threading
import time

from .processes import SERVER_PROCESSOR, Child, Failed, connect, request

ALL_PODS = request("/api/v1/pods")


def list_in(number):
    return request(f"/api/v1/namespaces/bench-{number}/pods")


def measure(gateway, load, seconds):
    """Counts for `seconds`; adds the gateway's CPU time."""
    before = gateway.cpu_seconds()
    answer = load.ask(f"measure {seconds}", seconds + 30)
    cpu = gateway.cpu_seconds() - before
    if not answer["messages"] or answer["closed"]:
        raise Failed(f"the clients got {answer['messages']} messages, {answer['closed']} were closed: "
                     + answer["first_fault"])
    return {**answer, "cpu_share": cpu / answer["seconds"], "us": cpu * 1e6 / answer["messages"],
            "bytes_a_message": answer["bytes"] / answer["messages"]}


class Gateway:
    def __init__(self, programs, log):
        self.programs, self.log = programs, log

    def events(self, rounds, seconds, clients=100):
        """CPU time a delivered event, bursts of 1 and 10, deflate not offered and offered; and the floor's for the same
        bytes at the same rate, when it too sleeps between the turns."""
        rows, floors = {}, {}
        for _ in range(rounds):
            for burst, turns in ((1, 400), (10, 150)):
                for deflate in (False, True):
                    self.log(f"gateway: {clients} clients, bursts of {burst}, deflate {'on' if deflate else 'off'}")
                    rows.setdefault((burst, deflate), []).append(self._events(clients, burst, turns, seconds, deflate))
                size = int(rows[burst, False][-1]["bytes_a_message"])
                floors.setdefault(burst, []).append(self._floor(clients, size, turns, burst, seconds)["us"])
        results = []
        for (burst, deflate), runs in rows.items():
            middle = sorted(runs, key=lambda run: run["us"])[len(runs) // 2]
            to_plain = statistics.median(run["us"] / plain["us"] for run, plain in zip(runs, rows[burst, False]))
            results.append({"clients": clients, "burst": burst, "deflate": deflate, "to_plain": to_plain,
                            "floor_us": statistics.median(floors[burst]),
                            "to_floor": statistics.median(run["us"] / floor for run, floor in zip(runs, floors[burst])),
                            **middle})
        return results

    def _events(self, clients, burst, turns, seconds, deflate):
        with self.programs.cluster(pods=100, size=3600) as cluster, self.programs.gateway(cluster) as gateway:
            arguments = ["--deflate"] if deflate else []
            with self.programs.load(gateway.url + "/wsMultiplexer", clients, *arguments, messages=[ALL_PODS]) as load:
                connect(load)
                cluster.ask(f"write {turns} {burst}")
                load.ask("measure 0.5")
                answer = measure(gateway, load, seconds)
                return {**answer, "pod_bytes": cluster.greeting["pod_bytes"],
                        "offered": turns * burst * clients}

    def subscriptions(self, clients=1000, lists=20, many=1000):
        """Upstream watches and memory."""
        self.log(f"subscriptions: 1 client x {many} lists")
        result = {"clients": clients, "lists": lists, "many": many}
        with self.programs.cluster(pods=many, size=1200, namespaces=many) as cluster:
            with self.programs.gateway(cluster) as gateway:
                base = gateway.memory()
                with self.programs.load(gateway.url + "/wsMultiplexer", 1,
                                        messages=[list_in(i) for i in range(many)]) as load:
                    ready = connect(load, 120)
                    time.sleep(1)
                    result["one_client"] = {"ready_s": ready["seconds"], "watches": cluster.ask("counters")["open_watches"],
                                            "bytes_a_list": (gateway.memory() - base) / many}
        self.log(f"subscriptions: {clients} clients x {lists} lists")
        with self.programs.cluster(pods=lists, size=1200, namespaces=lists) as cluster:
            result["connection_bytes"] = self._idle_connections(cluster, clients)
            with self.programs.gateway(cluster) as gateway:
                url, messages = gateway.url + "/wsMultiplexer", [list_in(i) for i in range(lists)]
                with self.programs.load(url, 1, messages=messages) as first:
                    connect(first)
                    time.sleep(1)
                    base = gateway.memory()
                    with self.programs.load(url, clients, messages=messages) as load:
                        ready = connect(load, 120)
                        time.sleep(1)
                        grown = gateway.memory() - base
                        result["ready_s"] = ready["seconds"]
                        result["watches"] = cluster.ask("counters")["open_watches"]
                        result["subscription_bytes"] = (grown - clients * result["connection_bytes"]) / clients / lists
                        result["storm"] = self._storm(cluster, gateway, load)
        return result

    def _idle_connections(self, cluster, clients):
        """RSS a connection without subscriptions."""
        with self.programs.gateway(cluster) as gateway:
            url = gateway.url + "/wsMultiplexer"
            with self.programs.load(url, 10) as first:
                connect(first)
                base = gateway.memory()
                with self.programs.load(url, clients) as load:
                    connect(load)
                    time.sleep(1)
                    return (gateway.memory() - base) / clients

    def _storm(self, cluster, gateway, load):
        """All clients of `load` go at once and come back at once."""
        self.log("reconnect storm")
        before = cluster.ask("counters")
        rss, cpu = gateway.memory(), gateway.cpu_seconds()
        load.ask("drop")
        back = connect(load, 120)
        after = cluster.ask("counters")
        return {"seconds": back["seconds"], "ready_p99_ms": back["ready_ms"]["p99"], "rss_before": rss,
                "rss_peak": gateway.memory("VmHWM"), "cpu_s": gateway.cpu_seconds() - cpu,
                "requests": after["requests"] - before["requests"]}

    def latency(self, seconds, clients=1000, shares=(0.2, 0.6)):
        """From the API server's write to the client's read, at shares of the peak that the CPU time a message allows."""
        rows = []
        with self.programs.cluster(pods=100, size=3600) as cluster, self.programs.gateway(cluster) as gateway:
            url = gateway.url + "/wsMultiplexer"
            with self.programs.load(url, clients, messages=[ALL_PODS]) as load:
                connect(load, 120)
                cluster.ask("write 20 1")
                load.ask("measure 0.5")
                peak = 1e6 / measure(gateway, load, 3)["us"] / clients
                for share in shares:
                    self.log(f"latency: {clients} clients at {share:.0%} of {peak:.0f} events/s")
                    cluster.ask(f"write {peak * share} 1")
                    load.ask("measure 0.5")
                    rows.append({"clients": clients, "share": share, "events": peak * share,
                                 **measure(gateway, load, seconds)})
                cluster.ask("write 0 0")
            with self.programs.load(url, 1, messages=[ALL_PODS]) as load:
                connect(load)
                cluster.ask(f"write {peak * shares[0]} 1")
                load.ask("measure 0.5")
                rows.append({"clients": 1, "share": shares[0], "events": peak * shares[0],
                             **measure(gateway, load, seconds)})
        rate, size = rows[0]["events"], int(rows[0]["bytes_a_message"])
        return {"clients": clients, "rows": rows, "floor": self._floor(clients, size, rate, 1, seconds)}

    def _floor(self, clients, size, rate, burst, seconds):
        """As many bytes at the same rate from the program that only sends."""
        self.log(f"the floor: {clients} clients, bursts of {burst} at {rate:.0f} a second")
        argv = [self.programs.path("floor"), "--clients", clients, "--size", size, "--rate", rate, "--burst", burst,
                "--seconds", seconds + 30]
        with Child(argv, SERVER_PROCESSOR) as floor:
            with self.programs.load(f"ws://127.0.0.1:{floor.line()}/", clients) as load:
                connect(load)
                load.ask("measure 0.5")
                return {"clients": clients, "events": rate, **measure(floor, load, seconds)}

    def slow_clients(self, seconds, clients=1000, stopped=100, turns=20, burst=10):
        """A tenth of the clients stop reading under load: the others' latency, the gateway's memory."""
        self.log(f"slow clients: {stopped} of {clients} stop for {seconds} s")
        with self.programs.cluster(pods=100, size=3600) as cluster, self.programs.gateway(cluster) as gateway:
            with self.programs.load(gateway.url + "/wsMultiplexer", clients, messages=[ALL_PODS]) as load:
                connect(load, 120)
                cluster.ask(f"write {turns} {burst}")
                load.ask("measure 0.5")
                with MemoryCurve(gateway) as curve:
                    phases = {"before": measure(gateway, load, 5)}
                    curve.mark("stopped")
                    load.ask(f"stop {stopped}")
                    phases["stopped"] = measure(gateway, load, seconds)
                    curve.mark("resumed")
                    load.ask("stop 0")
                    phases["resumed"] = load.ask("measure 10", 40)
                return {"clients": clients, "stopped": stopped, "seconds": seconds,
                        "events": turns * burst, "burst": burst,
                        "phases": phases, "curve": curve.points, "marks": curve.marks}


class MemoryCurve:
    """RSS of a process, ten times a second."""

    def __init__(self, child):
        self.child, self.points, self.marks = child, [], {}
        self._begin, self._over = time.monotonic(), threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def mark(self, name):
        self.marks[name] = time.monotonic() - self._begin

    def _sample(self):
        while not self._over.wait(0.1):
            self.points.append((time.monotonic() - self._begin, self.child.memory()))


