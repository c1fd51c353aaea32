"""A device that keeps a TCP connection (RFC 5626): its flow takes its own place, calls come by the newest, and both sides of
a call are reached although their contacts lead nowhere."""
import re
import socket

import pytest

from harness.cluster import Node
from harness.digest import challenges, proof
from harness.wait import until

ADDRESS = "127.0.57.1"
PLAN = """plan: 1
defaults: { domain: test.example, digest: [sha-256, md5] }
sites:
  here: { blocks: ["6"] }
trunks:
  carrier: { site: here, address: ["127.0.57.30:5060"], transport: tcp, trust: ["127.0.57.30/32"] }
routes:
  - { match: "9", to: trunk/carrier }
accounts:
  "6001": { password: "right", max_contacts: 4 }
  "6002": { password: "right", max_contacts: 4 }
"""
INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-{user}>"'


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    one = Node(tmp_path_factory.mktemp("flows"), "one", "here", ADDRESS, mesh=False)
    one.start()
    one.apply(PLAN, "test", "--allow", "all")
    yield one
    assert one.stop() == 0, one.log_text()[-3000:]


class Device:
    """A telephone behind NAT with one TCP connection to the node; its contact is an address of its own network."""

    def __init__(self, user, source, contact="10.77.0.9:5060", connection=None):
        self.user, self.contact = user, contact
        self.socket = connection or socket.create_connection((ADDRESS, 5060), timeout=10, source_address=(source, 0))
        self.stream = self.socket.makefile("rb")
        self.count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()
        self.socket.close()

    def send(self, first, lines, body=""):
        self.socket.sendall((first + "\r\n" + "".join(f"{line}\r\n" for line in lines) +
                             f"Content-Length: {len(body)}\r\n\r\n{body}").encode())

    def request(self, method, uri, to, cseq, extra=(), call_id=None, tag="1"):
        self.count += 1
        self.send(f"{method} {uri} SIP/2.0", [
            f"Via: SIP/2.0/TCP {self.contact};branch=z9hG4bK{id(self)}{self.count}", "Max-Forwards: 70",
            f"From: <sip:{self.user}@test.example>;tag={tag}", f"To: {to}", f"Call-ID: {call_id or f'{id(self)}'}",
            f"CSeq: {cseq} {method}", f"Contact: <sip:{self.user}@{self.contact};transport=tcp>", *extra])

    def message(self):
        """The next message, whole."""
        text = b""
        while not text.endswith(b"\r\n\r\n"):
            line = self.stream.readline()
            assert line, f"the connection ended after {text!r}"
            text += line
        length = int(re.search(rb"(?im)^content-length: *(\d+)", text).group(1))
        return (text + self.stream.read(length)).decode()

    def final(self):
        while True:
            text = self.message()
            if not text.startswith("SIP/2.0 1"):
                return text

    def answer(self, request, code, extra=()):
        copied = [line for line in request.split("\r\n") if re.match(r"(?i)(via|from|to|call-id|cseq|record-route):", line)]
        copied = [line + ";tag=2" if line.lower().startswith("to:") and "tag=" not in line else line for line in copied]
        self.send(f"SIP/2.0 {code} OK", copied + list(extra))

    def register(self, reg_id, expires=600):
        contact = (f"Contact: <sip:{self.user}@{self.contact};transport=tcp>;" +
                   INSTANCE.format(user=self.user.zfill(12)) + f";reg-id={reg_id};expires={expires}")
        uri, to = "sip:test.example", f"<sip:{self.user}@test.example>"
        lines = ["Supported: path, outbound"]
        for cseq in (1, 2):
            self.count += 1
            self.send(f"REGISTER {uri} SIP/2.0", [
                f"Via: SIP/2.0/TCP {self.contact};branch=z9hG4bK{id(self)}r{self.count}", "Max-Forwards: 70",
                f"From: {to};tag=r", f"To: {to}", f"Call-ID: r{id(self)}", f"CSeq: {cseq} REGISTER", contact, *lines])
            answer = self.final()
            if answer.startswith("SIP/2.0 401"):
                challenge = challenges(answer)[0]
                lines.append(proof(challenge, self.user, "right", "REGISTER", uri).strip())
        return answer

    def invite(self, number):
        uri, to = f"sip:{number}@test.example", f"<sip:{number}@test.example>"
        call_id = f"call{id(self)}-{self.count}"
        self.request("INVITE", uri, to, 1, call_id=call_id)
        challenge = self.final()
        assert challenge.startswith("SIP/2.0 407"), challenge
        self.request("ACK", uri, to, 1, call_id=call_id)
        credentials = proof(challenges(challenge.replace("Proxy-Authenticate", "WWW-Authenticate"))[0], self.user, "right",
                            "INVITE", uri, cnonce=f"i{call_id}")
        self.request("INVITE", uri, to, 2, ["Proxy-" + credentials.strip()], call_id=call_id)


def routes(text, reverse):
    found = re.findall(r"(?im)^record-route: *(.*)\r$", text)
    return [f"Route: {value}" for value in (found[::-1] if reverse else found)]


def field(text, name):
    return re.search(rf"(?im)^{name}: *(.*)\r$", text).group(1)


def bye(device, call, to_contact, way, cseq=9):
    """Ends the call, known by a message of the other side, by the route that it was given."""
    device.send(f"BYE sip:x@{to_contact};transport=tcp SIP/2.0", [
        f"Via: SIP/2.0/TCP {device.contact};branch=z9hG4bKb{id(device)}{cseq}", "Max-Forwards: 70",
        *(f"{name}: {value}" for name, value in call), f"CSeq: {cseq} BYE", *way])


def as_caller(ok):
    return [(name, field(ok, name)) for name in ("From", "To", "Call-ID")]


def as_callee(invite):
    return [("From", field(invite, "To") + ";tag=2"), ("To", field(invite, "From")), ("Call-ID", field(invite, "Call-ID"))]


def picked_up(caller, phone, asks=True):
    """The INVITE as the phone got it, and the 200 as its caller did, who has sent its ACK."""
    if asks:
        caller.invite("6001")
    else:
        caller.request("INVITE", "sip:6001@test.example", "<sip:6001@test.example>", 1)
    invite = phone.message()
    assert invite.startswith("INVITE "), invite
    phone.answer(invite, 200, [f"Contact: <sip:6001@{phone.contact};transport=tcp>"])
    ok = caller.final()
    assert ok.startswith("SIP/2.0 200"), ok
    caller.request("ACK", f"sip:6001@{phone.contact};transport=tcp", field(ok, "To"), 2, routes(ok, True),
                   field(ok, "Call-ID"))
    assert phone.message().startswith("ACK ")
    return invite, ok


def contacts(node, user):
    return [r for r in node.ctl("registrations") if r["account"] == user]


def test_a_flow_takes_its_own_place(node):
    with Device("6001", "127.0.57.11") as first:
        answer = first.register(1)
        assert answer.startswith("SIP/2.0 200") and "Require: outbound" in answer and "reg-id=1" in answer, answer
        assert f"Service-Route: <sip:{ADDRESS}:5060;transport=tcp;lr>" in answer, answer
        first.socket.sendall(b"\r\n\r\n")
        assert first.stream.read(2) == b"\r\n"
        with Device("6001", "127.0.57.11", "10.77.0.9:5999") as again:
            answer = again.register(1)
            assert answer.count("Contact:") == 1 and "10.77.0.9:5999" in answer, answer
            assert len(contacts(node, "6001")) == 1


def test_a_call_comes_by_the_newest_flow_and_both_sides_end_it(node):
    with Device("6001", "127.0.57.11") as old, Device("6001", "127.0.57.11", "10.77.0.9:5999") as new, \
            Device("6002", "127.0.57.12", "10.88.0.9:5060") as caller:
        assert old.register(1).startswith("SIP/2.0 200")
        assert new.register(1).startswith("SIP/2.0 200")
        for ends in (caller, new):
            caller.invite("6001")
            invite = new.message()
            assert invite.startswith("INVITE sip:6001@10.77.0.9:5999;transport=tcp SIP/2.0"), invite
            new.answer(invite, 200, [f"Contact: <sip:6001@{new.contact};transport=tcp>"])
            ok = caller.final()
            assert ok.startswith("SIP/2.0 200"), ok
            call_id = re.search(r"(?im)^call-id: *(\S+)", invite).group(1)
            to = re.search(r"(?im)^to: *(.*)\r$", ok).group(1)
            caller.request("ACK", f"sip:6001@{new.contact};transport=tcp", to, 2, routes(ok, True), call_id)
            assert new.message().startswith("ACK ")
            if ends is caller:
                caller.request("BYE", f"sip:6001@{new.contact};transport=tcp", to, 3, routes(ok, True), call_id)
                bye = new.message()
                new.answer(bye, 200)
                assert caller.final().startswith("SIP/2.0 200")
            else:
                new.send(f"BYE sip:6002@{caller.contact};transport=tcp SIP/2.0", [
                    f"Via: SIP/2.0/TCP {new.contact};branch=z9hG4bKbye", "Max-Forwards: 70", f"From: {to}",
                    f"To: <sip:6002@test.example>;tag=1", f"Call-ID: {call_id}", "CSeq: 1 BYE", *routes(invite, False)])
                bye = caller.message()
                caller.answer(bye, 200)
                assert new.final().startswith("SIP/2.0 200")
            assert bye.startswith("BYE "), bye
        until(lambda: node.status()["calls"] == 0, "the calls to be over")


def test_a_call_that_rings_when_the_node_stops(node):
    with Device("6001", "127.0.57.11") as phone, Device("6002", "127.0.57.12", "10.88.0.9:5060") as caller:
        assert phone.register(1).startswith("SIP/2.0 200")
        caller.invite("6001")
        invite = phone.message()
        phone.answer(invite, 180)
        assert node.stop() == 0, node.log_text()[-3000:]
        assert phone.message().startswith("CANCEL ")
        end = caller.final()
        assert end.startswith("SIP/2.0 503") and "Retry-After: " in end, end
    node.start()
    call = node.ctl("calls")[0]
    assert (call["state"], call["code"]) == ("ended", 503) and call["reason"].startswith("the node was stopped"), call


def test_a_lost_flow_is_said(node):
    with Device("6001", "127.0.57.11") as phone, Device("6002", "127.0.57.12", "10.88.0.9:5060") as caller:
        assert phone.register(3).startswith("SIP/2.0 200")
        caller.invite("6001")
        invite = phone.message()
        phone.answer(invite, 200, [f"Contact: <sip:6001@{phone.contact};transport=tcp>"])
        ok = caller.final()
        to = re.search(r"(?im)^to: *(.*)\r$", ok).group(1)
        call_id = re.search(r"(?im)^call-id: *(\S+)", invite).group(1)
        phone.close()
        before = node.counter("edge", "refused_flow_lost")
        cseq = iter(range(3, 100))

        def lost():
            caller.request("BYE", f"sip:6001@{phone.contact};transport=tcp", to, next(cseq), routes(ok, True), call_id)
            return caller.final().startswith("SIP/2.0 430")
        until(lost, "the node to see that the connection is gone", 10)
        assert node.counter("edge", "refused_flow_lost") > before


def test_a_contact_with_a_port_of_its_own(node):
    """Nobody need listen there: what has a connection is reached by it, inside a call too."""
    with Device("6001", "127.0.57.21", "127.0.57.21:5060") as phone, \
            Device("6002", "127.0.57.22", "127.0.57.22:5060") as caller:
        assert phone.register(1).startswith("SIP/2.0 200")
        _, ok = picked_up(caller, phone)
        bye(caller, as_caller(ok), phone.contact, routes(ok, True))
        ended = phone.message()
        assert ended.startswith(f"BYE sip:x@{phone.contact};transport=tcp SIP/2.0"), ended
        phone.answer(ended, 200)
        assert caller.final().startswith("SIP/2.0 200")
        invite, _ = picked_up(caller, phone)
        bye(phone, as_callee(invite), caller.contact, routes(invite, False))
        ended = caller.message()
        assert ended.startswith(f"BYE sip:x@{caller.contact};transport=tcp SIP/2.0"), ended
        caller.answer(ended, 200)
        assert phone.final().startswith("SIP/2.0 200")


def test_a_contact_is_dialled_when_its_connection_has_ended(node):
    with Device("6001", "127.0.57.21", "127.0.57.21:5060") as phone, \
            Device("6002", "127.0.57.22", "127.0.57.22:5060") as caller, \
            socket.create_server(("127.0.57.21", 5060)) as listener:
        assert phone.register(1).startswith("SIP/2.0 200")
        _, ok = picked_up(caller, phone)
        phone.close()
        listener.settimeout(10)
        connection, _ = listener.accept()  # the node has seen the loss, and looks whether the contact is there
        connection.settimeout(10)
        with Device("6001", None, phone.contact, connection) as again:
            bye(caller, as_caller(ok), phone.contact, routes(ok, True))
            ended = again.message()
            while ended.startswith("OPTIONS "):
                again.answer(ended, 200)
                ended = again.message()
            assert ended.startswith("BYE "), ended
            again.answer(ended, 200)
            assert caller.final().startswith("SIP/2.0 200")


def test_a_trunk_is_hung_up_on_by_the_connection_that_it_made(node):
    with Device("6001", "127.0.57.21", "127.0.57.21:5060") as phone, \
            Device("100", "127.0.57.30", "127.0.57.30:5060") as trunk:
        assert phone.register(1).startswith("SIP/2.0 200")
        invite, _ = picked_up(trunk, phone, asks=False)
        assert ";fc=" in invite, invite
        bye(phone, as_callee(invite), trunk.contact, routes(invite, False))
        ended = trunk.message()
        assert ended.startswith("BYE "), ended
        trunk.answer(ended, 200)
        assert phone.final().startswith("SIP/2.0 200")


@pytest.mark.parametrize("contact", ["own", "127.0.57.31:5060"])
def test_a_trunk_whose_contact_can_be_dialled_has_no_flow(node, contact):
    with Device("6001", "127.0.57.21", "127.0.57.21:5060") as phone, \
            Device("100", "127.0.57.30", contact) as trunk:
        if contact == "own":
            trunk.contact = "%s:%d" % trunk.socket.getsockname()
        assert phone.register(1).startswith("SIP/2.0 200")
        invite, ok = picked_up(trunk, phone, asks=False)
        assert ";fc=" not in invite and ";fd=" in invite, invite
        bye(trunk, as_caller(ok), phone.contact, routes(ok, True))
        assert phone.message().startswith("BYE ")


def test_a_trunk_by_a_connection_of_ours_has_no_flow(node):
    with Device("6001", "127.0.57.21", "127.0.57.21:5060") as phone, \
            Device("6002", "127.0.57.22", "127.0.57.22:5060") as caller, \
            socket.create_server(("127.0.57.30", 5060)) as listener:
        assert phone.register(1).startswith("SIP/2.0 200")
        listener.settimeout(10)
        caller.invite("900")
        connection, _ = listener.accept()
        connection.settimeout(10)
        with Device("100", None, "127.0.57.30:5999", connection) as trunk:
            trunk.answer(trunk.message(), 486)
            assert caller.final().startswith("SIP/2.0 486")
            assert trunk.message().startswith("ACK ")
            invite, ok = picked_up(trunk, phone, asks=False)
            assert ";fc=" not in invite, invite
            bye(trunk, as_caller(ok), phone.contact, routes(ok, True))
            assert phone.message().startswith("BYE ")
