"""The torture messages of RFC 4475 and RFC 5118 (tests/torture/expected.csv) against a node, over UDP: what those
documents say must happen at a proxy, that each refusal is counted under its own name, and that the node lives on. What
is legal also passes on to a trunk as it is, and registrations are taken, or not, for one who proves who he is."""
import csv
import pathlib
import re
import select
import socket

import pytest

from harness.cluster import Node
from harness.digest import challenges, proof
from harness.raw import Message, Peer
from harness.wait import until

ADDRESS, TRUNK, FAR = "127.0.5.1", "127.0.5.10", "127.0.5.11"
TORTURE = pathlib.Path(__file__).resolve().parents[1] / "torture"
ROWS = list(csv.DictReader((TORTURE / "expected.csv").open(newline="")))
PLAN = """plan: 1
defaults: { domain: example.com, digest: [md5] }
sites:
  here: { blocks: ["6"] }
trunks:
  pbx: { site: here, address: ["127.0.5.10:5060"], trust: ["127.0.5.10/32"] }
  far: { site: here, address: ["127.0.5.11:5060"] }
accounts:
  "6001": { password: "right" }
  watson: { password: "right" }
routes:
  - { match: "=6999", to: trunk/far }
"""
# Where an answer goes that is sent to the topmost Via's port.
PORTS = (5060, 6050, 19823)
COUNTERS = {  # of the edge, by the answer to a message that is well formed
    "401": {"challenged"}, "403": {"refused_foreign_route", "refused_register_elsewhere"}, "404": {"refused_no_target"},
    "400": {"refused_syntax"}, "416": {"refused_scheme"}, "420": {"refused_proxy_require"}, "481": {"refused_no_dialog"},
    "483": {"refused_max_forwards"}, "-": {"responses_unmatched"},
}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    one = Node(tmp_path_factory.mktemp("torture"), "one", "here", ADDRESS, mesh=False)
    one.start()
    one.apply(PLAN, "test", "--allow", "all")
    yield one
    assert one.stop() == 0, one.log_text()[-3000:]


@pytest.fixture(scope="module")
def trunk():
    sockets = []
    for port in PORTS:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((TRUNK, port))
        sockets.append(s)
    yield sockets
    for s in sockets:
        s.close()


def receive(sockets, timeout):
    ready, _, _ = select.select(sockets, [], [], timeout)
    return ready[0].recv(65536) if ready else b""


def answer_to(sockets, payload, call_id):
    """The final answer to this message; repetitions of answers to earlier ones are passed over."""
    sockets[0].sendto(payload, (ADDRESS, 5060))
    while True:
        got = receive(sockets, 5)
        assert got, "no answer"
        if call_id in got and not got.startswith(b"SIP/2.0 1"):
            return got


def counters(node):
    return {(r["module"], r["name"]): r["value"] for r in node.ctl("counters")}


def acknowledge(sockets, payload, got):
    """An ACK, so that the answer to an INVITE is not repeated into the next test."""
    lines = [line for line in got.decode("latin-1").split("\r\n") if line.lower().startswith(("via:", "from:", "to:", "call-id:"))]
    cseq = next(line for line in got.decode("latin-1").split("\r\n") if line.lower().startswith("cseq:")).split()[1]
    if payload.startswith(b"INVITE"):
        text = "\r\n".join(["ACK sip:x@127.0.5.1 SIP/2.0", lines[0], *lines[1:], f"CSeq: {cseq} ACK", "Content-Length: 0", "", ""])
        sockets[0].sendto(text.encode("latin-1"), (ADDRESS, 5060))


def call_id_of(payload):
    """What an answer to it is known by: where it has no Call-ID, the branch."""
    head = payload.split(b"\r\n\r\n")[0].split(b"\r\n")
    ids = [line.split(b":", 1)[1].strip() for line in head if line.lower().startswith((b"call-id", b"i:"))]
    return ids[0] if ids else re.search(rb"branch=([^;\s]+)", payload).group(1)


@pytest.mark.parametrize("row", ROWS, ids=[r["file"] for r in ROWS])
def test_message(node, trunk, row):
    payload = (TORTURE / row["file"]).read_bytes()
    before = counters(node)
    expected = {("transport", f"fault_{row['fault']}")} if row["fault"] != "none" else \
        {("edge", name) for name in COUNTERS[row["node"]]}
    grown = lambda: {key for key, n in counters(node).items() if n > before[key]}  # noqa: E731
    if row["node"] == "-":
        trunk[0].sendto(payload, (ADDRESS, 5060))
    else:
        got = answer_to(trunk, payload, call_id_of(payload))
        assert got.split()[1].decode() == row["node"], f"{row['says']}: {got[:200]}"
        acknowledge(trunk, payload, got)
    until(lambda: grown() & expected, f"one of {expected} to grow")
    if row["node"] == "-":
        while got := receive(trunk, 0):  # a late repetition may stand in the way
            assert call_id_of(payload) not in got, "it answered"
        assert ("edge", "forwarded") not in grown()
    if row["node"] == "420":
        assert b"Unsupported: noProxiesSupportThis, norDoAnyProxiesSupportThis\r\n" in got


def test_a_branch_that_is_only_the_cookie_does_not_make_two_requests_one(node, trunk):
    """RFC 4475 section 3.2.1."""
    text = (TORTURE / "rfc4475" / "badbranch").read_bytes()
    for call_id in (b"badbranch-one", b"badbranch-two"):
        got = answer_to(trunk, text.replace(b"badbranch.sadonfo23i420jv0as0derf3j3n", call_id), call_id)
        assert got.startswith(b"SIP/2.0 404")


LEGAL = [r["file"] for r in ROWS if r["node"] == "404"] + ["rfc4475/wsinv", "rfc4475/mpart01"]
OF_THE_PROXY = {"via", "v", "max-forwards", "record-route", "session-id", "max-breadth", "session-expires"}
FULL = {"v": "via", "f": "from", "t": "to", "i": "call-id"}


def lines_of(text):
    """Name and line of each header line, its folds included."""
    head = text.decode("latin-1").partition("\r\n\r\n")[0]
    return [(FULL.get(name := line.split(":")[0].strip().lower(), name), line) for line in re.split(r"\r\n(?![ \t])", head)[1:]]


def without(text, names):
    return [line for name, line in lines_of(text) if name not in names]


def for_the_trunk(text):
    """The message to a number that the plan knows, outside a dialog and without a Route, and as one of its own."""
    text = text.replace(b"z9hG4bK", b"z9hG4bKfar", 1).replace(call_id_of(text), b"far-" + call_id_of(text))
    first, _, body = text.partition(b"\r\n")[0], *text.partition(b"\r\n\r\n")[1:]
    lines = [re.sub(r";\s*tag\s*=\s*\w+", "", line) if name == "to" else line for name, line in lines_of(text) if name != "route"]
    head = "\r\n".join([f"{first.split()[0].decode()} sip:6999@{ADDRESS} SIP/2.0", *lines])
    return head.encode("latin-1") + b"\r\n\r\n" + body


def reply_to(text, code):
    """A response to what came, with its own lines."""
    kept = [line for name, line in lines_of(text) if name in ("via", "from", "to", "call-id", "cseq")]
    return "\r\n".join([f"SIP/2.0 {code} X", *(line + ";tag=far" if line.split(":")[0].strip().lower() in ("to", "t") else line
                                               for line in kept), "Content-Length: 0", "", ""])


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_legal_passes_on_as_it_is(node, trunk, name):
    sent = for_the_trunk((TORTURE / name).read_bytes())
    with Peer(FAR, node=ADDRESS) as far:
        trunk[0].sendto(sent, (ADDRESS, 5060))
        while (got := far.receive(5)) and got.method == "ACK":
            pass  # of the call before
        assert got is not None and got.first == f"{got.method} sip:6999@{FAR}:5060 SIP/2.0"
        assert without(got.data, OF_THE_PROXY) == without(sent, OF_THE_PROXY)
        assert sent.endswith(got.data.partition(b"\r\n\r\n")[2])
        far.send(reply_to(got.data, 603), got.source)
        while not ((answer := receive(trunk, 5)).startswith(b"SIP/2.0 603 ") and call_id_of(sent) in answer):
            assert answer, "no answer"
        assert [n for n, _ in lines_of(answer)].count("via") == [n for n, _ in lines_of(sent)].count("via")
        acknowledge(trunk, sent, answer)


REGISTRATIONS = {  # the answer to one who proves who he is, and what stands in it
    "cparam01": (200, "Contact: <sip:+19725552222@gw1.example.net>;"),
    "cparam02": (200, "Contact: <sip:+19725552222@gw1.example.net;unknownparam>;"),
    "regescrt": (200, "Contact: <sip:user@host.example.com?Route=%3Csip:sip.example.com%3E>;"),
    "regbadct": (400, ""),
    "dblreq": (200, "Contact: <sip:j.user@host.example.com>;"),
    "regaut01": (200, ""),
    "unksm2": (403, ""),   # his name is another one
    "escnull": (403, ""),  # likewise: what follows the NUL belongs to it
}


@pytest.mark.parametrize("name", REGISTRATIONS)
def test_registrations(node, trunk, name):
    """What is behind the challenge; the names in To are those of an account where the message is not about them."""
    code, line = REGISTRATIONS[name]
    text = (TORTURE / "rfc4475" / name).read_bytes()
    text = re.sub(rb"To: sip:(?:j\.)?user@", b"To: sip:watson@", text).replace(b"user@example.com?", b"user@host.example.com?")
    call_id = call_id_of(text)
    challenge = next(c for c in challenges(answer_to(trunk, text, call_id).decode()) if c["algorithm"] == "MD5")
    credentials = proof(challenge, "watson", "right", "REGISTER", "sip:example.com").encode()
    proved = text.replace(b"branch=z9hG4bK", b"branch=z9hG4bK" + name.encode(), 1).replace(b"\r\n", b"\r\n" + credentials, 1)
    got = answer_to(trunk, proved, call_id).decode()
    assert got.startswith(f"SIP/2.0 {code} ") and line in got, got


def test_the_node_lives_on(node):
    assert node.ready() and node.ctl("trunks")
