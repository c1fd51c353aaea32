"""Kamailio as the peer of a trunk, in both directions: calls, changes, ends from either side, refusals, CANCEL."""
import pathlib
import re
import subprocess

import pytest

from harness.cluster import Node
from harness.raw import Call, Message, Peer
from harness.sipp import listening
from harness.wait import end, until

NODE, KAMAILIO, PHONE, OTHER = "127.0.12.1", "127.0.12.20", "127.0.12.30", "127.0.12.11"
HERE = pathlib.Path(__file__).resolve().parent
PLAN = """plan: 1
defaults: { domain: peer.example, digest: [md5] }
sites:
  here: { blocks: ["6", "7"] }
trunks:
  other: { site: here, address: ["127.0.12.11:5060"], trust: ["127.0.12.11/32"] }
  kamailio: { site: here, address: ["127.0.12.20:5060"], transport: TRANSPORT, trust: ["127.0.12.20/32"] }
routes:
  - { match: "6", to: trunk/other }
  - { match: "7", to: trunk/kamailio }
"""


@pytest.fixture(scope="module", params=["udp", "tcp"])
def node(request, tmp_path_factory):
    """A node and Kamailio, linked by that transport."""
    folder = tmp_path_factory.mktemp("kamailio")
    one = Node(folder, "one", "here", NODE, mesh=False).start()
    one.apply(PLAN.replace("TRANSPORT", request.param), "test", "--allow", "all")
    text = (HERE / "kamailio.cfg").read_text()
    for word, value in (("OWN", KAMAILIO), ("NODE", NODE), ("PHONE", PHONE),
                        ("TRANSPORT", ";transport=tcp" if request.param == "tcp" else "")):
        text = re.sub(rf"\b{word}\b" if word != "TRANSPORT" else word, value, text)
    (folder / "kamailio.cfg").write_text(text)
    with (folder / "kamailio.log").open("wb") as log:
        other = subprocess.Popen(["kamailio", "-f", folder / "kamailio.cfg", "-DD", "-E", "-w", folder, "-Y", folder, "-P",
                                  folder / "pid", "-m", "64"], start_new_session=True, stdout=log, stderr=log)
    try:
        until(lambda: listening(KAMAILIO, 5060) or other.poll() is not None, "kamailio to listen", 20)
        assert other.poll() is None, (folder / "kamailio.log").read_text(errors="replace")[-2000:]
        yield one
        assert one.stop() == 0, one.log_text()[-3000:]
    finally:
        end(other)


@pytest.fixture(params=["from kamailio", "to kamailio"])
def sides(request, node):
    """Caller, callee and the number: the phone stands behind Kamailio, the other trunk behind the node."""
    with Peer(PHONE, node=KAMAILIO) as phone, Peer(OTHER, node=NODE) as other:
        yield (phone, other, "6100") if request.param == "from kamailio" else (other, phone, "7100")


def test_a_call(node, sides):
    caller, callee, number = sides
    call = Call(caller, callee, number)
    assert len(call.invite.all("Record-Route")) >= 2
    caller.send(call.in_dialog("INVITE", cseq=3))
    callee.reply(callee.expect("INVITE", call_id=call.call_id), 200)
    caller.expect(200, call_id=call.call_id)
    caller.send(call.in_dialog("ACK", cseq=3))
    assert callee.expect("ACK", call_id=call.call_id).get("CSeq") == "3 ACK"
    call.end()


def test_the_callee_hangs_up(node, sides):
    caller, callee, number = sides
    call = Call(caller, callee, number)
    routes = [f"Route: {value}" for value in call.invite.all("Record-Route")]
    contact = re.search(r"<([^>]+)>", call.invite.get("Contact")).group(1)
    callee.send(callee.request("BYE", contact, *routes, call_id=call.call_id, from_=call.to, to=call.from_, cseq=5))
    caller.reply(caller.expect("BYE", call_id=call.call_id), 200)
    callee.expect(200, call_id=call.call_id)


def test_busy(node, sides):
    caller, callee, number = sides
    text = caller.request("INVITE", f"sip:{number}@{caller.node}")
    call_id = Message(text.encode()).get("Call-ID")
    caller.send(text)
    callee.reply(callee.expect("INVITE", call_id=call_id), 486)
    caller.ack(text, caller.expect(486, call_id=call_id))
    callee.expect("ACK", call_id=call_id)


def test_the_caller_gives_up(node, sides):
    caller, callee, number = sides
    text = caller.request("INVITE", f"sip:{number}@{caller.node}")
    sent = Message(text.encode())
    call_id = sent.get("Call-ID")
    caller.send(text)
    invite = callee.expect("INVITE", call_id=call_id)
    callee.reply(invite, 180)
    caller.expect(180, call_id=call_id)
    caller.send("\r\n".join([f"CANCEL {sent.uri} SIP/2.0", f"Via: {sent.get('Via')}", f"From: {sent.get('From')}",
                             f"To: {sent.get('To')}", f"Call-ID: {call_id}", "CSeq: 1 CANCEL", "Max-Forwards: 70",
                             "Content-Length: 0", "", ""]))
    callee.reply(callee.expect("CANCEL", call_id=call_id), 200)
    callee.reply(invite, 487)
    caller.ack(text, caller.expect(487, call_id=call_id))
    callee.expect("ACK", call_id=call_id)
