"""Who and what a federation must not believe: wrong clocks, certificates that are expired or foreign, nodes that were evicted,
strangers at the mesh port."""
import concurrent.futures
import datetime
import os
import pathlib
import random
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from harness.cluster import TANDEMD
from harness.federation import Federation, call_inside, change, must_change, note_of, register, registrations, route
from harness.wait import until

LONG = os.environ.get("TANDEM_LONG") == "1"


@pytest.fixture
def fed(tmp_path):
    with Federation(tmp_path) as three:
        yield three


@pytest.fixture
def pair(tmp_path):
    with Federation(tmp_path, 2) as two:
        yield two


# ---- clocks ----

def preload():
    """LD_PRELOAD for a node with a clock of its own. A sanitizer's library must stand before every other."""
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed")
    needed = subprocess.run(["ldd", str(TANDEMD)], capture_output=True, text=True, check=True).stdout
    return " ".join(re.findall(r"/\S*lib[at]san\S*", needed) + [str(found[0])])


def set_clock(node, offset):
    """The wall clock of the node is off, from its next start on and then whenever this is called; its monotonic clock is
    not."""
    clock = node.folder / f"{node.name}.clock"
    clock.write_text(offset + "\n")
    node.environment = {"LD_PRELOAD": preload(), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
                        "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.mark.parametrize("offset", ["+1h", "-1h", "+3600d"])
def test_a_wrong_clock_hinders_nobody(tmp_path, offset):
    """Changes at each node in turn: each wins over what stood there, whoever made that. Nobody's clock is dragged along."""
    with Federation(tmp_path, start=False) as fed:
        a, b, c = fed.all()
        set_clock(c, offset)
        fed.open()
        messages = []
        for turn, node in enumerate((c, a, b, c, a)):
            note = f"{turn}-by-{node.name}"
            messages.append(must_change(node, route("=1777", "trunk/a-pbx", note=note), note))
            until(lambda: {note_of(n, "=1777") for n in fed.all()} == {note}, f"the edit {note} to win everywhere", 15)
        messages.append(must_change(a, route("=1778", "trunk/a-pbx"), "new-at-a"))
        fed.wait_same()
        fed.check_log(messages)
        made = {m["message"]: m["time"] for m in a.changes()}
        assert abs(seconds(made["new-at-a"]) - seconds(made["the plan"])) < 600, f"the clock of a was dragged along: {made}"
        for node in [c] if offset.startswith("-") else [a, b]:
            until(lambda: "ahead of our" in node.status()["verdict"], f"the alarm at {node.name}", 10)
        for node in fed.all():
            call_inside(node)


def test_a_clock_that_jumps(tmp_path):
    """An hour back, to and fro, while another node is away: waits that were begun before the jump end all the same."""
    with Federation(tmp_path, start=False) as fed:
        a, b, c = fed.all()
        set_clock(c, "+0")
        fed.open()
        messages = []
        for turn, offset in enumerate(("-1h", "+1h", "+0")):
            b.kill()
            fed.wait_status(b, ("suspect", "dead"))
            set_clock(c, offset)
            messages.append(must_change(c, route("=1777", "trunk/a-pbx", note=f"{turn}-c"), f"{turn}-c"))
            messages.append(must_change(a, route("=1777", "trunk/a-pbx", note=f"{turn}-a"), f"{turn}-a"))
            b.start()
            fed.wait_linked(30)
            assert a.nodes()["c"]["status"] == "alive"
            until(lambda: {note_of(n, "=1777") for n in fed.all()} == {f"{turn}-a"}, "the last edit to win everywhere", 15)
            call_inside(c)
        fed.wait_same()
        fed.check_log(messages)


def seconds(text):
    """Of a time as the commands print it."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_a_clock_that_is_years_behind_is_named(pair):
    """Its own certificate is not valid yet: it says so, links nobody, and nobody suffers."""
    a, b = pair.all()
    c = pair.make("c")
    set_clock(c, "-3600d")
    c.start()
    until(lambda: "check the clocks" in c.log_text(), "the reason in the log")
    must_change(a, route("=1777", "trunk/a-pbx"), "without-c")
    until(lambda: a.digest() == b.digest(), "the change at b")
    assert c.stop() == 0
    c.environment = {}
    pair.start()
    pair.wait_same()
    pair.check_log(["without-c"])


# ---- certificates ----

def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def certificate(folder, ca, name, days):
    """(certificate, key) of a node: expired when days is negative."""
    subject = subprocess.run(["openssl", "x509", "-in", str(ca / "ca.pem"), "-noout", "-subject", "-nameopt", "multiline"],
                             capture_output=True, text=True, check=True).stdout
    cluster = re.search(r"organizationName *= (\S+)", subject).group(1)
    folder.mkdir(exist_ok=True)
    key, request, extensions, made = (folder / n for n in ("key.pem", "request.pem", "extensions", "certificate.pem"))
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
            "-subj", f"/O={cluster}/OU={name}/CN={name}", "-out", request)
    extensions.write_text("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                          f"extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:tandem,DNS:{name}\n")
    openssl("x509", "-req", "-in", request, "-CA", ca / "ca.pem", "-CAkey", ca / "ca.key", "-days", days,
            "-extfile", extensions, "-out", made)
    return made, key


def install(node, made):
    for source, name in zip(made, ("node.pem", "node.key")):
        target = node.data / "tls" / name
        target.write_bytes(source.read_bytes())
        target.chmod(0o600)


def refused_everywhere(fed, c):
    """The others go on without c. It takes no change: it is to join, and has met nobody who could tell what they know."""
    a, b = fed.nodes["a"], fed.nodes["b"]
    until(lambda: "refused" in c.log_text() or "no links" in c.log_text(), "the reason at the refused node", 15)
    must_change(a, route("=1777", "trunk/a-pbx"), "without-c")
    until(lambda: a.digest() == b.digest(), "the change at b")
    assert change(c, "plan: 1\nsites: { c: { blocks: [\"3\"] } }\n", "from-outside") == 1
    assert all(not r["linked"] for name, r in c.nodes().items() if name != "c")
    for node in (a, b):
        assert not any(m["message"] == "from-outside" for m in node.changes())
    assert not any(m["message"] == "without-c" for m in c.changes())


def test_an_expired_certificate(pair):
    c = pair.make("c")
    good = [(c.data / "tls" / n).read_bytes() for n in ("node.pem", "node.key")]
    install(c, certificate(pair.folder / "expired", pair.ca, "c", -1))
    c.start()
    refused_everywhere(pair, c)
    assert "expired" in c.log_text()
    until(lambda: "refused: our certificate expired on " in c.nodes()["(seed)"]["link"], "the reason in nodes", 15)
    assert c.stop() == 0
    shutil.rmtree(pair.folder / "expired")
    for name, content in zip(("node.pem", "node.key"), good):
        (c.data / "tls" / name).write_bytes(content)
    pair.start(c)
    pair.wait_same()


def authority(folder, cluster):
    """One like ours, with the same names in it."""
    folder.mkdir()
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "ca.key",
            "-subj", f"/O={cluster}/CN=Tandem CA fed", "-days", 10, "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", folder / "ca.pem")
    return folder


@pytest.mark.parametrize("trusts", ["its-own", "ours"])
def test_a_foreign_authority_that_names_our_cluster(pair, trusts):
    """A stranger as b, with the name of our cluster, certified by another's authority; its own trust in that or in ours."""
    a, b = pair.all()
    c = pair.make("c")
    c.config.write_text(c.config.read_text().replace("node: c", "node: b"))
    foreign = authority(pair.folder / "foreign", (c.data / "tls" / "cluster").read_text().strip())
    install(c, certificate(pair.folder / "made", foreign, "b", 10))
    if trusts == "its-own":
        shutil.copy(foreign / "ca.pem", c.data / "tls" / "ca.pem")
    c.start(wait=False)
    before = refusals(a)
    until(lambda: c.process.poll() is not None or (refusals(a) > before and "refused" in c.log_text()),
          "the stranger to be refused", 15)
    must_change(a, route("=1777", "trunk/a-pbx"), "without-c")
    until(lambda: a.digest() == b.digest(), "the change at b")
    assert sorted(a.nodes()) == sorted(b.nodes()) == ["a", "b"]
    assert a.nodes()["b"]["linked"] and b.nodes()["a"]["linked"]
    if trusts == "its-own":
        until(lambda: "refused: certificate is not from this cluster's CA" in c.nodes()["(seed)"]["link"], "the reason", 15)
    if c.process.poll() is not None:  # it refused itself
        assert c.process.returncode == 1 and "certificate" in c.log_text()
        c.process = None


def refusals(node):
    counters = node.counters("mesh")
    return sum(counters[n] for n in ("hello_refused", "peer_refused", "tls_refused", "accept_failed"))


def test_a_certificate_of_another_member_is_no_disguise(pair):
    """c has a's certificate and key, and is configured as b, then as a: it is told apart or refused, and no plan is lost."""
    a, b = pair.all()
    c = pair.make("c")
    for name in ("node.pem", "node.key"):
        shutil.copy(a.data / "tls" / name, c.data / "tls" / name)
    c.start(wait=False)
    assert c.process.wait(20) == 1, "a node started with the certificate of another name"
    assert "certificate" in c.log_text()
    c.process = None
    pair.wait_same()
    assert sorted(a.nodes()) == ["a", "b"]


# ---- eviction ----

def test_an_evicted_node_stays_out(fed):
    a, b, c = fed.all()
    register(c, "3100")
    until(lambda: "3100" in registrations(a), "the registration at a")
    b.kill()  # learns it later
    fed.wait_status(b, ("suspect", "dead"), at=[a])
    a.run("node", "evict", "c", "--yes")
    until(lambda: not any(r["linked"] for n, r in c.nodes().items() if n == "a"), "c to lose its link", 10)
    until(lambda: "evicted" in c.nodes()["a"]["link"], "c to be told why", 15)
    b.start()
    until(lambda: b.nodes()["c"]["status"] == "evicted", "b to learn of the eviction", 15)
    must_change(c, route("=3999", "trunk/c-pbx"), "by-the-evicted", "100ms")
    for turn in range(2):
        until(lambda: a.digest() == b.digest(), "a and b to agree")
        for node in (a, b):
            assert node.nodes()["c"]["status"] == "evicted" and not node.nodes()["c"]["linked"]
            assert not any(m["message"].startswith("by-the-evicted") for m in node.changes())
            assert "3100" not in registrations(node)
        if turn == 0:
            for node in fed.all():
                assert node.stop() == 0
            for node in fed.all():
                node.start()
            until(lambda: a.nodes()["b"]["linked"] and b.nodes()["a"]["linked"], "a and b to be linked", 15)
            until(lambda: a.counters("mesh")["hello_refused"] + b.counters("mesh")["hello_refused"] > 0,
                  "the evicted node to ask again", 15)
            must_change(c, route("=3998", "trunk/c-pbx"), "by-the-evicted-2", "100ms")
    # Neither does it come back with an empty disk and the same certificate, nor as a seed of somebody new.
    assert c.stop() == 0
    tls = fed.folder / "tls"
    shutil.copytree(c.data / "tls", tls)
    shutil.rmtree(c.data)
    c.data.mkdir(mode=0o700)
    shutil.copytree(tls, c.data / "tls")
    refused = a.counters("mesh")["hello_refused"]
    c.start()
    until(lambda: a.counters("mesh")["hello_refused"] > refused, "the evicted node to be refused", 15)
    assert not a.nodes()["c"]["linked"] and a.nodes()["c"]["status"] == "evicted"
    assert a.status()["verdict"] == "ok", a.status()
    assert change(a, route("=1777", "trunk/a-pbx"), "after", "10s") == 0, "an evicted node is waited for"


# ---- strangers at the mesh port ----

def scan(address, count, at_once=50):
    """count connections, each reset at once. Several at a time: the node takes so many a second that its queue is full now
    and then, and who finds it full waits for a second and more."""
    left = iter(range(count))

    def work():
        for _ in left:
            s = socket.create_connection((address, 7400), timeout=30)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for done in [pool.submit(work) for _ in range(at_once)]:
            done.result()


def rss_kb(node):
    for line in pathlib.Path(f"/proc/{node.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def test_scans_of_the_mesh_port(pair):
    a, b = pair.all()
    ups = a.counters("mesh")["links_up"] + b.counters("mesh")["links_up"]
    for _ in range(10):
        scan(a.address, 1000)
        assert a.nodes()["b"]["status"] == "alive"
    must_change(b, route("=2777", "trunk/b-pbx"), "after-the-scan", "5s")
    pair.wait_same()
    assert a.counters("mesh")["links_up"] + b.counters("mesh")["links_up"] == ups, "a scan cost a link"
    pair.start(pair.make("c"))
    pair.wait_same()


def tls_of(node):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(node.data / "tls" / "node.pem", node.data / "tls" / "node.key")
    return context


REQ_HEADER = b"\0SP\0\0\x30\0\0"  # the first bytes of a connection: "I speak the REQ side of REQ/REP"


def test_a_frame_that_announces_a_gigabyte(pair):
    """From somebody who has a certificate, since others do not get that far; and with garbage of every size."""
    a, b = pair.all()
    c = pair.make("c")  # its certificate; it never runs
    before = rss_kb(a)
    for announced in (1 << 30, (1 << 20) + 1, (1 << 63) - 1, (1 << 64) - 1):
        with tls_of(c).wrap_socket(socket.create_connection((a.address, 7400), timeout=10)) as s:
            s.settimeout(10)
            s.sendall(REQ_HEADER + struct.pack(">Q", announced) + b"\x80\0\0\1" + b"x" * 1000)
            try:
                while s.recv(4096):
                    pass
            except (ssl.SSLError, ConnectionError):
                pass  # the node has ended the connection, which is the point
    for size in (0, 1, 3, 4, 5, 100, 60000):
        with tls_of(c).wrap_socket(socket.create_connection((a.address, 7400), timeout=10)) as s:
            s.settimeout(0.2)
            try:
                s.sendall(REQ_HEADER + struct.pack(">Q", size) + b"\x80" + b"\xff" * (size - 1) if size else REQ_HEADER)
                s.recv(4096)
            except (ssl.SSLError, OSError):
                pass
    assert rss_kb(a) < before + 100_000, f"{rss_kb(a)} kB after {before} kB"
    assert a.nodes()["b"]["linked"] and sorted(a.nodes()) == ["a", "b"]
    must_change(b, route("=2777", "trunk/b-pbx"), "after", "5s")
    pair.start(c)
    pair.wait_same()


class Greeting:
    """What a node sends when it links, with a certificate, step by step, so that it can go away after each."""

    STEPS = 7

    def __init__(self, context, address):
        self.socket = socket.create_connection((address, 7400), timeout=10)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="tandem")

    def flush(self):
        self.socket.sendall(self.outgoing.read())

    def read(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError("closed by the node")
        self.incoming.write(data)

    def shake(self):
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        self.flush()

    def steps(self):
        yield self.shake()
        yield self.read()
        yield self.shake()
        yield self.read()
        yield self.shake()
        self.tls.write(REQ_HEADER)
        yield self.flush()
        self.tls.write(struct.pack(">Q", 50) + b"\x80\0\0\1" + b"y" * 46)
        yield self.flush()

    def end(self, how):
        if how == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        elif how == "half":
            self.socket.shutdown(socket.SHUT_WR)
        elif how == "notify":
            try:
                self.tls.unwrap()
            except ssl.SSLError:
                pass
            self.flush()


def greet_and_go(context, address, steps, how):
    try:
        greeting = Greeting(context, address)
    except OSError:
        return  # while the node binds its listener anew
    with greeting.socket:
        try:
            for _ in zip(range(steps), greeting.steps()):
                pass
            greeting.end(how)
        except (OSError, ssl.SSLError):
            pass


def test_peers_that_go_away_in_the_middle_of_the_greeting(pair):
    """A few thousand of these have ended the accepting of NNG 1.5 for good. Whatever happened, somebody new can come."""
    a, b = pair.all()
    c = pair.make("c")
    context = tls_of(c)
    ways = [(steps, how) for steps in range(Greeting.STEPS + 1) for how in ("close", "reset", "half", "notify")]
    for steps, how in ways:
        greet_and_go(context, a.address, steps, how)
    stop = time.monotonic() + (60 if LONG else 6)

    def hammer(seed):
        choice = random.Random(seed)
        while time.monotonic() < stop:
            greet_and_go(context, a.address, choice.randrange(3), choice.choice(("close", "reset", "half")))

    threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    pair.start(c)
    pair.wait_same(30)
