"""A trunk that is called by TLS under its name, by whose certificate the connection is proved each time that it is made."""
import socket
import ssl

import pytest

from harness.certificates import authority, certificate
from harness.cluster import Cluster
from harness.names import Names
from harness.raw import Message, Peer, Stream

NODE, TRUNK, PBX, NAMES = (f"127.0.79.{n}" for n in (1, 20, 10, 53))
NAME = "sip.carrier.example"
PLAN = f"""plan: 1
defaults: {{ domain: test.example, digest: [md5] }}
sites:
  hq: {{ blocks: ["6"] }}
trunks:
  carrier: {{ site: hq, address: ["{NAME}:5061"], transport: tls }}
  pbx:     {{ site: hq, address: ["{PBX}:5060"], trust: ["{PBX}/32"] }}
routes:
  - {{ match: "9", to: trunk/carrier }}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("by-name")
    authority(folder, "public")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(folder, "public", NAME))
    with Names(folder, NAMES, {("A", NAME): [TRUNK]}) as names, Cluster(folder / "cluster") as one, socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((TRUNK, 5061))
        listener.listen()
        listener.settimeout(10)
        node = one.add("hq", "hq", NODE, start=False)
        node.environment["SSL_CERT_FILE"] = str(folder / "public.pem")
        node.prefix = names.prefix()
        node.start()
        node.apply(PLAN, "test", "--allow", "all")
        yield node, lambda: Stream(context.wrap_socket(listener.accept()[0], server_side=True))  # the next that the node makes


def test_the_connection_ends_while_it_rings(house):
    """Who hangs up is heard: the CANCEL goes by a new connection to the same name (RFC 3261 section 9.1)."""
    node, connection = house
    with Peer(PBX, node=NODE) as pbx:
        text = pbx.request("INVITE", f"sip:900@{NODE}")
        call_id = Message(text.encode()).get("Call-ID")
        pbx.send(text)
        with connection() as first:
            invite = first.receive()
            first.answer(invite, 180)
            pbx.expect(180, call_id=call_id)
        pbx.send(text.replace("INVITE sip", "CANCEL sip", 1).replace("1 INVITE", "1 CANCEL"))
        with connection() as second:
            cancel = second.receive()
            assert cancel.method == "CANCEL" and cancel.get("Call-ID") == call_id
            assert cancel.all("Via") == invite.all("Via")[:1]
            second.answer(cancel, 200)
            second.answer(invite, 487)
            assert second.receive().method == "ACK"
        pbx.expect(487, call_id=call_id)
