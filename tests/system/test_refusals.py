"""Bad input: a clear error each, counted, nothing lost, the process alive."""
import errno
import os
import socket
import subprocess

import pytest

from harness import sipp
from harness.cluster import TANDEMD, Cluster, Node, clusterctl
from harness.sipp import Sipp
from harness.wait import until

ADDRESS = "127.0.5.1"
PLAN = """plan: 1
defaults: { domain: test.example, digest: [md5] }
sites:
  here: { blocks: ["6"] }
trunks:
  pbx: { site: here, address: ["127.0.5.10:5060"], trust: ["127.0.5.10/32"] }
  other: { site: here, address: ["127.0.5.11:5060"], trust: ["127.0.5.11/32"] }
accounts:
  "6001": { password: "right" }
routes:
  - { match: "6", to: trunk/pbx }
"""


@pytest.fixture
def node(tmp_path):
    """A node on its own with a small plan; it must end well."""
    one = Node(tmp_path, "one", "here", ADDRESS, mesh=False)
    one.start()
    one.apply(PLAN, "test", "--allow", "all")
    yield one
    assert one.stop() == 0, one.log_text()[-3000:]


def exchange(payload, source="127.0.5.10", timeout=2.0):
    """One datagram to the node and the first answer, b"" when there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((source, 0))
        s.settimeout(timeout)
        s.sendto(payload, (ADDRESS, 5060))
        try:
            return s.recv(65536)
        except TimeoutError:
            return b""


def request(method="OPTIONS", uri="sip:127.0.5.1", source="127.0.5.10", extra="", call_id="c1@test", body=""):
    return (f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {source}:5999;branch=z9hG4bK{call_id};rport\r\n"
            f"From: <sip:a@test>;tag=1\r\nTo: <{uri}>\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n"
            f"Max-Forwards: 70\r\nContact: <sip:a@{source}>\r\n{extra}Content-Length: {len(body)}\r\n\r\n{body}").encode()


def alive(node):
    return exchange(request()).startswith(b"SIP/2.0 200")


def total(node, *modules):
    return sum(r["value"] for r in node.ctl("counters") if r["module"] in modules)


@pytest.mark.parametrize("name, payload, answer", [
    ("not sip", b"\x00\xff" * 700, b""),
    ("empty", b"", b""),
    ("oversized", request(extra="X: " + "a" * 3000 + "\r\n" + ("Y: " + "b" * 3000 + "\r\n") * 15), b"SIP/2.0 513"),
    ("line too long", request(extra="X: " + "a" * 5000 + "\r\n"), b"SIP/2.0 400"),
    ("too many headers", request(extra="X: y\r\n" * 200), b"SIP/2.0 400"),
    ("negative length", request().replace(b"Content-Length: 0", b"Content-Length: -1"), b"SIP/2.0 400"),
    ("length over the body", request().replace(b"Content-Length: 0", b"Content-Length: 2147483640"), b"SIP/2.0 400"),
    ("another version", request().replace(b"OPTIONS sip:127.0.5.1 SIP/2.0", b"OPTIONS sip:127.0.5.1 SIP/7.0"), b"SIP/2.0 505"),
    ("method mismatch", request().replace(b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE"), b"SIP/2.0 400"),
    ("huge cseq", request().replace(b"CSeq: 1", b"CSeq: 36893488147419103232"), b"SIP/2.0 400"),
    ("nul inside", request(extra="X: a\0b\r\n"), b"SIP/2.0 400"),
    ("no to", request().replace(b"To: <sip:127.0.5.1>\r\n", b""), b"SIP/2.0 400"),
    ("unknown scheme", request("INVITE", "urn:service:sos"), b"SIP/2.0 416"),
    ("max-forwards 0", request("INVITE", "sip:6100@127.0.5.1").replace(b"Forwards: 70", b"Forwards: 0"), b"SIP/2.0 483"),
    ("proxy-require", request("INVITE", "sip:6100@127.0.5.1", extra="Proxy-Require: magic\r\n"), b"SIP/2.0 420"),
])
def test_malformed_datagrams(node, name, payload, answer):
    got = exchange(payload, timeout=2.0 if answer else 0.3)
    while answer and got.startswith(b"SIP/2.0 100"):
        got = exchange(payload)
    assert got.startswith(answer) if answer else got == b"", got[:200]
    assert alive(node)


def test_every_refused_datagram_is_counted(node):
    before = total(node, "edge", "transport")
    exchange(b"garbage", timeout=0.2)
    until(lambda: total(node, "edge", "transport") > before, "a counter to grow")


def test_unknown_number_is_404(node):
    assert b"SIP/2.0 404" in answers(request("INVITE", "sip:7777@127.0.5.1", call_id="c404@test"))


def answers(payload, source="127.0.5.10", wanted=2, timeout=3.0):
    """Every answer to one datagram, up to the final one."""
    got = b""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((source, 0))
        s.settimeout(timeout)
        s.sendto(payload, (ADDRESS, 5060))
        for _ in range(wanted):
            try:
                part = s.recv(65536)
            except TimeoutError:
                break
            got += part
            if not part.startswith(b"SIP/2.0 1"):
                break
    return got


def test_a_stranger_is_challenged_whatever_it_asks_for(node):
    for uri in ("sip:6100@127.0.5.1", "sip:7777@127.0.5.1", "sip:6100@192.0.2.1"):
        assert b"SIP/2.0 407" in answers(request("INVITE", uri, "127.0.5.66", call_id=uri), "127.0.5.66")


def test_a_stranger_with_a_route_goes_nowhere(node):
    text = request("INVITE", "sip:6100@127.0.5.1", "127.0.5.66", extra="Route: <sip:127.0.5.77:5060;lr>\r\n", call_id="relay@test")
    assert answers(text, "127.0.5.66").split()[1] in (b"403", b"407")


def test_wrong_password_is_refused_and_counted(node):
    before = {r["name"]: r["value"] for r in node.ctl("counters") if r["module"] in ("edge", "registrar")}
    with Sipp("register_refused", "127.0.5.20", 5060, node.sip, user="6001", secret="wrong",
              contact="sip:6001@127.0.5.20:5060", expires=60) as run:
        run.wait()
    after = {r["name"]: r["value"] for r in node.ctl("counters") if r["module"] in ("edge", "registrar")}
    assert any("auth" in name and after[name] > before[name] for name in after if "ok" not in name), after
    assert node.ctl("registrations") == []


def test_an_unknown_account_gets_the_same_answer_as_a_wrong_password(node):
    seen = []
    for user in ("6001", "6999"):
        with Sipp("register_refused", "127.0.5.20", 5060, node.sip, user=user, secret="wrong",
                  contact=f"sip:{user}@127.0.5.20:5060", expires=60) as run:
            run.wait()
            seen.append([line for line in run.messages().splitlines() if line.startswith("SIP/2.0 ")])
    assert seen[0] == seen[1]


@pytest.mark.parametrize("text, where, what", [
    ("plan: 1\nroutes:\n  - { mach: \"6\", to: trunk/pbx }\n", ":3:", "mach"),
    ("plan: 1\nroutes:\n  - { match: \"6x\", to: trunk/pbx }\n", ":3:", "6x"),
    ("plan: 1\ntrunks:\n  t: { site: here, address: [\"10.0.0.1:99999\"] }\n", ":3:", "99999"),
    ("plan: \"1\n", ":2:", "YAML"),
    ("plan: 2\n", ":1:", "1"),
])
def test_a_plan_file_with_an_error_names_file_line_and_column(node, text, where, what):
    digest = node.digest()
    path = node.folder / "bad.yaml"
    path.write_text(text)
    for command in (["plan", "check", path], ["plan", "apply", path, "-m", "x"]):
        result = node.run(*command, check=False)
        assert result.returncode in (1, 3), result
        said = result.stderr + result.stdout
        assert f"bad.yaml{where}" in said and what in said, said
    assert node.digest() == digest


def test_lint_findings_refuse_and_change_nothing(node):
    digest = node.digest()
    result = node.run("plan", "apply", write(node, "plan: 1\nroutes:\n  - { match: \"62\", to: trunk/nobody }\n"), "-m", "x",
                      check=False)
    assert result.returncode == 3, result
    assert "unknown-target" in result.stdout + result.stderr
    assert node.digest() == digest


def write(node, text):
    path = node.folder / "change.yaml"
    path.write_text(text)
    return path


def test_a_plan_that_moved_is_refused(node):
    old = node.digest()
    node.apply("plan: 1\nroutes:\n  - { match: \"63\", to: trunk/pbx }\n", "moves it", "--allow", "all")
    assert node.digest() != old


def test_a_second_tandemd_on_the_same_data(node, tmp_path):
    other = Node(tmp_path, "other", "here", "127.0.5.2", mesh=False)
    other.config.write_text(other.config.read_text().replace(f"data: {other.data}", f"data: {node.data}"))
    result = subprocess.run([str(TANDEMD), str(other.config)], capture_output=True, text=True, timeout=20)
    assert result.returncode == 1
    assert str(node.process.pid) in result.stderr, result.stderr
    assert alive(node) and node.ctl("trunks")


def test_a_port_in_use_is_named(node, tmp_path):
    other = Node(tmp_path, "other", "here", ADDRESS, mesh=False)
    result = subprocess.run([str(TANDEMD), str(other.config)], capture_output=True, text=True, timeout=20)
    assert result.returncode == 1
    assert f"{ADDRESS}:5060" in result.stderr and "in use" in result.stderr, result.stderr
    assert alive(node)


def test_check_says_ok_or_where_the_error_is(tmp_path):
    node = Node(tmp_path, "one", "here", ADDRESS, mesh=False)
    good = subprocess.run([str(TANDEMD), "--check", str(node.config)], capture_output=True, text=True)
    assert good.returncode == 0 and "ok" in good.stdout
    node.config.write_text(node.config.read_text() + "sipp: {}\n")
    bad = subprocess.run([str(TANDEMD), "--check", str(node.config)], capture_output=True, text=True)
    line = len(node.config.read_text().splitlines())
    assert bad.returncode == 1 and f"one.yaml:{line}:1: unknown key" in bad.stderr


def test_garbage_on_the_mesh_port(tmp_path):
    with Cluster(tmp_path) as c:
        a = c.add("a", "a", "127.0.6.1")
        for payload in (b"GET / HTTP/1.0\r\n\r\n", b"\x00SP\x00\x000\x00\x00", b"\xff" * 5000,
                        b"\x16\x03\x01\x7f\xff" + b"\x01" * 1000):
            with socket.create_connection(("127.0.6.1", 7400), timeout=5) as s:
                s.sendall(payload)
        for _ in range(500):  # a port scan: connect and reset
            s = socket.create_connection(("127.0.6.1", 7400), timeout=5)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()
        c.add("b", "b", "127.0.6.2", seeds=[a.mesh])
        c.wait_linked(30)


def test_a_foreign_certificate_is_refused(tmp_path):
    """A node of another cluster's CA is not linked, is counted, and the reason can be read."""
    with Cluster(tmp_path / "ours", "ours") as c, Cluster(tmp_path / "theirs", "theirs") as foreign:
        a = c.add("a", "a", "127.0.6.1")
        before = total(a, "mesh")
        stranger = foreign.add("b", "b", "127.0.6.2", seeds=[a.mesh])
        until(lambda: total(a, "mesh") > before, "the refusal to be counted", 15)
        until(lambda: "link-refused" in stranger.log_text() or "refused" in stranger.log_text(), "the reason in the log", 15)
        assert list(a.nodes()) == ["a"] and list(stranger.nodes()) == ["b", "(seed)"]
        c.add("c", "c", "127.0.6.3", seeds=[a.mesh])
        c.wait_linked()


def fill(path):
    """Writes until the disk is full."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(fd, b"x" * 4096)
    except OSError as problem:
        assert problem.errno == errno.ENOSPC
    finally:
        os.close(fd)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small file system")
def test_a_full_disk_refuses_plan_changes_and_calls_go_on(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no right to mount here")
    node = Node(tmp_path, "one", "here", ADDRESS, mesh=False)
    try:
        node.config.write_text(node.config.read_text().replace(f"data: {node.data}", f"data: {disk}/data"))
        node.start()
        node.apply(PLAN, "test", "--allow", "all")
        ballast = disk / "ballast"
        fill(ballast)
        digest = node.digest()
        result = node.apply_unchecked("plan: 1\nroutes:\n" + "".join(
            f"  - {{ match: \"6{i:05d}\", to: trunk/pbx }}\n" for i in range(3000)))
        assert result.returncode == 1, result
        assert "space" in result.stderr or "full" in result.stderr, result.stderr
        assert node.digest() == digest
        assert "not accepted" in node.ctl("status")[0]["verdict"]
        sipp.call(("uac", "127.0.5.11", 5061, node.sip, {"caller": "1"}), ("uas", "127.0.5.10", 5060, {}), "6100")
        ballast.unlink()
        until(lambda: node.apply_unchecked("plan: 1\nroutes:\n  - { match: \"64\", to: trunk/pbx }\n").returncode == 0,
              "changes to be accepted again", 15)
        assert node.stop() == 0
    finally:
        node.stop()
        subprocess.run(["umount", "--lazy", str(disk)], check=False)
