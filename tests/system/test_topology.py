"""A trunk that is shown nothing: no address of those behind the node reaches it, in either direction, and what it sends in a
dialog finds them, also after the node was killed."""
import re

import pytest

from harness.cluster import Node
from harness.raw import Call, Peer

NODE, INSIDE, CARRIER = "127.0.72.1", "127.0.72.10", "127.0.72.20"
PLAN = f"""plan: 1
defaults: {{ domain: test.example, digest: [md5] }}
sites:
  hq: {{ blocks: ["6"] }}
trunks:
  inside:  {{ site: hq, address: ["{INSIDE}:5060"], trust: ["{INSIDE}/32"] }}
  carrier: {{ site: hq, address: ["{CARRIER}:5060"], trust: ["{CARRIER}/32"], hide: true }}
routes:
  - {{ match: "6", to: trunk/inside }}
  - {{ match: "+", to: trunk/carrier }}
"""
BEHIND = "10.77.0."


class Sides:
    """Every message to the carrier is looked at."""

    def __init__(self, inside, carrier):
        self.inside, self.carrier = inside, carrier
        receive = carrier.receive

        def look(timeout=5):
            m = receive(timeout)
            if m is not None:
                text = m.data.decode("latin-1")
                head = text.replace(m.get("From") or "", "").replace(m.get("To") or "", "").replace(m.get("Call-ID") or "", "")
                assert INSIDE not in head and BEHIND not in head, text
            return m
        carrier.receive = look


class BehindProxies(Call):
    """Two proxies stand between the caller and the node, and have been met already by what arrives there."""

    def __init__(self, inside, carrier):
        super().__init__(inside, carrier, "+49301234", f"Via: SIP/2.0/UDP {BEHIND}5:5060;branch=z9hG4bKphone",
                         f"Record-Route: <sip:{INSIDE};lr;of=inside>, <sip:{BEHIND}9;lr>")

    def in_dialog(self, method, *lines, **keys):
        return super().in_dialog(method, *lines, routes=[r for r in self.routes if ";ck=" in r], **keys)


@pytest.fixture
def node(tmp_path):
    one = Node(tmp_path, "one", "hq", NODE, mesh=False).start()
    one.apply(PLAN, "test", "--allow", "all")
    yield one
    assert one.stop() == 0, one.log_text()[-3000:]


def restarted(node):
    node.kill()
    node.start()


def test_a_call_to_it(node):
    with Peer(INSIDE, node=NODE) as inside, Peer(CARRIER, node=NODE) as carrier:
        Sides(inside, carrier)
        call = BehindProxies(inside, carrier)
        assert len(call.invite.all("Via")) == 1
        assert call.answer.all("Via")[1] == f"SIP/2.0/UDP {BEHIND}5:5060;branch=z9hG4bKphone"
        assert call.answer.all("Record-Route")[1:] == [f"<sip:{INSIDE};lr;of=inside>, <sip:{BEHIND}9;lr>"]
        restarted(node)
        inside.send(call.in_dialog("INVITE", cseq=3))
        again = carrier.expect("INVITE", call_id=call.call_id)
        assert again.get("Contact") == call.invite.get("Contact")
        carrier.reply(again, 200)
        inside.expect(200, call_id=call.call_id)
        inside.send(call.in_dialog("ACK", cseq=3))
        carrier.expect("ACK", call_id=call.call_id)
        # From the carrier: the way back is as it was.
        target = re.search(r"<([^>]+)>", call.invite.get("Contact")).group(1)
        assert target.startswith("sip:th.") and f"@{NODE}:5060" in target
        routes = [f"Route: {value}" for value in call.invite.all("Record-Route")]
        carrier.send(carrier.request("BYE", target, *routes, call_id=call.call_id, from_=call.to, to=call.from_, cseq=7))
        bye = inside.expect("BYE", call_id=call.call_id)
        assert bye.uri == f"sip:100@{INSIDE}:5060"
        assert bye.all("Route") == [f"<sip:{INSIDE};lr;of=inside>, <sip:{BEHIND}9;lr>"]
        inside.reply(bye, 200)
        carrier.expect(200, call_id=call.call_id)


def test_a_call_from_it(node):
    with Peer(INSIDE, node=NODE) as inside, Peer(CARRIER, node=NODE) as carrier:
        Sides(inside, carrier)
        call = Call(carrier, inside, "6100")
        assert call.target.startswith("sip:th.")
        assert call.invite.get("Contact") == f"<sip:100@{CARRIER}:5060>"
        restarted(node)
        carrier.send(call.in_dialog("INVITE", cseq=3))
        again = inside.expect("INVITE", call_id=call.call_id)
        assert again.uri == f"sip:callee@{INSIDE}:5060"
        inside.reply(again, 200)
        answer = carrier.expect(200, call_id=call.call_id)
        assert answer.get("Contact") == call.answer.get("Contact")
        carrier.send(call.in_dialog("ACK", cseq=3))
        inside.expect("ACK", call_id=call.call_id)
        call.end()


def test_sent_to_a_hidden_contact(node):
    """The carrier transfers a call to the Contact that it was given: the plan says where its number is."""
    with Peer(INSIDE, node=NODE) as inside, Peer(CARRIER, node=NODE) as carrier:
        Sides(inside, carrier)
        call = Call(inside, carrier, "+49301234")
        contact = re.search(r"<([^>]+)>", call.invite.get("Contact")).group(1)
        carrier.send(carrier.request("INVITE", contact, "Replaces: x;to-tag=a;from-tag=b"))
        refused = carrier.final()
        assert refused.code == 404  # 100 is a number of nobody
        assert "100" in [r["to"] for r in node.ctl("calls")]
        carrier.send(carrier.request("INVITE", contact.replace("sip:th.", "sip:th.x")))
        assert carrier.final().code == 404
        assert node.counter("edge", "refused_cloak") == 1
