"""The torture messages of RFC 4475 and RFC 5118 (tests/torture/expected.csv) against a node, over UDP: what those
documents say must happen at a proxy, that each refusal is counted under its own name, and that the node lives on."""
import csv
import pathlib
import select
import socket

import pytest

from harness.cluster import Node
from harness.wait import until

ADDRESS, TRUNK = "127.0.5.1", "127.0.5.10"
TORTURE = pathlib.Path(__file__).resolve().parents[1] / "torture"
ROWS = list(csv.DictReader((TORTURE / "expected.csv").open(newline="")))
PLAN = """plan: 1
defaults: { domain: example.com, digest: [md5] }
sites:
  here: { blocks: ["6"] }
trunks:
  pbx: { site: here, address: ["127.0.5.10:5060"], trust: ["127.0.5.10/32"] }
accounts:
  "6001": { password: "right" }
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
    head = payload.split(b"\r\n\r\n")[0].split(b"\r\n")
    ids = [line.split(b":", 1)[1].strip() for line in head if line.lower().startswith((b"call-id", b"i:"))]
    return ids[0] if ids else b""


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


def test_the_node_lives_on(node):
    assert node.ready() and node.ctl("trunks")
