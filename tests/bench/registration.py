"""Registrations: CPU for each next to Kamailio, ten thousand clients that come back at once, a hundred thousand bindings, how soon
the other nodes know one, and the look-up of a number that is bound."""
import pathlib
import statistics
import tempfile
import time

from rows import HERE, program, row, run_program
from harness.cluster import Cluster, Node
from harness.storm import Storm, md5
from harness.wait import until
import rivals

GROUP = "registration"
SERVER, CLIENTS = rivals.PROXY, rivals.CALLER
USERS, RATE = 3000, 900  # of a round
AT_ONCE = 10_000
MANY = 100_000
SEEN = 100  # bindings whose arrival at the other nodes is timed


def user(i):
    return f"7{i:06d}"


def accounts(count, first=0):
    """Documents that make up a plan of so many accounts; hashes, so that nobody has to hash."""
    yield "plan: 1\ndefaults: { domain: bench.example, digest: [md5] }\nsites: { bench: { blocks: [\"7\"] } }\n"
    nothing = "0" * 64
    for at in range(first, first + count, 50_000):
        lines = [f"  \"{user(i)}\": {{ hashes: {{ md5: {md5(f'{user(i)}:bench.example:secret')}, sha256: {nothing}, "
                 f"sha512_256: {nothing} }} }}" for i in range(at, min(at + 50_000, first + count))]
        yield "plan: 1\naccounts:\n" + "\n".join(lines) + "\n"


class Tandem:
    name = "tandem"

    def __init__(self, folder, count=USERS):
        self.folder = pathlib.Path(folder) / "tandem"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.node = Node(self.folder, "bench", "bench", SERVER, mesh=False, extra="log: warn\n")
        self.node.environment.update(rivals.unit_environment())
        self.count, self.loaded = count, False

    def start(self):
        self.node.start()
        for text in accounts(self.count) if not self.loaded else ():
            (self.folder / "plan.yaml").write_text(text)
            self.node.run("plan", "apply", self.folder / "plan.yaml", "-m", "bench", "--allow", "all")
        self.loaded = True

    def pids(self):
        return [self.node.process.pid]

    def stop(self):
        self.node.stop()


class Kamailio(rivals.Kamailio):
    def __init__(self, folder):
        self.at = rivals.HERE_ALONE
        self.folder = pathlib.Path(folder) / "kamailio"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "kamailio.cfg"
        self.config.write_text((HERE / "kamailio_registrar.cfg").read_text().replace("LISTEN", f"{SERVER}:5060"))


def storm():
    return Storm(f"{SERVER}:5060", CLIENTS)


# ---- CPU ----

def one_round(rival, alone):
    """What the refreshes of everybody take, their challenges included."""
    rival.start()
    try:
        alone(rival)
        with storm() as s:
            users = [user(i) for i in range(USERS)]
            assert s.register(users, timeout=120), "not all are registered"
            before = rivals.spent(rival.pids())
            assert s.register(users, timeout=120, rate=RATE), "not all are refreshed"
            used = rivals.spent(rival.pids()) - before
            assert not s.refused, s.refused
    finally:
        rival.stop()
    return used


def us(used):
    return used.total / USERS * 1e6


def share(rounds):
    """The kernel's part of the time of all rounds."""
    user, system = sum(r.user for r in rounds), sum(r.system for r in rounds)
    return system / (user + system or 1)


def cpu(arguments):
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, rivals.apart() as alone:
        everyone = [Kamailio(folder), Tandem(folder)]
        results = {r.name: [] for r in everyone}
        for number in range(arguments.rounds):
            for rival in everyone:
                results[rival.name].append(one_round(rival, alone))
            print(f"# round {number + 1}: " + ", ".join(f"{n} {us(v[-1]):.0f} us" for n, v in results.items()), flush=True)
    median = {name: statistics.median(map(us, rounds)) for name, rounds in results.items()}
    for name, value in median.items():
        row(GROUP, f"cpu per digest registration, both rounds: {name}", value, "us")
        row(GROUP, f"of these in the kernel: {name}", value * share(results[name]), "us")
    row(GROUP, "of these for the commit: tandem", statistics.median(r.helpers for r in results["tandem"]) / USERS * 1e6, "us")
    row(GROUP, "cpu per digest registration: tandem / kamailio (memory)", median["tandem"] / median["kamailio"], "x", 1)


# ---- many ----

def anonymous_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("no RssAnon")


def many(_):
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        tandem = Tandem(folder, MANY)
        tandem.start()
        tandem.stop()
        tandem.start()
        try:
            with storm() as s:
                assert s.register([user(i) for i in range(1000)], timeout=60)  # what one registration takes once
                begin = time.monotonic()
                assert s.register([user(i) for i in range(AT_ONCE)], window=AT_ONCE, timeout=120), s.refused
                took = time.monotonic() - begin
                row(GROUP, f"{AT_ONCE} clients at once, all registered after", took, "s", 30)
                row(GROUP, "of these, answers of 503", s.put_off, "")
            tandem.stop()
            tandem.start()
            before = anonymous_bytes(tandem.pids()[0])
            with storm() as s:
                assert s.register([user(i) for i in range(AT_ONCE, MANY)], timeout=600), s.refused
            tandem.stop()
            tandem.start()
            after = anonymous_bytes(tandem.pids()[0])
            listed = len(tandem.node.ctl("registrations"))
        finally:
            tandem.stop()
    row(GROUP, "bindings at one node", listed, "", MANY, at_most=False)
    row(GROUP, "private memory per binding", (after - before) / (MANY - AT_ONCE), "bytes", 200)


# ---- at the other nodes ----

def seen(_):
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Cluster(pathlib.Path(folder) / "c") as c:
        first = c.add("one", "bench", "127.0.9.11")
        others = [c.add(f"other{i}", "bench", f"127.0.9.{12 + i}", seeds=[first.mesh]) for i in range(2)]
        c.wait_linked()
        for text in accounts(SEEN):
            first.apply(text, "bench", "--allow", "all")
        until(lambda: all(o.digest() == first.digest() for o in others), "one plan", 30)
        delays = []
        with Storm(first.sip, CLIENTS) as s:
            for i in range(SEEN):
                assert s.register([user(i)])
                at = s.confirmed[user(i)]
                for o in others:
                    until(lambda: any(r["account"] == user(i) for r in o.ctl("registrations")), "the binding", 10, 0.002)
                delays.append(time.monotonic() - at)
            before = {o.name: o.counter("store", "state_applied") for o in others}
            assert s.register([user(i) for i in range(SEEN)])
            time.sleep(0.5)
            news = sum(o.counter("store", "state_applied") - before[o.name] for o in others)
            gone = []
            for i in range(SEEN):
                assert s.register([user(i)], expires=0)
                at = s.confirmed[user(i)]
                for o in others:
                    until(lambda: not any(r["account"] == user(i) for r in o.ctl("registrations")), "it to be gone", 10, 0.002)
                gone.append(time.monotonic() - at)
    row(GROUP, "a binding at both other nodes, p50 (clusterctl's time included)", statistics.median(delays), "s", 0.5)
    row(GROUP, f"records that {SEEN} refreshes sent them", news, "", 0)
    row(GROUP, "one that unregisters is withdrawn there, p50", statistics.median(gone), "s", 1)


def lookup(_):
    for _, name, value, unit in run_program(program("bench", "bench_binding"), MANY):
        row(GROUP, name.replace("_", " "), value, unit, 3000 if name == "lookup_bound_p50" else None)


def registration(arguments):
    cpu(arguments)
    many(arguments)
    seen(arguments)
    lookup(arguments)
