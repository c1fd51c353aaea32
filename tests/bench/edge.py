"""The SIP edge next to a bare forwarder and Kamailio: CPU for each proxied call, delay, and what calls that are up take."""
import contextlib
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

from rows import HERE, measuring, row
from harness.sipp import SCENARIOS, listening
from harness.wait import until
import edge_rows
import rivals


# ---- edge: CPU per proxied call ----

WARM = 300  # calls before anything is measured: caches warm, every worker awake
LINGERS_S = 33  # a transaction is remembered for 32 s, so long does a rival take more memory than it gives back
DONE_LEAST = 0.99  # of a run's calls; with less it measures something else


class Disturbed(Exception):
    """The load did not go through as it should: the machine stood still for too long."""

    def __init__(self, at, done, calls):
        super().__init__(f"{done} of {calls} calls at {at.proxy} came to their end")


def one_run(rival, folder, calls, rate):
    """CPU microseconds for each call that came to its end."""
    before = rivals.cpu_seconds(rival.pids())
    done = load(folder, calls, rate, rival.at)
    return (rivals.cpu_seconds(rival.pids()) - before) / done * 1e6


def caller(scenario, calls, rate, at=rivals.HERE_ALONE):
    return ["sipp", "-sf", str(scenario), "-inf", "numbers.csv", "-i", at.caller, "-p", "5060", "-r", str(rate), "-m",
            str(calls), "-l", str(calls), "-nostdin", "-timeout", "90", "-timeout_error", "-buff_size", "4194304",
            f"{at.proxy}:5060"]


def callee(folder, at=rivals.HERE_ALONE):
    process = subprocess.Popen(["sipp", "-sf", str(SCENARIOS / "uas.xml"), "-i", at.callee, "-p", "5060", "-nostdin",
                                "-buff_size", "4194304"], cwd=folder, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    until(lambda: listening(at.callee, 5060), "the callee to listen")
    return process


def load(folder, calls, rate, at=rivals.HERE_ALONE):
    """How many calls came to their end."""
    run = subprocess.run(caller(HERE / "uac_load.xml", calls, rate, at), cwd=folder, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
    done = re.findall(r"Successful call *\| *\d+ *\| *(\d+)", run.stdout)
    count = int(done[-1]) if done else 0
    if count < DONE_LEAST * calls:
        raise Disturbed(at, count, calls)
    return count


def write_numbers(path):
    numbers = [f"{prefix}{i % 1000:03d}" for i, prefix in enumerate(rivals.prefixes()[:20_000])]
    (path / "numbers.csv").write_text("RANDOM\n" + "\n".join(f"{n};" for n in numbers) + "\n")


def edge(arguments):
    parts = {"cpu": lambda: cpu(arguments), "delay": lambda: edge_rows.delay(row), "worst": lambda: edge_rows.worst(row),
             "held": held, "overload": lambda: edge_rows.overload(row), "million": lambda: edge_rows.million(row),
             "decision": lambda: edge_rows.decision(row)}
    for name, part in parts.items():
        with measuring("edge", name):
            part()


@contextlib.contextmanager
def up(rival, path):
    rival.start()
    uas = callee(path, rival.at)
    try:
        load(path, WARM, 200, rival.at)
        yield
    finally:
        uas.kill()
        uas.wait()
        rival.stop()


def one_round(number, everyone, path, arguments):
    """What a call takes at each of them, one right after the other; None: disturbed."""
    try:
        seen = {r.name: one_run(r, path, arguments.calls, arguments.rate) for r in everyone}
    except Disturbed as e:
        print(f"# round {number}: left out: {e}", flush=True)
        return None
    print(f"# round {number}: " + ", ".join(f"{name} {us:.0f} us" for name, us in seen.items()), flush=True)
    return seen


def cpu(arguments):
    """All are up all the time, so that the runs of a round lie close together: what else the machine does then weighs
    on all of them alike. A ratio is the median of the rounds' ratios."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, contextlib.ExitStack() as stack:
        path = pathlib.Path(folder)
        write_numbers(path)
        everyone = [r(path, rivals.place(9 + i)) for i, r in enumerate((rivals.Forwarder, rivals.Kamailio, rivals.Tandem))]
        alone = stack.enter_context(rivals.apart())
        for rival in everyone:
            stack.enter_context(up(rival, path))
            alone(rival)
        begun = time.monotonic()
        while time.monotonic() - begun < LINGERS_S:  # rounds as those that count: these pay for memory that is taken once
            one_round("of the warm-up", everyone, path, arguments)
        rounds = []
        for number in range(3 * arguments.rounds):
            seen = one_round(number + 1, everyone, path, arguments)
            rounds += [seen] if seen else []
            if len(rounds) == arguments.rounds:
                break
    assert len(rounds) >= 3, "the machine was disturbed in nearly every round"
    for rival in everyone:
        value = statistics.median(r[rival.name] for r in rounds)
        row("edge", f"cpu per proxied call, {rivals.ROUTES} routes: {rival.name}", value, "us")
    floor = statistics.median(r["forwarder"] / r["kamailio"] for r in rounds)
    row("edge", "cpu per proxied call: bare forwarder / kamailio (tlsf)", floor, "x")  # mostly the kernel's share, by machine
    for name, rival, most in (("bare forwarder", "forwarder", 1.5), ("kamailio (tlsf)", "kamailio", 0.65)):
        ratio = statistics.median(r["tandem"] / r[rival] for r in rounds)
        row("edge", f"cpu per proxied call: tandem / {name}", ratio, "x", most)


# ---- calls that are up: how many, and the memory for each ----

HELD = 20_000
SPARE = 4000  # calls more that are tried: the node may refuse some while the machine stands still
HOLD_MS = 90_000  # longer than it takes to set them up and to look


def private_bytes(pid):
    rows = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(r.split()[1]) for r in rows if r.startswith(("Private_Dirty:", "Private_Clean:"))) * 1024


def held():
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
            uac = subprocess.Popen(caller(scenario, HELD + SPARE, 700), cwd=path, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
            until(lambda: tandem.node.counter("edge", "calls_answered") - answered >= HELD, "all calls to be up", 80)
            live = sum(r["state"] == "answered" for r in tandem.node.ctl("calls", "--live", "-n", "0"))
            after = private_bytes(tandem.pids()[0])
        finally:
            for process in filter(None, (uac, uas)):
                process.kill()
                process.wait()
            tandem.stop()
    row("edge", "calls up at once", live, "calls", HELD, at_most=False)
    row("edge", "private memory per live call, its transactions included", (after - before) / live, "bytes", 4096)
