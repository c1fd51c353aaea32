"""Rows of the edge group beside CPU per call: delay, memory and number of calls held, dearest messages, a large plan."""
import collections
import contextlib
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile
import time

from harness.cluster import BUILD
from harness.wait import until
import rivals
import rows

DECISION_HOLDS = {"lookup_decided_p50": 2000, "lookup_decided_p99": 5000}  # ns
DECISION_RUNS = 3

# ---- calls by a program of our own ----

FIRST = ["chrt", "--fifo", "20"]  # before everything else that runs on the machine


def allowed(*command):
    return subprocess.run(command, capture_output=True).returncode == 0


def put_first(pids):
    """Lets these go before what else runs on the machine, and returns what does so for a program that is started; where
    it may not be had, nothing."""
    if not allowed(*FIRST, "true"):
        return []
    for pid in pids:
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            subprocess.run(["chrt", "--fifo", "--pid", "10", thread.name], check=True, capture_output=True)
    return FIRST


def load_command(number, rate, seconds, before=(), caller=rivals.CALLER, callee=rivals.CALLEE):
    return [*before, BUILD / "tests" / "bench" / "bench_delay", rivals.PROXY, caller, callee, "5060", number, str(rate), str(seconds)]


def read_load(text):
    return {name: float(value) for _, name, value, _ in map(str.split, text.splitlines())}


def one_load(*arguments, **keys):
    """What became of calls at a rate."""
    return read_load(subprocess.run(load_command(*arguments, **keys), capture_output=True, text=True, check=True).stdout)


# ---- delay ----

DELAY_ROUNDS, DELAY_RATE, DELAY_SECONDS = 5, 1000, 5


def delay(row):
    """Added: what remains when the bare forwarder's own, of the same minute, is taken away. All of them go before what
    else runs on the machine, where that may be had. Of the rounds the least disturbed one counts for each: the tail of
    the others is what else the machine did."""
    number = f"{rivals.prefixes()[0]}000"
    seen = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        everyone = [r(pathlib.Path(folder)) for r in (rivals.Forwarder, rivals.Tandem)]
        for _ in range(DELAY_ROUNDS):
            for rival in everyone:
                rival.start()
                first = put_first(rival.pids())
                try:
                    result = one_load(number, DELAY_RATE, DELAY_SECONDS, before=first)
                finally:
                    rival.stop()
                for name, value in result.items():
                    seen.setdefault((rival.name, name), []).append(value)
    least = {key: min(values) for key, values in seen.items()}
    for name in ("forwarder", "tandem"):
        for what in ("p50", "p99"):
            row("edge", f"delay at {DELAY_RATE} calls/s, {what}: {name}", least[name, f"delay_{what}"], "ms")
    added = least["tandem", "delay_p99"] - least["forwarder", "delay_p99"]
    row("edge", f"added delay at {DELAY_RATE} calls/s, p99", max(0.0, added), "ms", 1)
    row("edge", "calls of these that were lost", sum(seen["tandem", "delay_calls_lost"]), "calls", 0)


# ---- the dearest messages, at a whole node, system calls included ----

DEAREST, BATCH = 200, 50  # of each shape
LINES, MESSAGE = 128, 16384


def head(number, i, uri="", shape="x"):
    return [f"INVITE sip:{number}@{rivals.PROXY}{uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {rivals.CALLER}:5060;branch=z9hG4bK-{shape}-{i};rport", "From: <sip:1@a.example>;tag=1",
            f"To: <sip:{number}@a.example>", f"Call-ID: {shape}-{i}", "CSeq: 1 INVITE", "Max-Forwards: 70"]


def filled(lines, filler):
    """With as many lines more as a message may have and hold."""
    size = sum(len(line) + 2 for line in lines)
    while len(lines) < LINES - 1:
        line = filler(len(lines))
        if size + len(line) + 4 > MESSAGE:
            break
        lines.append(line)
        size += len(line) + 2
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def via(i):
    return f"Via: SIP/2.0/UDP 10.0.0.{i % 250}:5060;branch=z9hG4bK-0123456789abcdef.0123456789abcdef.{i};rport;received=10.1.1.1"


def credentials(i, realm="elsewhere.example"):
    return (f'Proxy-Authorization: Digest username="u{i}",realm="{realm}",nonce="{i:032x}",'
            'uri="sip:x",response="0123456789abcdef0123456789abcdef"')


def fold(_):  # Q, since X is short for Session-Expires
    return "Q: a" + "\r\n a" * 30


ACCEPTED = {
    "vias": lambda n, i: filled(head(n, i, shape="via") + [via(k) for k in range(62)], lambda k: f"X-{k}: {'y' * 60}"),
    "credentials": lambda n, i: filled(head(n, i, shape="cred"), credentials),
    "folds": lambda n, i: filled(head(n, i, shape="fold"), fold),
    "uri": lambda n, i: filled(head(n, i, "".join(f";p{k}=%41{'z' * 40}" for k in range(32)), "uri"), lambda k: f"X-{k}: y"),
    "lines": lambda n, i: filled(head(n, i, shape="line"), lambda k: f"X-Filler-{k}: {'y' * 100}"),
    "body": lambda n, i: (b := filled(head(n, i, shape="body"), lambda k: f"Q: {k}")) + b"." * (MESSAGE - len(b)),
}
REFUSED = {
    "a line too many": lambda n, i: filled(head(n, i), lambda k: f"X-{k}: y")[:-2] + b"X: 1\r\nY: 1\r\nZ: 1\r\n\r\n",
    "no length": lambda n, i: filled(head(n, i), lambda k: f"X-{k}: {'y' * 100}")[:-2] + b"Content-Length: -1\r\n\r\n",
    "not SIP": lambda n, i: b"x" * MESSAGE,
    "too many hops": lambda n, i: filled(head(n, i), lambda k: f"X-{k}: {'y' * 100}").replace(b"Forwards: 70", b"Forwards: 0"),
    "too large": lambda n, i: b"OPTIONS sip:a@b SIP/2.0\r\n" + b"X: y\r\n" * 10000,
    "unknown source": lambda n, i: filled(head(n, i, shape="stranger"),
                                          lambda k: credentials(k, "bench.example")),  # from another address
}


class Counters:
    """The node's counters, and what asking for them costs, so that it can be taken away again."""

    def __init__(self, node, pids):
        self.node, self.pids, self.asked = node, pids, 0
        before = rivals.cpu_seconds(pids)
        for _ in range(20):
            self.look()
        self.each = (rivals.cpu_seconds(pids) - before) / 20

    def look(self):
        self.asked += 1
        rows = self.node.ctl("counters")
        transport = {r["name"]: r["value"] for r in rows if r["module"] == "transport"}
        edge = {r["name"]: r["value"] for r in rows if r["module"] == "edge"}
        taken = transport["udp_received"] + sum(n for name, n in transport.items() if name.startswith("fault_"))
        return taken, edge["forwarded"]

    def cpu(self):
        return rivals.cpu_seconds(self.pids) - self.asked * self.each


def cost(counters, send, forwarded):
    """CPU microseconds for each of DEAREST messages: the least of some rounds, so that what else happens does not count. A
    round in which the machine stood still so long that the node refused what it should take is none."""
    best = None
    for number in range(6):
        begun, cpu = counters.look(), counters.cpu()
        for i in range(DEAREST):
            send(f"{number}-{i}")
            if i % BATCH == BATCH - 1:  # as many as the socket's buffer holds
                until(lambda i=i: counters.look()[0] - begun[0] > i, "all messages to be taken")
        used = (counters.cpu() - cpu) / DEAREST * 1e6
        if (counters.look()[1] - begun[1] >= DEAREST) == forwarded:
            best = used if best is None else min(best, used)
    assert best is not None, "taken for something else"
    return best


def bound(address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 5060))
    return s


def worst(row):
    number = f"{rivals.prefixes()[0]}000"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        tandem = rivals.Tandem(pathlib.Path(folder))
        tandem.start()
        sink = bound(rivals.CALLEE)  # nobody answers: what is sent again in the meantime counts too
        trunk, stranger = bound(rivals.CALLER), bound("127.0.9.9")
        proxy = (rivals.PROXY, 5060)
        try:
            counters = Counters(tandem.node, tandem.pids())
            for name, make in ACCEPTED.items():
                used = cost(counters, lambda i, make=make: trunk.sendto(make(number, i), proxy), True)
                row("edge", f"cpu for the dearest accepted message: {name}", used, "us", 1000)
            for name, make in REFUSED.items():
                sender = stranger if name == "unknown source" else trunk
                used = cost(counters, lambda i, make=make, s=sender: s.sendto(make(number, i), proxy), False)
                row("edge", f"cpu for the dearest refused message: {name}", used, "us", 50)
        finally:
            for s in (sink, trunk, stranger):
                s.close()
            tandem.stop()


# ---- overload ----

SLICE_NS, TURN_NS = 1_000_000, 10_000_000  # of the processor: what the node can carry becomes small enough to exceed
BUSY = 9  # where a slice cannot be had: programs beside the node on its processor


def spinners():
    return [subprocess.Popen(["taskset", "-c", "0", "/usr/bin/python3", "-c", "while True: pass"], start_new_session=True)
            for _ in range(BUSY)]


def put_on(pid, cpu):
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cpu})


@contextlib.contextmanager
def slowed(pid):
    """The thread that forwards gets a tenth of a processor: as a slice that the kernel grants and enforces, whatever else
    runs; else, by other programs beside it. Yields what a program is started with that makes calls."""
    one = ["chrt", "--deadline", "--sched-runtime", str(SLICE_NS), "--sched-deadline", str(TURN_NS), "--sched-period", str(TURN_NS)]
    if allowed(*FIRST, "true") and allowed(*one, "--pid", "0", str(pid)):
        yield FIRST
        return
    put_on(pid, 0)
    busy = spinners()
    try:
        yield ["taskset", "-c", "1"]
    finally:
        for other in busy:
            other.kill()
            other.wait()


def completed(seen, first=0):
    """Calls begun in each second from the first on that came to their end, per second."""
    return statistics.mean(n for name, n in seen.items() if name.startswith("done_") and int(name[5:]) >= first)


class Load:
    """Calls that one trunk makes to another."""

    def __init__(self, before):
        self.before = before
        self.number = f"{rivals.prefixes()[0]}000"

    def at(self, rate, seconds):
        return one_load(self.number, rate, seconds, before=self.before)

    def carried(self, rate):
        """Whether all came to their end, in two of three tries: the machine may have stood still in the other."""
        well = 0
        for left in (2, 1, 0):
            well += completed(self.at(rate, 2)) >= 0.99 * rate
            if well == 2 or well + left < 2:
                break
        return well == 2

    def sustainable(self):
        """The highest rate of which all calls come to their end, to an eighth."""
        rate = 200
        if not self.carried(rate):
            raise SystemExit(f"not even {rate} calls/s")
        for step in (1.5, 1.25, 1.125):
            while self.carried(int(rate * step)):
                rate = int(rate * step)
                if rate > 20000:
                    raise SystemExit("no rate is too high")
        return rate

    def rounds(self, rate):
        """What the node carries at rate, at twice that and at less again, in rounds: the machine is never the same for
        long. Counted are the rounds in which it carried the rate; where it did not twice in a row, the machine has become
        slower than it was found, and the rate goes down by an eighth."""
        seen, good, failed = 0, [], 0
        while seen < 3 * OVERLOAD_ROUNDS and len(good) < OVERLOAD_ROUNDS:
            one = Round(rate, self.at(rate, 3), self.at(2 * rate, 5), self.at(int(rate * 0.8), 5))
            carried = completed(one.before) >= 0.97 * rate
            seen += 1
            print(f"# round {seen}: {completed(one.before):.0f} of {rate} calls/s, {completed(one.twice, 1):.0f} of {2 * rate}"
                  f"{'' if carried else ', not counted'}", flush=True)
            good += [one] if carried else []
            failed = 0 if carried else failed + 1
            if failed == 2:
                rate, failed = int(rate / 1.125), 0
        if not good:
            raise SystemExit("no rate was carried twice")
        return good


# What came of a rate, of twice that, and of less again.
Round = collections.namedtuple("Round", "rate before twice after")


OVERLOAD_ROUNDS = 5


def recovered_s(after, rate):
    """The first second of which all calls came to their end again."""
    well = [i for i in range(5) if after[f"done_{i}"] >= 0.99 * rate]
    return well[0] + 1 if well else 99


def overload(row):
    if len(os.sched_getaffinity(0)) < 2:
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        tandem = rivals.Tandem(pathlib.Path(folder))
        tandem.start()
        tandem.node.apply(FLOOD_PLAN, "bench", "--allow", "all")
        try:
            with slowed(tandem.pids()[0]) as before:
                load = Load(before)
                rate = load.sustainable()
                rounds = load.rounds(rate)
                rate = min(one.rate for one in rounds)
                floods = [flood(before, load.number, rate) for _ in range(FLOOD_ROUNDS)]
        finally:
            tandem.stop()
    median = {what: statistics.median(values) for what, values in {
        "goodput": [100 * completed(r.twice, 1) / completed(r.before) for r in rounds],  # the first second fills the queue
        "lost": [100 * r.twice["delay_calls_lost"] / (10 * r.rate) for r in rounds],
        "recovery": [recovered_s(r.after, int(r.rate * 0.8)) for r in rounds],
        "others": [100 * completed(others, FLOOD_SETTLED) / int(rate * FLOOD_OTHERS) for others, _ in floods],
        "flooder": [100 * completed(flooder, FLOOD_SETTLED) / rate for _, flooder in floods]}.items()}
    row("edge", "calls/s that the node can carry here, slowed down on purpose", rate, "/s")
    row("edge", "at twice that: calls that come to their end", median["goodput"], "%", 80, at_most=False)
    row("edge", "at twice that: calls that are lost, neither done nor refused", median["lost"], "%")
    row("edge", "and afterwards: seconds until all calls come to their end again", median["recovery"], "s", 5)
    row("edge", "one source floods with twice that: calls of another that come to their end", median["others"], "%", 99, at_most=False)
    row("edge", "and of the flooding source, of what the node can carry", median["flooder"], "%")


# ---- one source floods ----

FLOODER, FLOODED, FLOOD_NUMBER = "127.0.9.4", "127.0.9.5", "05000"
FLOOD_ROUNDS = 3
FLOOD_TIMES, FLOOD_OTHERS = 2, 0.15  # of what the node can carry
FLOOD_SECONDS, FLOOD_SETTLED = 6, 2  # the queue of its first moments does not count
FLOOD_PLAN = f"""plan: 1
trunks:
  flooder: {{ site: bench, address: ["{FLOODER}:5060"], trust: ["{FLOODER}/32"] }}
  flooded: {{ site: bench, address: ["{FLOODED}:5060"], trust: ["{FLOODED}/32"] }}
routes:
  - {{ match: "{FLOOD_NUMBER}", to: trunk/flooded }}
"""


def flood(before, number, rate):
    """What became of the calls of a source that asks for little, and of those of one that floods."""
    keys = {"stdout": subprocess.PIPE, "text": True}
    flooder = subprocess.Popen(load_command(FLOOD_NUMBER, FLOOD_TIMES * rate, FLOOD_SECONDS, before, FLOODER, FLOODED), **keys)
    others = subprocess.Popen(load_command(number, int(rate * FLOOD_OTHERS), FLOOD_SECONDS, before), **keys)
    seen = [read_load(process.communicate()[0]) for process in (others, flooder)]
    print(f"# flood: {completed(seen[0], FLOOD_SETTLED):.0f} of {int(rate * FLOOD_OTHERS)} calls/s, of the flooder "
          f"{completed(seen[1], FLOOD_SETTLED):.0f} of {FLOOD_TIMES * rate}", flush=True)
    return seen


# ---- a decision, without the edge: the store's own benchmark, read for these rows ----

def decision(row):
    runs = [rows.run_program(rows.program("bench", "bench_store")) for _ in range(DECISION_RUNS)]
    for name, most in DECISION_HOLDS.items():
        value = statistics.median(v for run in runs for _, n, v, _ in run if n == name)
        row("edge", f"1,000,000 routes: {name.replace('_', ' ')}", value, "ns", most)


# ---- a million routes ----

MILLION = 1_000_000


class Large(rivals.Tandem):
    """With a plan of a million routes, taken in parts as an import would be."""

    @staticmethod
    def prefixes():
        return range(1_000_000, 1_000_000 + MILLION)


def first_call(node):
    """Seconds from exec until an INVITE has come through."""
    number = f"{1_000_000 + MILLION // 2}77"
    caller, callee = bound(rivals.CALLER), bound(rivals.CALLEE)
    callee.settimeout(0.002)
    begin = time.monotonic()
    node.start(wait=False)
    try:
        for i in range(20000):
            invite = "\r\n".join(head(number, i, shape="first") + ["Content-Length: 0", "", ""]).encode()
            caller.sendto(invite, (rivals.PROXY, 5060))
            try:
                if callee.recv(65535).startswith(b"INVITE"):
                    return time.monotonic() - begin
            except socket.timeout:
                continue
        raise SystemExit("no call came through")
    finally:
        caller.close()
        callee.close()


def anonymous_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("no RssAnon")


def million(row):
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        tandem = Large(pathlib.Path(folder))
        tandem.start()
        tandem.stop()
        times = []
        for _ in range(3):
            times.append(first_call(tandem.node))
            until(tandem.node.ready, "the node to be ready", 20)
            memory = anonymous_bytes(tandem.pids()[0])
            tandem.stop()
    row("edge", "1,000,000 routes: exec to first routed call", statistics.median(times), "s", 1)
    row("edge", "1,000,000 routes: private memory beyond the mapped file", memory / 1048576, "MiB", 64)
