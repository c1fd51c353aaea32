"""Each way in which a node could be an open relay or a loop: nothing may leave it that the plan does not send."""
import re

import pytest

from harness.cluster import Node
from harness.raw import Call, Message, Peer
from harness.wait import until

NODE, PBX, OTHER, THIRD, STRANGER = "127.0.7.1", "127.0.7.10", "127.0.7.11", "127.0.7.77", "127.0.7.66"
PLAN = """plan: 1
defaults: { domain: relay.example, digest: [md5] }
sites:
  here: { blocks: ["6", "7"] }
trunks:
  pbx: { site: here, address: ["127.0.7.10:5060"], trust: ["127.0.7.10/32"] }
  other: { site: here, address: ["127.0.7.11:5060"], trust: ["127.0.7.11/32"] }
accounts:
  "6001": { password: "right" }
routes:
  - { match: "6", to: trunk/pbx }
  - { match: "7", to: trunk/other }
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    one = Node(tmp_path_factory.mktemp("relay"), "one", "here", NODE, mesh=False)
    one.start()
    one.apply(PLAN, "test", "--allow", "all")
    yield one
    assert one.stop() == 0, one.log_text()[-3000:]


@pytest.fixture
def peers(node):
    with Peer(PBX, node=NODE) as pbx, Peer(OTHER, node=NODE) as other, Peer(THIRD, node=NODE) as third, \
            Peer(STRANGER, node=NODE) as stranger:
        yield pbx, other, third, stranger


def nothing_came(third, node, counter=None, before=None):
    """What had to come would have come before the answer; the counter says why it did not."""
    assert third.receive(0.2) is None
    if counter:
        assert node.counter("edge", counter) > before


def refused(node, asker, third, counter, codes, *lines, uri=f"sip:6100@{NODE}", method="INVITE", **keys):
    before = node.counter("edge", counter)
    text = asker.request(method, uri, *lines, **keys)
    asker.send(text)
    answer = asker.final(call_id=Message(text.encode()).get("Call-ID"))
    if method == "INVITE":
        asker.ack(text, answer)
    assert answer.code in codes, answer.first
    nothing_came(third, node, counter, before)


def test_a_route_to_a_third_party(node, peers):
    pbx, _, third, stranger = peers
    route = f"Route: <sip:{THIRD}:5060;lr>"
    refused(node, pbx, third, "refused_foreign_route", (403,), route)
    refused(node, stranger, third, "refused_foreign_route", (403,), route)
    refused(node, pbx, third, "refused_foreign_route", (403,), f"Route: <sip:{NODE}:5060;lr>, <sip:{THIRD}:5060;lr>")


def test_a_request_uri_of_a_third_party(node, peers):
    """The plan is asked for its number; its host is no way out."""
    pbx, other, third, stranger = peers
    refused(node, stranger, third, "challenged", (407,), uri=f"sip:6100@{THIRD}")
    refused(node, pbx, third, "refused_no_target", (404,), uri=f"sip:9100@{THIRD}")
    refused(node, pbx, third, "refused_no_target", (404,), uri=f"sip:{THIRD}")
    other.send(other.request("INVITE", f"sip:6100@{THIRD}"))
    pbx.reply(pbx.expect("INVITE"), 486)
    assert other.final().code == 486
    nothing_came(third, node)


def test_maddr(node, peers):
    """maddr would name another host than the URI says."""
    pbx, other, third, _ = peers
    refused(node, pbx, third, "refused_no_target", (404,), uri=f"sip:9100@{NODE};maddr={THIRD}")
    other.send(other.request("INVITE", f"sip:6100@{NODE};maddr={THIRD}"))
    pbx.reply(pbx.expect("INVITE"), 486)
    assert other.final().code == 486
    nothing_came(third, node)
    call = Call(other, pbx, "6101")
    with_maddr = [line.replace(";lr", f";lr;maddr={THIRD}") for line in call.routes]
    other.send(call.in_dialog("INFO", routes=with_maddr))
    got = pbx.receive(1)  # the cookie is genuine: along the dialog, or nowhere, never to maddr
    assert got is None or got.method == "INFO"
    nothing_came(third, node)
    call.end()


def test_maddr_in_a_via(node, peers):
    """RFC 3261 section 18.2.2 would have the answer sent to it."""
    pbx, _, third, _ = peers
    text = pbx.request("OPTIONS", f"sip:{NODE}").replace(f"Via: SIP/2.0/UDP {PBX}:5060", f"Via: SIP/2.0/UDP {PBX}:5060;maddr={THIRD}")
    pbx.send(text)
    assert pbx.final().code == 200
    nothing_came(third, node)


def test_a_contact_that_is_our_own_address(node, peers):
    """A BYE to it would come straight back."""
    pbx, other, third, _ = peers
    call = Call(other, pbx, "6102")
    before = node.counter("edge", "refused_own_address")
    for uri in (f"sip:x@{NODE}:5060", "sip:x@relay.example", f"sip:x@{NODE};transport=tcp"):
        text = call.in_dialog("INFO", uri=uri)
        other.send(text)
        assert other.final(call_id=call.call_id).code == 404
    assert node.counter("edge", "refused_own_address") == before + 3
    call.end()
    refused(node, other, third, "challenged", (401,), f"Contact: <sip:6001@{NODE}:5060>", uri="sip:relay.example",
            method="REGISTER", contact=False)


@pytest.mark.parametrize("forge", [
    lambda route: re.sub(r"ck=([0-9a-f]{23})[0-9a-f]", r"ck=\g<1>x", route),       # one digit
    lambda route: re.sub(r"ck=[0-9a-f]+", "ck=" + "0" * 24, route),                 # another cookie
    lambda route: re.sub(r";ck=[0-9a-f]+", "", route),                              # none
    lambda route: re.sub(r"ck=[0-9a-f]+", "ck=", route),                            # an empty one
], ids=["digit", "zeros", "none", "empty"])
def test_a_forged_cookie(node, peers, forge):
    pbx, other, third, _ = peers
    call = Call(other, pbx, "6103")
    before = node.counter("edge", "refused_cookie")
    forged = [forge(line) for line in call.routes]
    malformed = any("ck=>" in line for line in forged)
    other.send(call.in_dialog("INFO", routes=forged, uri=f"sip:x@{THIRD}:5060"))
    assert other.final(call_id=call.call_id).code == (400 if malformed else 403)
    nothing_came(third, node, None if malformed else "refused_cookie", before)
    other.send(call.in_dialog("ACK", routes=forged, uri=f"sip:x@{THIRD}:5060"))
    until(lambda: node.counter("edge", "acks_dropped") > 0, "the ACK to be dropped")
    nothing_came(third, node)
    call.end()


def test_a_cookie_of_another_call(node, peers):
    pbx, other, third, _ = peers
    one, two = Call(other, pbx, "6104"), Call(other, pbx, "6105")
    before = node.counter("edge", "refused_cookie")
    other.send(two.in_dialog("INFO", routes=one.routes, uri=f"sip:x@{THIRD}:5060"))
    assert other.final(call_id=two.call_id).code == 403
    nothing_came(third, node, "refused_cookie", before)
    one.end()
    two.end()


def test_a_stranger_inside_a_dialog_that_it_knows_nothing_of(node, peers):
    _, _, third, stranger = peers
    refused(node, stranger, third, "refused_no_dialog", (481,), method="BYE", uri=f"sip:x@{THIRD}:5060",
            to="<sip:x@y>;tag=1")
    refused(node, stranger, third, "refused_cookie", (403,), f"Route: <sip:{NODE}:5060;lr>", method="BYE",
            uri=f"sip:x@{THIRD}:5060", to="<sip:x@y>;tag=1")


def test_a_response_that_nobody_asked_for(node, peers):
    """A forged Via below the topmost one would be the address that it is sent to."""
    _, _, third, stranger = peers
    before = node.counter("edge", "responses_unmatched")
    stranger.send(f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {NODE}:5060;branch=z9hG4bK0123456789abcdef.0123456789abcdef\r\n"
                  f"Via: SIP/2.0/UDP {THIRD}:5060;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n"
                  "Call-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")
    until(lambda: node.counter("edge", "responses_unmatched") > before, "the response to be counted")
    nothing_came(third, node)


def test_a_forged_transit_cookie(node, peers):
    """Who claims to be a member that picked trunk/pbx."""
    _, _, third, stranger = peers
    before = node.counter("edge", "forwarded")
    refused(node, stranger, third, "refused_transit_cookie", (403,),
            f"Route: <sip:{NODE}:5060;lr;tt=trunk/pbx;tk={'0' * 24}>")
    assert node.counter("edge", "forwarded") == before


def test_register_for_others(node, peers):
    _, _, third, stranger = peers
    refused(node, stranger, third, "refused_register_elsewhere", (403,), method="REGISTER", uri="sip:elsewhere.example")


def bounce(peer, call_id, count=100):
    """An outside system that sends everything back as it came, with a Via of its own. How often it did, and the answer."""
    for turn in range(count):
        m = peer.receive(3)
        assert m is not None, f"silence after {turn} turns"
        if m.get("Call-ID") != call_id:
            continue
        if m.code:
            if m.code >= 200:
                return turn, m
            continue
        if m.method != "INVITE":
            continue
        hops = int(m.get("Max-Forwards")) - 1
        head, _, body = m.data.decode("latin-1").partition("\r\n\r\n")
        first, _, rest = head.partition("\r\n")
        user = m.uri.split("@")[0]
        rest = re.sub(r"Max-Forwards: \d+", f"Max-Forwards: {hops}", rest)
        peer.send(f"{user}@{NODE} SIP/2.0\r\n".join(["INVITE ", f"Via: SIP/2.0/UDP {peer.host}:5060;branch=z9hG4bK-b{turn};rport\r\n{rest}\r\n\r\n{body}"]))
    raise AssertionError("it goes round for ever")


def test_a_spiral_through_an_outside_system(node, peers):
    """RFC 5393: what comes round unchanged is found by its mark long before Max-Forwards ends it."""
    pbx, other, _, _ = peers
    before = node.counter("edge", "refused_loop")
    text = other.request("INVITE", f"sip:6110@{NODE}")
    other.send(text)
    turns, answer = bounce(pbx, Message(text.encode()).get("Call-ID"))
    assert turns <= 4 and answer.code == 482, (turns, answer.first)
    assert node.counter("edge", "refused_loop") > before


def test_two_trunks_that_send_to_each_other(node, peers):
    """Each turns the number into one of the other's: every turn is another request, so Max-Forwards has the last word."""
    pbx, other, _, _ = peers
    before = node.counter("edge", "refused_max_forwards")
    text = other.request("INVITE", f"sip:6120@{NODE}", max_forwards=12)
    call_id = Message(text.encode()).get("Call-ID")
    other.send(text)
    turns, seen = 0, set()
    while True:
        mover = pbx if turns % 2 == 0 else other
        m = mover.receive(3)
        if m is None or (m.get("Call-ID") == call_id and m.code and m.code >= 200):
            break
        if m.method != "INVITE" or m.get("Call-ID") != call_id or m.get("Via") in seen:
            continue
        seen.add(m.get("Via"))  # what is sent again is no further turn
        turns += 1
        number = m.uri.split("@")[0].removeprefix("sip:")
        turned = ("7" if number[0] == "6" else "6") + number[1:] + "0"
        head, _, body = m.data.decode("latin-1").partition("\r\n\r\n")
        _, _, rest = head.partition("\r\n")
        rest = re.sub(r"Max-Forwards: (\d+)", lambda g: f"Max-Forwards: {int(g.group(1)) - 1}", rest)
        mover.send(f"INVITE sip:{turned}@{NODE} SIP/2.0\r\nVia: SIP/2.0/UDP {mover.host}:5060;branch=z9hG4bK-t{turns};rport\r\n{rest}\r\n\r\n{body}")
    assert 3 <= turns <= 7
    assert node.counter("edge", "refused_max_forwards") > before
