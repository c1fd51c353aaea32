"""What a node shows of itself by TLS: to the other nodes the certificate of the cluster, to everybody else that of
sip.certificate, also to a carrier that takes registrations only from who proves one."""
import re
import shutil
import signal
import socket
import ssl

import pytest

from harness.certificates import authority, certificate
from harness.cluster import Cluster
from harness.raw import Call, Peer
from harness.registrar import Registrar
from harness.wait import until

ONE, TWO = "127.0.75.1", "127.0.75.2"
CARRIER, PHONE, PBX, FAR = "127.0.75.20", "127.0.75.30", "127.0.75.10", "127.0.75.11"
DAY = 86400
NAME, NEXT, USER = "sip.hq.example", "next.hq.example", "493012340"
PLAN = f"""plan: 1
defaults: {{ domain: test.example, digest: [md5] }}
sites:
  hq:  {{ blocks: ["6"] }}
  far: {{ blocks: ["7"] }}
trunks:
  pbx: {{ site: hq, address: ["{PBX}:5060"], trust: ["{PBX}/32"] }}
  far: {{ site: far, address: ["{FAR}:5060"], trust: ["{FAR}/32"] }}
  carrier:
    site: hq
    address: ["{CARRIER}:5061"]
    transport: tls
    register: {{ user: "{USER}", domain: carrier.example, login: u49301, password: secret, expires: 60s }}
routes:
  - {{ match: "6", to: trunk/pbx }}
  - {{ match: "7", to: trunk/far }}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Two nodes that show public certificates, and a carrier that asks for one."""
    folder = tmp_path_factory.mktemp("shown")
    authority(folder, "public")
    both = "serverAuth,clientAuth"
    shown = [folder / "shown.pem", folder / "shown.key"]
    for made, place in zip(certificate(folder, "public", NAME, both), shown):
        shutil.copy(made, place)
    carrier = Registrar(folder, CARRIER, PHONE, r"^127\.0\.75\.1$")
    carrier.secure(*certificate(folder, "public", CARRIER), client_ca=folder / "public.pem")
    with carrier, Cluster(folder / "cluster") as two:
        one = two.add("one", "hq", ONE, start=False)
        other = two.add("two", "far", TWO, seeds=[one.mesh], start=False)
        for node in (one, other):
            node.environment["SSL_CERT_FILE"] = str(folder / "public.pem")
            node.show(*shown)
            node.start()
        two.wait_linked()
        one.apply(PLAN, "test", "--allow", "all")
        yield folder, one, other, carrier


def shown_by(node, folder, asked):
    """The names in the node's certificate, as somebody outside sees it, who asks for one of these names or for none."""
    context = ssl.create_default_context(cafile=folder / "public.pem")
    context.check_hostname = False
    with socket.create_connection((node.address, 5061), 10) as plain, \
            context.wrap_socket(plain, server_hostname=asked) as secure:
        return [name for kind, name in secure.getpeercert()["subjectAltName"] if kind == "DNS"]


def test_to_everybody(house):
    folder, one, other, _ = house
    for node in (one, other):
        assert shown_by(node, folder, NAME) == [NAME]
        assert shown_by(node, folder, None) == [NAME]
        with pytest.raises(ssl.SSLError):
            shown_by(node, folder, "tandem")  # what the nodes ask for: of no public authority


def test_between_nodes(house):
    _, one, other, _ = house
    with Peer(PBX, node=ONE) as pbx, Peer(FAR, node=TWO) as far:
        call = Call(pbx, far, "7100")
        assert any("SIP/2.0/TLS" in via for via in call.invite.all("Via")), call.invite.data
        call.end()
    assert one.counter("transport", "tls_member_refused") == other.counter("transport", "tls_member_refused") == 0


def test_to_a_carrier_that_asks(house):
    _, one, _, carrier = house
    until(lambda: carrier.contacts(), "the trunk to be registered", 20)
    row = next(r for r in one.ctl("trunks") if r["trunk"] == "carrier" and r["what"] == "registration")
    assert row["state"] == "registered"


def test_renewed(house):
    """The files are read again at SIGHUP; what cannot be used changes nothing, and is spoken of."""
    folder, one, _, _ = house
    for made, place in zip(certificate(folder, "public", NEXT), ("shown.pem", "shown.key")):
        shutil.copy(made, folder / place)
    one.signal(signal.SIGHUP)
    until(lambda: shown_by(one, folder, NEXT) == [NEXT], "the new certificate to be shown")
    page = one.metrics()
    left = {name: float(value) for name, value in re.findall(r'certificate_left_seconds\{certificate="(\w+)"\} (\S+)', page)}
    assert 9 * DAY < left["sip"] <= 10 * DAY < left["node"]
    (folder / "shown.pem").write_text("nothing")
    one.signal(signal.SIGHUP)
    until(lambda: "ev=certificate-refused" in one.log_text(), "the loss to be logged")
    assert f"{folder}/shown.pem" in one.log_text() and shown_by(one, folder, NEXT) == [NEXT]
    said = one.run("doctor", check=False)
    assert said.returncode == 3 and "of sip.certificate" in said.stdout and "SIGHUP" in said.stdout
