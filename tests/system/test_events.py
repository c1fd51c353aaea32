"""clusterctl events: what real nodes remember of what happened to them, one by one and of all at once."""
import csv
import os
import re
import select
import signal
import subprocess

import pytest

from harness.cluster import CLUSTERCTL, Cluster, clusterctl
from harness.wait import end, until

PLAN = """plan: 1
sites: { hq: {}, factory: {}, depot: {} }
trunks:
  pbx: { site: hq, address: ["127.0.85.9:5060"], trust: ["127.0.85.9/32"], probe: 1s }
routes: [ { match: "6", to: trunk/pbx } ]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """hq writes errors to its log and nothing else."""
    with Cluster(tmp_path_factory.mktemp("events"), "events") as made:
        hq = made.add("hq", "hq", "127.0.85.1", start=False)
        hq.config.write_text(hq.config.read_text() + "log: error\n")
        hq.start()
        for i, name in enumerate(("factory", "depot")):
            made.add(name, name, f"127.0.{86 + i}.1", seeds=[hq.mesh])
        made.wait_linked()
        hq.apply(PLAN, "the first plan", "--allow", "all")
        made.wait_linked()
        yield made


def events(node, *options):
    return node.ctl("events", *options)


def pairs(event):
    return {p["key"]: p["value"] for p in event["pairs"]}


def find(at, module, event, /, **wanted):
    return [e for e in events(at, "--module", module)
            if e["event"] == event and wanted.items() <= pairs(e).items()]


def test_a_node_remembers_what_its_log_leaves_out(cluster):
    hq = cluster.nodes["hq"]
    until(lambda: find(hq, "prober", "trunk-down", trunk="pbx"), "the trunk to be down", 20)
    hq.run("site", "add", "yard", "-m", 'a "good" reason')
    [changed] = find(hq, "plan", "changed", message="a 'good' reason")
    assert pairs(changed)["objects"] == "1" and pairs(changed)["change"] == hq.changes()[0]["id"]
    assert find(hq, "mesh", "link-up", peer="depot") and find(hq, "member", "status", node="depot", status="alive")
    assert find(hq, "main", "ready", node="hq")
    assert hq.log_text() == ""
    down = hq.ctl("events", "--level", "warn")
    assert {e["level"] for e in down} == {"warn"} and "trunk-down" in {e["event"] for e in down}
    shown = events(hq)
    assert [e["number"] for e in shown] == list(range(1, len(shown) + 1))
    assert [e["time"] for e in shown] == sorted(e["time"] for e in shown)
    two = events(hq, "-n", "2")
    assert len(two) == 2 and [e for e in events(hq) if e in two] == two
    at = changed["time"]
    assert changed in events(hq, "--since", at, "--until", at)
    assert all(e["time"] == at for e in events(hq, "--since", at, "--until", at))
    line = hq.run("events", "--module", "plan").stdout.splitlines()[-1]
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  info   plan +changed +change=hq/\w+/\d+ objects=1 author=", line)
    reloaded = len(find(hq, "main", "reloaded"))
    hq.signal(signal.SIGHUP)
    until(lambda: len(find(hq, "main", "reloaded", log="error")) == reloaded + 1, "the reload to be told")
    until(lambda: changed["text"] in [e["text"] for e in find(cluster.nodes["factory"], "plan", "changed")],
          "the other node to tell of it")


def test_all_nodes_and_those_that_cannot_be_asked(cluster):
    hq, depot = cluster.nodes["hq"], cluster.nodes["depot"]
    of_all = hq.ctl("events", "--all", "--module", "main")
    assert {e["node"] for e in of_all if e["event"] == "ready"} == {"hq", "factory", "depot"}
    assert [e["time"] for e in of_all] == sorted(e["time"] for e in of_all)
    assert hq.ctl("events", "--all", "--module", "main", "-n", "2") == of_all[-2:]
    there = [e for e in of_all if e["node"] == "factory"]
    assert hq.ctl("--node", "factory", "events", "--module", "main") == there
    depot.kill()
    until(lambda: all(cluster.nodes[n].nodes()["depot"]["status"] == "dead" for n in ("hq", "factory")), "it to be dead", 20)
    result = hq.run("events", "--all", check=False)
    assert result.returncode == 4
    assert "clusterctl: 1 of 3 nodes could not be asked, and what happened there is not shown: depot\n" in result.stderr
    assert re.search(r"Z  hq +info +member +status +node=depot status=dead", result.stdout)
    assert re.search(r"Z  factory +info +member +status +node=depot status=dead", result.stdout)
    depot.start()
    cluster.wait_linked()
    assert events(depot)[0]["number"] == 1  # a run has events of its own


class Watch:
    def __init__(self, node, *options):
        self.run = subprocess.Popen([str(CLUSTERCTL), "-s", str(node.socket), *options, "--watch"], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)
        self.fds = [self.run.stdout.fileno(), self.run.stderr.fileno()]
        self.seen = dict.fromkeys(self.fds, "")

    @property
    def out(self):
        return self.seen[self.fds[0]]

    @property
    def err(self):
        return self.seen[self.fds[1]]

    def until(self, part, count=1, timeout=20):
        while (self.out + self.err).count(part) < count:
            ready = select.select(self.fds, [], [], timeout)[0]
            assert ready, f"{part!r} is not in:\n{self.out}{self.err}"
            for fd in ready:
                piece = os.read(fd, 65536)
                assert piece, f"it ended:\n{self.out}{self.err}"
                self.seen[fd] += piece.decode()

    def end(self):
        self.run.send_signal(signal.SIGINT)
        for fd, rest in zip(self.fds, self.run.communicate(timeout=10)):
            self.seen[fd] += rest.decode()
        assert self.run.returncode == 0


@pytest.fixture
def watch():
    begun = []
    def begin(*args):
        begun.append(Watch(*args))
        return begun[-1]
    yield begin
    for one in begun:
        end(one.run)


def test_watch_goes_on(cluster, watch):
    """Each event once; a node that was away for a while, and starts anew, is asked again."""
    hq, factory = cluster.nodes["hq"], cluster.nodes["factory"]
    one, every, table = watch(hq, "events"), watch(hq, "-o", "csv", "events", "--all", "-n", "3"), watch(factory, "events")
    one.until(" ready ")
    every.until("time,node,level,")
    table.until(" ready ")
    hq.run("node", "drain")
    one.until("drained=yes")
    every.until("drained=yes")
    factory.stop()
    table.until("is the node running")
    every.until("what happened there is not shown: factory")
    hq.run("node", "drain", "--off")
    one.until("drained=no")
    every.until("drained=no")
    factory.start()
    every.until("node=factory site=factory version=")
    table.until(" ready ", count=2)  # of the run before, and of this one
    for run in (one, every, table):
        run.end()
    assert one.err == ""
    for said in (table.err.splitlines(), re.findall("node factory could not .*", every.err)):
        assert said and len(said) == len(set(said)), said  # what is wrong is not said each second
    assert one.out.count("drained=yes") == one.out.count("drained=no") == 1
    assert every.out.count("drained=yes") == 1 and every.out.count("time,node,") == 1
    assert table.out.count(" ready ") == 2
    keys = [(row[1], *row[-2:]) for row in csv.reader(every.out.splitlines())]
    assert len(keys) == len(set(keys)), every.out


def test_a_terminal_is_not_steered(cluster, watch):
    """A message of a change is free text, of whoever may change the plan at any node."""
    hq, factory = cluster.nodes["hq"], cluster.nodes["factory"]
    before = len(find(hq, "plan", "changed"))
    message = "quiet\x1b]0;pwned\x07\u009b2J\u202eend\" level=\"error"
    clusterctl("-s", factory.socket, "site", "add", "lab", "-m", message)
    until(lambda: len(find(hq, "plan", "changed")) == before + 1, "the change at hq")
    shown = hq.run("events", "--module", "plan").stdout
    run = watch(hq, "events", "--module", "plan", "-n", "1")
    run.until("level='error")
    run.end()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown + run.out)
    last = find(hq, "plan", "changed")[-1]
    assert list(pairs(last)) == ["change", "objects", "author", "message"]
    assert pairs(last)["message"] == "quiet?]0;pwned?\u009b2J\u202eend' level='error"
