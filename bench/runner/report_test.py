#!/usr/bin/env python3
"""Tests of the report on made-up results, and of copying it into a document."""

import json
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import run  # noqa: E402
from runner import report  # noqa: E402
from runner.micro import gather  # noqa: E402
from runner.fan_out import configurations, ratio  # noqa: E402
from runner.processes import Failed  # noqa: E402
from runner.toolkit import growth, summary  # noqa: E402


def fan_out_row(clients, burst, ours):
    servers = {"floor": 1.0, "one_buffer": 0.8, "fan_out": ours, "deflate": ours, "naive": 9.0}
    return {"clients": clients, "size": 1024, "burst": burst, "us": servers, "rate": {name: 1e6 for name in servers},
            "to_floor": ours, "to_one_buffer": ours / 0.8, "naive_to_ours": 9 / ours, "deflate_to_plain": 1.0, "saved": 6.0}


def gateway_row(burst, deflate, us, deflating=100):
    return {"clients": 100, "burst": burst, "deflate": deflate, "us": us, "cpu_share": 0.25, "messages": 1000,
            "seconds": 2, "bytes_a_message": 600 if deflate else 3800, "deflating": deflating if deflate else 0,
            "to_plain": us / 5, "floor_us": 4.0, "to_floor": us / 4,
            "pod_bytes": 3600}


def toolkit_result(ws=True, rss=(9, 20, 100, 101, 101.5)):
    def run(us):
        return {"connect_us": us, "connection_bytes": 7168, "broadcast_1": us, "broadcast_10": us / 5,
                "subscription_bytes": 300, "publish_1": us, "publish_1000": us / 5}

    def churn(us):
        return [{"us": us, "rate": 495.0, "rss": mib * report.MIB} for mib in rss]

    runs, churns = {"toolkit": [run(8), run(80), run(8)]}, {"toolkit": churn(300)}
    if ws:
        runs["ws"], churns["ws"] = [run(12), run(120), run(12)], churn(600)
    return {**summary(runs, churns, 10_000), "notes": [] if ws else ["No node."]}


class Report(unittest.TestCase):
    def test_goals_are_met_or_missed_by_the_worst_case(self):
        text = report.goals({"fan_out": [fan_out_row(1000, 10, 1.1), fan_out_row(10, 1, 1.5)]})
        self.assertIn("worst case (10 clients, 1024 B, bursts of 1) | <= 1.15 | 1.50 | **missed**", text)
        self.assertIn(">= 8.00 | 8.18 | met", text)

    def test_deflate_counts_only_when_it_was_negotiated(self):
        without = report.goals({"gateway": [gateway_row(1, False, 5), gateway_row(1, True, 5, deflating=0)]})
        self.assertNotIn("deflate", without)
        with_it = report.goals({"gateway": [gateway_row(1, False, 5), gateway_row(1, True, 6)]})
        self.assertIn("CPU over that without | <= 1.30 | 1.20 | met", with_it)
        self.assertIn(">= 5.00 | 6.33 | met", with_it)

    def test_every_server_has_a_column_and_every_row_as_many_cells(self):
        text = report.fan_out_section([fan_out_row(1000, 1, 1.1), fan_out_row(1000, 10, 1.1)], ["A note."])
        self.assertIn("| Fresnel | Fresnel, deflate | naive Beast |", text)
        self.assertIn("A note.", text)
        widths = {line.count("|") for line in text.split("\n\n")[1].splitlines()}
        self.assertEqual(len(widths), 1, text)

    def test_a_run_of_one_part_is_a_report_too(self):
        text = report.render({"machine": {"processor": "a fast one"}, "gateway": [gateway_row(1, True, 5, deflating=0)]})
        self.assertIn("- processor: a fast one", text)
        self.assertIn("| offered, not accepted | 5.00 | 4.00 | 1.25 | 25% |", text)

    def test_the_store_has_goals_for_each_size(self):
        line = {"run_name": "object_store_apply_raw/objects:1000/iterations:1000/manual_time", "run_type": "iteration",
                "time_unit": "us", "real_time": 4.0, "items_per_second": 3e5, "iterations": 1000}
        rows = gather([line, {**line, "items_per_second": 2e5}, {**line, "items_per_second": 2.4e5},
                       {**line, "run_type": "aggregate", "items_per_second": 9e9}])
        self.assertEqual([(row["items"], row["ns"], row["counters"]) for row in rows], [(2.4e5, 4000, {})])
        self.assertIn("1,000 objects: million raw events/s | >= 0.25 | 0.24 | **missed**", report.goals({"micro": rows}))
        self.assertIn("| `object_store_apply_raw/objects:1000` | 4.00 us | 0.24 M/s |", report.micro_section(rows))
        reference = {"name": "object_store_reference_bare_map/objects:1000", "ns": 1, "items": 3e6, "bytes": None, "counters": {}}
        parsed = {**reference, "name": "object_store_apply_parsed/objects:1000", "items": 2e6}
        self.assertIn("| 1,000 | 1.50 |", report.micro_section([reference, parsed]))

    def test_a_benchmark_that_failed_is_no_figure(self):
        with self.assertRaisesRegex(Failed, "changes are missing"):
            gather([{"name": "x", "run_name": "x", "run_type": "iteration", "error_occurred": True,
                     "error_message": "changes are missing"}])

    def test_ratios_are_taken_within_a_round(self):
        runs = {"a": [{"us": 2}, {"us": 30}, {"us": 2}], "b": [{"us": 1}, {"us": 15}, {"us": 1}]}
        self.assertEqual(ratio(runs, "a", "b"), 2)

    def test_the_toolkit_stands_beside_ws(self):
        result = toolkit_result()
        text = report.render({"machine": {}, "toolkit": result})
        self.assertIn("| CPU us a message, broadcast to 10,000, bursts of 10 | 1.60 | 2.40 | 1.50 |", text)
        self.assertIn("message, 1,000 channels of 100 subscribers, all in one turn | 1.60 | 2.40 | 1.50 |", text)
        self.assertIn("| CPU us to accept a connection, subscribe it twice, close it | 300 | 600 | 2.00 |", text)
        self.assertIn("| RSS an idle connection, KiB | 7.00 | 7.00 | 1.00 |", text)
        self.assertIn("exactly once | >= 10,000 | 10,000 | met |", text)
        self.assertIn("broadcast to 10,000, bursts of 1 | >= 1.00 | 1.50 | met |", text)
        for table in (part for part in report.toolkit_section(result).split("\n\n") if part.startswith("|")):
            self.assertEqual(len({line.count("|") for line in table.splitlines()}), 1, table)

    def test_the_toolkit_may_stand_alone(self):
        text = report.render({"machine": {}, "toolkit": toolkit_result(ws=False)})
        self.assertIn("| CPU us a message, broadcast to 10,000, bursts of 1 | 8.00 | - |", text)
        self.assertIn("No node.", text)
        self.assertNotIn("over ours", text)

    def test_growth_counts_from_the_third_round(self):
        self.assertAlmostEqual(growth([1, 50, 100, 300, 102.5]), 2.5)
        grown = report.goals({"toolkit": toolkit_result(rss=(9, 20, 100, 100, 103))})
        self.assertIn("from churn's round 3 to round 10 | <= 2.00 % | 3.00 % | **missed** |", grown)

    def test_the_quick_set_is_much_smaller(self):
        self.assertLess(len(configurations(False)) * 3, len(configurations(True)))


class UpdateDocs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "docs").mkdir()
        self.document = self.root / "docs/performance.md"
        patch = mock.patch.multiple(run, ROOT=self.root, log=lambda text: None)
        patch.start()
        self.addCleanup(patch.stop)

    def write(self, **results):
        (self.root / "results.json").write_text(json.dumps({"machine": {"a": "b"}, **results}), encoding="utf-8")

    def document_with(self, others, toolkit):
        return (f"before\n{run.MARKS[0]}\n{others}\n{run.MARKS[1]}\nbetween\n"
                f"{run.TOOLKIT_MARKS[0]}\n{toolkit}\n{run.TOOLKIT_MARKS[1]}\nafter\n")

    def test_replaces_what_is_between_the_marks(self):
        self.document.write_text(self.document_with("old", "old"), encoding="utf-8")
        self.write(gateway=[gateway_row(1, False, 5)], toolkit=toolkit_result())
        for _ in range(2):
            run.update_docs(self.root)
            text = self.document.read_text(encoding="utf-8")
            self.assertNotIn("old", text)
            self.assertTrue(text.startswith(f"before\n{run.MARKS[0]}\n- a: b\n\n### Goals\n"), text)
            self.assertTrue(text.endswith(f"|\n{run.TOOLKIT_MARKS[1]}\nafter\n"), text)
            others, toolkit = text.split("\nbetween\n")
            self.assertIn("### Whole gateway", others)
            self.assertNotIn("toolkit:", others)
            self.assertIn("- a: b\n\n### Goals\n", toolkit)
            self.assertIn("### WebSocket toolkit", toolkit)
            self.assertNotIn("gateway", toolkit)

    def test_leaves_what_was_not_measured(self):
        self.document.write_text(self.document_with("old", "old"), encoding="utf-8")
        self.write(toolkit=toolkit_result())
        run.update_docs(self.root)
        others, toolkit = self.document.read_text(encoding="utf-8").split("\nbetween\n")
        self.assertEqual(others, f"before\n{run.MARKS[0]}\nold\n{run.MARKS[1]}")
        self.assertNotIn("old", toolkit)

    def test_pictures_stay_beside_the_report(self):
        self.document.write_text(self.document_with("old", "old"), encoding="utf-8")
        self.write(fan_out=[fan_out_row(1000, 10, 1.1)], notes=[])
        run.update_docs(self.root)
        self.assertIn("### Fan-out", self.document.read_text(encoding="utf-8"))
        self.assertNotIn("fan_out.png", self.document.read_text(encoding="utf-8"))

    def test_says_what_is_missing(self):
        with self.assertRaisesRegex(Failed, "run the benchmarks first"):
            run.update_docs(self.root)
        self.write(toolkit=toolkit_result())
        self.document.write_text("no marks", encoding="utf-8")
        with self.assertRaisesRegex(Failed, "no place"):
            run.update_docs(self.root)


if __name__ == "__main__":
    unittest.main()
