"""Trunks that fail: found by probes and by calls, known at every node, and back when they answer again."""

import pytest

from harness.cluster import Cluster
from harness.peer import Caller, Peer, code_of, header
from harness.sipp import Sipp
from harness.wait import until

HQ, FACTORY = "127.0.61.1", "127.0.62.1"
CALLER, PBX, SECOND, BACKUP = "127.0.61.10", "127.0.62.10", "127.0.62.11", "127.0.61.12"
PLAN = f"""plan: 1
defaults: {{ domain: test.example, digest: [md5] }}
sites:
  hq:      {{ blocks: ["6"] }}
  factory: {{ blocks: ["7"] }}
trunks:
  caller: {{ site: hq, address: ["{CALLER}:5060"], trust: ["{CALLER}/32"] }}
  backup: {{ site: hq, address: ["{BACKUP}:5060"], probe: 1s }}
  pbx:    {{ site: factory, address: ["{PBX}:5060"], probe: 400ms }}
  pair:   {{ site: factory, address: ["{PBX}:5060", "{SECOND}:5060"] }}
routes:
  - {{ match: "7", to: trunk/pbx }}
  - {{ match: "7", to: trunk/backup, priority: 20 }}
  - {{ match: "5", to: trunk/pair }}
  - {{ match: "8", to: trunk/pair }}
  - {{ match: "8", to: trunk/backup, priority: 20 }}
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


def states(node):
    return {(r["trunk"], r["address"].split(":")[0]): r for r in node.ctl("trunks") if r["node"]}


def state_is(node, trunk, address, state):
    def look():
        return states(node)[(trunk, address)]["state"] == state
    until(look, f"{trunk} at {address} to be {state} as {node.name} sees it", 30)


def targets(node, number):
    return [r["target"] for r in node.ctl("route", "explain", number) if r["kind"] == "candidate" and r["place"]]


def call(number, answered_by):
    with Sipp("uac", CALLER, 5060, f"{HQ}:5060", dialled=number, caller="600") as uac:
        uac.wait()
    invites = [r for r in answered_by.got("INVITE") if f"sip:{number}@" in r.split("\r\n")[0]]
    assert invites, answered_by.requests


def test_down_is_known_everywhere_and_ends(cluster):
    hq, factory = cluster.nodes["hq"], cluster.nodes["factory"]
    with Peer(PBX) as pbx, Peer(BACKUP) as backup:
        for node in (hq, factory):
            state_is(node, "pbx", PBX, "up")
            state_is(node, "backup", BACKUP, "up")
        assert targets(hq, "7100") == ["trunk/pbx", "trunk/backup"]
        call("7100", pbx)
        pbx.codes["OPTIONS"] = None  # it hangs
        for node in (factory, hq):
            state_is(node, "pbx", PBX, "down")
        assert targets(hq, "7100") == ["trunk/backup"]
        before = len(pbx.got("INVITE"))
        call("7101", backup)
        assert len(pbx.got("INVITE")) == before
        seen = states(hq)[("pbx", PBX)]
        assert seen["node"] == "factory" and seen["since"] and seen["reason"] == "no answer to OPTIONS"
        lost = [r for r in hq.ctl("route", "explain", "7100") if r.get("why") == "down"]
        assert lost[0]["target"] == "trunk/pbx" and "no answer to OPTIONS, since 20" in lost[0]["text"]
        page = factory.metrics()
        assert f'tandem_trunk_up{{trunk="pbx",address="{PBX}:5060"}} 0' in page
        pbx.codes["OPTIONS"] = 404  # anything but 503 is a sign of life
        for node in (factory, hq):
            state_is(node, "pbx", PBX, "up")
        call("7102", pbx)


def test_refused_and_gone_are_down_too(cluster):
    hq = cluster.nodes["hq"]
    with Peer(PBX) as pbx:
        state_is(hq, "pbx", PBX, "up")  # it may have been down for another reason
        pbx.codes["OPTIONS"] = 503
        state_is(hq, "pbx", PBX, "down")
        assert states(hq)[("pbx", PBX)]["reason"] == "503 Service Unavailable"
    state_is(hq, "backup", BACKUP, "down")
    assert states(hq)[("backup", BACKUP)]["reason"] == "nothing listens there"
    code = [r for r in hq.ctl("route", "explain", "7100") if "code" in r][0]["code"]
    assert code == 480


def test_a_failed_call_moves_the_next_to_the_other_address(cluster):
    factory = cluster.nodes["factory"]
    with Peer(SECOND) as second:  # nobody is at the first
        call("5100", second)
        state_is(factory, "pair", PBX, "suspect")
        sent = factory.counters("edge")["send_failures"]
        call("5101", second)
        assert factory.counters("edge")["send_failures"] == sent  # the first one was not tried


def explained(node, number, target):
    return [r for r in node.ctl("route", "explain", number) if r["kind"] == "candidate" and r["target"] == target][0]


def rest_is_over(node):
    until(lambda: all(r["state"] != "resting" for r in node.ctl("trunks")), "all to be back", 30)


def test_who_asks_for_rest_is_left_alone(cluster):
    """503 with Retry-After: the other address, then the next target, then the caller is told; calls in progress go on."""
    hq, factory = cluster.nodes["hq"], cluster.nodes["factory"]
    with Peer(PBX) as first, Peer(SECOND) as second, Peer(BACKUP) as backup, Caller(CALLER, HQ) as caller:
        for node in (hq, factory):  # nobody was there when it was asked first
            state_is(node, "backup", BACKUP, "up")
        assert code_of(caller.invite("5100", "up")) == 200 and len(first.got("INVITE")) == 1
        first.codes["INVITE"] = 503
        first.lines["INVITE"] = ["Retry-After: 200 (busy)"]
        for i in range(3):  # the first of them finds it out
            assert code_of(caller.invite("5101", f"one{i}")) == 200
        assert len(first.got("INVITE")) == 2 and len(second.got("INVITE")) == 3
        row = states(factory)[("pair", PBX)]
        assert row["state"] == "resting" and row["expires"], row
        assert row["reason"] == "a call failed: 503 Service Unavailable, Retry-After: 200"
        assert explained(factory, "5101", "trunk/pair")["place"] == 1

        second.codes["INVITE"] = 503
        second.lines["INVITE"] = ["Retry-After: 100"]
        for i in range(3):
            assert code_of(caller.invite("8100", f"two{i}")) == 200
        assert len(first.got("INVITE")) == 2 and len(second.got("INVITE")) == 4 and len(backup.got("INVITE")) == 3
        lost = explained(factory, "8100", "trunk/pair")
        assert lost["place"] is None and lost["why"] == "resting"
        assert lost["until"] == states(factory)[("pair", SECOND)]["expires"]
        assert lost["text"].startswith("its trunk has asked to be left alone for a while: a call failed: 503 ")
        assert ", until 20" in lost["text"]
        assert targets(factory, "8100") == ["trunk/backup"]

        told = caller.invite("5102", "three")
        assert code_of(told) == 503 and 80 < int(header(told, "Retry-After")[0]) <= 100, told
        assert "the named trunk has asked to be left alone" in header(told, "Reason")[0]
        code = [r for r in factory.ctl("route", "explain", "5102") if "code" in r][0]["code"]
        assert code == 503
        assert len(first.got("INVITE")) == 2 and len(second.got("INVITE")) == 4
        assert factory.counters("prober")["rests"] == 2
        caller.bye("up")
        assert len(first.got("BYE")) == 1
        for call_id in list(caller.calls):
            caller.bye(call_id)


def test_who_rests_is_asked_again_after_its_time(cluster):
    hq = cluster.nodes["hq"]
    with Peer(BACKUP) as backup, Caller(CALLER, HQ) as caller:
        state_is(hq, "backup", BACKUP, "up")
        backup.lines["OPTIONS"] = ["Retry-After: 5"]
        backup.codes["OPTIONS"] = 503
        state_is(hq, "backup", BACKUP, "resting")
        backup.codes["OPTIONS"] = 200
        assert code_of(caller.invite("7200", "early")) == 503 and not backup.got("INVITE")
        rest_is_over(hq)
        assert code_of(caller.invite("7200", "late")) == 200 and len(backup.got("INVITE")) == 1
        caller.bye("late")
