"""Phones and gateways behind a router that masquerades: they are found through its mappings, what is lost is withdrawn on
every node at once, and calls then go to the fallback. Nobody waits for a gateway that is gone."""
import collections
import contextlib
import re
import select
import socket
import time

import pytest

from harness.cluster import Cluster
from harness.nat import NODE, OUTER, PHONE, Nat
from harness.raw import Message, Peer
from harness.storm import md5
from harness.wait import Timeout, until

OTHER, CALLER, FALLBACK, DIRECT = "127.0.14.1", "127.0.14.10", "127.0.14.11", "127.0.14.20"
PLAN = f"""plan: 1
defaults: {{ domain: nat.example, digest: [md5] }}
sites:
  home: {{ blocks: ["7"] }}
  other: {{ blocks: ["1"] }}
trunks:
  caller: {{ site: other, address: ["{CALLER}:5060"], trust: ["{CALLER}/32"] }}
  fallback: {{ site: other, address: ["{FALLBACK}:5060"], trust: ["{FALLBACK}/32"] }}
accounts:
  gateway: {{ password: secret, numbers: ["8"], keepalive_every: 1s, map: cameras.csv }}
  quiet: {{ password: secret, numbers: ["9"], keepalive: crlf, keepalive_every: 1s }}
routes:
  - {{ match: "8", to: trunk/fallback, priority: 20 }}
  - {{ match: "9", to: trunk/fallback, priority: 20 }}
"""


@pytest.fixture(scope="module")
def nat():
    with Nat() as n:
        yield n


@pytest.fixture(scope="module")
def nodes(nat, tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("nat"), "nat") as c:
        first = c.add("first", "home", NODE, start=False)
        (first.data / "maps").mkdir()
        (first.data / "maps" / "cameras.csv").write_text("number,resource\n8150,34020000001320000001\n")
        first.start()
        other = c.add("other", "other", OTHER, seeds=[first.mesh])
        c.wait_linked()
        first.apply(PLAN, "test", "--allow", "all")
        until(lambda: other.digest() == first.digest(), "one plan")
        yield first, other


NONCES = collections.Counter()


class Phone:
    """A gateway behind the router, by UDP or TCP. It answers OPTIONS while it is looked at, and keeps what else came."""

    def __init__(self, nat, account, stream=False, port=5060):
        self.account, self.stream, self.port = account, stream, port
        self.socket = nat.phone(port, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        self.socket.connect((NODE, 5060))
        self.transport = "TCP" if stream else "UDP"
        self.cseq, self.options, self.crlf = 0, 0, 0
        self.answers, self.calls = [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def contact(self, params=""):
        tcp = ";transport=tcp" if self.stream else ""
        return f"<sip:{self.account}@{PHONE}:{self.port}{tcp}{params}>"

    def look(self, timeout=0.05):
        """Takes what has come."""
        while select.select([self.socket], [], [], timeout)[0]:
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                return
            if not data:
                return
            if not data.strip():
                self.crlf += 1
                continue
            m = Message(data, (NODE, 5060))
            if m.code is not None:
                self.answers.append(m)
            elif m.method == "OPTIONS":
                self.options += 1
                self.reply(m, 200)
            else:
                self.calls.append(m)
            timeout = 0

    def reply(self, request, code):
        kept = [f"{n}: {v}" for n, v in request.lines if n.lower() in ("via", "from", "call-id", "cseq", "record-route")]
        self.socket.send("\r\n".join([f"SIP/2.0 {code} X", *kept, f"To: {request.get('To')};tag=phone",
                                      f"Contact: {self.contact()}", "Content-Length: 0", "", ""]).encode())

    def exchange(self, expires, contact, *lines):
        self.cseq += 1
        uri = "sip:nat.example"
        self.send("\r\n".join([
            f"REGISTER {uri} SIP/2.0", f"Via: SIP/2.0/{self.transport} {PHONE}:{self.port};branch=z9hG4bK{time.monotonic_ns()};rport",
            f"From: <sip:{self.account}@nat.example>;tag=p", f"To: <sip:{self.account}@nat.example>",
            f"Call-ID: {self.account}-{self.port}-{self.transport}", f"CSeq: {self.cseq} REGISTER", f"Contact: {contact}",
            f"Expires: {expires}", "Max-Forwards: 70", *lines, "Content-Length: 0", "", ""]).encode())

        def answered():
            self.look()
            if not self.stream and time.monotonic() > self.again:
                self.send(self.sent)
            return next((m for m in self.answers if m.get("CSeq") == f"{self.cseq} REGISTER" and m.code >= 200), None)
        return until(answered, "an answer to REGISTER")

    def send(self, request):
        """By UDP it is said again until it is answered (RFC 3261 §17.1.2.2): a line that has just come up loses packets."""
        self.sent, self.again = request, time.monotonic() + 0.5
        self.socket.send(request)

    def register(self, expires=600, contact=None, *lines):
        """The final answer; a challenge is taken up."""
        contact = contact or self.contact()
        answer = self.exchange(expires, contact, *lines)
        if answer.code == 401:
            challenge = answer.get("WWW-Authenticate")
            nonce, realm = (re.search(f'{k}="([^"]*)"', challenge).group(1) for k in ("nonce", "realm"))
            NONCES[nonce] += 1  # two challenges of one moment may be the same
            nc = f"{NONCES[nonce]:08x}"
            response = md5(f"{md5(f'{self.account}:{realm}:secret')}:{nonce}:{nc}:x:auth:{md5('REGISTER:sip:nat.example')}")
            answer = self.exchange(expires, contact, *lines,
                                   f'Authorization: Digest username="{self.account}", realm="{realm}", nonce="{nonce}", '
                                   f'uri="sip:nat.example", response="{response}", algorithm=MD5, qop=auth, nc={nc}, cnonce="x"')
        return answer


def row(node, account):
    return next((r for r in node.ctl("registrations") if r["account"] == account), None)


def all_know(nodes, account):
    until(lambda: all(row(n, account) for n in nodes), f"every node to know {account}")


def unregister(phone, nodes):
    """What one test leaves behind would be taken for a registration of the next."""
    assert phone.register(0).code == 200
    until(lambda: not any(row(n, phone.account) for n in nodes), "it to be gone")


@contextlib.contextmanager
def callers():
    with Peer(CALLER, node=OTHER) as caller, Peer(FALLBACK, node=OTHER) as fallback:
        yield caller, fallback


def call(caller, number):
    text = caller.request("INVITE", f"sip:{number}@{OTHER}")
    caller.send(text)
    return Message(text.encode()).get("Call-ID"), text


def reaches(phone, caller, number, user):
    """A call to the number comes out at the phone, for that user."""
    call_id, _ = call(caller, number)
    heard = []

    def come():
        phone.look()
        invite = next((m for m in phone.calls if m.method == "INVITE" and m.get("Call-ID") == call_id), None)
        if invite is None and (m := caller.receive(0)) is not None:
            heard.append(m.first)
        return invite
    try:
        invite = until(come, f"the call to {number} at the phone")
    except Timeout as problem:
        raise Timeout(f"{problem}; the caller heard {heard}") from problem
    assert invite.uri.startswith(f"sip:{user}@"), invite.uri
    phone.reply(invite, 486)
    caller.final(call_id=call_id)
    until(lambda: phone.look() or any(m.method == "ACK" and m.get("Call-ID") == call_id for m in phone.calls), "the ACK")
    return invite


def goes_to_fallback(caller, fallback, number, within=3):
    """At once: sooner than an attempt at somebody who is away is given up (sip.no_answer, 4 s)."""
    begin = time.monotonic()
    call_id, text = call(caller, number)
    fallback.reply(fallback.expect("INVITE", call_id=call_id), 486)
    answer = caller.final(call_id=call_id)
    assert answer.code == 486 and time.monotonic() - begin < within
    caller.ack(text, answer)
    fallback.expect("ACK", call_id=call_id)


def test_a_gateway_behind_nat_is_found_through_its_mapping(nat, nodes):
    first, other = nodes
    nat.masquerade("20000-20099")
    with Phone(nat, "gateway") as phone, callers() as (caller, fallback):
        goes_to_fallback(caller, fallback, "8150")
        assert phone.register().code == 200
        all_know(nodes, "gateway")
        for node in nodes:
            seen = row(node, "gateway")
            assert (seen["nat"], seen["state"], seen["node"], seen["number"]) == ("yes", "up", "first", "8")
            assert re.fullmatch(rf"udp:{re.escape(OUTER)}:200\d\d", seen["received"])
            assert seen["age_s"] < 30
        assert 500 < row(first, "gateway")["expires_s"] <= 600 and row(other, "gateway")["expires_s"] is None
        reaches(phone, caller, "8150", "34020000001320000001")  # as the map calls it
        reaches(phone, caller, "8151", "8151")
        # The keepalive holds the mapping open for longer than it would last by itself.
        nat.expire_after(2)
        begin, had = time.monotonic(), phone.options
        until(lambda: phone.look() or (phone.options >= had + 4 and time.monotonic() - begin > 3), "OPTIONS to come", 15)
        reaches(phone, caller, "8150", "34020000001320000001")
        unregister(phone, nodes)
        goes_to_fallback(caller, fallback, "8150")


def test_a_mapping_that_is_lost_is_withdrawn_and_comes_back_changed(nat, nodes):
    first, other = nodes
    nat.expire_after(30)
    nat.masquerade("20000-20099")
    with Phone(nat, "gateway", port=5062) as phone, callers() as (caller, fallback):
        assert phone.register().code == 200
        all_know(nodes, "gateway")
        had = phone.options
        until(lambda: phone.look() or phone.options > had, "the first OPTIONS")
        before = row(first, "gateway")["received"]
        nat.masquerade("21000-21099")
        nat.forget()  # and the phone says nothing: no packet of ours reaches it any more
        until(lambda: not row(first, "gateway"), "the way to be found lost", 12)
        until(lambda: not row(other, "gateway"), "the other node to know it")
        goes_to_fallback(caller, fallback, "8150")
        assert "why=\"it no longer answers OPTIONS\"" in first.log_text()
        assert phone.register().code == 200
        all_know(nodes, "gateway")
        after = row(first, "gateway")["received"]
        assert after.startswith(f"udp:{OUTER}:210") and after != before
        reaches(phone, caller, "8150", "34020000001320000001")
        # The mapping changes again, and the phone refreshes before anything is missed: the same binding, by the new way.
        since = row(first, "gateway")["since"]
        nat.masquerade("22000-22099")
        nat.forget()
        assert phone.register().code == 200
        until(lambda: row(first, "gateway")["received"].startswith(f"udp:{OUTER}:220"), "the new mapping")
        assert row(first, "gateway")["since"] == since
        reaches(phone, caller, "8150", "34020000001320000001")
        unregister(phone, nodes)


def test_a_connection_that_closes_takes_its_numbers_with_it(nat, nodes):
    first, other = nodes
    with callers() as (caller, fallback):
        with Phone(nat, "gateway", stream=True) as phone:
            assert phone.register().code == 200
            all_know(nodes, "gateway")
            assert row(first, "gateway")["nat"] == "yes"
            accepted = first.counter("transport", "stream_connects")
            reaches(phone, caller, "8150", "34020000001320000001")
            assert first.counter("transport", "stream_connects") == accepted, "the connection was not used again"
        until(lambda: not any(row(n, "gateway") for n in nodes), "both nodes to withdraw it")
        goes_to_fallback(caller, fallback, "8150")
        assert "why=\"its connection is closed\"" in first.log_text()


def test_a_contact_that_can_be_dialled_stays_until_it_cannot(nodes):
    """By TCP, and no NAT: when its connection ends it is dialled at the address that it names."""
    first, other = nodes

    class Direct(Phone):
        def __init__(self):
            self.account, self.stream, self.port, self.transport = "quiet", True, 5080, "TCP"
            self.listener = socket.create_server((DIRECT, 5080))
            self.socket = socket.create_connection((OTHER, 5060), source_address=(DIRECT, 0))
            self.cseq, self.options, self.crlf, self.answers, self.calls = 0, 0, 0, [], []

        def contact(self, params=""):
            return f"<sip:quiet@{DIRECT}:5080;transport=tcp{params}>"

        def hang_up_and_listen(self):
            self.socket.close()
            self.listener.settimeout(5)
            self.socket, _ = self.listener.accept()

    with Direct() as phone, callers() as (caller, fallback):
        assert phone.register().code == 200
        all_know(nodes, "quiet")
        assert (row(other, "quiet")["node"], row(other, "quiet")["nat"]) == ("other", "no")
        for number in (1, 2):  # the connection that the node made is no better than the first
            phone.hang_up_and_listen()
            until(lambda: phone.look() or other.counter("keeper", "dialled") == number, "the node to have an answer")
        assert row(other, "quiet")["state"] == "up"
        call_id, text = call(caller, "9151")
        until(lambda: phone.look() or any(m.method == "INVITE" and m.get("Call-ID") == call_id for m in phone.calls), "the call")
        phone.reply(phone.calls[-1], 486)
        answer = caller.final(call_id=call_id)
        caller.ack(text, answer)
        phone.listener.close()
        phone.socket.close()
        until(lambda: not any(row(n, "quiet") for n in nodes), "both nodes to withdraw it")
        goes_to_fallback(caller, fallback, "9151")
        assert "cannot be dialled" in other.log_text()


def test_crlf_and_bulk_registration(nat, nodes):
    """RFC 6140: one contact for all numbers. And a keepalive that nobody answers concludes nothing."""
    first, _ = nodes
    with Phone(nat, "quiet", port=5066) as phone, callers() as (caller, fallback):
        assert phone.register(600, f"<sip:quiet@{PHONE}:5066;bnc>", "Require: gin").code == 400
        assert phone.register(600, f"<sip:{PHONE}:5066;bnc>", "Require: gin", "Proxy-Require: gin").code == 200
        all_know(nodes, "quiet")
        until(lambda: phone.look() or phone.crlf >= 2, "the keepalive")
        invite = reaches(phone, caller, "9123", "9123")
        assert "bnc" not in invite.uri
        assert phone.options == 0 and row(first, "quiet")["state"] == "up"
        phone.register(0, f"<sip:{PHONE}:5066;bnc>", "Require: gin", "Proxy-Require: gin")
