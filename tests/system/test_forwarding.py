"""A property: a message that is forwarded has the same headers and the same body as before, in the same order, byte for
byte, apart from what a proxy has to change. Random messages; the seed of a failure is in its name."""
import random

import pytest

from harness.cluster import Node
from harness.raw import Peer

NODE, CALLER, CALLEE = "127.0.9.11", "127.0.9.12", "127.0.9.13"
PLAN = """plan: 1
defaults: { domain: forward.example, digest: [md5] }
sites:
  here: { blocks: ["6"] }
trunks:
  caller: { site: here, address: ["127.0.9.12:5060"], trust: ["127.0.9.12/32"] }
  callee: { site: here, address: ["127.0.9.13:5060"], trust: ["127.0.9.13/32"] }
routes:
  - { match: "6", to: trunk/callee }
"""
ADDED = (b"via", b"record-route", b"max-forwards", b"max-breadth", b"session-id", b"session-expires")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("forward"), "one", "here", NODE, mesh=False).start()
    node.apply(PLAN, "test", "--allow", "all")
    with Peer(CALLER, node=NODE) as caller, Peer(CALLEE, node=NODE) as callee:
        yield node, caller, callee
    assert node.stop() == 0, node.log_text()[-3000:]


def lines_of(data):
    """First line, logical header lines (name in lower case, the whole line as it stands), body."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.split(b"\r\n")
    lines = []
    for line in rest:
        if line[:1] in (b" ", b"\t"):
            lines[-1] += b"\r\n" + line
        else:
            lines.append(line)
    return first, [(line.split(b":", 1)[0].strip().lower(), line) for line in lines], body


def spaced(r, text):
    """A line in an unusual dress: case, white space, folds."""
    name, value = text.split(b":", 1)
    name = bytes(r.choice((c, c ^ 32)) if chr(c).isalpha() else c for c in name)
    return name + b" " * r.randrange(3) + b":" + r.choice((b"", b" ", b"\t ", b"\r\n  ")) + value.strip() + b" " * r.randrange(3)


def value(r):
    return bytes(r.choice(b"abcXYZ019 ;,=<>\"'@/()[]{}|~%\\.-\xc3\xa9") for _ in range(r.randrange(1, 60))).strip() or b"x"


def extra_line(r):
    kind = r.randrange(8)
    if kind == 0:
        return b"X-" + str(r.randrange(100)).encode() + b": " + value(r)
    if kind == 1:
        return r.choice((b"Subject", b"s", b"Organization", b"Warning", b"Date")) + b":" + r.choice((b"", b" " + value(r)))
    if kind == 2:
        return b"Supported: a, b,c\r\n , d"
    if kind == 3:
        return b"P-Unknown!%*_+`'~: ;;,,;;,;"
    if kind == 4:
        return b"Via: SIP/2.0/" + r.choice((b"UDP", b"TCP", b"UNKNOWN")) + b" 192.0.2.7:99;branch=z9hG4bKolder" + str(r.randrange(9)).encode()
    if kind == 5:
        return b"v: SIP / 2.0 / UDP\r\n a.example ; branch=x , SIP/2.0/TCP b.example;branch=y"
    if kind == 6:
        return b"X-Long: " + b"y" * r.randrange(2000)
    return b"Record-Route: <sip:192.0.2.9;lr;x=1>"


def message(r, serial, method):
    body = bytes(r.randrange(256) for _ in range(r.choice((0, 0, 1, 400))))
    must = [b"Via: SIP/2.0/UDP " + CALLER.encode() + b":5060;branch=z9hG4bK-p" + serial + r.choice((b"", b";rport", b";x=y;rport"))
            + r.choice((b"", b", SIP/2.0/TCP 192.0.2.3;branch=z9hG4bKx")),
            b"From: " + r.choice((b"", b"\"A \\\" <b>\" ", b"Some Body ")) + b"<sip:100@a.example;p=q>;tag=t" + serial + r.choice((b"", b";x=\"y;z\"")),
            b"To: <sip:6100@a.example>", b"Call-ID: prop-" + serial, b"CSeq: " + str(r.randrange(1, 2 ** 31)).encode() + b" " + method,
            b"Contact: <sip:100@" + CALLER.encode() + b">"]
    if r.randrange(4):
        must.append(b"Max-Forwards: " + str(r.randrange(1, 256)).encode())
    if r.randrange(3) == 0:
        must.append(b"Session-ID: " + b"0" * 32)
    if r.randrange(2):
        must.append(b"Content-Length: " + str(len(body)).encode())
    lines = [spaced(r, line) for line in must]
    first_via = lines.pop(0)
    rest = lines + [extra_line(r) for _ in range(r.randrange(12))]
    r.shuffle(rest)
    older = [i for i, line in enumerate(rest) if line.lower().startswith((b"via", b"v:"))]
    rest.insert(r.randrange((older[0] if older else len(rest)) + 1), first_via)  # the topmost Via is the sender's
    return method + b" sip:6100@" + NODE.encode() + b" SIP/2.0\r\n" + b"\r\n".join(rest) + b"\r\n\r\n" + body


def same_apart_from_edits(sent, got):
    first, before, body = lines_of(sent)
    new_first, after, new_body = lines_of(got)
    assert first.split()[0] == new_first.split()[0] and new_body == body
    added = len(after) - len(before)
    assert added >= 1 and all(name in ADDED for name, _ in after[:added]), after[:added]
    seen_via = False
    for (name, old), (new_name, new) in zip(before, after[added:]):
        assert name == new_name
        if name in (b"via", b"v") and not seen_via:
            seen_via = True  # received and rport are put in
            assert new.split(b"branch")[0] == old.split(b"branch")[0] and CALLER.encode() in new
        elif name == b"max-forwards":
            assert int(new.split(b":")[1]) == int(old.split(b":")[1]) - 1
        else:
            assert new == old


@pytest.mark.parametrize("seed", range(60))
def test_a_request_and_its_answer(world, seed):
    r = random.Random(seed)
    _, caller, callee = world
    serial = f"{seed}".encode()
    method = r.choice((b"INVITE", b"MESSAGE", b"OPTIONS", b"NEWTHING"))
    sent = message(r, serial, method)
    caller.send(sent)
    got = callee.expect(method.decode())
    assert b"prop-" + serial in got.data
    same_apart_from_edits(sent, got.data)

    _, lines, _ = lines_of(got.data)
    kept = [line for name, line in lines if name in (b"via", b"v", b"from", b"to", b"call-id", b"i", b"cseq", b"record-route")]
    kept += [extra_line(r) for _ in range(r.randrange(6))]
    body = b"z" * r.choice((0, 5))
    answer = b"SIP/2.0 200 Fine \xc3\xa9\r\n" + b"\r\n".join(kept) + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    callee.send(answer, got.source)
    back = caller.expect(200)
    first, before, _ = lines_of(answer)
    new_first, after, new_body = lines_of(back.data)
    assert new_first == first and new_body == body
    ours = next(i for i, (name, _) in enumerate(before) if name in (b"via", b"v"))
    assert after == before[:ours] + before[ours + 1:]
