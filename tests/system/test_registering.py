"""A carrier by registration: Kamailio is its registrar, two nodes of one site share what only one may hold, and a third node
at another site calls through it."""
import re
import time

import pytest

from harness.cluster import Cluster
from harness.raw import Call, Message, Peer
from harness.registrar import Registrar
from harness.wait import until

ONE, TWO, FAR = "127.0.13.1", "127.0.13.2", "127.0.14.1"
CARRIER, PHONE, PBX, CALLER, STRANGER = "127.0.13.20", "127.0.13.30", "127.0.13.10", "127.0.14.10", "127.0.13.40"
USER = "493012340"
PLAN = f"""plan: 1
defaults: {{ domain: test.example, digest: [md5] }}
sites:
  hq:  {{ blocks: ["6"] }}
  far: {{ blocks: ["7"] }}
trunks:
  pbx:    {{ site: hq, address: ["{PBX}:5060"], trust: ["{PBX}/32"] }}
  caller: {{ site: far, address: ["{CALLER}:5060"], trust: ["{CALLER}/32"] }}
  carrier:
    site: hq
    address: ["{CARRIER}:5060"]
    register: {{ user: "{USER}", domain: carrier.example, login: u49301, password: secret, expires: 60s }}
    in: [ {{ match: "+49301234", strip: 9, prepend: "6" }}, {{ match: "{USER}", strip: 9, prepend: "6000" }} ]
  stream:
    site: hq
    address: ["{CARRIER}:5060"]
    transport: tcp
    register: {{ user: "493015", domain: carrier.example, login: u49301, password: secret, expires: 60s }}
    in: [ {{ match: "493015", strip: 6, prepend: "6500" }} ]
routes:
  - {{ match: "6", to: trunk/pbx }}
  - {{ match: "7", to: trunk/caller }}
  - {{ match: "0", to: trunk/carrier, strip: 1 }}
  - {{ match: "9", to: trunk/stream, strip: 1 }}
"""


@pytest.fixture(scope="module")
def carrier(tmp_path_factory):
    with Registrar(tmp_path_factory.mktemp("carrier"), CARRIER, PHONE, r"^127\.0\.13\.[12]$", EXPIRES_MAX=3) as registrar:
        yield registrar


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, carrier):
    with Cluster(tmp_path_factory.mktemp("cluster")) as three:
        one = three.add("one", "hq", ONE)
        three.add("two", "hq", TWO, seeds=[one.mesh], start=False)
        three.add("far", "far", FAR, seeds=[one.mesh], start=False)
        for name in ("two", "far"):
            three.nodes[name].start(wait=False)
        three.wait_linked()
        one.apply(PLAN)
        yield three
    assert carrier.contacts() == []  # whoever ends gives back what it holds


def words(node, trunk="carrier"):
    """What the nodes say of the registration, as node shows it: by node."""
    return {r["node"]: r for r in node.ctl("trunks") if r["trunk"] == trunk and r["what"] == "registration"}


def holder(cluster, trunk="carrier", of=None, timeout=15):
    """The one node that is registered, once all running nodes agree on that."""
    def look():
        running = [n for n in cluster.nodes.values() if n.running()]
        seen = [[(name, r["state"]) for name, r in words(n, trunk).items() if r["state"] != "stale"] for n in running]
        assert all(len(s) == 1 and s == seen[0] and s[0][1] == "registered" for s in seen), seen
        assert of is None or seen[0][0][0] in of, seen
        return cluster.nodes[seen[0][0][0]]
    return until(look, f"one node to hold {trunk}", timeout)


def contacts(carrier, user=USER):
    return [c for c in carrier.contacts() if f"sip:{user}@" in c["Address"]]


def other(cluster, node):
    return cluster.nodes["two" if node.name == "one" else "one"]


def set_carrier(node, password="secret", expires="60s"):
    path = node.folder / "password"
    path.write_text(password + "\n")
    node.run("trunk", "set", "carrier", "--register-password-file", path, "--register-expires", expires)


def test_registered_once(cluster, carrier):
    node = holder(cluster)
    bound = contacts(carrier)
    assert len(bound) == 1 and f"@{node.address}:5060" in bound[0]["Address"]
    assert re.search(r";line=[0-9a-f]{32}$", bound[0]["Address"])
    row = words(node)[node.name]
    assert row["address"] == f"{USER}@carrier.example" and row["reason"] == "200 OK" and row["since"] < row["expires"]
    assert words(cluster.nodes["far"])[node.name]["since"] == row["since"]
    page = node.metrics()
    assert 'tandem_trunk_registered{trunk="carrier"} 1' in page
    assert 'tandem_trunk_registration_left_seconds{trunk="carrier"}' in page
    assert "secret" not in node.run("plan", "show").stdout and "password: (set)" in node.run("plan", "show").stdout
    # refreshed in time by the same node; nobody hears of that
    serial = bound[0]["CSeq"]
    until(lambda: contacts(carrier)[0]["CSeq"] > serial, "a refresh", 15)
    assert words(node)[node.name]["since"] == row["since"] and len(contacts(carrier)) == 1


@pytest.mark.parametrize("trunk,user,number", [("carrier", USER, "6000"), ("stream", "493015", "6500")])
def test_a_call_to_what_we_registered(cluster, carrier, trunk, user, number):
    node = holder(cluster, trunk)
    with Peer(PHONE, node=CARRIER) as phone, Peer(PBX, node=node.address) as pbx:
        call = Call(phone, pbx, user)
        assert f"sip:{number}@" in call.invite.uri
        call.end()


def test_the_number_that_was_called(cluster, carrier):
    """Of the To header, which the caller writes, only numbers of the trunk's in rules are believed."""
    node = holder(cluster)
    with Peer(PHONE, node=CARRIER) as phone, Peer(PBX, node=node.address) as pbx:
        for to, number in (("+49301234567", "6567"), ("00900123", "6000"), ("6999", "6000")):
            text = phone.request("INVITE", f"sip:{USER}@{CARRIER}", to=f"<sip:{to}@carrier.example>")
            phone.send(text)
            invite = pbx.expect("INVITE", call_id=Message(text.encode()).get("Call-ID"))
            assert f"sip:{number}@" in invite.uri
            pbx.reply(invite, 486)
            phone.ack(text, phone.expect(486))


def test_nobody_else_gets_in(cluster, carrier):
    node = holder(cluster)
    contact = contacts(carrier)[0]["Address"]
    before = node.counter("client", "requests_in_elsewhere")
    with Peer(STRANGER, node=node.address) as stranger, Peer(PBX) as pbx:
        assert stranger.ask("INVITE", contact).code == 407  # it knows the contact, and is not the registrar
        assert node.counter("client", "requests_in_elsewhere") == before + 1
        assert stranger.ask("INVITE", re.sub("line=.*", "line=" + "0" * 32, contact)).code == 407
        assert pbx.receive(0.1) is None
    with Peer(CARRIER, 5070, node=node.address) as near:  # the registrar's address, and not our contact
        assert near.ask("INVITE", f"sip:{USER}@{node.address}").code == 407
        assert near.ask("INVITE", re.sub("line=.*", "line=" + "0" * 32, contact)).code == 407
        assert near.ask("OPTIONS", contact).code == 200


@pytest.mark.parametrize("trunk,prefix", [("carrier", "0"), ("stream", "9")])
def test_a_call_through_it(cluster, carrier, trunk, prefix):
    """From the other site and from this one: by the node that is registered, which answers the carrier's challenge."""
    node = holder(cluster, trunk)
    far = cluster.nodes["far"]
    decided = [r for r in far.ctl("route", "explain", prefix + "123") if r["kind"] == "candidate" and r["place"]]
    assert [(r["target"], r["node"]) for r in decided] == [(f"trunk/{trunk}", node.name)]
    before = node.counter("client", "calls_challenged")
    with Peer(PHONE, node=CARRIER) as phone, Peer(CALLER, node=FAR) as caller:
        call = Call(caller, phone, prefix + "123")
        assert call.invite.uri == "sip:123@carrier.example" + (";transport=tcp" if trunk == "stream" else "")
        assert call.invite.get("Proxy-Authorization") is None  # the carrier has taken it
        call.end()
    near = other(cluster, node)
    with Peer(PHONE, node=CARRIER) as phone, Peer(PBX, node=near.address) as pbx:
        Call(pbx, phone, prefix + "123").end()
    assert node.counter("client", "calls_challenged") == before + 2


def test_a_wrong_password(cluster, carrier):
    node = holder(cluster)
    set_carrier(node, "wrong")
    refused = until(lambda: [r for r in words(cluster.nodes["far"]).values() if r["state"] == "refused"], "a refusal")[0]
    assert refused["reason"] == "user or password is wrong: 401 Unauthorized"
    lost = [r for r in cluster.nodes["far"].ctl("route", "explain", "0123") if r.get("why") == "down"]
    assert "not registered: " in lost[0]["text"] and "password is wrong" in lost[0]["text"]
    set_carrier(node)
    assert holder(cluster) is node


def test_a_registrar_that_wants_more_time(cluster, carrier):
    carrier.stop()
    carrier.start(EXPIRES_MIN=90, EXPIRES_MAX=100, ALGORITHM="SHA-256")
    node = holder(cluster)
    set_carrier(node, expires="61s")
    until(lambda: [c for c in contacts(carrier) if c["Expires"] > 60], "a longer time", 15)
    holder(cluster)


def test_a_registrar_that_is_away(cluster, carrier):
    """It forgets everything, and is away until the time that it granted is over."""
    carrier.stop()
    carrier.start(EXPIRES_MIN=1, EXPIRES_MAX=2, ALGORITHM="")
    node = holder(cluster)
    set_carrier(node)
    until(lambda: contacts(carrier) and contacts(carrier)[0]["Expires"] <= 2, "a short time", 15)
    carrier.stop()  # perhaps with a REGISTER in its hands, which it then does not answer
    until(lambda: [r for r in words(node).values() if (r["state"], r["reason"]) == ("trying", "nothing listens there")],
          "the end of the time granted", 30)
    carrier.start(EXPIRES_MAX=3)
    assert holder(cluster, timeout=30) is node
    assert len(contacts(carrier)) == 1


def test_drained_nodes_give_it_back(cluster, carrier):
    node = holder(cluster)
    node.run("node", "drain")
    second = holder(cluster, of=[other(cluster, node).name])
    assert [second.address in c["Address"] for c in contacts(carrier)] == [True]
    second.run("node", "drain")
    until(lambda: contacts(carrier) == [], "nobody to hold it")
    for one in (node, second):
        one.run("node", "drain", "--off")
    holder(cluster)
    assert len(contacts(carrier)) == 1


def test_the_holder_dies(cluster, carrier):
    """Another node takes over within 5 s of its death being known, and keeps it when the first is back."""
    node = holder(cluster)
    second = other(cluster, node)
    node.kill()
    until(lambda: second.nodes()[node.name]["status"] == "dead", "its death to be known", 15)
    known = time.monotonic()
    until(lambda: [c for c in contacts(carrier) if second.address in c["Address"]], "the other to register", 10)
    assert time.monotonic() - known < 5
    assert holder(cluster) is second
    assert len(contacts(carrier)) == 1
    with Peer(PHONE, node=CARRIER) as phone, Peer(CALLER, node=FAR) as caller:
        Call(caller, phone, "0123").end()
    node.start()
    cluster.wait_linked()
    until(lambda: f'ev=let-go trunk=carrier why="held by {second.name}"' in node.log_text(), "it to let go of its old claim", 10)
    assert holder(cluster) is second and len(contacts(carrier)) == 1
    assert "ev=claimed trunk=carrier" not in node.log_text().rsplit("ev=ready", 1)[1]
