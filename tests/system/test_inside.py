"""Inside a dialog nothing is reached but its other side: one call opens no door for which the plan would have been asked."""
import re

import pytest

from harness.cluster import Node
from harness.names import Names
from harness.raw import Call, Peer
from harness.wait import until

NODE, PBX, GATE, CARRIER, THIRD, NAMES = (f"127.0.81.{n}" for n in (1, 10, 11, 20, 77, 53))
PLAN = f"""plan: 1
defaults: {{ domain: inside.example, digest: [md5] }}
sites:
  here: {{ blocks: ["6"] }}
trunks:
  pbx:     {{ site: here, address: ["{PBX}:5060"], trust: ["{PBX}/32"] }}
  gate:    {{ site: here, address: ["{GATE}:5060"], trust: ["{GATE}/32"] }}
  carrier: {{ site: here, address: ["{CARRIER}:5060"] }}
  nobody:  {{ site: here, address: ["127.0.81.99:5060"], probe: 10s }}
routes:
  - {{ match: "6", to: trunk/gate }}
  - {{ match: "+", to: trunk/carrier, priority: 10 }}
"""


def knows_trunks(node):
    """All of them at once, within a second of a change."""
    until(lambda: 'tandem_trunk_up{trunk="nobody"' in node.metrics(), "the trunks to be looked after")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inside")
    with Names(folder, NAMES, {("A", "carrier.evil.example"): [CARRIER], ("A", "moved.example"): [THIRD]}) as names:
        one = Node(folder, "one", "here", NODE, mesh=False)
        one.prefix = names.prefix()
        one.start()
        one.apply(PLAN, "test", "--allow", "all")
        knows_trunks(one)
        yield one
        assert one.stop() == 0, one.log_text()[-3000:]


@pytest.fixture
def peers(node):
    with Peer(PBX, node=NODE) as pbx, Peer(GATE, node=NODE) as gate, Peer(CARRIER, node=NODE) as carrier, \
            Peer(THIRD, node=NODE) as third:
        yield pbx, gate, carrier, third


def nothing_begins(peer):
    """What may come is the ACK of a call that names it."""
    while (m := peer.receive(0.2)) is not None:
        assert m.method == "ACK", m.data


class CallTo(Call):
    """The callee says in its answer that it is at contact."""

    def __init__(self, caller, callee, number, contact):
        reply = callee.reply
        callee.reply = lambda request, code, *lines, **keys: reply(request, code, *lines, contact=contact, **keys)
        expect = callee.expect
        callee.expect = lambda what, **keys: expect(what, **keys) if what == "INVITE" else None  # the ACK goes to contact
        super().__init__(caller, callee, number)
        callee.reply, callee.expect = reply, expect


def asks(call, method="INFO", **keys):
    """The code of the final answer."""
    text = call.in_dialog(method, **keys)
    call.caller.send(text)
    return call.caller.final(call_id=call.call_id).code


@pytest.mark.parametrize("contact", [f"sip:+4990012345@{CARRIER}:5060", f"sip:+4990012345@{CARRIER}:5090",
                                     "sip:+4990012345@carrier.evil.example:5060"], ids=["address", "port", "name"])
def test_who_says_that_he_is_a_trunk(node, peers, contact):
    """Both sides of a call are in it together: that way the carrier would be called at somebody's cost."""
    pbx, gate, carrier, _ = peers
    call = CallTo(pbx, gate, "6100", contact)
    before = node.counter("edge", "refused_elsewhere")
    for method in ("INVITE", "MESSAGE", "REFER"):
        assert asks(call, method) == 403
    assert node.counter("edge", "refused_elsewhere") == before + 3
    nothing_begins(carrier)


def test_the_trunk_of_the_call_itself(node, peers):
    pbx, _, carrier, _ = peers
    call = Call(pbx, carrier, "+4930123")
    pbx.send(call.in_dialog("INFO"))
    carrier.reply(carrier.expect("INFO", call_id=call.call_id), 200)
    assert pbx.final(call_id=call.call_id).code == 200
    call.end()


@pytest.mark.parametrize("place", [THIRD, "moved.example"], ids=["address", "name"])
def test_a_side_that_is_met_where_it_says(node, peers, place):
    pbx, gate, _, third = peers
    call = CallTo(pbx, gate, "6101", f"sip:callee@{place}:5060")
    third.expect("ACK", call_id=call.call_id)
    pbx.send(call.in_dialog("INFO"))
    third.reply(third.expect("INFO", call_id=call.call_id), 200)
    assert pbx.final(call_id=call.call_id).code == 200
    assert asks(call, uri=f"sip:callee@{place}:5070") == 403
    call.callee = third
    call.end()


def test_the_other_side_of_a_call_from_before_a_restart(node, peers):
    """What the sides said is not known any more; that a trunk is none of them is."""
    pbx, gate, carrier, third = peers
    call = CallTo(pbx, gate, "6102", f"sip:callee@{THIRD}:5060")
    third.expect("ACK", call_id=call.call_id)
    assert node.stop() == 0
    node.start()
    knows_trunks(node)
    pbx.send(call.in_dialog("INFO"))
    third.reply(third.expect("INFO", call_id=call.call_id), 200)
    assert pbx.final(call_id=call.call_id).code == 200
    assert asks(call, uri=f"sip:+4990012345@{CARRIER}:5060") == 403
    nothing_begins(carrier)
    # What one message says since is not all that there was.
    back = [f"Route: {value}" for value in call.invite.all("Record-Route")]
    third.send(third.request("INFO", f"sip:100@{PBX}:5060", *back, f"Contact: <sip:media@{GATE}:5080>", call_id=call.call_id,
                             from_=call.to, to=call.from_, cseq=7, contact=False))
    pbx.reply(pbx.expect("INFO", call_id=call.call_id), 200)
    third.expect(200, call_id=call.call_id)
    pbx.send(call.in_dialog("INFO", cseq=3))
    third.reply(third.expect("INFO", call_id=call.call_id), 200)
    assert pbx.final(call_id=call.call_id).code == 200
    call.callee = third
    call.end()
    record = next(r for r in node.ctl("calls") if r["call_id"] == call.call_id)
    assert record["state"] == "ended" and re.search("caller hung up", record["reason"]), record
