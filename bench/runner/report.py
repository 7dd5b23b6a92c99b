"""report.md and its plots, from results as run.py gathered them."""

import shutil
import subprocess

from .fan_out import SERVERS
from .toolkit import CHANNELS, SIZE, SUBSCRIBERS
from .toolkit import SERVERS as TOOLKIT_SERVERS

MIB = 1 << 20


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def number(value):
    """Three significant digits."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def goal(text, measured, limit, unit="", at_most=True, bound=None):
    """A row of the table of goals."""
    met = measured <= limit if at_most else measured >= limit
    sign = "<=" if at_most else ">="
    return (text, f"{sign} {number(bound or limit)}{unit}", f"{number(measured)}{unit}", "met" if met else "**missed**")


def find(rows, **wanted):
    return next((row for row in rows if all(row[key] == value for key, value in wanted.items())), None)


def goals(results):
    rows = []
    fan_out = results.get("fan_out", [])
    if fan_out:
        worst = max(fan_out, key=lambda row: row["to_floor"])
        where = f"{worst['clients']} clients, {worst['size']} B, bursts of {worst['burst']}"
        rows.append(goal(f"CPU a message over the floor's, worst case ({where})", worst["to_floor"], 1.15))
        kibi = find(fan_out, clients=1000, size=1024, burst=10)
        if kibi:
            rows.append(goal("naive Beast's CPU over ours, 1,000 clients, 1 KiB, bursts of 10", kibi["naive_to_ours"], 8,
                             at_most=False))
    events = results.get("gateway", [])
    for burst, limit in ((1, 6), (10, 1.5)):
        row = find(events, burst=burst, deflate=False)
        if row:
            rows.append(goal(f"whole gateway, CPU a delivered event, 100 clients, bursts of {burst}", row["us"], limit, " us"))
    for burst in (1, 10):
        plain, deflated = find(events, burst=burst, deflate=False), find(events, burst=burst, deflate=True)
        if plain and deflated and deflated["deflating"]:
            name = f"whole gateway, deflate, bursts of {burst}"
            rows.append(goal(f"{name}: CPU over that without", deflated["to_plain"], 1.3))
            rows.append(goal(f"{name}: bytes without over those with it",
                             plain["bytes_a_message"] / deflated["bytes_a_message"], 5, at_most=False))
    subscriptions = results.get("subscriptions")
    if subscriptions:
        rows.append(goal("RSS an idle multiplexer connection", subscriptions["connection_bytes"] / 1024, 8, " KiB"))
        rows.append(goal("RSS one more subscription on a shared stream", subscriptions["subscription_bytes"], 512, " B"))
        rows.append(goal("upstream requests in a reconnect storm of 20 lists", subscriptions["storm"]["requests"], 20))
    latency = results.get("latency")
    if latency:
        row = find(latency["rows"], share=0.2, clients=latency["clients"])
        added = row["latency_ms"]["p99"] - latency["floor"]["latency_ms"]["p99"]
        rows.append(goal(f"p99 that the gateway adds to the floor's at 20% of peak, {row['clients']:,} clients", added, 1, " ms"))
    rows += toolkit_goals(results.get("toolkit"))
    rows += store_goals(results.get("micro", []))
    return table(("goal", "bound", "measured", ""), rows) if rows else "None of them was measured in this run.\n"


def store_goals(rows):
    """Events a second that the client's store applies, from raw bytes and once parsed."""
    goals_ = []
    for objects in (1_000, 10_000, 100_000):
        measured = {}
        for row in rows:
            name, *arguments = row["name"].split("/")
            if f"objects:{objects}" in arguments:
                measured[name] = row["items"]
        for kind, limit in (("parsed", 2), ("raw", 0.25)):
            if measured.get(f"object_store_apply_{kind}"):
                goals_.append(goal(f"store of {objects:,} objects: million {kind} events/s",
                                   measured[f"object_store_apply_{kind}"] / 1e6, limit, at_most=False))
    return goals_


DELIVERIES = ("broadcast_", "publish_")  # CPU time a message, by how many are begun in one turn of the loop


def toolkit_goals(result):
    if not result:
        return []
    rows = [goal("toolkit: connections held, each message to each of them exactly once", result["connections"], 10_000,
                 at_most=False),
            goal("toolkit: growth of RSS from churn's round 3 to round 10", result["growth"]["toolkit"], 2, " %")]
    return rows + [goal(f"toolkit: Node ws's CPU over ours, {toolkit_label(key, result)}", ratio, 1, at_most=False)
                   for key, ratio in result["ratios"].items() if key.startswith(DELIVERIES)]


def toolkit_label(key, result):
    name, _, burst = key.rpartition("_")
    if name == "broadcast":
        return f"broadcast to {result['connections']:,}, bursts of {burst}"
    if name == "publish":
        turn = "one a turn" if burst == "1" else "all in one turn"
        return f"{CHANNELS:,} channels of {SUBSCRIBERS} subscribers, {turn}"
    return {"connect_us": "CPU us to accept a connection",
            "churn_us": "CPU us to accept a connection, subscribe it twice, close it",
            "connection_bytes": "RSS an idle connection, KiB", "subscription_bytes": "RSS one more subscription, B"}[key]


def toolkit_section(result):
    servers = list(result["churn"])
    names = [TOOLKIT_SERVERS[server] for server in servers]
    lines = []
    for key in sorted(result["rows"], key=lambda key: (key.endswith("_bytes"), not key.startswith(DELIVERIES))):
        label = ("CPU us a message, " if key.startswith(DELIVERIES) else "") + toolkit_label(key, result)
        unit = 1024 if key == "connection_bytes" else 1
        lines.append((label, *(number(result["rows"][key][server] / unit) for server in servers),
                      number(result["ratios"].get(key))))
    churn = [("connections a second", *(number(result["churn"][server]["rate"]) for server in servers))]
    for after in (3, len(result["churn"]["toolkit"]["rss"])):
        churn.append((f"RSS after round {after}, MiB",
                      *(number(result["churn"][server]["rss"][after - 1] / MIB) for server in servers)))
    churn.append(("growth", *(f"{result['growth'][server]:.2f} %" for server in servers)))
    return (f"## WebSocket toolkit\n{result['connections']:,} connections, messages with {SIZE} bytes of data. CPU is the "
            "server's; median of interleaved rounds, ratios within a round.\n\n"
            + table(("", *names, "ws / Fresnel"), lines)
            + "\nConnections that come, subscribe to two channels, and are closed with a handshake; RSS when all have "
            "gone.\n\n"
            + table(("churn", *names), churn) + "".join(f"\n{note}\n" for note in result["notes"]))


def micro_section(rows):
    def time(nanoseconds):
        unit, size = next((u, s) for u, s in (("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1)) if nanoseconds >= s or s == 1)
        return f"{number(nanoseconds / size)} {unit}"

    def per_second(value, unit):
        return "" if value is None else f"{number(value / 1e6)} {unit}"

    lines = [(f"`{row['name']}`", time(row["ns"]), per_second(row["items"], "M/s"), per_second(row["bytes"], "MB/s"),
              ", ".join(f"{name} {number(value)}" for name, value in row["counters"].items())) for row in rows]
    items = {row["name"]: row["items"] for row in rows}
    references = [(f"{objects:,}", number(items[f"object_store_reference_bare_map/objects:{objects}"] / items[name]))
                  for objects in (1_000, 10_000, 100_000)
                  if (name := f"object_store_apply_parsed/objects:{objects}") in items
                  and f"object_store_reference_bare_map/objects:{objects}" in items]
    compared = ("\nTime of the client's store over that of a bare hash map of the same events:\n\n"
                + table(("objects", "store / bare map"), references)) if references else ""
    return ("## Single functions\nGoogle Benchmark, `fresnel/*/*_bench.cpp`. A time is that of one iteration, which may be a batch.\n\n"
            + table(("benchmark", "time", "items", "bytes", "counters"), lines) + compared)


def fan_out_section(rows, notes):
    servers = list(rows[0]["us"])
    head = ["clients", "bytes", "burst", *(SERVERS[server] for server in servers), "Fresnel / floor", "Fresnel / one buffer",
            "naive / Fresnel", "deflate / plain", "bytes plain / deflate"]
    lines = [(row["clients"], row["size"], row["burst"], *(number(row["us"][server]) for server in servers),
              number(row["to_floor"]), number(row["to_one_buffer"]), number(row["naive_to_ours"]),
              number(row["deflate_to_plain"]), number(row["saved"])) for row in rows]
    return ("## Fan-out\nServer CPU, microseconds (= CPU-seconds per million) a delivered message; median of interleaved rounds, "
            "ratios within a round. A burst is what one turn of the event loop sends to each client.\n\n"
            + table(head, lines) + "\n"
            + table(["clients", "bytes", "burst", *(f"{SERVERS[server]}, 1,000 messages/s" for server in servers)],
                    [(row["clients"], row["size"], row["burst"], *(number(row["rate"][server] / 1000) for server in servers))
                     for row in rows])
            + "".join(f"\n{note}\n" for note in notes) + "\n![CPU a message](fan_out.png)\n")


def gateway_section(rows):
    def deflate(row):
        return "off" if not row["deflate"] else "on" if row["deflating"] else "offered, not accepted"

    lines = [(row["clients"], row["burst"], deflate(row), number(row["us"]), number(row["floor_us"]), number(row["to_floor"]),
              f"{row['cpu_share']:.0%}", f"{row['messages'] / row['seconds']:,.0f}", number(row["bytes_a_message"])) for row in rows]
    return ("## Whole gateway\nSimulated API server, watch in, multiplexer DATA out; pods of "
            f"{rows[0]['pod_bytes']:,} bytes, the gateway has one thread on one processor. Below saturation: the writes have a "
            "fixed rate. The floor sends as many bytes as the gateway without deflate at the same rate: a server that sleeps "
            "between the turns pays more for a send than a busy one (fan-out).\n\n"
            + table(("clients", "burst", "deflate", "CPU us a delivered event", "floor at that rate", "gateway / floor", "of the processor", "events/s delivered",
                     "wire bytes an event"), lines))


def subscriptions_section(result):
    one, storm = result["one_client"], result["storm"]
    rows = [("1 client, lists", f"{result['many']:,}"),
            ("- upstream watches", one["watches"]),
            ("- until all are live", f"{one['ready_s']:.2f} s"),
            ("- gateway's RSS a list, its upstream watch included", f"{one['bytes_a_list'] / 1024:.1f} KiB"),
            (f"{result['clients']:,} clients, lists each", result["lists"]),
            ("- upstream watches", result["watches"]),
            ("- until all are live", f"{result['ready_s']:.2f} s"),
            ("- RSS an idle connection", f"{result['connection_bytes'] / 1024:.1f} KiB"),
            ("- RSS one more subscription", f"{result['subscription_bytes']:,.0f} B"),
            ("Reconnect storm: all of them drop and return", ""),
            ("- until all are live again", f"{storm['seconds']:.2f} s, {storm['cpu_s']:.2f} s of the gateway's CPU"),
            ("- RSS before, peak", f"{storm['rss_before'] / MIB:.1f} MiB, {storm['rss_peak'] / MIB:.1f} MiB"),
            ("- requests to the API server", storm["requests"])]
    return "## Subscriptions and reconnect storm\n" + table(("", "measured"), rows)


def times(histogram):
    return tuple(number(histogram[key]) for key in ("p50", "p99", "p999", "max"))


def latency_section(result):
    rows = [(f"gateway, {row['share']:.0%} of peak", f"{row['clients']:,}", number(row["events"]), *times(row["latency_ms"]))
            for row in result["rows"]]
    floor = result["floor"]
    rows.append((f"floor, the same rate as at {result['rows'][0]['share']:.0%}", f"{floor['clients']:,}", number(floor["events"]),
                 *times(floor["latency_ms"])))
    return ("## Latency\nMilliseconds from the API server's write to the client's read, bursts of 1. Peak is what one processor "
            "could deliver at the CPU time measured for an event. The last of 1,000 clients waits for the sends to the 999 before "
            "it and for the load generator's reads: the floor, which only sends, shows how much that is. Cluster and load "
            "generator share a processor, which their own latency is part of.\n\n"
            + table(("", "clients", "events/s", "p50", "p99", "p99.9", "max"), rows))


def slow_section(result):
    rows = [(phase, number(figures["latency_ms"]["p50"]), number(figures["latency_ms"]["p99"]),
             number(figures["latency_ms"]["p999"]), figures["closed"]) for phase, figures in result["phases"].items()]
    rss = [bytes_ / MIB for _, bytes_ in result["curve"]]
    return (f"## Slow clients\n{result['stopped']} of {result['clients']:,} clients stop reading for {result['seconds']} s, at "
            f"{result['events']} events/s in bursts of {result['burst']}. Latency in milliseconds of those that read; after the pause, the stopped clients' backlog "
            f"is part of it. The gateway's RSS: {rss[0]:.1f} MiB at first, {max(rss):.1f} MiB at most.\n\n"
            + table(("phase", "p50", "p99", "p99.9", "closed"), rows) + "\n![RSS](slow_clients.png)\n")


def render(results):
    machine = results["machine"]
    parts = ["# Benchmarks\n" + "".join(f"- {key}: {value}\n" for key, value in machine.items())]
    if results.get("disturbed"):
        parts.append(f"Other programs were running on this machine: {results['disturbed']}.\n")
    parts.append("## Goals\n" + goals(results))
    if results.get("fan_out"):
        parts.append(fan_out_section(results["fan_out"], results["notes"]))
    for key, section in (("gateway", gateway_section), ("subscriptions", subscriptions_section),
                         ("latency", latency_section), ("slow_clients", slow_section), ("toolkit", toolkit_section),
                         ("micro", micro_section)):
        if results.get(key):
            parts.append(section(results[key]))
    return "\n".join(parts)


def plot(results, work, log):
    """PNG files beside the report, when gnuplot is installed."""
    if not shutil.which("gnuplot"):
        log("gnuplot is not installed (Debian package gnuplot-nox): no plots")
        return
    if results.get("fan_out"):
        plot_fan_out(results["fan_out"], work)
    if results.get("slow_clients"):
        plot_memory(results["slow_clients"], work)


def gnuplot(work, name, script):
    (work / f"{name}.gnuplot").write_text(
        f'set terminal png size 900,540\nset output "{name}.png"\nset grid\nset key outside\n{script}\n', encoding="utf-8")
    subprocess.run(["gnuplot", f"{name}.gnuplot"], cwd=work, check=True, timeout=60)


def plot_fan_out(rows, work):
    most = max(row["clients"] for row in rows if len({r["burst"] for r in rows if r["clients"] == row["clients"]}) > 1)
    sizes = [row["size"] for row in rows if row["clients"] == most]
    size = max(set(sizes), key=sizes.count)
    chosen = sorted((row for row in rows if row["clients"] == most and row["size"] == size), key=lambda row: row["burst"])
    servers = list(chosen[0]["us"])
    data = "".join(f"{row['burst']} " + " ".join(str(row["us"][server]) for server in servers) + "\n" for row in chosen)
    curves = ", ".join(f'$data using 1:{i} with linespoints lw 2 title "{SERVERS[server]}"'
                       for i, server in enumerate(servers, start=2))
    gnuplot(work, "fan_out", f'$data << EOD\n{data}EOD\nset logscale xy\nset title "{most} clients, {size} B a message"\n'
            f'set xlabel "messages a turn"\nset ylabel "server CPU, us a message"\nplot {curves}')


def plot_memory(result, work):
    data = "".join(f"{at:.2f} {bytes_ / MIB:.3f}\n" for at, bytes_ in result["curve"])
    marks = "".join(f'set arrow from {at:.2f}, graph 0 to {at:.2f}, graph 1 nohead dt 2\n'
                    f'set label "{name}" at {at:.2f}, graph 0.95 offset 0.5\n' for name, at in result["marks"].items())
    gnuplot(work, "slow_clients", f"$data << EOD\n{data}EOD\n{marks}set yrange [0:*]\nset nokey\n"
            f'set title "{result["stopped"]} of {result["clients"]} clients stop reading"\nset xlabel "s"\n'
            'set ylabel "RSS of the gateway, MiB"\nplot $data using 1:2 with lines lw 2')
