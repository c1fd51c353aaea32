"""A cluster for the federation tests: one node and two trunks per site, changes that are told apart by their message, and
writers that keep changing the plan while something else happens."""
import json
import subprocess
import threading

from . import sipp
from .cluster import Cluster, clusterctl
from .net import Cuts
from .sipp import Sipp
from .wait import Timeout, until

FIRST = 6  # node i lives at 127.0.(FIRST + i).1, its trunks at .10 and .11, its phones from .20 on; a second federation
SECOND = 40  # at the same time has its nodes from here on
NAMES = ("a", "b", "c", "d", "e", "f")
ACKNOWLEDGED = (0, 4)
HEAL_S = 15


def site_net(node):
    return node.address.rsplit(".", 1)[0] + ".0/24"


def host(node, last):
    return f"{node.address.rsplit('.', 1)[0]}.{last}"


def block(node):
    """The digit with which the numbers of the node's site begin."""
    return str(1 + NAMES.index(node.site))


def plan(names, first=FIRST):
    """Sites, two trunks and an account each."""
    lines = ["plan: 1", "defaults: { domain: test.example, digest: [md5] }", "sites:"]
    lines += [f"  {n}: {{ blocks: [\"{1 + i}\"] }}" for i, n in enumerate(names)]
    lines += ["trunks:"]
    for i, n in enumerate(names):
        for kind, last in (("pbx", 10), ("other", 11)):
            at = f"127.0.{first + i}.{last}"
            lines.append(f"  {n}-{kind}: {{ site: {n}, address: [\"{at}:5060\"], trust: [\"{at}/32\"] }}")
    lines += ["accounts:"]
    lines += [f"  \"{1 + i}{k}\": {{ password: \"secret\", site: {n} }}" for i, n in enumerate(names) for k in range(100, 103)]
    lines += ["routes:"]
    lines += [f"  - {{ match: \"{1 + i}\", to: trunk/{n}-pbx }}" for i, n in enumerate(names)]
    return "\n".join(lines) + "\n"


def route(number, target, **more):
    fields = "".join(f", {k}: {v}" for k, v in more.items())
    return f"plan: 1\nroutes:\n  - {{ match: \"{number}\", to: {target}{fields} }}\n"


def many(prefix, count):
    """Routes, none of which any other call of this with another prefix makes."""
    return "plan: 1\nroutes:\n" + "".join(f"  - {{ match: \"{prefix}{i:05d}\", to: trunk/a-pbx }}\n" for i in range(count))


def remove(*keys):
    return "plan: 1\nremove: [" + ", ".join(f"\"{k}\"" for k in keys) + "]\n"


def remove_route(number, target):
    return remove(f"route//{number}/{target}")


def routes(node):
    """match -> the route, of the routes that hold everywhere (the tests write one target for each match)."""
    return {r["match"]: r for r in json.loads(node.run("-o", "json", "plan", "show").stdout)["plan"].get("routes", [])}


def note_of(node, match):
    """The note at a route, or None when there is no such route."""
    return routes(node).get(match, {}).get("note")


class Federation(Cluster):
    """count nodes named a, b, c ..., linked, with one plan. Cuts are healed and stopped nodes continued at the end."""

    def __init__(self, folder, count=3, start=True, net=FIRST):
        super().__init__(folder, "fed")
        self.cuts = Cuts()
        self.net = net
        self.names = NAMES[:count]
        self.written = 0
        for name in self.names:
            self.make(name)
        if start:
            self.open()

    def open(self):
        """Starts all nodes, with the plan of the tests at the first."""
        self.first().start()
        self.first().apply(plan(self.names, self.net), "the plan", "--allow", "all")
        self.start()

    def make(self, name):
        """A node that has joined and is not started."""
        seeds = [] if not self.nodes else [self.first().mesh]
        return self.add(name, name, f"127.0.{self.net + NAMES.index(name)}.1", seeds=seeds, start=False)

    def first(self):
        return next(iter(self.nodes.values()))

    def all(self):
        return list(self.nodes.values())

    def alive(self):
        return [n for n in self.all() if n.running()]

    def others(self, node):
        return [n for n in self.all() if n is not node]

    def start(self, *nodes, linked=True):
        """linked: waits until all are in step, which they never are while somebody writes."""
        for node in nodes or self.all():
            if not node.running():
                node.start(wait=False)
        for node in nodes or self.all():
            until(node.ready, f"node {node.name} to be ready", 30)
        if linked:
            self.wait_linked(30)

    def cut_all(self, both=True):
        nodes = self.all()
        for i, one in enumerate(nodes):
            for other in nodes[i + 1:]:
                self.cuts.cut(site_net(one), site_net(other), both)

    def wait_same(self, timeout=HEAL_S):
        """One digest on every running node, and one state."""
        until(lambda: len({n.digest() for n in self.alive()}) == 1, "one plan on every node", timeout)
        self.wait_linked(timeout)

    def wait_status(self, of, wanted, at=None, timeout=20):
        """Until the nodes at see of with one of the statuses wanted."""
        for node in at or [n for n in self.alive() if n is not of]:
            until(lambda: node.nodes()[of.name]["status"] in wanted, f"{node.name} to see {of.name} {' or '.join(wanted)}",
                  timeout)

    def check_log(self, messages):
        """Every change of these messages is in every running node's history, once."""
        for node in self.alive():
            seen = [c["message"] for c in node.changes()]
            missing = sorted(m for m in messages if m not in seen)
            assert not missing, f"{node.name} lost acknowledged changes: {missing}"
            twice = sorted({m for m in seen if seen.count(m) > 1})
            assert not twice, f"{node.name} has changes twice: {twice}"
        ids = {n.name: sorted((c["id"], c["message"]) for c in n.changes()) for n in self.alive()}
        first = next(iter(ids.values()))
        assert all(i == first for i in ids.values()), f"histories differ: {ids}"

    def __exit__(self, kind, *rest):
        self.cuts.heal()
        super().__exit__(kind, *rest)


def change(node, text, message, timeout="300ms"):
    """Applies; the exit status."""
    path = node.folder / f"{node.name}-{message}.yaml".replace("/", "_")
    path.write_text(text)
    try:
        return node.run("plan", "apply", path, "-m", message, "--allow", "all", "--timeout", timeout, check=False).returncode
    finally:
        path.unlink()


def must_change(node, text, message, timeout="300ms"):
    status = change(node, text, message, timeout)
    assert status in ACKNOWLEDGED, f"{node.name}: change {message}: exit {status}"
    return message


class Writer:
    """Changes the plan at one node until stopped, one small change after another. A context."""

    def __init__(self, node):
        self.node = node
        self.acknowledged = []
        self.refused = {}
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        k = 0
        while not self.stopping.is_set():
            k += 1
            message = f"{self.node.name}-{k}"
            try:
                status = change(self.node, route(f"={block(self.node)}9{k:05d}", f"trunk/{self.node.name}-other"), message)
            except subprocess.TimeoutExpired:
                status = "time-out"
            if status in ACKNOWLEDGED:
                self.acknowledged.append(message)
            else:
                self.refused[message] = status
                self.stopping.wait(0.05)  # the node is away: look again soon

    def wait_more(self, count=1, timeout=30):
        """Until count more changes were acknowledged."""
        goal = len(self.acknowledged) + count
        try:
            until(lambda: len(self.acknowledged) >= goal, f"{count} more changes at {self.node.name}", timeout)
        except Timeout as problem:
            raise Timeout(f"{problem}; refused with {self.refused}") from None

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(70)
        assert not self.thread.is_alive(), f"the writer at {self.node.name} hangs"


def call_inside(node):
    """A call between the two trunks of the node's site."""
    caller = ("uac", host(node, 11), 5060, node.sip, {"caller": f"{block(node)}500"})
    sipp.call(caller, ("uas", host(node, 10), 5060, {}), f"{block(node)}600")


def register(node, user, contact_host=None, expires=600, port=5069):
    """Registers user (see plan()) with a contact at an address of the node's site."""
    address = contact_host or host(node, 20)
    with Sipp("register", address, port, node.sip, user=user, secret="secret", contact=f"sip:{user}@{address}:5070",
              expires=expires) as run:
        run.wait()


def registrations(node):
    """account -> list of records."""
    found = {}
    for r in node.ctl("registrations"):
        found.setdefault(r["account"], []).append(r)
    return found
