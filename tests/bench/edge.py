"""The SIP edge next to a bare forwarder and Kamailio: CPU for each proxied call, delay, and what calls that are up take."""
import pathlib
import statistics
import subprocess
import tempfile

from rows import HERE, row
from harness.sipp import SCENARIOS, listening
from harness.wait import until
import edge_rows
import rivals


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
