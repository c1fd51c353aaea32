"""Federation rows from real nodes: tandemd processes on loopback, linked by TLS, each with its own disk files."""
import contextlib
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

from rows import HERE, program, row, run_program
from harness.federation import Federation, change, host, route
from harness.net import Meter
from harness.sipp import SCENARIOS, listening
from harness.wait import until
from harness.sip_client import Client

GROUP = "federation"
CHANGES = 60
REGISTRATIONS = 15
USERS = ("1100", "1101", "1102")  # one whose registration ends six times in short order is damped
REFRESHES = 300
IDLE_S = 20
SETTLE_S = 10
DIFFERENCES = 10_000
BEHIND = 200_000
MANY = 1_000_000
CALLS_PER_SECOND = 100
STALL_MS = 20


@contextlib.contextmanager
def nodes(count, **more):
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        with Federation(pathlib.Path(folder) / "cluster", count, **more) as fed:
            yield fed


# ---- changes ----

def receipts_ms(node, number):
    """How long one change took to be durable at the slowest node, as its receipts say."""
    path = node.folder / "change.yaml"
    path.write_text(route(f"=1{number:06d}", f"trunk/{node.name}-other"))
    out = node.run("-o", "json", "plan", "apply", path, "-m", "bench", "--allow", "all").stdout
    return max(r["ms"] for r in json.loads(out)["records"] if r.get("kind", "receipt") == "receipt" and "ms" in r)


def changes():
    with nodes(3) as fed:
        times = sorted(receipts_ms(fed.first(), i) for i in range(CHANGES))
    row(GROUP, "a change durable on 3 real nodes, p50", statistics.median(times), "ms", 20)
    row(GROUP, "a change durable on 3 real nodes, p90", times[len(times) * 9 // 10], "ms")


# ---- registrations ----

def sees(node, user):
    return any(r["account"] == user for r in node.ctl("registrations"))


def until_all(nodes_, look, what):
    for node in nodes_:
        until(lambda: look(node), f"{node.name} {what}", 10)


def visible(fed, client):
    """Seconds from the 200 until all others see the binding, and those until it is gone again."""
    others = fed.others(fed.first())
    client.register()
    begin = time.monotonic()
    until_all(others, lambda n: sees(n, client.user), "to see the binding")
    seen = time.monotonic() - begin
    client.register(expires=0)
    begin = time.monotonic()
    until_all(others, lambda n: not sees(n, client.user), "to see the binding end")
    return seen, time.monotonic() - begin


def refreshes(fed, client, meter):
    """Records that they brought to the others; bytes between all nodes beyond those of an idle cluster, for each."""
    others = fed.others(fed.first())
    client.register()
    until_all(others, lambda n: sees(n, client.user), "to see the binding")
    applied = sum(n.counter("store", "state_applied") for n in others)
    idle = meter.over(SETTLE_S)
    begin = time.monotonic()
    before = meter.bytes()
    for _ in range(REFRESHES):
        client.register()
    while time.monotonic() - begin < SETTLE_S:
        time.sleep(0.1)
    bytes_ = sum(meter.bytes().values()) - sum(before.values())
    bytes_ -= sum(idle.values()) * (time.monotonic() - begin)
    return sum(n.counter("store", "state_applied") for n in others) - applied, bytes_ / REFRESHES


def registrations():
    with nodes(3) as fed:
        first = fed.first()
        times = []
        for user in USERS:
            with Client(user, "secret", first.sip, host(first, 20)) as client:
                times += [visible(fed, client) for _ in range(REGISTRATIONS // len(USERS))]
        with Client(USERS[0], "secret", first.sip, host(first, 20)) as client, Meter(fed.all()) as meter:
            records, bytes_ = refreshes(fed, client, meter)
    row(GROUP, "a registration seen at all others, p50", statistics.median(t[0] for t in times), "s", 0.5)
    row(GROUP, "its end seen at all others, p50", statistics.median(t[1] for t in times), "s", 0.5)
    row(GROUP, f"records that {REFRESHES} refreshes brought to the others", records, "", 0)
    row(GROUP, "mesh bytes of a refresh beyond those of an idle cluster", bytes_, "bytes", 8)


# ---- a quiet cluster ----

def idle():
    with nodes(3) as fed, Meter(fed.all()) as meter:
        time.sleep(SETTLE_S)  # what a start costs is no part of it
        rates = meter.over(IDLE_S)
    row(GROUP, "idle traffic of a real node, the busiest, out", max(rates.values()), "B/s", 2048)


# ---- load, and what the loop makes of it ----

def stall_ms(node):
    """The longest turn of the node's loop in the last 10 s: in all, and without waiting for a processor."""
    page = node.metrics()
    values = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    return tuple(1000 * float(values[f'tandem_loop_stall_{part}seconds{{window="10s"}}']) for part in ("", "own_"))


class Stalls:
    """The longest stalls of some nodes while something goes on: look() at least every 10 s."""

    def __init__(self, watched):
        self.worst = {n: (0.0, 0.0) for n in watched}

    def look(self):
        for node, worst in self.worst.items():
            self.worst[node] = tuple(map(max, worst, stall_ms(node)))

    def rows(self, what):
        wall, own = (max(w[i] for w in self.worst.values()) for i in (0, 1))
        row(GROUP, f"longest stall of a loop, {what}", own, "ms", STALL_MS)
        row(GROUP, "the same with the time in which others ran", wall, "ms")


@contextlib.contextmanager
def calls_at(node):
    """Calls between the two trunks of the node's site, until the end of the context, none of which may fail."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="calls-", dir=node.folder))
    (folder / "numbers.csv").write_text("SEQUENTIAL\n1500;\n")
    common = ["-p", "5060", "-nostdin", "-buff_size", "4194304"]
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    callee = subprocess.Popen(["sipp", "-sf", str(SCENARIOS / "uas.xml"), "-i", host(node, 10), *common], **quiet)
    until(lambda: listening(host(node, 10), 5060), "the callee to listen")
    answered = node.counter("edge", "calls_answered")
    caller = subprocess.Popen(["sipp", "-sf", str(HERE / "uac_load.xml"), "-inf", "numbers.csv", "-i", host(node, 11), *common,
                               "-r", str(CALLS_PER_SECOND), "-m", "1000000", node.sip], **quiet)
    until(lambda: node.counter("edge", "calls_answered") - answered > CALLS_PER_SECOND, "calls to flow")
    try:
        yield
        assert caller.poll() is None, "the caller has ended by itself"
    finally:
        for process in (caller, callee):
            process.kill()
            process.wait()


# ---- a healed cut ----

def write_apart(node, count, each=100):
    """count objects in change-sets of so many."""
    digit = 1 + ["a", "b", "c"].index(node.site)
    for k in range(count // each):
        text = "plan: 1\nroutes:\n" + "".join(f"  - {{ match: \"={digit}8{k * each + i:06d}\", to: trunk/{node.name}-pbx }}\n"
                                              for i in range(each))
        change(node, text, f"{node.name}-{k}", timeout="100ms")


def heal():
    with nodes(3) as fed:
        a, b, c = fed.all()
        fed.cut_all()
        fed.wait_status(c, ("dead", "suspect"), [a, b])
        write_apart(a, DIFFERENCES // 2)
        write_apart(c, DIFFERENCES // 2)
        stalls = Stalls(fed.all())
        with calls_at(a):
            until(lambda: stall_ms(a)[1] < STALL_MS, "the stalls of the writing to be over", 30)
            begin = time.monotonic()
            fed.cuts.heal()
            until(lambda: len({n.digest() for n in fed.all()}) == 1, "one plan", 120)
            took = time.monotonic() - begin
            stalls.look()
    row(GROUP, f"3 real nodes heal {DIFFERENCES} differences", took, "s", 15)
    stalls.rows("healing them")


# ---- catching up ----

def load(node, routes, each):
    """Routes per second."""
    out = run_program(program("bench", "bench_plan"), node.data, node.name, routes, each, f"{node.name}-pbx")
    return out[0][2]


def caught_up(late, donor, timeout, stalls=None):
    """Seconds from now until late has the donor's plan."""
    begin = time.monotonic()
    wanted = donor.digest()
    looked = begin

    def same():
        nonlocal looked
        if stalls and time.monotonic() - looked > 4:
            stalls.look()
            looked = time.monotonic()
        return late.digest() == wanted

    until(same, f"{late.name} to catch up", timeout, every=0.1)  # each look is a process that takes from what is measured
    return time.monotonic() - begin


def behind():
    with nodes(2) as fed:
        a, b = fed.all()
        a.stop()
        b.stop()
        load(a, BEHIND, 1000)
        a.start()
        b.start()
        took = caught_up(b, a, 120)
    row(GROUP, "objects that a node behind takes durably", BEHIND / took, "1/s", 10_000, at_most=False)


def newcomer(fed, name):
    """Seconds from the start of a new node until it has the donor's plan."""
    node = fed.make(name)
    begin = time.monotonic()
    node.start()
    return node, begin


def snapshot():
    with nodes(1) as fed:
        donor = fed.first()
        donor.stop()
        row(GROUP, "bulk plan load", load(donor, MANY, 100_000), "1/s", 100_000, at_most=False)
        donor.start()
        node, begin = newcomer(fed, "b")
        caught_up(node, donor, 240)
        row(GROUP, f"a plan of {MANY} routes to a new node", time.monotonic() - begin, "s", 3)
        node.stop()
        with calls_at(donor):
            until(lambda: stall_ms(donor)[1] < STALL_MS, "the donor's start to be over", 30)
            stalls = Stalls([donor])
            node, begin = newcomer(fed, "c")
            caught_up(node, donor, 240, stalls)
            stalls.look()
        stalls.rows("giving it away")
