"""A trunk that is known by its certificate: its calls come from any address; another authority's word, or another name, is
worth nothing."""
import re
import socket
import ssl
import threading

import pytest

from harness.certificates import authority, certificate
from harness.cluster import Cluster
from harness.raw import Peer, Stream

NODE, PBX, AWAY = "127.0.71.1", "127.0.71.10", "127.0.71.20"
PLAN = f"""plan: 1
defaults: {{ domain: test.example, digest: [md5] }}
sites:
  hq: {{ blocks: ["6"] }}
trunks:
  carrier: {{ site: hq, address: ["sip.carrier.example"], transport: tls, trust_names: [sip.carrier.example], in: [{{match: "9", strip: 1}}] }}
  other:   {{ site: hq, address: ["{AWAY}"], trust: ["127.0.71.30/32"], identity: outside }}
  pbx:     {{ site: hq, address: ["{PBX}:5060"], identity: inside }}
routes:
  - {{ match: "6", to: trunk/pbx }}
"""


class TlsCaller(Stream):
    """One TLS connection to the node, from an address that no trust range names."""

    def __init__(self, address, certificate=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(*certificate)
        plain = socket.create_connection((NODE, 5061), 10, (address, 0))
        super().__init__(context.wrap_socket(plain))
        self.address, self.contact, self.count = address, address, 0

    def invite(self, number):
        """The final answer, acknowledged."""
        self.count += 1
        lines = [f"INVITE sip:{number}@{NODE} SIP/2.0",
                 f"Via: SIP/2.0/TLS {self.address};branch=z9hG4bK-tls-{id(self)}-{self.count}", f"To: <sip:{number}@{NODE}>",
                 f"From: <sip:100@carrier>;tag=t{self.count}", f"Call-ID: tls-{id(self)}-{self.count}", "CSeq: 1 INVITE",
                 f"Contact: <sip:100@{self.contact};transport=tls>", "P-Asserted-Identity: <sip:100@carrier>"]
        self.send("\r\n".join([*lines, "Max-Forwards: 70", "Content-Length: 0", "", ""]))
        answer = self.final()
        if answer.code >= 300:
            self.socket.sendall("\r\n".join([lines[0].replace("INVITE", "ACK", 1), lines[1], f"To: {answer.get('To')}", lines[3],
                                             lines[4], "CSeq: 1 ACK", "Content-Length: 0", "", ""]).encode())
        return answer


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    certs = folder / "certs"
    certs.mkdir()
    for name in ("public", "private"):
        authority(certs, name)
    with Cluster(folder) as one:
        node = one.add("hq", "hq", NODE, start=False)
        node.environment["SSL_CERT_FILE"] = str(certs / "public.pem")
        node.start()
        node.apply(PLAN, "test", "--allow", "all")
        yield node, certs


def grown(node, before, module, name):
    return node.counter(module, name) - before[module].get(name, 0)


def test_known_by_its_certificate(house):
    node, certs = house
    with Peer(PBX, node=NODE) as pbx, TlsCaller(AWAY, certificate(certs, "public", "sip.carrier.example")) as carrier:
        seen = []

        def answer():
            seen.append(pbx.expect("INVITE"))
            pbx.reply(seen[0], 486)
        waiting = threading.Thread(target=answer)
        waiting.start()
        assert carrier.invite("96100").code == 486
        waiting.join()
    assert seen[0].uri.startswith("sip:6100@")  # by the rules of the trunk
    assert seen[0].get("P-Asserted-Identity") == "<sip:100@carrier>"  # which is inside
    assert node.ctl("calls")[0]["source"] == "trunk/carrier"
    explained = node.ctl("route", "explain", "96100", "--from", "trunk/carrier")
    assert [r["target"] for r in explained if r["kind"] == "candidate" and r["place"]] == ["trunk/pbx"]


@pytest.mark.parametrize("contact", [AWAY, "10.77.0.9"])
def test_hung_up_on_by_its_connection(house, contact):
    """Its contact has no name that another connection could prove."""
    _, certs = house
    with Peer(PBX, node=NODE) as pbx, TlsCaller(AWAY, certificate(certs, "public", "sip.carrier.example")) as carrier:
        seen = []
        carrier.contact = contact

        def answer():
            seen.append(pbx.expect("INVITE"))
            pbx.reply(seen[0], 200, tag="p")
        waiting = threading.Thread(target=answer)
        waiting.start()
        assert carrier.invite("96100").code == 200
        waiting.join()
        invite = seen[0]
        at = re.search(r"<(.*)>", invite.get("Contact")).group(1)
        pbx.send(pbx.request("BYE", at, *(f"Route: {value}" for value in invite.all("Record-Route")),
                             call_id=invite.get("Call-ID"), from_=f"{invite.get('To')};tag=p", to=invite.get("From"), cseq=5))
        bye = carrier.receive()
        assert bye.first.startswith(f"BYE {at} "), bye.first


@pytest.mark.parametrize("ca, name, module, counter", [
    ("private", "sip.carrier.example", "transport", "tls_certificate_unproved"),
    ("public", "other.example", "edge", "certificates_of_no_trunk"),
    (None, None, "edge", "challenged"),
])
def test_nobody_else(house, ca, name, module, counter):
    node, certs = house
    before = {m: node.counters(m) for m in ("transport", "edge")}
    with TlsCaller(AWAY, certificate(certs, ca, name) if ca else None) as stranger:
        assert stranger.invite("96100").code == 407
    assert grown(node, before, module, counter) == 1
    assert grown(node, before, "edge", "calls_started") == 0
    if ca == "private":
        assert "ev=tls-certificate" in node.log_text()


def test_a_plan_change_counts_at_once(house):
    """Also for a connection that stands."""
    node, certs = house
    with TlsCaller(AWAY, certificate(certs, "public", "sip.carrier.example")) as carrier:
        assert carrier.invite("96999").code in (404, 408, 480, 500, 503)  # nobody is there, but it was let in
        node.run("trunk", "set", "carrier", "--trust-names", "", "-m", "no more", "--allow", "all")
        assert carrier.invite("96100").code == 407
        node.run("trunk", "set", "carrier", "--trust-names", "sip.carrier.example", "-m", "again", "--allow", "all")
        assert carrier.invite("96999").code != 407
