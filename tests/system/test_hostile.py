"""Inputs that broke other SIP servers and their tools: each gets its answer, and the node and clusterctl work on."""
import signal
import socket
import time

import pytest

from harness.cluster import Node
from harness.raw import Call, Message, Peer, Stream
from harness.sipp import Sipp
from harness.wait import until

NODE, PBX, OTHER = "127.0.13.1", "127.0.13.10", "127.0.13.11"
PLAN = """plan: 1
defaults: { domain: hostile.example, digest: [md5] }
sites:
  here: { blocks: ["6"] }
trunks:
  pbx: { site: here, address: ["127.0.13.10:5060"], trust: ["127.0.13.10/32"] }
  other: { site: here, address: ["127.0.13.11:5060"], trust: ["127.0.13.11/32"] }
accounts:
  "6001": { password: "right" }
routes:
  - { match: "61", to: trunk/pbx }
"""
PASSES = object()  # forwarded as it is


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("hostile"), "one", "here", NODE, mesh=False).start()
    node.apply(PLAN, "test", "--allow", "all")
    with Peer(OTHER, node=NODE) as other, Peer(PBX, node=NODE) as pbx:
        yield node, other, pbx
    assert node.stop() == 0, node.log_text()[-3000:]


def with_length(length, body=""):
    return lambda t: t.replace("Content-Length: 0", f"Content-Length: {length}") + body


def with_line(name, value):
    """In place of the line of that name."""
    def change(text):
        lines = [f"{name}: {value}" if line.lower().startswith(name.lower() + ":") else line for line in text.split("\r\n")]
        return "\r\n".join(lines)
    return change


def with_uri(uri):
    return lambda t: t.replace("sip:6100@127.0.13.1 SIP/2.0", f"{uri} SIP/2.0", 1)


def with_body(kind, body):
    return lambda t: t.replace("Content-Length: 0\r\n\r\n", f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}")


CASES = {
    "length 2147483640": (with_length(2147483640), 400),
    "length negative": (with_length(-1), 400),
    "length smaller than the body": (with_length(2, "abcdef"), PASSES),  # RFC 3261 18.3: the rest is cut off
    "length 0 with a body": (with_length(0, "abcdef"), PASSES),
    "length beyond 64 bits": (with_length("18446744073709551617"), 400),
    "boundary of a single quote": (with_body("multipart/mixed;boundary='", "--'\r\na\r\n--'--"), PASSES),
    "a part without end of header": (with_body("multipart/mixed;boundary=b", "--b\r\nContent-Type: text/plain"), PASSES),
    "5,000 parts": (with_body("multipart/mixed;boundary=b", "--b\r\n" * 5000), 513),
    "100 parts": (with_body("multipart/mixed;boundary=b", "--b\r\n\r\n" * 100), PASSES),
    "payload type 4294967296": (with_body("application/sdp", "v=0\r\nm=audio 9 RTP/AVP 4294967296\r\n"), PASSES),
    "sdp that ends at once": (with_body("application/sdp", "m=audio 9 RTP/AVP 9\n"), PASSES),
    "To: a quoted parameter that never ends": (with_line("To", '<sip:6100@h>;x="abc'), 400),
    "To: ends in a backslash": (with_line("To", '<sip:6100@h>;x="abc\\'), 400),
    "From begins with a slash": (with_line("From", "/ <sip:a@h>;tag=1"), 400),
    "From: a display name that ends in a backslash": (with_line("From", '"abc\\" <sip:a@h>;tag=1'), 400),
    "percent at the end of the Request-URI": (with_uri("sip:6100%@127.0.13.1"), 400),
    "percent at the end of a parameter": (with_uri("sip:6100@127.0.13.1;x=%"), 400),
    "tel without a number": (with_uri("tel:"), 400),
    "urn without anything": (with_uri("urn:"), 400),
    "sip without anything": (with_uri("sip:"), 400),
    "sip without a host": (with_uri("sip:@"), 400),
    "CSeq 36893488147419103232": (with_line("CSeq", "36893488147419103232 INVITE"), 400),
    "values that are empty": (lambda t: with_line("From", "")(with_line("Call-ID", "")(t)), 400),
    "a Call-ID that is empty": (with_line("Call-ID", ""), 400),
    "a Contact that is only a comma": (with_line("Contact", ","), PASSES),
    "To twice": (lambda t: t.replace("CSeq:", "To: <sip:other@h>\r\nCSeq:"), 400),
    "NUL in a line": (lambda t: t.replace("CSeq:", "X: a\0b\r\nCSeq:"), 400),
    "15,000 parameters": (with_line("Contact", "<sip:a@h" + ";a=b" * 15000 + ">"), 513),
    "33 URI parameters": (with_uri("sip:6100@127.0.13.1" + ";a=b" * 33), 400),
    "400 values in a line": (with_line("Contact", ",".join(["<sip:a@h>"] * 400)), PASSES),
}


def settle(other, pbx, text, expected):
    sent = Message(text.encode("latin-1"))
    other.send(text)
    if expected is PASSES:
        pbx.reply(pbx.expect("INVITE", call_id=sent.get("Call-ID")), 486)
        expected = 486
    answer = other.final(call_id=sent.get("Call-ID") or "")
    other.ack(text, answer)
    assert answer.code == expected, answer.first
    return sent


@pytest.mark.parametrize("name", CASES)
def test_invite(world, name):
    node, other, pbx = world
    change, expected = CASES[name]
    settle(other, pbx, change(other.request("INVITE", f"sip:6100@{NODE}")), expected)
    settle(other, pbx, other.request("INVITE", f"sip:6100@{NODE}"), PASSES)  # it works on


@pytest.mark.parametrize("length", [0, 1, 63, 64, 104, 255, 512, 1500])
def test_branch_and_tags_of_any_length(world, length):
    node, other, pbx = world
    serial = f"{length}"
    text = other.request("INVITE", f"sip:6100@{NODE}", branch="b" * length, call_id=f"branch-{serial}",
                         from_=f"<sip:a@h>;tag={'t' * max(length, 1)}")
    settle(other, pbx, text, PASSES)


def test_a_broken_via_gets_silence(world):
    node, other, _ = world
    before = node.counter("transport", "fault_via")
    for via in ("SIP/2.0/UDP", "SIP/2.0/UDP ;branch=x", "SIP/2.0/UDP h:99999;branch=x", "SIP/2.0/UDP [::1;branch=x", ",", ""):
        other.send(with_line("Via", via)(other.request("OPTIONS", f"sip:{NODE}")))
    until(lambda: node.counter("transport", "fault_via") == before + 6, "all to be counted")
    while got := other.receive(0):
        assert got.get("CSeq").split()[1] != "OPTIONS"


def test_no_branch_and_a_long_cseq(world):
    _, other, pbx = world
    text = with_line("Via", f"SIP/2.0/UDP {OTHER}:5060")(with_line("CSeq", "2147483647 INVITE")(other.request("INVITE", f"sip:6100@{NODE}")))
    settle(other, pbx, text, PASSES)


def test_a_call_id_of_4_kb_and_the_tools(world):
    """It crashed the operators' own tools elsewhere."""
    node, other, pbx = world
    sent = settle(other, pbx, other.request("INVITE", f"sip:6100@{NODE}", call_id="c" * 4000), PASSES)
    assert len(sent.get("Call-ID")) == 4000
    for form in ("table", "json", "yaml", "csv"):
        assert node.run("-o", form, "calls").returncode == 0
    settle(other, pbx, other.request("INVITE", f"sip:6100@{NODE}", call_id="%s%n\x1b[31m\x01"), 400)
    settle(other, pbx, other.request("INVITE", f"sip:6100@{NODE}", call_id="%s%n[31m"), PASSES)
    assert "%s%n[31m" in node.run("calls").stdout


@pytest.mark.parametrize("value", [
    "Digest", "Digest ", "Digest ,,,,", 'Digest username="', "Digest username=\"6001\"", "Basic YTpi", '"', "=", "Digest =,=,=",
    'Digest username="6001",realm="hostile.example",nonce="x",uri="sip:h",response="y"',
    'Digest username="6001",realm="hostile.example",nonce="' + "0" * 2000 + '",uri="sip:h",response="' + "f" * 32 + '"',
    'Digest username="6001",realm="hostile.example",nonce="x",uri="sip:h",response="y",qop=auth,nc=ffffffffffffffffff,cnonce=""',
    'Digest username="%s%n\\",realm="hostile.example"', "Digest " + "a=b," * 900,
])
def test_crafted_credentials(world, value):
    _, other, _ = world
    answer = other.ask("REGISTER", "sip:hostile.example", f"Authorization: {value}")
    assert answer.code in (401, 403)


def test_expires_0_and_its_repetition(world):
    """The second copy of a REGISTER that removes a binding must not bring remaining times below zero to light."""
    node, _, _ = world
    keys = {"user": "6001", "secret": "right", "contact": "sip:6001@127.0.13.20:5060"}
    for expires in (60, 0, 0):
        with Sipp("register", "127.0.13.20", 5060, node.sip, expires=expires, **keys) as run:
            run.wait()
    until(lambda: node.ctl("registrations") == [], "the binding to go")
    with Sipp("register", "127.0.13.20", 5060, node.sip, expires=60, **keys) as run:
        run.wait()
        answers = [line for line in run.messages().splitlines() if line.lower().startswith("contact:") and "expires=" in line]
        assert all(int(line.split("expires=")[1].split(";")[0].split(">")[0]) >= 0 for line in answers)


def whole(method, number, call_id, *lines, body=""):
    return "\r\n".join([
        f"{method} sip:{number}@{NODE} SIP/2.0", f"Via: SIP/2.0/TCP {OTHER};branch=z9hG4bK{call_id}", "From: <sip:1@x.example>;tag=1",
        f"To: <sip:{number}@{NODE}>", f"Call-ID: {call_id}", f"CSeq: 1 {method}", "Max-Forwards: 70", *lines,
        f"Content-Length: {len(body)}", "", body])


LARGEST = {"bytes": ([], "x" * 20_000), "lines": ([f"X-{i}: y" for i in range(120)], "")}


@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_that_a_stream_may_bring(world, name):
    """More than a datagram holds, and as many lines as there may be: answered, refused, given up as any other call."""
    node, _, pbx = world
    lines, body = LARGEST[name]
    with Stream(socket.create_connection((NODE, 5060), 5, (OTHER, 0))) as stream:
        stream.send(whole("INVITE", "6900", f"nobody-{name}", *lines, body=body))
        assert stream.final().code == 404
        stream.send(whole("INVITE", "6101", f"refused-{name}", *lines, body=body))
        invite = pbx.expect("INVITE", call_id=f"refused-{name}")
        pbx.reply(invite, 486)
        pbx.expect("ACK", call_id=f"refused-{name}")
        assert stream.final().code == 486
        stream.send(whole("INVITE", "6101", f"left-{name}", *lines, body=body))
        invite = pbx.expect("INVITE", call_id=f"left-{name}")
        pbx.reply(invite, 180)
        stream.send(whole("CANCEL", "6101", f"left-{name}"))
        pbx.reply(pbx.expect("CANCEL", call_id=f"left-{name}"), 200)
        pbx.reply(invite, 487)
        assert stream.final().code == 487


def test_sixty_idle_connections(world):
    """They used up the handles elsewhere."""
    node, other, pbx = world
    idle = [socket.create_connection((NODE, 5060), timeout=5) for _ in range(60)]
    try:
        settle(other, pbx, other.request("INVITE", f"sip:6100@{NODE}"), PASSES)
        with socket.create_connection((NODE, 5060), timeout=5, source_address=(OTHER, 0)) as s:
            text = other.request("OPTIONS", f"sip:{NODE}").replace("SIP/2.0/UDP", "SIP/2.0/TCP")
            s.sendall(text.encode())
            s.settimeout(10)
            assert s.recv(65536).startswith(b"SIP/2.0 200")
    finally:
        for s in idle:
            s.close()


def test_what_waited_too_long_is_refused(world):
    """The node stands still while a source floods: what is then too old gets 503 with Retry-After and leaves no trace, but
    for as little as the source had a moment ago; a call in progress is ended all the same. Then all is as before."""
    node, other, pbx = world
    call = Call(other, pbx, "6100")
    flood = [other.request("INVITE", f"sip:6100@{NODE}") for _ in range(100)]  # as many as a socket holds
    left = {Message(text.encode()).get("Call-ID"): text for text in flood}
    before = {name: node.counter("edge", name) for name in ("refused_overload", "calls_started")}
    node.process.send_signal(signal.SIGSTOP)
    try:
        for text in flood:
            other.send(text)
        other.send(call.in_dialog("BYE", cseq=9))
        time.sleep(0.5)  # time itself is what is tested
    finally:
        node.process.send_signal(signal.SIGCONT)
    refused, ended = [], []

    def all_answered():
        while came := pbx.receive(0):
            if came.method in ("INVITE", "BYE"):
                pbx.reply(came, 200 if came.method == "BYE" else 486)
        while got := other.receive(0.05):
            ended.extend([got] if got.code == 200 and got.get("Call-ID") == call.call_id else [])
            if got.code and got.code >= 300 and got.get("Call-ID") in left:
                other.ack(left.pop(got.get("Call-ID")), got)
                refused.extend([got] if got.code == 503 else [])
        return ended and not left

    until(all_answered, "the call to end and all to be answered", 20)
    assert len(refused) >= 40
    assert {m.get("Retry-After") for m in refused} == set("12345")
    assert node.counter("edge", "refused_overload") == before["refused_overload"] + len(refused)
    assert node.counter("edge", "calls_started") == before["calls_started"] + len(flood) - len(refused)
    settle(other, pbx, other.request("INVITE", f"sip:6100@{NODE}"), PASSES)
