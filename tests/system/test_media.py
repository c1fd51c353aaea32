"""The media of a site that wants it relayed goes through rtpengine: whatever message the offer and the answer are in."""
import json
import re
import socket

import pytest

from harness import tone
from harness.cluster import Cluster, Node
from harness.phone import Phone
from harness.raw import Message, Peer, Stream
from harness.rtpengine import Relay
from harness.wait import until

NODE, RELAY, PBX, GATE, BEHIND, BY_TCP, STRANGER = (f"127.0.83.{n}" for n in (1, 5, 10, 11, 12, 13, 66))
FAR, FAR_RELAY = "127.0.84.1", "127.0.84.5"
PLAN = f"""plan: 1
defaults: {{ domain: media.example, digest: [md5] }}
sites:
  here: {{ blocks: ["6"], media: relay }}
trunks:
  pbx:  {{ site: here, address: ["{PBX}:5060"], trust: ["{PBX}/32"] }}
  gate: {{ site: here, address: ["{GATE}:5060"], trust: ["{GATE}/32"] }}
  behind: {{ site: here, address: ["{BEHIND}:5060"] }}
  by-tcp: {{ site: here, address: ["{BY_TCP}:5060"], transport: tcp }}
accounts:
  "6001": {{ password: "one" }}
  "6002": {{ password: "two" }}
routes:
  - {{ match: "8", to: trunk/gate }}
  - {{ match: "9", to: trunk/behind }}
  - {{ match: "5", to: trunk/by-tcp }}
"""
TWO = PLAN.replace("  here:", """  far:  { blocks: ["7"], media: relay }
  here:""").replace("gate: { site: here", "gate: { site: far")
SDP = "Content-Type: application/sdp"


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    with Relay(tmp_path_factory.mktemp("relay"), RELAY) as running:
        yield running


@pytest.fixture(scope="module")
def node(tmp_path_factory, relay):
    one = Node(tmp_path_factory.mktemp("media"), "one", "here", NODE, mesh=False,
               extra=f'media: {{ relay: "{relay.control}" }}\n')
    one.start()
    one.apply(PLAN, "test", "--allow", "all")
    yield one
    assert one.stop() == 0, one.log_text()[-3000:]


@pytest.fixture
def sides(node, relay):
    """A PBX that calls, and a gateway that is called."""
    with Peer(PBX, node=NODE) as pbx, Peer(GATE, node=NODE) as gate:
        yield pbx, gate
    until(lambda: not relay.calls(), "the relay to have forgotten every call")


def sdp(address, port):
    return (f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")


def place(text):
    """Where the description says that it wants to hear."""
    return re.search(r"c=IN IP4 (\S+)", text).group(1), int(re.search(r"m=audio (\d+)", text).group(1))


def is_relayed(message):
    """By its address, in every line that has one; and the length is that of what came."""
    assert place(message.body)[0] == RELAY and "10.9" not in message.body, message.body
    assert int(message.get("Content-Length")) == len(message.body)
    return place(message.body)[1]


def is_up(node):
    return int(re.search(r"(?m)^tandem_media_relay_up (\d)$", node.metrics()).group(1))


def findings(node):
    """What the doctor says of the relay, whatever else is wrong with this machine."""
    told = node.run("doctor", "-o", "json", check=False)
    return [r for r in json.loads(told.stdout)["records"] if r.get("check") == "media"]


class Talk:
    """A call from the PBX to the gateway, message by message."""

    def __init__(self, sides, number="8100", body=sdp("10.9.0.1", 4000), lines=(SDP,)):
        self.pbx, self.gate = sides
        self.text = self.pbx.request("INVITE", f"sip:{number}@{self.pbx.node}", *(lines if body else ()), body=body)
        sent = Message(self.text.encode())
        self.call_id, self.from_ = sent.get("Call-ID"), sent.get("From")
        self.pbx.send(self.text)

    def invited(self):
        self.invite = self.gate.expect("INVITE", call_id=self.call_id)
        return self.invite

    def answer(self, code=200, body=sdp("10.9.0.2", 5000), lines=(SDP,), request=None):
        self.gate.reply(request or self.invite, code, *(lines if body else ()), body=body)
        answer = self.pbx.expect(code, call_id=self.call_id)
        self.to = answer.get("To")
        self.routes = [f"Route: {value}" for value in reversed(answer.all("Record-Route"))] or self.routes
        return answer

    def request(self, method, cseq, body="", *lines):
        """Inside the dialog, from the PBX."""
        self.pbx.send(self.pbx.request(method, f"sip:callee@{GATE}:5060", *self.routes, *lines, *([SDP] if body else []),
                                       call_id=self.call_id, from_=self.from_, to=self.to, cseq=cseq, body=body))
        return self.gate.expect(method, call_id=self.call_id)

    def back(self, method, cseq, body=""):
        """The same from the gateway."""
        routes = [f"Route: {value}" for value in self.invite.all("Record-Route")]
        self.gate.send(self.gate.request(method, f"sip:100@{PBX}:5060", *routes, *([SDP] if body else []), call_id=self.call_id,
                                         from_=self.to, to=self.from_, cseq=cseq, body=body))
        return self.pbx.expect(method, call_id=self.call_id)

    def cancel(self):
        self.pbx.send(self.text.replace("INVITE", "CANCEL").split("Content-Type")[0] + "Content-Length: 0\r\n\r\n")

    def end(self):
        bye = self.request("BYE", 9)
        self.gate.reply(bye, 200)
        self.pbx.expect(200, call_id=self.call_id)


def up(sides):
    call = Talk(sides)
    is_relayed(call.invited())
    is_relayed(call.answer(200))
    call.request("ACK", 1)
    return call


def test_two_phones_talk_through_the_relay(node, relay, tmp_path):
    with Phone(tmp_path / "one", "6001", "one", f"{NODE}:5060", "127.0.83.61", 440) as one, \
            Phone(tmp_path / "two", "6002", "two", f"{NODE}:5060", "127.0.83.62", 1000) as two:
        one.dial("6002", f"{NODE}:5060")
        until(lambda: one.in_call() and two.in_call(), f"the call to be established\n{one.text()[-1500:]}", 20)
        until(lambda: all(len(p.heard()[1]) > tone.RATE for p in (one, two)), "a second of sound", 30)
        assert all(count > 20 for count in relay.packets()), relay.packets()
        one.hang_up()
        until(lambda: not relay.calls(), "the relay to have forgotten the call")
    for phone, other in ((one, two), (two, one)):
        rate, samples = phone.heard()
        assert tone.share(samples, rate, other.hertz) > 0.5, phone.text()[-2000:]


def test_offer_and_answer_wherever_they_are(sides, relay):
    call = Talk(sides)
    towards_gate = is_relayed(call.invited())
    early = is_relayed(call.answer(183))
    answer = call.answer(200)
    assert is_relayed(answer) == early != towards_gate  # what the caller was told first still holds
    assert call.request("ACK", 1).body == ""
    assert len(relay.calls()) == 1

    again = call.request("INVITE", 2, sdp("10.9.0.1", 4002))
    is_relayed(again)
    is_relayed(call.answer(200, sdp("10.9.0.2", 5002), request=again))
    call.request("ACK", 2)

    hold = call.back("UPDATE", 1, sdp("10.9.0.2", 5004))
    is_relayed(hold)
    call.pbx.reply(hold, 200, SDP, body=sdp("10.9.0.1", 4004))
    is_relayed(call.gate.expect(200, call_id=call.call_id))
    assert len(relay.calls()) == 1
    call.end()


def test_the_offer_may_be_in_the_answer(sides):
    call = Talk(sides, body="")
    assert call.invited().body == ""
    offer = call.answer(200)
    towards_caller = is_relayed(offer)
    ack = call.request("ACK", 1, sdp("10.9.0.1", 4000))
    assert is_relayed(ack) != towards_caller
    call.end()


def test_a_prack_answers_or_offers(sides):
    reliable = ("Require: 100rel", "RSeq: 1", SDP)
    call = Talk(sides, body="")
    call.invited()
    is_relayed(call.answer(183, lines=reliable))
    is_relayed(call.request("PRACK", 2, sdp("10.9.0.1", 4000), "RAck: 1 1 INVITE"))
    call.answer(200, body="")
    call.request("ACK", 1)
    call.end()

    call = Talk(sides)
    call.invited()
    is_relayed(call.answer(183, lines=reliable))
    prack = call.request("PRACK", 2, sdp("10.9.0.1", 4002), "RAck: 1 1 INVITE")
    is_relayed(prack)
    call.gate.reply(prack, 200, SDP, body=sdp("10.9.0.2", 5002))
    is_relayed(call.pbx.expect(200, call_id=call.call_id))
    call.answer(200, body="")
    call.request("ACK", 1)
    call.end()


def test_beside_a_location(sides):
    """RFC 6442: an emergency call's body has two parts; the other one passes as it is."""
    location = "--b\r\nContent-Type: application/pidf+xml\r\n\r\n<presence>10.8</presence>\r\n"
    call = Talk(sides, body=f"{location}--b\r\n{SDP}\r\n\r\n{sdp('10.9.0.1', 4000)}\r\n--b--\r\n",
                lines=("Content-Type: multipart/mixed;boundary=b",))
    invite = call.invited()
    is_relayed(invite)
    assert invite.body.startswith(location + "--b\r\n") and invite.body.endswith("\r\n--b--\r\n")
    call.answer(200)
    call.request("ACK", 1)
    call.end()


def test_a_call_that_is_not_answered_is_forgotten(sides, relay):
    call = Talk(sides)
    call.invited()
    call.answer(180, body="")
    assert relay.calls()
    call.cancel()
    call.gate.reply(call.gate.expect("CANCEL", call_id=call.call_id), 200)
    call.gate.reply(call.invite, 487)
    refused = call.pbx.expect(487, call_id=call.call_id)
    call.pbx.ack(call.text, refused)


def test_what_the_relay_does_not_take(node, sides):
    call = Talk(sides, body="nonsense")
    refused = call.pbx.final(call_id=call.call_id)
    assert refused.code == 488 and "does not take the session description" in refused.get("Reason"), refused.data
    call.pbx.ack(call.text, refused)
    assert call.gate.receive(0.2) is None
    assert node.counter("media", "refused") and node.counter("media", "requests_refused")


def test_a_datagram_without_a_length_becomes_a_stream(sides):
    pbx, _ = sides
    text = pbx.request("INVITE", f"sip:5100@{NODE}", SDP, body=sdp("10.9.0.1", 4000))
    text = re.sub("Content-Length: .*\r\n", "", text)
    call_id = Message(text.encode()).get("Call-ID")
    with socket.create_server((BY_TCP, 5060)) as server:
        server.settimeout(10)
        pbx.send(text)
        with Stream(server.accept()[0]) as gateway:
            invite = gateway.receive()
            is_relayed(invite)
            assert invite.body.endswith("\r\n") and not gateway.held
            gateway.answer(invite, 486)
            pbx.ack(text, pbx.expect(486, call_id=call_id))


def test_a_call_that_comes_by_twice(sides, relay):
    """The gateway is a proxy that sends it back to us, for somebody else: it is led through the relay once."""
    call = Talk(sides)
    towards_gate = is_relayed(call.invited())
    with Peer(BEHIND, node=NODE) as behind:
        _, _, rest = call.invite.data.decode().partition("\r\n")
        call.gate.send(f"INVITE sip:9100@{NODE} SIP/2.0\r\nVia: SIP/2.0/UDP {GATE}:5060;branch=z9hG4bK-back\r\n{rest}")
        invite = behind.expect("INVITE", call_id=call.call_id)
        assert is_relayed(invite) == towards_gate
        behind.reply(invite, 200, SDP, body=sdp("10.9.0.3", 6000))
        answer = call.gate.expect(200, call_id=call.call_id)
        call.gate.send(re.sub("Via: .*z9hG4bK-back.*\r\n", "", answer.data.decode()))
        answer = call.pbx.expect(200, call_id=call.call_id)
        assert is_relayed(answer) != towards_gate
        to, routes = answer.get("To"), [f"Route: {value}" for value in reversed(answer.all("Record-Route"))]
        for method, cseq in (("ACK", 1), ("BYE", 2)):
            call.pbx.send(call.pbx.request(method, f"sip:callee@{BEHIND}:5060", *routes, call_id=call.call_id, from_=call.from_, to=to,
                                           cseq=cseq))
            request = behind.expect(method, call_id=call.call_id)
        behind.reply(request, 200)
        call.pbx.expect(200, call_id=call.call_id)


def test_between_two_sites_each_has_its_relay(tmp_path):
    with Relay(tmp_path, RELAY, 2224) as near, Relay(tmp_path, FAR_RELAY) as far, Cluster(tmp_path) as two:
        here = two.add("here", "here", "127.0.83.2", extra=f'media: {{ relay: "{near.control}" }}\n')
        two.add("far", "far", FAR, seeds=[here.mesh], extra=f'media: {{ relay: "{far.control}" }}\n')
        two.wait_linked()
        here.apply(TWO, "test", "--allow", "all")
        two.wait_linked()
        with Peer(PBX, node=here.address) as pbx, Peer(GATE, node=FAR) as gate:
            call = Talk((pbx, gate))
            assert place(call.invited().body)[0] == FAR_RELAY
            assert place(call.answer(200).body)[0] == RELAY
            call.request("ACK", 1)
            assert len(near.calls()) == 1 and len(far.calls()) == 1
            assert place(call.back("UPDATE", 1, sdp("10.9.0.2", 5004)).body)[0] == RELAY
            call.end()
        until(lambda: not near.calls() and not far.calls(), "both relays to have forgotten it")


def test_a_stranger_gets_no_port(node, relay):
    before = node.counters("media")["offers"]
    with Peer(STRANGER, node=NODE) as stranger:
        assert stranger.ask("INVITE", f"sip:8100@{NODE}", SDP, body=sdp("10.9.0.6", 6000)).code == 407
    assert node.counters("media")["offers"] == before and not relay.calls()


def test_a_restart_does_not_lose_it(node, sides, relay):
    call, other = (up(sides) for _ in range(2))
    assert node.stop() == 0
    node.start()
    until(lambda: node.status()["calls"] == 2, "the calls to be known again")
    other.end()
    again = call.request("INVITE", 2, sdp("10.9.0.1", 4002))
    is_relayed(again)
    call.answer(200, request=again)
    call.request("ACK", 2)
    assert len(relay.calls()) == 1
    call.end()


def test_a_relay_that_says_nothing(node, sides, relay):
    """New calls are refused, in words; what is up can be ended; and when it is back so are the calls."""
    call = up(sides)
    relay.pause()
    hung_up = Talk(sides)
    hung_up.cancel()
    ended = hung_up.pbx.expect(487, call_id=hung_up.call_id)
    hung_up.pbx.ack(hung_up.text, ended)

    lost = Talk(sides)
    refused = lost.pbx.final(call_id=lost.call_id)
    assert refused.code == 500 and "the media relay does not answer" in refused.get("Reason"), refused.data
    lost.pbx.ack(lost.text, refused)
    assert is_up(node) == 0
    found = findings(node)
    assert found[0]["state"] == "failed" and "start rtpengine" in found[0]["mend"], found
    call.end()

    relay.go_on()
    until(lambda: is_up(node) == 1, "the relay to be back")
    call = up(sides)
    call.end()


def test_where_it_is_not_asked_for(node, sides, relay):
    """From the next call on; one that is led through the relay stays there to its end, which the relay is told."""
    led = up(sides)
    node.apply(PLAN.replace(", media: relay", ""), "direct", "--allow", "all")
    call = Talk(sides)
    assert place(call.invited().body) == ("10.9.0.1", 4000)
    assert place(call.answer(200).body) == ("10.9.0.2", 5000)
    call.request("ACK", 1)
    call.end()
    assert findings(node)[0]["state"] == "warning"
    assert relay.calls()
    led.end()
    until(lambda: not relay.calls(), "the relay to have forgotten the first call")
    node.apply(PLAN, "relayed", "--allow", "all")
    call = up(sides)
    call.end()
