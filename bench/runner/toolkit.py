"""The WebSocket toolkit under many connections, beside Node's `ws` doing the same: connections held, broadcast to all,
channels, connections that come and go. tests/load runs a short form of it.

Every message is accounted for: each connection must have been sent each of its messages exactly once, or it is Failed.
"""

import contextlib
import statistics
import time

from .processes import LOAD_PROCESSOR, SERVER_PROCESSOR, Child, Failed, prepare_ws

SERVERS = {"toolkit": "Fresnel", "ws": "Node ws"}
SIZE = 512  # bytes a message, about
CHANNELS, SUBSCRIBERS = 1000, 100
BROADCASTS, PUBLICATIONS = (1, 10), (1, CHANNELS)  # begun in one turn of the server's loop
CHURN_RATE, CHURN_CONNECTIONS, CHURN_ROUNDS = 500, 500, 10  # connections a second; at most that many at a time


class Pair:
    """A server and its clients."""

    def __init__(self, server, load, connections, subscriptions):
        self.server, self.load = server, load
        self.connections, self.subscriptions = connections, subscriptions

    def connect(self):
        """CPU microseconds of the server for each connection, its subscriptions included."""
        before = self.server.cpu_seconds()
        self.load.ask("connect 90", 120)
        spent = self.server.cpu_seconds() - before
        self.settle(self.connections)
        return spent * 1e6 / self.connections

    def settle(self, connections):
        """The server's account, as soon as it has noticed that so many are left."""
        deadline = time.monotonic() + 60
        while True:
            account = self.server.ask("account")
            if (account["connections"], account["subscriptions"]) == (connections, connections * self.subscriptions):
                return account
            if time.monotonic() > deadline:
                raise Failed(f"{self.server.name} counts {account['connections']} connections and "
                             f"{account['subscriptions']} subscriptions, there are {connections} connections")
            time.sleep(0.01)

    def deliver(self, command, turns, burst):
        """CPU microseconds a delivered message."""
        expected = turns * (burst if command == "broadcast" else self.subscriptions)
        answer = self.server.ask(f"{command} {turns} {burst} {SIZE}", 300)
        counted = self.load.ask("fence 60", 90)
        got = (answer["messages"], counted["messages"], counted["least"], counted["most"])
        if got != (expected * self.connections, expected * self.connections, expected, expected):
            raise Failed(f"{command}: each of {self.connections} connections was to get {expected} messages; "
                         f"the server sent {got[0]}, they got {got[1]}, each {got[2]} to {got[3]}")
        return answer["cpu_us"] / answer["messages"]

    def churn(self, count, rate):
        """Connections that come and go; the server's account when all have gone, with the CPU time for each."""
        before = self.server.cpu_seconds()
        answer = self.load.ask(f"churn {count} {rate}", 120 + (count / rate if rate else 0))
        spent = self.server.cpu_seconds() - before
        return {**self.settle(0), "us": spent * 1e6 / count, "rate": count / answer["seconds"]}

    def close(self):
        self.load.ask("close 60", 90)
        return self.settle(0)


class Toolkit:
    def __init__(self, servers, load, log):
        """servers: name -> (argv, environment); load: the program of the clients."""
        self.servers, self.load, self.log = servers, load, log

    @contextlib.contextmanager
    def running(self, server, connections, channels=0, subscriptions=0, spin=True):
        """`subscriptions`: of each connection, spread evenly over the channels."""
        argv, env = self.servers[server]
        with Child([*argv, connections, channels], SERVER_PROCESSOR, env) as child:
            arguments = [child.line(), connections, channels, subscriptions, *(["spin"] if spin else [])]
            with Child([self.load, *arguments], LOAD_PROCESSOR) as load:
                yield Pair(child, load, connections, subscriptions)

    def hold(self, server, connections, turns):
        """Idle connections, then broadcasts to all of them."""
        with self.running(server, connections) as pair:
            base = pair.settle(0)["rss"]
            result = {"connect_us": pair.connect()}
            result["connection_bytes"] = (pair.settle(connections)["rss"] - base) / connections
            pair.deliver("broadcast", 1, 1)
            for burst in BROADCASTS:
                result[f"broadcast_{burst}"] = pair.deliver("broadcast", max(1, turns // burst), burst)
            pair.close()
            return result

    def publish(self, server, connections, turns, connection_bytes):
        """Channels, a publication to each of them in a turn."""
        subscriptions = CHANNELS * SUBSCRIBERS // connections
        with self.running(server, connections, CHANNELS, subscriptions) as pair:
            base = pair.settle(0)["rss"]
            pair.connect()
            grown = pair.settle(connections)["rss"] - base
            result = {"subscription_bytes": (grown / connections - connection_bytes) / subscriptions}
            pair.deliver("publish", 1, 1)
            for burst in PUBLICATIONS:
                result[f"publish_{burst}"] = pair.deliver("publish", turns, burst)
            pair.close()
            return result

    def churn(self, seconds):
        """Of each server, in turns: a list of its rounds."""
        rounds = {server: [] for server in self.servers}
        with contextlib.ExitStack() as stack:
            pairs = {server: stack.enter_context(self.running(server, CHURN_CONNECTIONS, 10, 2, spin=False))
                     for server in self.servers}
            for _ in range(CHURN_ROUNDS):
                for server, pair in pairs.items():
                    rounds[server].append(pair.churn(int(CHURN_RATE * seconds), CHURN_RATE))
        return rounds

    def run(self, full, connections=10_000):
        runs = {server: [] for server in self.servers}
        for number in range(5 if full else 3):
            for server, results in runs.items():  # interleaved: both meet the same disturbances
                self.log(f"toolkit: {SERVERS[server]}, {connections:,} connections, round {number + 1}")
                result = self.hold(server, connections, turns=100 if full else 20)
                result |= self.publish(server, connections, 10 if full else 3, result["connection_bytes"])
                results.append(result)
        self.log(f"toolkit: {CHURN_RATE} connections a second")
        return summary(runs, self.churn(seconds=10 if full else 2), connections)


def summary(runs, churn, connections):
    """Medians of the rounds; ratios are taken within a round."""
    result = {"connections": connections, "rows": {}, "ratios": {}}
    churn_runs = {server: [{"churn_us": each["us"]} for each in rounds] for server, rounds in churn.items()}
    for of_server in (runs, churn_runs):
        for key in of_server["toolkit"][0]:
            result["rows"][key] = {server: statistics.median(run[key] for run in results)
                                   for server, results in of_server.items()}
            if "ws" in of_server:
                pairs = zip(of_server["toolkit"], of_server["ws"])
                result["ratios"][key] = statistics.median(other[key] / ours[key] for ours, other in pairs)
    result["churn"] = {server: {"rate": statistics.median(each["rate"] for each in rounds),
                                "rss": [each["rss"] for each in rounds]} for server, rounds in churn.items()}
    result["growth"] = {server: growth(each["rss"]) for server, each in result["churn"].items()}
    return result


def growth(rss):
    """Percent, from after round 3, when what is allocated once is there, to after the last."""
    return (rss[-1] / rss[2] - 1) * 100


def for_bench(programs, source, log):
    """The programs of `./dev bench`, and what is to be said of those that are missing."""
    servers = {"toolkit": ([programs.path("toolkit_server")], {})}
    node, env, note = prepare_ws(programs.work, log)
    if node:
        servers["ws"] = ([node, "--expose-gc", source / "toolkit_ws_server.mjs"], env)
    return Toolkit(servers, programs.path("toolkit_load"), log), [note] if note else []
