#!/usr/bin/env python3
"""Reads ctest's JUnit file and prints the cases that failed and, last, the line `N passed, N failed`.

usage: test_summary.py RESULTS.xml

A ctest that ran a whole GoogleTest program counts as many times as the program had cases; any other counts once.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

PASSED = re.compile(r"^\[  PASSED  \] (\d+) tests?\.", re.MULTILINE)
FAILED = re.compile(r"^\[  FAILED  \] (\S+?),?(?: where .*| \(.*)?$", re.MULTILINE)


def count(case):
    """(passed, names of the failed) of one <testcase>."""
    name = case.get("name", "?")
    output = case.findtext("system-out") or ""
    passed = PASSED.findall(output)
    cases = int(passed[-1]) if passed else 0
    if case.get("status") == "run":
        return max(cases, 1), []
    failed = sorted({test for test in FAILED.findall(output) if "." in test})
    # A crash or a time-out leaves no summary: the program as a whole has failed.
    return cases, [f"{name}: {test}" for test in failed] or [name]


def main(arguments):
    if len(arguments) != 1:
        print(__doc__)
        return 2
    passed, failed = 0, []
    for case in ElementTree.parse(arguments[0]).getroot().iter("testcase"):
        good, bad = count(case)
        passed += good
        failed += bad
    for name in failed:
        print(f"FAILED {name}")
    print(f"{passed} passed, {len(failed)} failed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
