"""What a call may carry passes a node in both directions, over IPv4 and IPv6, and by TCP where UDP is too small."""
import contextlib
import re
import socket

import pytest

from harness.cluster import Node
from harness.raw import Call, Message, Peer, Stream


HOSTS = {  # node, caller, callee: of IPv6 there is one address on this network, so the ports tell them apart
    "IPv4": (("127.0.8.1", 5060), ("127.0.8.11", 5060), ("127.0.8.10", 5060)),
    "IPv6": (("::1", 5060), ("::1", 5071), ("::1", 5070)),
}


def literal(host):
    return f"[{host}]" if ":" in host else host


def plan(caller, callee):
    bits = 128 if ":" in caller[0] else 32
    return f"""plan: 1
defaults: {{ domain: methods.example, digest: [md5] }}
sites:
  here: {{ blocks: ["6", "7"] }}
trunks:
  other: {{ site: here, address: ["{literal(caller[0])}:{caller[1]}"], trust: ["{caller[0]}/{bits}"] }}
  pbx: {{ site: here, address: ["{literal(callee[0])}:{callee[1]}"] }}
routes:
  - {{ match: "6", to: trunk/pbx }}
  - {{ match: "7", to: trunk/other }}
"""


@pytest.fixture(scope="module", params=HOSTS)
def world(request, tmp_path_factory):
    """The node, caller and callee."""
    at, caller_at, callee_at = HOSTS[request.param]
    address = literal(at[0])
    node = Node(tmp_path_factory.mktemp("methods"), "one", "here", address, mesh=False).start()
    node.apply(plan(caller_at, callee_at), "test", "--allow", "all")
    with Peer(*caller_at, node=address) as caller, Peer(*callee_at, node=address) as callee:
        yield node, caller, callee
    assert node.stop() == 0, node.log_text()[-3000:]


@pytest.fixture
def call(world):
    _, caller, callee = world
    one = Call(caller, callee, "6100")
    yield one
    one.end()


@pytest.mark.parametrize("method", ["INFO", "UPDATE", "REFER", "MESSAGE", "SUBSCRIBE", "NOTIFY", "OPTIONS", "NEWTHING"])
def test_inside_a_dialog(world, call, method):
    _, caller, callee = world
    body = "x" * 40
    caller.send(call.in_dialog(method, "X-Kept: a,b;c=\"d\"", body=body))
    got = callee.expect(method, call_id=call.call_id)
    assert got.get("X-Kept") == 'a,b;c="d"' and got.body == body and got.get("Max-Forwards") == "69"
    callee.reply(got, 202, "X-Back: 1")
    assert caller.expect(202, call_id=call.call_id).get("X-Back") == "1"


def test_inside_a_dialog_from_the_callee(world, call):
    _, caller, callee = world
    routes = [f"Route: {value}" for value in call.invite.all("Record-Route")]
    contact = re.search(r"<([^>]+)>", call.invite.get("Contact")).group(1)
    to = call.invite.get("From")
    from_ = call.answer.get("To")
    callee.send(callee.request("NOTIFY", contact, *routes, call_id=call.call_id, from_=from_, to=to, cseq=77))
    got = caller.expect("NOTIFY", call_id=call.call_id)
    caller.reply(got, 200)
    assert callee.expect(200, call_id=call.call_id).get("CSeq") == "77 NOTIFY"


def test_a_call_is_changed(world, call):
    """re-INVITE and its ACK."""
    _, caller, callee = world
    caller.send(call.in_dialog("INVITE", cseq=3))
    callee.reply(callee.expect("INVITE", call_id=call.call_id), 200)
    caller.expect(200, call_id=call.call_id)
    caller.send(call.in_dialog("ACK", cseq=3).replace("CSeq: 3 ACK", "CSeq: 3 ACK"))
    assert callee.expect("ACK", call_id=call.call_id).get("CSeq") == "3 ACK"


def test_reliable_provisional_answers_and_early_ends(world):
    """RFC 3262 and RFC 6228: 183 with RSeq, PRACK inside the early dialog, 199."""
    node, caller, callee = world
    text = caller.request("INVITE", f"sip:6101@{node.address}", "Supported: 100rel, 199", "Require: 100rel")
    sent = Message(text.encode())
    caller.send(text)
    invite = callee.expect("INVITE", call_id=sent.get("Call-ID"))
    callee.reply(invite, 183, "Require: 100rel", "RSeq: 5", tag="early")
    early = caller.expect(183, call_id=sent.get("Call-ID"))
    assert early.get("RSeq") == "5"
    routes = [f"Route: {value}" for value in reversed(early.all("Record-Route"))]
    target = re.search(r"<([^>]+)>", early.get("Contact")).group(1)
    caller.send(caller.request("PRACK", target, *routes, "RAck: 5 1 INVITE", call_id=sent.get("Call-ID"), from_=sent.get("From"),
                               to=early.get("To"), cseq=2))
    prack = callee.expect("PRACK", call_id=sent.get("Call-ID"))
    assert prack.get("RAck") == "5 1 INVITE"
    callee.reply(prack, 200)
    assert caller.expect(200).get("CSeq") == "2 PRACK"
    callee.reply(invite, 199, 'Reason: SIP;cause=486;text="busy"', tag="early")
    assert "486" in caller.expect(199).get("Reason")
    callee.reply(invite, 486, tag="early")
    caller.ack(text, caller.expect(486))
    callee.expect("ACK", call_id=sent.get("Call-ID"))


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "INFO", "PUBLISH", "NEWTHING"])
def test_outside_a_dialog(world, method):
    node, caller, callee = world
    text = caller.request(method, f"sip:6102@{node.address}", "Content-Type: text/plain", body="hello")
    caller.send(text)
    got = callee.expect(method)
    assert got.body == "hello" and got.get("Max-Breadth") == "60"
    callee.reply(got, 200)
    assert caller.final().code == 200


def test_a_subscription(world):
    """SUBSCRIBE, and the NOTIFY that comes back along the Record-Route."""
    node, caller, callee = world
    text = caller.request("SUBSCRIBE", f"sip:6103@{node.address}", "Event: presence", "Expires: 60")
    sent = Message(text.encode())
    caller.send(text)
    got = callee.expect("SUBSCRIBE", call_id=sent.get("Call-ID"))
    callee.reply(got, 200, "Expires: 60", tag="watched")
    caller.expect(200, call_id=sent.get("Call-ID"))
    routes = [f"Route: {value}" for value in got.all("Record-Route")]
    contact = re.search(r"<([^>]+)>", got.get("Contact")).group(1)
    callee.send(callee.request("NOTIFY", contact, *routes, "Event: presence", "Subscription-State: active", call_id=sent.get("Call-ID"),
                               from_=got.get("To") + ";tag=watched", to=sent.get("From"), cseq=9))
    caller.reply(caller.expect("NOTIFY", call_id=sent.get("Call-ID")), 200)
    assert callee.expect(200, call_id=sent.get("Call-ID")).get("CSeq") == "9 NOTIFY"


def without_length(text):
    return re.sub("Content-Length: [0-9]+\r\n", "", text)


@contextlib.contextmanager
def listening(callee):
    """What takes the next connection that the node makes to the callee."""
    family = socket.AF_INET6 if ":" in callee.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((callee.address, callee.port))
        listener.listen()
        listener.settimeout(10)
        yield lambda: Stream(listener.accept()[0])


def test_a_stream_is_told_the_length(world):
    """RFC 3261 section 16.6 item 9: a datagram may do without Content-Length, what leaves by a stream may not."""
    node, caller, callee = world
    with listening(callee) as accept:
        caller.send(without_length(caller.request("MESSAGE", f"sip:6105@{node.address}", body="z" * 1200)))
        with accept() as stream:
            got = stream.receive()
            assert got.body == "z" * 1200
            stream.answer(got, 200)
            assert caller.final().code == 200
    with Stream(socket.create_connection((caller.node.strip("[]"), 5060), 10, (caller.address, 0))) as stream:
        stream.send(caller.request("MESSAGE", f"sip:6106@{node.address}").replace("SIP/2.0/UDP", "SIP/2.0/TCP"))
        got = callee.expect("MESSAGE")
        kept = [f"{name}: {value}" for name, value in got.lines if name in ("Via", "From", "To", "Call-ID", "CSeq")]
        callee.send("\r\n".join(["SIP/2.0 200 OK", *kept, "", "told"]), got.source)
        assert stream.receive().body == "told"


def test_too_large_for_udp(world):
    """RFC 3261 section 18.1.1: over 1300 bytes by TCP, where the other side takes it."""
    node, caller, callee = world
    with listening(callee) as accept:
        caller.send(caller.request("MESSAGE", f"sip:6104@{node.address}", body="x" * 2000))
        with accept() as stream:
            got = stream.receive()
            assert got.body == "x" * 2000 and got.get("Via").startswith("SIP/2.0/TCP")
            stream.answer(got, 200)
            assert caller.final().code == 200
