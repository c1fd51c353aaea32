"""A sips URI is called by TLS to its end, and so is everything of its dialog (RFC 3261 §16.6 item 4): also where it leaves
another node than it came to, and where the callee is shown nothing of the caller's side."""
import select
import socket
import ssl

import pytest

from harness.cluster import Cluster
from harness.digest import challenges, proof
from harness.raw import Call, Message, Peer
from harness.wait import until

ONE, TWO, PBX, PHONE = "127.0.76.1", "127.0.76.2", "127.0.76.10", "127.0.76.30"
PLAN = f"""plan: 1
defaults: {{ domain: test.example, digest: [md5] }}
sites:
  hq:  {{ blocks: ["6"] }}
  far: {{ blocks: ["7"] }}
accounts:
  "6001": {{ password: "right" }}
"""
TRUNK = f"""plan: 1
trunks:
  pbx: {{{{ site: {{site}}, address: ["{PBX}:5060"], trust: ["{PBX}/32"], hide: {{hide}} }}}}
"""


class TlsPhone(Peer):
    """A phone with one TLS connection to its node."""

    def __init__(self, address, node):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(socket.create_connection((node, 5061), 10, (address, 0)))
        self.address, self.host, self.port, self.node, self.rest = address, address, self.socket.getsockname()[1], node, b""
        self.contact = f"sips:6001@{address}:{self.port}"

    def send(self, text, to=None):
        self.socket.sendall(text.replace("SIP/2.0/UDP", "SIP/2.0/TLS", 1).encode() if text.split()[1].startswith("sip") else text.encode())

    def receive(self, timeout=5):
        while b"\r\n\r\n" not in self.rest:
            if not self.socket.pending() and not select.select([self.socket], [], [], timeout)[0]:
                return None
            self.rest += self.socket.recv(65536)
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        return Message(head + b"\r\n\r\n")

    def reply(self, request, code, *lines, **keys):
        super().reply(request, code, *lines, contact=self.contact, **keys)

    def register(self):
        uri, me = f"sips:{self.node}", "<sips:6001@test.example>"
        keys = {"from_": f"{me};tag=1", "to": me, "contact": False}
        asked = self.ask("REGISTER", uri, **keys)
        lines = proof(challenges(asked.data.decode())[0], "6001", "right", "REGISTER", uri).strip()
        assert self.ask("REGISTER", uri, f"Contact: <{self.contact}>", lines, cseq=2, **keys).code == 200


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("sips")) as two:
        one = two.add("one", "hq", ONE)
        other = two.add("two", "far", TWO, seeds=[one.mesh])
        two.wait_linked()
        one.apply(PLAN, "test", "--allow", "all")
        yield one, other


@pytest.mark.parametrize("through", [ONE, TWO])
@pytest.mark.parametrize("hide", ["false", "true"])
def test_the_whole_dialog(nodes, through, hide):
    one, other = nodes
    one.apply(TRUNK.format(site="hq" if through == ONE else "far", hide=hide), "test", "--allow", "all")
    until(lambda: one.digest() == other.digest(), "the plan to be everywhere")
    with TlsPhone(PHONE, ONE) as phone, Peer(PBX, node=through) as pbx:
        phone.register()
        until(lambda: phone.contact in str(other.ctl("registrations")), "the phone to be known everywhere")
        call = Call(pbx, phone, "6001", scheme="sips")
        assert call.invite.uri == phone.contact
        routes = call.invite.all("Record-Route")
        assert routes[0].startswith(f"<sips:{ONE}:5061;lr;"), routes  # what the phone talks with
        # cloaked, it is at the door by which the caller came, which has no TLS
        assert call.answer.get("Contact").startswith("<sips:" if hide == "false" else "<sip:th.")
        back = phone.request("BYE", call.invite.get("Contact").strip("<>"), *(f"Route: {r}" for r in routes), call_id=call.call_id,
                             cseq=5, from_=f'{call.invite.get("To")};tag=callee', to=call.from_)
        phone.send(back)
        pbx.reply(pbx.expect("BYE", call_id=call.call_id), 200)
        phone.expect(200, call_id=call.call_id)
