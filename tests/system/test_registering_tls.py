"""A carrier that is reached by TLS under a name with two servers (RFC 3263): Kamailio twice, behind a name server of the
test. What its certificate does not prove is not registered with."""
import pytest

from harness.certificates import authority, certificate
from harness.cluster import Cluster
from harness.names import Names
from harness.raw import Call, Message, Peer
from harness.registrar import Registrar
from harness.wait import until

NODE, FIRST, SECOND, PHONE, PBX, NAMES = (f"127.0.74.{n}" for n in (1, 20, 21, 30, 10, 53))
MOVED = "127.0.74.40"
USER = "493012340"
DOMAIN = "carrier.example"
PLAN = f"""plan: 1
defaults: {{ domain: test.example, digest: [md5] }}
sites:
  hq: {{ blocks: ["6"] }}
trunks:
  pbx: {{ site: hq, address: ["{PBX}:5060"], trust: ["{PBX}/32"] }}
  carrier:
    site: hq
    address: ["{DOMAIN}"]
    transport: tls
    register: {{ user: "{USER}", login: u49301, password: secret, expires: 60s }}
routes:
  - {{ match: "6", to: trunk/pbx }}
  - {{ match: "{USER}", to: trunk/pbx }}
  - {{ match: "0", to: trunk/carrier, strip: 1 }}
"""
MOVED_TRUNK = f"""plan: 1
trunks:
  moved:
    site: hq
    address: ["{MOVED}:5060"]
    register: {{ user: "493015", domain: {DOMAIN}, login: u49301, password: secret, expires: 60s }}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """The node, both registrars and the certificates: a good one, and one of an authority that nobody trusts."""
    folder = tmp_path_factory.mktemp("secure")
    for name in ("public", "private"):
        authority(folder, name)
    good, forged = certificate(folder, "public", DOMAIN), certificate(folder, "private", DOMAIN)
    records = {("SRV", f"_sips._tcp.{DOMAIN}"): [(10, 0, 5061, f"a.{DOMAIN}"), (20, 0, 5061, f"b.{DOMAIN}")],
               ("A", f"a.{DOMAIN}"): [FIRST], ("A", f"b.{DOMAIN}"): [SECOND]}
    first, second = (Registrar(folder, address, PHONE, r"^127\.0\.74\.1$").secure(*good) for address in (FIRST, SECOND))
    with Names(folder, NAMES, records) as names, first, second, Cluster(folder / "cluster") as one:
        node = one.add("one", "hq", NODE, start=False)
        node.environment["SSL_CERT_FILE"] = str(folder / "public.pem")
        node.prefix = names.prefix()
        node.start()
        node.apply(PLAN, "test", "--allow", "all")
        yield node, first, second, forged


def row(node, trunk="carrier"):
    return next(r for r in node.ctl("trunks") if r["trunk"] == trunk and r["what"] == "registration")


def registered_at(node, registrar, trunk="carrier"):
    def look():
        rows = registrar.contacts()
        assert row(node, trunk)["state"] == "registered" and len(rows) == 1, (row(node, trunk), rows)
        return rows[0]
    return until(look, f"{trunk} to be registered at {registrar.address}", 20)


def calls_both_ways(node, registrar):
    with Peer(PHONE, node=registrar.address) as phone, Peer(PBX, node=NODE) as pbx:
        call = Call(phone, pbx, USER)
        assert any("SIP/2.0/TLS" in via for via in call.invite.all("Via")), call.invite.data
        call.end()
        call = Call(pbx, phone, "0123")
        assert call.invite.uri == f"sip:123@{DOMAIN};transport=tls"
        call.end()


def test_by_tls_under_a_name(house):
    node, first, second, _ = house
    contact = registered_at(node, first)
    assert f"@{NODE}:5061;transport=tls;line=" in contact["Address"], contact
    assert second.contacts() == []
    calls_both_ways(node, first)


def test_the_next_server_of_the_name(house):
    """The first one ends: the connection is lost, and another one is made, to the second."""
    node, first, second, _ = house
    registered_at(node, first)
    first.stop()
    registered_at(node, second)
    calls_both_ways(node, second)


def test_a_certificate_that_proves_nothing(house):
    """At both names stands somebody with a certificate of his own making."""
    node, first, second, forged = house
    registered_at(node, second)
    good = first.words["CERTIFICATE"], first.words["PRIVATE_KEY"]
    first.secure(*forged).start()
    second.stop()
    second.secure(*forged).start()
    reason = until(lambda: row(node)["reason"] if "certificate" in row(node)["reason"] else None, "the reason to be said", 20)
    assert reason.startswith("cannot be reached: certificate verify failed"), reason
    assert first.contacts() == [] and second.contacts() == []
    first.stop()
    first.secure(*good).start()
    registered_at(node, first)


def test_where_a_registrar_sends_us(house):
    """A 302 to another one; there the registration stays."""
    node, first, _, _ = house
    with Peer(MOVED, node=NODE) as moved:
        node.apply(MOVED_TRUNK, "test", "--allow", "all", name="moved.yaml")
        request = moved.expect("REGISTER")
        text = "\r\n".join(["SIP/2.0 302 Moved", *(f"{name}: {value}" for name, value in request.lines
                                                   if name in ("Via", "From", "To", "Call-ID", "CSeq")),
                            f"Contact: <sip:{FIRST}:5060>", "Content-Length: 0", "", ""])
        moved.send(text, request.source)
        found = until(lambda: [c for c in first.contacts() if "sip:493015@" in c["Address"]], "it to register there", 20)
        assert f"@{NODE}:5060;line=" in found[0]["Address"]
        assert until(lambda: row(node, "moved")["state"] == "registered", "it to be known")
        assert Message(request.data).uri == f"sip:{DOMAIN}"
    node.apply("plan: 1\nremove: [trunk/moved]\n", "test", "--allow", "all", name="gone.yaml")
    until(lambda: len(first.contacts()) == 1, "it to be given back")
