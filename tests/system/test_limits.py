"""Limits of calls at a time and of new calls in a second: at the source, at the target, and at another node's target."""

import pytest

from harness.cluster import Cluster
from harness.peer import Caller, Peer, code_of, header
from harness.wait import until

HQ, FACTORY = "127.0.63.1", "127.0.64.1"
CALLER, PBX, FAR, BACKUP = "127.0.63.10", "127.0.63.11", "127.0.64.10", "127.0.63.12"
PLAN = f"""plan: 1
defaults: {{ domain: test.example, digest: [md5] }}
sites:
  hq:      {{ blocks: ["6"] }}
  factory: {{ blocks: ["7"] }}
trunks:
  caller: {{ site: hq, address: ["{CALLER}:5060"], trust: ["{CALLER}/32"], calls: 4 }}
  pbx:    {{ site: hq, address: ["{PBX}:5060"], calls: 1 }}
  far:    {{ site: factory, address: ["{FAR}:5060"], calls: 1 }}
  backup: {{ site: hq, address: ["{BACKUP}:5060"] }}
  slow:   {{ site: hq, address: ["{BACKUP}:5060"], rate: 1/s }}
routes:
  - {{ match: "6", to: trunk/pbx }}
  - {{ match: "7", to: trunk/far }}
  - {{ match: "8", to: trunk/far }}
  - {{ match: "8", to: trunk/backup, priority: 20 }}
  - {{ match: "5", to: trunk/backup }}
  - {{ match: "4", to: trunk/slow }}
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


def trunk(node, name):
    return [r for r in node.ctl("trunks") if r["trunk"] == name and r["node"] == node.name][0]


def test_calls_at_a_time(cluster):
    hq, factory = cluster.nodes["hq"], cluster.nodes["factory"]
    with Peer(PBX), Peer(FAR) as far, Peer(BACKUP) as backup, Caller(CALLER, HQ) as caller:
        assert code_of(caller.invite("6100", "c1")) == 200
        full = caller.invite("6101", "c2")
        assert code_of(full) == 503 and int(header(full, "Retry-After")[0]) > 0, full
        decision = hq.ctl("route", "explain", "6101")
        assert decision[0]["code"] == 503 and decision[1]["why"] == "limit"
        assert trunk(hq, "pbx")["refused"] == 1
        assert trunk(hq, "pbx")["calls"] == 1 and trunk(hq, "pbx")["calls_limit"] == 1
        caller.bye("c1")
        assert code_of(caller.invite("6102", "c3")) == 200
        page = hq.metrics()
        assert 'tandem_trunk_calls{trunk="pbx"} 1' in page

        # at the other node: it says no, and the next target is tried, or the caller is told
        assert code_of(caller.invite("7100", "c4")) == 200
        assert trunk(factory, "far")["calls"] == 1
        refused = caller.invite("7101", "c5")
        assert code_of(refused) == 503 and header(refused, "Retry-After"), refused
        assert "limit of 1 calls" in header(refused, "Reason")[0]
        assert code_of(caller.invite("8100", "c6")) == 200
        assert len(far.got("INVITE")) == 1 and len(backup.got("INVITE")) == 1
        assert factory.counters("limits")["target_calls_reached"] == 2
        assert trunk(factory, "far")["refused"] == 2

        # the source: three calls are up
        assert code_of(caller.invite("5100", "c7")) == 200
        refused = caller.invite("5101", "c8")
        assert code_of(refused) == 503 and "trunk/caller has its limit of 4 calls" in header(refused, "Reason")[0]
        assert hq.counters("limits")["source_calls_reached"] == 1
        for call in list(caller.calls):
            caller.bye(call)
        until(lambda: trunk(hq, "caller")["calls"] == 0 and trunk(hq, "pbx")["calls"] == 0, "the calls to be uncounted")
        assert trunk(factory, "far")["calls"] == 0


def test_new_calls_in_a_second(cluster):
    hq = cluster.nodes["hq"]
    with Peer(BACKUP, INVITE=486) as backup, Caller(CALLER, HQ) as caller:
        codes = [code_of(caller.invite(f"410{i}", f"r{i}")) for i in range(4)]
        assert codes[0] == 486 and 503 in codes, codes
        let_in = len(backup.got("INVITE"))
        until(lambda: code_of(caller.invite("4109", f"s{caller.count}")) == 486, "a token to come", 10)
        assert len(backup.got("INVITE")) > let_in
        assert hq.counters("limits")["target_rate_reached"] > 0


def test_accounts_are_listed(cluster):
    hq = cluster.nodes["hq"]
    hq.apply('plan: 1\naccounts: { "6001": { password: x, calls: 2, numbers: ["99"] }, gone: { disabled: true } }\n',
             "test", "--allow", "all", name="more.yaml")
    rows = {r["account"]: r for r in hq.ctl("accounts")}
    assert rows["6001"]["state"] == "offline" and rows["6001"]["calls_limit"] == 2 and rows["6001"]["numbers"] == "99"
    assert rows["gone"]["state"] == "disabled"
