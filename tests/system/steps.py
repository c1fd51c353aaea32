"""The steps of ./run demo. Each is also a system test (test_demo.py): a step says what it needs, so each runs on its own.

A step returns a sentence about what was seen; it fails by an exception."""
import hashlib
import pathlib

from harness import sipp, tone
from harness.cluster import ROOT, Cluster
from harness.net import Cuts
from harness.phone import Phone
from harness.sipp import Sipp
from harness.wait import until

CONFIGS = ROOT / "cluster-configs" / "demo"
HQ, FACTORY, HARBOUR = "127.0.1.1", "127.0.2.1", "127.0.3.1"


class World:
    """The demo's cluster and everything that a step left running."""

    def __init__(self, folder):
        self.cluster = Cluster(folder, "demo")
        self.cuts = Cuts()
        self.done = set()
        self.seen = {}
        self.running = []

    def node(self, name):
        return self.cluster.nodes[name]

    def run(self, letter):
        """Runs a step and, before it, what it needs; its sentence."""
        step = STEPS[letter]
        for needed in step.needs:
            if needed not in self.done:
                self.run(needed)
        sentence = step(self)
        self.done.add(letter)
        return sentence

    def keep(self, thing):
        self.running.append(thing)
        return thing

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.cuts.heal()
        for thing in self.running:
            thing.__exit__(None, None, None)
        self.cluster.__exit__(kind, value, trace)


STEPS = {}


def step(letter, title, needs=()):
    def register(function):
        function.title, function.needs = title, needs
        STEPS[letter] = function
        return function
    return register


def trunk_caller(address, node, caller):
    return ("uac", address, 5060, node.sip, {"caller": caller})


def answering(address, port=5060):
    return ("uas", address, port, {})


def invite_line(messages):
    """The first INVITE that a callee received: its Request-URI."""
    for line in messages.splitlines():
        if line.startswith("INVITE "):
            return line.split()[1]
    raise AssertionError("no INVITE received")


def call_and_check(caller, callee, dialled, number):
    uri = invite_line(sipp.call(caller, callee, dialled))
    assert uri.startswith(f"sip:{number}@"), f"the callee was sent {uri}, not {number}"
    return uri


def register(node, user, secret, contact, address, port, expires=600):
    with Sipp("register", address, port, node.sip, user=user, secret=secret, contact=contact, expires=expires) as run:
        run.wait()


def wait_registered(node, account):
    until(lambda: any(r["account"] == account for r in node.ctl("registrations")), f"{account} to be known at {node.name}")


def tree_hash(*paths):
    total = hashlib.sha256()
    for path in paths:
        total.update(pathlib.Path(path).read_bytes())
    return total.hexdigest()


@step("a", "two branches share one plan")
def two_nodes(w):
    c = w.cluster
    c.add("hq", "hq", HQ, config=CONFIGS / "hq.yaml")
    c.add("factory", "factory", FACTORY, config=CONFIGS / "factory.yaml")
    c.wait_linked()
    w.node("hq").run("plan", "apply", CONFIGS / "plan.yaml", "-m", "the plan of the demo", "--allow", "all")
    digest = w.node("hq").digest()
    until(lambda: w.node("factory").digest() == digest, "the plan at factory")
    return f"applied at hq, seen at factory: digest {digest[:12]}"


@step("b", "calls by prefix between two branches, both ways", ["a"])
def call_by_prefix(w):
    hq, factory = w.node("hq"), w.node("factory")
    register(hq, "6001", "secret-6001", "sip:6001@127.0.1.20:5070", "127.0.1.20", 5069)
    phone = ("uac_auth", "127.0.1.20", 5071, hq.sip, {"user": "6001", "secret": "secret-6001"})
    call_and_check(phone, answering("127.0.2.10"), "7100", "7100")
    call_and_check(trunk_caller("127.0.2.10", factory, "7100"), answering("127.0.1.20", 5070), "6001", "6001")
    return "phone 6001 at hq called 7100 behind factory's trunk, and was called back"


@step("c", "a gateway registers and brings its numbers", ["a"])
def gateway(w):
    register(w.node("factory"), "gateway", "secret-gateway", "sip:gateway@127.0.2.30:5080", "127.0.2.30", 5079)
    wait_registered(w.node("hq"), "gateway")
    call_gateway(w, "8123")
    return "hq called 8123 and the gateway behind factory was sent that number"


def call_gateway(w, number):
    caller = trunk_caller("127.0.1.10", w.node("hq"), "6500")
    return call_and_check(caller, answering("127.0.2.30", 5080), number, number)


@step("d", "a new branch joins live; nobody else is configured", ["a"])
def join(w):
    hq, factory = w.node("hq"), w.node("factory")
    files = [p for n in (hq, factory) for p in (n.config, *sorted((n.data / "tls").iterdir()))]
    before = tree_hash(*files)
    harbour = w.cluster.add("harbour", "harbour", HARBOUR, config=CONFIGS / "harbour.yaml", seeds=[hq.mesh])
    w.cluster.wait_linked()
    harbour.run("plan", "apply", CONFIGS / "harbour-plan.yaml", "-m", "harbour opens", "--allow", "all")
    until(lambda: hq.digest() == harbour.digest() == factory.digest(), "one plan on three nodes")
    call_and_check(trunk_caller("127.0.1.10", hq, "6500"), answering("127.0.3.10"), "9400", "9400")
    assert tree_hash(*files) == before, "a file of hq or factory changed"
    return "9400 at harbour answers a call from hq; the files of hq and factory are unchanged"


@step("e", "the first target is stopped: the next call goes to the second", ["a"])
def failover(w):
    hq = w.node("hq")
    caller = trunk_caller("127.0.1.10", hq, "6500")
    call_and_check(caller, answering("127.0.2.10"), "7200", "7200")
    # Nobody listens at 127.0.2.10 any more; the backup trunk does at 127.0.2.11.
    call_and_check(caller, answering("127.0.2.11"), "7200", "7200")
    return "7200 went to factory-pbx, and without it to factory-backup"


@step("f", "a node is killed and comes back with its bindings and plan", ["c"])
def kill(w):
    hq, factory = w.node("hq"), w.node("factory")
    digest = factory.digest()
    factory.kill()
    until(lambda: hq.nodes()["factory"]["status"] != "alive", "hq to notice that factory is gone")
    factory.start()
    assert factory.digest() == digest, "the plan changed over a SIGKILL"
    assert any(r["account"] == "gateway" for r in factory.ctl("registrations")), "the binding is gone"
    w.cluster.wait_linked()
    call_gateway(w, "8123")
    return "SIGKILL and start: plan and binding are there, 8123 was reached without a new registration"


@step("g", "the link is cut, each branch goes on, and they agree again after healing", ["b"])
def partition(w):
    hq, factory = w.node("hq"), w.node("factory")
    w.cuts.cut("127.0.1.0/24", "127.0.2.0/24")
    until(lambda: hq.nodes()["factory"]["status"] != "alive" and factory.nodes()["hq"]["status"] != "alive",
          "both sides to see that the other is stale", 40)
    phone = ("uac_auth", "127.0.1.20", 5071, hq.sip, {"user": "6001", "secret": "secret-6001"})
    call_and_check(phone, answering("127.0.1.10"), "6300", "6300")
    call_and_check(trunk_caller("127.0.2.10", factory, "7100"), answering("127.0.2.11"), "7300", "7300")
    for node, prefix in ((hq, "65"), (factory, "75")):
        target = "trunk/hq-pbx" if node is hq else "trunk/factory-backup"
        result = node.run("plan", "apply", write(w, f"{node.name}-edit.yaml", edit(prefix, target)), "-m",
                          "during the cut", "--allow", "all", check=False)
        assert result.returncode in (0, 4), result.stderr
    third = "harbour" in w.cluster.nodes  # carries the changes around the cut
    assert third or hq.digest() != factory.digest(), "the cut did not separate them"
    w.cuts.heal()
    until(lambda: hq.digest() == factory.digest(), "the same digest on both sides", 40)
    w.cluster.wait_linked()
    return "calls inside each branch went on; both sides changed the plan; one digest again after healing"


def edit(prefix, target):
    return f"plan: 1\nroutes:\n  - {{ match: \"{prefix}\", to: {target} }}\n"


def write(w, name, text):
    path = w.cluster.folder / name
    path.write_text(text)
    return path


@step("h", "two phones talk across two branches", ["d"])
def phones(w):
    folder = w.cluster.folder
    with Phone(folder / "phone-6002", "6002", "secret-6002", w.node("hq").sip, "127.0.1.40", 440) as one, \
            Phone(folder / "phone-9001", "9001", "secret-9001", w.node("harbour").sip, "127.0.3.40", 1000) as two:
        wait_registered(w.node("hq"), "9001")
        one.dial("9001", w.node("hq").sip)
        until(lambda: one.in_call() and two.in_call(), "the call to be established", 15)
        until(lambda: all(len(p.heard()[1]) > 3 * tone.RATE for p in (one, two)), "three seconds of sound", 20)
        one.hang_up()
        until(lambda: w.node("hq").ctl("status")[0]["calls"] == 0, "the call to end", 10)
    for phone, other in ((one, two), (two, one)):
        rate, samples = phone.heard()
        theirs, own = tone.share(samples, rate, other.hertz), tone.share(samples, rate, phone.hertz)
        assert theirs > 0.7 and own < 0.05, f"phone {phone.user} heard {theirs:.2f} of the other's tone, {own:.2f} of its own"
    return "6002 at hq and 9001 at harbour heard each other's tone, and not their own"
