"""The caller's identity across nodes: asserted for an account, kept inside, hidden and stripped outside."""
import pytest

from harness.cluster import Cluster
from harness.peer import Caller, Peer, code_of, header

HQ, FACTORY = "127.0.67.1", "127.0.68.1"
PBX, CARRIER, FAR, SHUT = "127.0.67.10", "127.0.67.11", "127.0.68.10", "127.0.68.11"
PLAN = f"""plan: 1
defaults: {{ domain: test.example, digest: [md5] }}
sites:
  hq:      {{ blocks: ["6"] }}
  factory: {{ blocks: ["7"] }}
trunks:
  pbx:     {{ site: hq, address: ["{PBX}:5060"], trust: ["{PBX}/32"] }}
  carrier: {{ site: hq, address: ["{CARRIER}:5060"], trust: ["{CARRIER}/32"], identity: outside }}
  far:     {{ site: factory, address: ["{FAR}:5060"], identity: inside }}
  shut:    {{ site: factory, address: ["{SHUT}:5060"] }}
routes:
  - {{ match: "71", to: trunk/far }}
  - {{ match: "72", to: trunk/shut }}
"""
SAID = ["P-Asserted-Identity: <sip:100@pbx>", "Diversion: <sip:200@pbx>", "Privacy: id"]


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path) as two:
        hq = two.add("hq", "hq", HQ)
        two.add("factory", "factory", FACTORY, seeds=[hq.mesh])
        two.wait_linked()
        hq.apply(PLAN, "test", "--allow", "all")
        two.wait_linked()
        yield two


@pytest.mark.parametrize("caller, number, told", [(PBX, "7100", True), (PBX, "7200", False), (CARRIER, "7100", False)])
def test_across_nodes(cluster, caller, number, told):
    with Peer(FAR) as far, Peer(SHUT) as shut, Caller(caller, HQ) as phone:
        assert code_of(phone.invite(number, "c1", SAID)) == 200
        invite = (far if number == "7100" else shut).got("INVITE")[0]
        assert header(invite, "P-Asserted-Identity") == (["<sip:100@pbx>"] if told else [])
        assert header(invite, "Diversion") == (["<sip:200@pbx>"] if told else [])
        phone.bye("c1")
