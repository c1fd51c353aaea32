#!/usr/bin/python3
"""./run bench [GROUP ...]: one line for each row: group, name, value, unit, hold, and ok or short.

Ratios are of medians over interleaved rounds in one run on one machine; absolute times are for orientation."""
import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness.cluster import BUILD  # noqa: E402
from harness.sipp import SCENARIOS, listening  # noqa: E402
from harness.wait import until  # noqa: E402
import edge_rows  # noqa: E402
import rivals  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SHORT = []


def row(group, name, value, unit, hold=None, at_most=True):
    verdict = "" if hold is None else "ok" if (value <= hold if at_most else value >= hold) else "short"
    if verdict == "short":
        SHORT.append(name)
    limit = "" if hold is None else ("<= " if at_most else ">= ") + f"{hold:g} {unit}"
    print(f"{group:<12} {name:<58} {value:>12.2f} {unit:<6} {limit:<16} {verdict}", flush=True)


# ---- edge: CPU per proxied call ----

class Disturbed(Exception):
    """The load did not go through as it should."""


def one_run(rival, folder, calls, rate):
    """CPU microseconds per call. A run in which the machine stood still for so long that calls failed measures nothing:
    it is done again."""
    for _ in range(3):
        try:
            return try_run(rival, folder, calls, rate)
        except Disturbed as e:
            why = e
            print(f"# {rival.name}: a run was disturbed, once more", flush=True)
    raise SystemExit(f"the load failed three times:\n{why}")


def try_run(rival, folder, calls, rate):
    rival.start()
    uas = callee(folder)
    try:
        load(folder, 200, 200)  # caches warm, every worker awake
        before = rivals.cpu_seconds(rival.pids())
        load(folder, calls, rate)
        return (rivals.cpu_seconds(rival.pids()) - before) / calls * 1e6
    finally:
        uas.kill()
        uas.wait()
        rival.stop()


def caller(scenario, calls, rate):
    return ["sipp", "-sf", str(scenario), "-inf", "numbers.csv", "-i", rivals.CALLER, "-p", "5060", "-r", str(rate), "-m",
            str(calls), "-l", "20000", "-nostdin", "-timeout", "90", "-timeout_error", "-buff_size", "4194304",
            f"{rivals.PROXY}:5060"]


def callee(folder):
    process = subprocess.Popen(["sipp", "-sf", str(SCENARIOS / "uas.xml"), "-i", rivals.CALLEE, "-p", "5060", "-nostdin",
                                "-buff_size", "4194304"], cwd=folder, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    until(lambda: listening(rivals.CALLEE, 5060), "the callee to listen")
    return process


def load(folder, calls, rate):
    run = subprocess.run(caller(HERE / "uac_load.xml", calls, rate), cwd=folder, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
    if run.returncode != 0:
        raise Disturbed(run.stdout[-3000:])


def write_numbers(path):
    numbers = [f"{prefix}{i % 1000:03d}" for i, prefix in enumerate(rivals.prefixes()[:20_000])]
    (path / "numbers.csv").write_text("RANDOM\n" + "\n".join(f"{n};" for n in numbers) + "\n")


def edge(arguments):
    cpu(arguments)
    edge_rows.delay(row)
    edge_rows.worst(row)
    held(arguments)
    edge_rows.overload(row)
    edge_rows.million(row)


def cpu(arguments):
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = pathlib.Path(folder)
        write_numbers(path)
        everyone = [r(path) for r in (rivals.Forwarder, rivals.Kamailio, rivals.Tandem)]
        results = {r.name: [] for r in everyone}
        for number in range(arguments.rounds):
            for rival in everyone:
                results[rival.name].append(one_run(rival, path, arguments.calls, arguments.rate))
            print(f"# round {number + 1}: " + ", ".join(f"{n} {v[-1]:.0f} us" for n, v in results.items()), flush=True)
    median = {name: statistics.median(values) for name, values in results.items()}
    for name, value in median.items():
        row("edge", f"cpu per proxied call, {rivals.ROUTES} routes: {name}", value, "us")
    row("edge", "cpu per proxied call: tandem / bare forwarder", median["tandem"] / median["forwarder"], "x", 1.5)
    row("edge", "cpu per proxied call: tandem / kamailio (tlsf)", median["tandem"] / median["kamailio"], "x", 0.65)


# ---- calls that are up: how many, and the memory for each ----

HELD = 20_000
HOLD_MS = 90_000  # longer than it takes to set them up and to look


def private_bytes(pid):
    rows = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(r.split()[1]) for r in rows if r.startswith(("Private_Dirty:", "Private_Clean:"))) * 1024


def held(_):
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = pathlib.Path(folder)
        write_numbers(path)
        scenario = path / "uac_hold.xml"
        before_bye = '  <send retrans="500">\n    <![CDATA[\nBYE'
        text = (HERE / "uac_load.xml").read_text()
        assert before_bye in text
        scenario.write_text(text.replace(before_bye, f'  <pause milliseconds="{HOLD_MS}"/>\n{before_bye}'))
        tandem = rivals.Tandem(path)
        tandem.start()  # takes the plan, and keeps memory of that which calls would then use
        tandem.stop()
        tandem.start()
        uas = callee(path)
        uac = None
        try:
            load(path, 200, 200)
            answered = tandem.node.counter("edge", "calls_answered")
            before = private_bytes(tandem.pids()[0])
            uac = subprocess.Popen(caller(scenario, HELD, 1000), cwd=path, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
            until(lambda: tandem.node.counter("edge", "calls_answered") - answered >= HELD, "all calls to be up", 80)
            live = sum(r["state"] == "answered" for r in tandem.node.ctl("calls"))
            after = private_bytes(tandem.pids()[0])
        finally:
            for process in filter(None, (uac, uas)):
                process.kill()
                process.wait()
            tandem.stop()
    row("edge", "calls up at once", live, "calls", HELD, at_most=False)
    row("edge", "private memory per live call, its transactions included", (after - before) / HELD, "bytes", 4096)


# ---- programs that measure one module ----

HOLDS = {  # name: (hold, at most)
    "lookup_decided_p50": (2000, True),
    "lookup_decided_p99": (5000, True),
    "bulk_apply": (100_000, False),
    "worst_message_accepted": (1_000_000, True),
    "worst_message_refused": (50_000, True),
}


def rows_of(*command):
    """Runs a program that prints "group name value unit" lines, and adds what each should hold."""
    out = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True)
    for line in out.stdout.splitlines():
        group, what, value, unit = line.split()
        hold, at_most = HOLDS.get(what, (None, True))
        row(group, what, float(value), unit, hold, at_most)


def program(name):
    return lambda _: rows_of(BUILD / "tests" / "bench" / f"bench_{name}")


FEDERATION = [  # mode, nodes, rounds
    ("spread", 3, 60), ("spread", 50, 40), ("spread", 500, 20), ("spread", 5000, 3),
    ("detect", 3, 1), ("detect", 50, 10), ("detect", 500, 10),
    ("idle", 3, 3), ("idle", 50, 3), ("idle", 500, 2),
    ("loss", 3, 1000), ("loss", 50, 60),
]
for nodes, seconds in ((3, 0.1), (50, 0.2), (500, 0.3), (5000, 0.5)):
    HOLDS[f"spread_p99_{nodes}"] = (seconds, True)
    HOLDS[f"spread_max_{nodes}"] = (5, True)
    HOLDS[f"spread_missing_{nodes}"] = (0, True)
    HOLDS[f"detect_mean_{nodes}"] = (2.5, True)
    HOLDS[f"detect_max_{nodes}"] = (3.5, True)
    HOLDS[f"detect_missing_{nodes}"] = (0, True)
    HOLDS[f"idle_bytes_{nodes}"] = (2048, True)
    HOLDS[f"loss_false_deaths_{nodes}"] = (0, True)


def federation(_):
    for mode, nodes, rounds in FEDERATION:
        rows_of(BUILD / "tests" / "sim" / "sim_bench", mode, "--nodes", nodes, "--rounds", rounds)


GROUPS = {"edge": edge, "store": program("store"), "sip": program("sip"), "federation": federation}


def main():
    parser = argparse.ArgumentParser(prog="./run bench")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds of the edge group")
    parser.add_argument("--calls", type=int, default=6000, help="calls in each of its runs")
    parser.add_argument("--rate", type=int, default=1500, help="calls per second")
    arguments = parser.parse_args()
    for group in arguments.groups:
        if group not in GROUPS:
            parser.error(f"no group {group!r}; there are {', '.join(GROUPS)}")
    for group in arguments.groups or GROUPS:
        GROUPS[group](arguments)
    if SHORT:
        print(f"{len(SHORT)} rows are short of what they should hold: {', '.join(SHORT)}")
    return 1 if SHORT else 0


if __name__ == "__main__":
    sys.exit(main())
