"""Records of calls: what is listed, filtered and exported, what a restart leaves, and what was decided for one."""
import csv
import io
import re

import pytest

from harness.cluster import Cluster, clusterctl
from harness.peer import Caller, Peer, code_of
from harness.wait import until

HQ, FACTORY = "127.0.65.1", "127.0.66.1"
CALLER, PBX, BACKUP, FAR = "127.0.65.10", "127.0.65.11", "127.0.65.12", "127.0.66.10"
PLAN = f"""plan: 1
defaults: {{ domain: test.example, digest: [md5] }}
sites:
  hq:      {{ blocks: ["6"] }}
  factory: {{ blocks: ["7"] }}
trunks:
  caller: {{ site: hq, address: ["{CALLER}:5060"], trust: ["{CALLER}/32"] }}
  pbx:    {{ site: hq, address: ["{PBX}:5060"] }}
  backup: {{ site: hq, address: ["{BACKUP}:5060"] }}
  far:    {{ site: factory, address: ["{FAR}:5060"] }}
routes:
  - {{ match: "6", to: trunk/pbx }}
  - {{ match: "6", to: trunk/backup, priority: 20 }}
  - {{ match: "7", to: trunk/far }}
"""


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path) as two:
        hq = two.add("hq", "hq", HQ)
        two.add("factory", "factory", FACTORY, seeds=[hq.mesh])
        two.wait_linked()
        hq.apply(PLAN, "test", "--allow", "all")
        two.wait_linked()
        yield two


def calls(node, *options):
    return node.ctl("calls", *options)


def kinds(rows, *which):
    return [r for r in rows if r["kind"] in which]


def on_disk(node, count):
    until(lambda: node.counters("store")["calls_written"] >= count, f"{count} records to be on disk", 20)


def test_lists_filters_and_exports(cluster):
    hq, factory = cluster.nodes["hq"], cluster.nodes["factory"]
    with Peer(PBX), Peer(FAR), Caller(CALLER, HQ) as caller:
        assert code_of(caller.invite("6100", "one", ["Session-ID: " + "ab" * 16])) == 200
        caller.bye("one")
        assert code_of(caller.invite("7100", "two")) == 200
        assert code_of(caller.invite("5", "three")) == 404
        on_disk(hq, 2)
        rows = calls(hq)
        assert [(r["call_id"], r["state"]) for r in rows] == [("two", "answered"), ("three", "ended"), ("one", "ended")]
        one, two = rows[2], rows[0]
        assert one["session_id"] == "ab" * 16 and one["reason"] == "the caller hung up" and one["talked_s"] == 0
        assert one["from"] == "600" and one["to"] == "6100" and one["source"] == "trunk/caller"
        assert one["from_address"] == f"udp:{CALLER}:5060" and one["to_address"] == f"udp:{PBX}:5060"
        assert one["answered"] and one["ended"] and one["rule"] == 5 and one["code"] == 200
        assert two["target"] == "trunk/far" and two["node"] == "factory" and two["ended"] is None
        assert two["to_address"] == f"tls:{FACTORY}:5061"
        there = calls(factory)[0]
        assert there["call_id"] == "two" and there["source"] == "node/hq" and there["session_id"] == two["session_id"]

        assert [r["call_id"] for r in calls(hq, "--live")] == ["two"]
        assert [r["call_id"] for r in calls(hq, "--number", "61")] == ["one"]
        assert len(calls(hq, "--number", "600")) == 3 and len(calls(hq, "-n", "1")) == 1
        assert len(calls(hq, "--since", "1h")) == 3
        table = list(csv.DictReader(io.StringIO(hq.run("-o", "csv", "calls").stdout)))
        assert [r["call_id"] for r in table] == ["two", "three", "one"]
        assert hq.run("calls", "--since", "soon", check=False).returncode == 2
        caller.bye("two")
        until(lambda: calls(hq)[0]["state"] == "ended", "the end of two")


def test_a_restart_keeps_them(cluster):
    hq = cluster.nodes["hq"]
    with Peer(PBX), Caller(CALLER, HQ) as caller:
        for i in range(3):
            assert code_of(caller.invite("6100", f"past{i}")) == 200
            caller.bye(f"past{i}")
        assert code_of(caller.invite("6100", "up")) == 200
        on_disk(hq, 4)
        hq.kill()
        hq.start()
        rows = {r["call_id"]: r for r in calls(hq)}
        assert [rows[f"past{i}"]["state"] for i in range(3)] == ["ended"] * 3
        assert code_of(caller.invite("6100", "after")) == 200
        assert [r["call_id"] for r in calls(hq)] == ["after", "up", "past2", "past1", "past0"]
        hq.stop()  # in an orderly way: what was due is written
        hq.start()
        assert [r["call_id"] for r in calls(hq)][:2] == ["after", "up"]


def held(node, trunk):
    page = node.metrics()
    found = re.search(rf'^tandem_trunk_calls{{trunk="{trunk}"}} (\d+)', page, re.MULTILINE)
    return int(found.group(1)) if found else 0


def test_a_call_goes_on_over_a_restart(cluster):
    """It counts, towards limits too, and its end is seen and written to its one record."""
    hq = cluster.nodes["hq"]
    with Peer(PBX), Caller(CALLER, HQ) as caller:
        for name in ("up", "other"):
            assert code_of(caller.invite("6100", name)) == 200
        on_disk(hq, 2)
        before = {r["call_id"]: r for r in calls(hq)}
        hq.kill()
        hq.start()
        until(lambda: len(calls(hq, "--live")) == 2, "the calls to be back", 20)
        after = {r["call_id"]: r for r in calls(hq)}
        assert after == before
        assert held(hq, "caller") == 2 and held(hq, "pbx") == 2
        assert hq.counters("edge")["calls_restored"] == 2
        assert [r["rule"] for r in hq.ctl("trace", "up") if r["kind"] == "call"] == [before["up"]["rule"]]
        assert code_of(caller.invite("6100", "new")) == 200
        assert [r["call_id"] for r in calls(hq)] == ["new", "other", "up"]
        caller.bye("up")
        assert {r["call_id"]: r["state"] for r in calls(hq)} == {"new": "answered", "other": "answered", "up": "ended"}
        hq.stop()  # with two that are up
        hq.start()
        until(lambda: {r["call_id"] for r in calls(hq, "--live")} == {"new", "other"}, "the calls to be back", 20)
        rows = {r["call_id"]: r for r in calls(hq)}
        assert rows["up"]["state"] == "ended" and rows["up"]["reason"] == "the caller hung up" and rows["up"]["rule"] == 5
        for name in ("other", "new"):
            caller.bye(name)
        until(lambda: [r["state"] for r in calls(hq)] == ["ended"] * 3, "the ends", 20)
        assert held(hq, "caller") == 0 and held(hq, "pbx") == 0


def test_trace_says_what_was_decided_and_what_would_be(cluster):
    hq, factory = cluster.nodes["hq"], cluster.nodes["factory"]
    with Peer(PBX), Peer(FAR), Caller(CALLER, HQ) as caller:
        assert code_of(caller.invite("6100", "one@test")) == 200
        caller.bye("one@test")
        assert code_of(caller.invite("7100", "far@test")) == 200
        on_disk(hq, 2)
        hq.apply("plan: 1\nremove: [route//6/trunk/pbx]\n", "gone", "--allow", "all", name="gone.yaml")
        rows = hq.ctl("trace", "one@")
        assert rows[0]["call_id"] == "one@test"
        then, today = kinds(rows, "decision", "candidate"), kinds(rows, "today", "candidate_today")
        assert then[0]["rule"] == 5 and then[0]["plan_number"] == "6100" and then[0]["plan_digest"]
        assert [(c["place"], c["target"], c["why"], c["number_sent"]) for c in then[1:]] == [
            (1, "trunk/pbx", "chosen", "6100"), (2, "trunk/backup", "chosen", "6100")]
        assert today[0]["plan_digest"] == hq.digest() != then[0]["plan_digest"]
        assert [(c["place"], c["target"]) for c in today[1:]] == [(1, "trunk/backup")]
        words = kinds(rows, "difference")
        gone = hq.changes()[0]["id"]
        assert words[0]["text"] == "then to trunk/pbx, today to trunk/backup"
        assert ("trunk/pbx for 6 was a candidate and has been removed", gone) in [(w["text"], w["change"]) for w in words]
        text = hq.run("trace", "one@test").stdout
        assert "trunk/pbx" in text and "among the targets" in text
        # at the other node: it was told what to do, and the first one says why
        there = factory.ctl("trace", "far@test")
        told = kinds(there, "decision", "candidate")
        assert told[0]["named_by"] == "hq" and told[1]["target"] == "trunk/far" and not kinds(there, "today")
        assert kinds(there, "other_call")[0]["kept_at"] == "hq" and kinds(there, "other_decision")[0]["plan_number"] == "7100"
        # known there only by way of the other node
        assert factory.ctl("trace", "one@test")[0]["kept_at"] == "hq"


def test_trace_tells_each_attempt(cluster):
    hq = cluster.nodes["hq"]
    with Peer(PBX, INVITE=503), Peer(BACKUP, INVITE=486), Caller(CALLER, HQ) as caller:
        assert code_of(caller.invite("6100", "tried@test")) == 486
        on_disk(hq, 1)
        for _ in range(2):
            tried = kinds(hq.ctl("trace", "tried@test"), "attempt")
            assert [(a["attempt"], a["target"], a["address"], a["code"], a["text"]) for a in tried] == [
                (1, "trunk/pbx", f"udp:{PBX}:5060", 503, "Service Unavailable"),
                (2, "trunk/backup", f"udp:{BACKUP}:5060", 486, "Busy Here")]
            hq.stop()  # the second time they come from the disk of an earlier run
            hq.start()
