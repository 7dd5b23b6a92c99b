#!/usr/bin/env python3
"""The table of docs/conformance.md, which says what is run with which peer. Each test answers for its own column.

usage: conformance_page.py PEER PAGE    compares the peer's column with the cases on standard input, JSON lists
                                        [section, case, mark]; UPDATE_DOCS=1 writes them into the page instead
"""

import json
import os
import re
import sys
from pathlib import Path

PEERS = ("Node ws", "Python websockets")
HEAD = """# Conformance
What the WebSocket toolkit is held to by `tests/clients/conformance_test.mjs`, with Node's ws, and by
`tests/clients/conformance_test.py`, with Python's websockets; both send hand-made frames too. A section `client` is
about the toolkit's client, the others about its server. `yes`: the case is run with that peer and holds. Each test
checks its column of this table.

"""


def line(*cells):
    return "| " + " | ".join(cells) + " |\n"


def read(page):
    """{(section, case): {peer: mark}}, in the page's order."""
    found = re.findall(r"^\| (\S.*?) \| (\S.*?) " + r"\| (\S*) " * len(PEERS) + r"\|$", page, re.MULTILINE)
    return {tuple(row[:2]): {peer: mark for peer, mark in zip(PEERS, row[2:]) if mark} for row in found}


def merge(page, peer, cases):
    """The page with these cases for the peer: a new one stands behind the one that is run before it."""
    rows = read(page)
    for marks in rows.values():
        marks.pop(peer, None)
    order = list(rows)
    place = 0
    for section, name, mark in cases:
        key = (section, name)
        if key not in rows:
            rows[key] = {}
            order.insert(place, key)
        elif peer in rows[key]:
            raise ValueError(f"two cases have one name: {key}")
        rows[key][peer] = mark
        place = order.index(key) + 1
    table = [line("RFC, section", "case", *PEERS), "|---" * (2 + len(PEERS)) + "|\n"]
    table += [line(*key, *(rows[key].get(peer, "") for peer in PEERS)) for key in order if rows[key]]
    return HEAD + "".join(table)


def check(peer, path, cases):
    """What the page says otherwise, as lines of text; after an update nothing."""
    path = Path(path)
    page = path.read_text(encoding="utf-8")
    wanted = merge(page, peer, cases)
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(wanted, encoding="utf-8")
        return []
    if page == wanted:
        return []
    said, run = set(page.splitlines()), set(wanted.splitlines())
    return [*(f"not in the page: {row}" for row in sorted(run - said)),
            *(f"only in the page: {row}" for row in sorted(said - run))] or ["the page's lines are in another order"]


if __name__ == "__main__":
    differences = check(sys.argv[1], sys.argv[2], json.load(sys.stdin))
    print("".join(f"        {difference}\n" for difference in differences), end="")
    sys.exit(1 if differences else 0)
