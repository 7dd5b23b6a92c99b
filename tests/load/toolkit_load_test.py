#!/usr/bin/env python3
"""The toolkit's server under load, its clients in a process of their own: a short form of `./dev bench --only toolkit`,
with the same programs. It asks what is delivered and what is kept, not how fast.

usage: toolkit_load_test.py SERVER LOAD [UNITTEST ARGS]
"""

import resource
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from runner.processes import Failed  # noqa: E402
from runner.toolkit import Toolkit, growth  # noqa: E402

SERVER, LOAD = sys.argv[1:3]


class ToolkitLoad(unittest.TestCase):
    def running(self, connections, channels=0, subscriptions=0):
        toolkit = Toolkit({"toolkit": ([SERVER], {})}, LOAD, print)
        return toolkit.running("toolkit", connections, channels, subscriptions, spin=False)

    def test_ten_thousand_get_each_broadcast_exactly_once(self):
        with self.running(10_000) as pair:
            pair.connect()
            pair.deliver("broadcast", turns=3, burst=1)
            pair.deliver("broadcast", turns=2, burst=10)
            self.assertEqual(pair.settle(10_000)["connections"], 10_000)
            self.assertEqual(pair.close()["connections"], 0)

    def test_channels_reach_their_subscribers_and_nobody_else(self):
        with self.running(100, channels=100, subscriptions=10) as pair:
            pair.connect()
            pair.deliver("publish", turns=5, burst=1)
            pair.deliver("publish", turns=5, burst=100)
            pair.deliver("broadcast", turns=1, burst=1)
            self.assertEqual(pair.close()["subscriptions"], 0)

    def test_connections_that_come_and_go_leave_nothing(self):
        with self.running(64, channels=10, subscriptions=2) as pair:
            rss = [pair.churn(500, rate=0)["rss"] for _ in range(10)]
        self.assertLess(growth(rss), 2, f"RSS after each of ten rounds of 500 connections: {rss}")

    def test_a_message_that_is_missing_or_comes_twice_is_noticed(self):
        with self.running(10, channels=10, subscriptions=1) as pair:
            pair.connect()
            pair.server.ask("broadcast 1 1 16")  # not asked for by the deliver() that counts
            with self.assertRaisesRegex(Failed, "each of 10 connections was to get 1 messages; .* they got 20"):
                pair.deliver("broadcast", turns=1, burst=1)

    def test_too_few_descriptors_are_a_failure_that_says_how_many_are_needed(self):
        for argv in ([SERVER, "10000", "0"], [LOAD, "1", "10000", "0", "0"]):
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000)))
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, "10000 connections need a hard limit of 10320 file descriptors, it is 1000")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
